/* git 2.55: what is said to a stack when it is opened counts for all that is written to it. */
#include "check.h"
#include <dirent.h>
#include <sys/stat.h>

static int reloads;

static void reloaded(void *payload)
{
	++*(int *)payload;
}

static int change(struct reftable_stack *st, const char *name, unsigned char byte, const char *message)
{
	uint64_t index = reftable_stack_next_update_index(st);
	struct reftable_ref_record ref = byte ? ref_to(name, index, byte) : ref_gone(name, index);
	struct reftable_log_record log = log_of(name, index, message);
	struct contents contents = { index, index, &ref, 1, &log, message ? 1 : 0 };
	return reftable_stack_add(st, write_contents, &contents, REFTABLE_STACK_NEW_ADDITION_RELOAD);
}

/* The mode bits of the tables, which are all the same; their number in count. */
static int mode_of_tables(const char *dir, int *count)
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	struct stat about;
	char path[4096];
	int mode = 0;
	CHECK(d);
	*count = 0;
	while ((entry = readdir(d))) {
		if (!strstr(entry->d_name, ".ref"))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		EQUAL(stat(path, &about), 0);
		CHECK(!*count || mode == (int)(about.st_mode & 0777));
		mode = about.st_mode & 0777;
		++*count;
	}
	closedir(d);
	return mode;
}

static void transactions(void)
{
	struct reftable_write_options options = {
		.hash_id = REFTABLE_HASH_SHA256, .default_permissions = 0640, .exact_log_message = 1,
		.disable_auto_compact = 1, .on_reload = reloaded, .on_reload_payload = &reloads,
	};
	struct reftable_stack *st = NULL, *waiting = NULL;
	struct reftable_addition *addition = NULL, *refused = NULL;
	struct reftable_log_record log = { 0 };
	struct reftable_log_expiry_config expiry = { .min_update_index = 2 };
	bool required = false;
	int count, before;

	EQUAL(mkdir("once", 0777), 0);
	EQUAL(reftable_new_stack(&st, "once", &options), 0);
	EQUAL(reloads, 1);
	EQUAL(reftable_stack_hash_id(st), REFTABLE_HASH_SHA256);
	EQUAL(change(st, "refs/a", 1, "two\nlines"), 0);
	EQUAL(change(st, "refs/b", 2, NULL), 0);
	EQUAL(change(st, "refs/c", 3, NULL), 0);
	CHECK(reloads > 1);
	EQUAL(mode_of_tables("once", &count), 0640);
	EQUAL(count, 3);
	EQUAL(reftable_stack_read_log(st, "refs/a", &log), 0);
	SAME(log.value.update.message, "two\nlines");
	reftable_log_record_release(&log);

	/* A writer that has not said that it waits is refused at once. */
	EQUAL(reftable_new_stack(&waiting, "once", &options), 0);
	EQUAL(reftable_stack_new_addition(&addition, st, 0), 0);
	EQUAL(reftable_stack_new_addition(&refused, waiting, 0), REFTABLE_LOCK_ERROR);
	CHECK(!refused);
	reftable_addition_destroy(addition);
	reftable_stack_destroy(waiting);

	EQUAL(reftable_stack_compaction_required(st, true, &required), 0);
	CHECK(required);
	EQUAL(reftable_stack_auto_compact(st), 0);
	EQUAL(mode_of_tables("once", &count), 0640);
	EQUAL(count, 1);
	before = reloads;
	EQUAL(reftable_stack_compact_all(st, &expiry), 0);
	CHECK(reloads > before);
	EQUAL(reftable_stack_read_log(st, "refs/a", &log), 1);
	EQUAL(reftable_stack_clean(st), 0);
	reftable_stack_destroy(st);
}

/* Stacks of this git show no tombstones; their tables do. */
static void tombstones_are_hidden(void)
{
	struct reftable_write_options options = { .disable_auto_compact = 1 };
	struct reftable_stack *st = NULL;
	struct reftable_iterator it = { 0 };
	struct reftable_ref_record ref = { 0 };
	EQUAL(mkdir("hidden", 0777), 0);
	EQUAL(reftable_new_stack(&st, "hidden", &options), 0);
	EQUAL(change(st, "refs/a", 1, NULL), 0);
	EQUAL(change(st, "refs/a", 0, NULL), 0);
	EQUAL(change(st, "refs/b", 2, NULL), 0);
	EQUAL(reftable_stack_init_ref_iterator(st, &it), 0);
	EQUAL(reftable_iterator_seek_ref(&it, ""), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
	SAME(ref.refname, "refs/b");
	EQUAL(reftable_iterator_next_ref(&it, &ref), 1);
	reftable_ref_record_release(&ref);
	reftable_iterator_destroy(&it);
	reftable_stack_destroy(st);
}

static ssize_t append(void *arg, const void *data, size_t len)
{
	return reftable_buf_add(arg, data, len) ? -1 : (ssize_t)len;
}

static void writers(void)
{
	struct reftable_write_options options = { .hash_id = REFTABLE_HASH_SHA256, .unpadded = 1 };
	struct reftable_buf buf = REFTABLE_BUF_INIT;
	struct reftable_writer *w = NULL;
	struct reftable_ref_record ref = ref_to("refs/a", 1, 7);
	EQUAL(reftable_writer_new(&w, append, NULL, &buf, &options), 0);
	EQUAL(reftable_writer_set_limits(w, 1, 1), 0);
	EQUAL(reftable_writer_add_ref(w, &ref), 0);
	EQUAL(reftable_writer_close(w), 0);
	reftable_writer_free(w);
	CHECK(buf.len > 28 && !memcmp(buf.buf, "REFT\2", 5) && !memcmp(buf.buf + 24, "s256", 4));
	reftable_buf_release(&buf);
	EQUAL(reftable_writer_new(&w, append, NULL, &buf, NULL), 0);
	reftable_writer_free(w);
}

static void misuse(void)
{
	struct reftable_stack *st = NULL;
	struct reftable_addition *addition = NULL;
	bool required;
	EQUAL(reftable_new_stack(&st, NULL, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_add(NULL, write_contents, NULL, 0), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_new_addition(&addition, NULL, 0), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_compact_all(NULL, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_auto_compact(NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_compaction_required(NULL, true, &required), REFTABLE_API_ERROR);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	CHECK(!chdir(argv[1]));
	count_allocations();
	CHECK(strstr(reftable_version(), "(git 2.55)"));
	transactions();
	tombstones_are_hidden();
	writers();
	misuse();
	return finish();
}
