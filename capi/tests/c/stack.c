/* Stacks: reading, transactions, reloads, callbacks that use the stack again, compaction. With and without a host. */
#ifdef WITH_HOST
#include "host.h"
#else
#include "check.h"
#endif
#include <dirent.h>
#include <sys/stat.h>

static struct reftable_stack *open_stack(const char *dir)
{
	struct reftable_stack *st = NULL;
	EQUAL(reftable_new_stack(&st, dir, NULL), 0);
	return st;
}

static int add(struct reftable_stack *st, const char *name, unsigned char byte, const struct reftable_write_options *options)
{
	uint64_t index = reftable_stack_next_update_index(st);
	struct reftable_ref_record ref = byte ? ref_to(name, index, byte) : ref_gone(name, index);
	struct contents contents = { index, index, &ref, 1, NULL, 0 };
	return reftable_stack_add(st, write_contents, &contents, options, 0);
}

static int read_byte(struct reftable_stack *st, const char *name)
{
	struct reftable_ref_record ref = { 0 };
	int err = reftable_stack_read_ref(st, name, &ref);
	int byte = err ? -err : ref.value.val1[0];
	if (!err)
		SAME(ref.refname, name);
	else
		CHECK(!ref.refname);
	reftable_ref_record_release(&ref);
	return byte;
}

/* The files in a directory whose names end like this. */
static int files(const char *dir, const char *suffix)
{
	DIR *d = opendir(dir);
	struct dirent *e;
	int count = 0;
	CHECK(d);
	while ((e = readdir(d))) {
		size_t len = strlen(e->d_name), end = strlen(suffix);
		/* The owner file of robust locks stays as long as the handle. */
		if (e->d_name[0] != '.' && !strstr(e->d_name, ".owner") && len >= end && !strcmp(e->d_name + len - end, suffix))
			count++;
	}
	closedir(d);
	return count;
}

static void reading_and_writing(const char *dir, enum reftable_hash hash)
{
	struct reftable_stack_options options = { .hash_id = hash };
	const struct reftable_ref_record refs[] = { ref_symbolic("HEAD", 1, "refs/a"), ref_to("refs/a", 1, 1) };
	const struct reftable_log_record logs[] = { log_of("refs/a", 1, "one") };
	struct contents contents = { 1, 1, refs, COUNT(refs), logs, 1 };
	struct reftable_stack *st = NULL, *other = NULL, *wrong = (void *)1;
	struct reftable_ref_record ref = { 0 };
	struct reftable_log_record log = { 0 };
	struct reftable_iterator it = { 0 };

	EQUAL(reftable_new_stack(&st, dir, &options), 0);
	EQUAL(reftable_stack_hash_id(st), hash ? hash : REFTABLE_HASH_SHA1);
	EQUAL(reftable_stack_next_update_index(st), 1);
	EQUAL(read_byte(st, "refs/a"), -1);
	EQUAL(reftable_new_stack(&other, dir, &options), 0);
	EQUAL(reftable_stack_add(st, write_contents, &contents, NULL, 0), 0);
	EQUAL(reftable_stack_next_update_index(st), 2);
	EQUAL(read_byte(st, "refs/a"), 1);
	EQUAL(read_byte(st, "refs/"), -1);
	EQUAL(reftable_stack_read_ref(st, "HEAD", &ref), 0);
	SAME(ref.value.symref, "refs/a");
	reftable_ref_record_release(&ref);
	EQUAL(reftable_stack_read_log(st, "refs/a", &log), 0);
	SAME(log.value.update.message, "one\n");
	EQUAL(reftable_stack_read_log(st, "refs/b", &log), 1);
	CHECK(!log.refname);

	/* The other handle sees what it saw until it is reloaded. */
	EQUAL(read_byte(other, "refs/a"), -1);
	EQUAL(reftable_stack_next_update_index(other), 1);
	EQUAL(reftable_stack_reload(other), 0);
	EQUAL(read_byte(other, "refs/a"), 1);

	/* Iterators stay at their state and outlive the stack. */
	EQUAL(reftable_stack_init_ref_iterator(other, &it), 0);
	EQUAL(add(st, "refs/a", 0, NULL), 0);
	EQUAL(reftable_stack_reload(other), 0);
	EQUAL(read_byte(other, "refs/a"), -1);
	EQUAL(reftable_merged_table_max_update_index(reftable_stack_merged_table(other)), 2);
	reftable_stack_destroy(other);
	reftable_stack_destroy(st);
	EQUAL(reftable_iterator_seek_ref(&it, "refs/"), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
	EQUAL(ref.value.val1[0], 1);
	reftable_ref_record_release(&ref);
	reftable_iterator_destroy(&it);

	/* A stack of the other hash. */
	options.hash_id = hash == REFTABLE_HASH_SHA256 ? REFTABLE_HASH_SHA1 : REFTABLE_HASH_SHA256;
	EQUAL(reftable_new_stack(&wrong, dir, &options), REFTABLE_FORMAT_ERROR);
	CHECK(!wrong);
	options.hash_id = 1;
	EQUAL(reftable_new_stack(&wrong, dir, &options), REFTABLE_API_ERROR);
}

static void tombstones(const char *dir)
{
	struct reftable_write_options keep = { .disable_auto_compact = 1 };
	struct reftable_stack_options hide = { .suppress_deletions = 1 };
	struct reftable_stack *st = open_stack(dir), *hiding = NULL;
	struct reftable_ref_record ref = { 0 };
	struct reftable_iterator it = { 0 };

	EQUAL(add(st, "a", 1, &keep), 0);
	EQUAL(add(st, "a", 0, &keep), 0);
	EQUAL(reftable_stack_init_ref_iterator(st, &it), 0);
	EQUAL(reftable_iterator_seek_ref(&it, ""), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
	CHECK(reftable_ref_record_is_deletion(&ref));
	EQUAL(reftable_iterator_next_ref(&it, &ref), 1);
	reftable_iterator_destroy(&it);
	EQUAL(reftable_new_stack(&hiding, dir, &hide), 0);
	EQUAL(reftable_merged_table_init_ref_iterator(reftable_stack_merged_table(hiding), &it), 0);
	EQUAL(reftable_iterator_seek_ref(&it, ""), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 1);
	reftable_iterator_destroy(&it);
	reftable_ref_record_release(&ref);
	reftable_stack_destroy(hiding);
	reftable_stack_destroy(st);
}

static int fail(struct reftable_writer *w, void *arg)
{
	struct reftable_ref_record ref = ref_to("x", 1, 1);
	EQUAL(reftable_writer_set_limits(w, 1, 1), 0);
	EQUAL(reftable_writer_add_ref(w, &ref), 0);
	return *(int *)arg;
}

static int nothing(struct reftable_writer *w, void *arg)
{
	(void)arg;
	return reftable_writer_set_limits(w, 1, 1);
}

static void additions(const char *dir)
{
	struct reftable_write_options keep = { .disable_auto_compact = 1 };
	struct reftable_stack *st = open_stack(dir), *other = open_stack(dir);
	struct reftable_ref_record one = ref_to("a", 1, 1), two = ref_to("b", 2, 2), low = ref_to("c", 1, 3);
	struct contents first = { 1, 1, &one, 1, NULL, 0 }, second = { 2, 2, &two, 1, NULL, 0 };
	struct contents below = { 1, 1, &low, 1, NULL, 0 };
	struct reftable_addition *addition = NULL, *refused = (void *)1;
	int code = -42;

	EQUAL(reftable_stack_new_addition(&addition, st, &keep, 0), 0);
	EQUAL(files(dir, "tables.list.lock"), 1);
	EQUAL(reftable_stack_new_addition(&refused, other, NULL, 0), REFTABLE_LOCK_ERROR);
	CHECK(!refused);
	EQUAL(add(other, "z", 1, NULL), REFTABLE_LOCK_ERROR);
	EQUAL(reftable_addition_add(addition, fail, &code), -42);
	EQUAL(reftable_addition_add(addition, nothing, NULL), 0);
	EQUAL(reftable_addition_add(addition, NULL, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_addition_add(addition, write_contents, &first), 0);
	EQUAL(reftable_addition_add(addition, write_contents, &below), REFTABLE_API_ERROR);
	EQUAL(reftable_addition_add(addition, write_contents, &second), 0);
	EQUAL(read_byte(st, "a"), -1);
	EQUAL(reftable_addition_commit(addition), 0);
	EQUAL(files(dir, "tables.list.lock"), 0);
	EQUAL(reftable_addition_commit(addition), REFTABLE_API_ERROR);
	EQUAL(reftable_addition_add(addition, write_contents, &second), REFTABLE_API_ERROR);
	reftable_addition_destroy(addition);
	reftable_addition_destroy(NULL);
	EQUAL(read_byte(st, "a"), 1);
	EQUAL(read_byte(st, "b"), 2);
	EQUAL(files(dir, ".ref"), 2);
	EQUAL(files(dir, ""), 3);

	/* Rolled back: nothing is left. */
	EQUAL(reftable_stack_new_addition(&addition, st, &keep, 0), 0);
	second.min = second.max = two.update_index = 3;
	EQUAL(reftable_addition_add(addition, write_contents, &second), 0);
	reftable_addition_destroy(addition);
	EQUAL(files(dir, ""), 3);

	/* A state that its user has not seen. */
	EQUAL(reftable_stack_new_addition(&refused, other, NULL, 0), REFTABLE_OUTDATED_ERROR);
	CHECK(!refused);
	EQUAL(read_byte(other, "a"), -1);
	EQUAL(reftable_stack_new_addition(&addition, other, NULL, REFTABLE_STACK_NEW_ADDITION_RELOAD), 0);
	EQUAL(read_byte(other, "a"), 1);
	reftable_addition_destroy(addition);
	EQUAL(add(st, "a", 4, &keep), 0);
	/* stack_add fails as well, but reloads for the next attempt. */
	EQUAL(add(other, "a", 5, &keep), REFTABLE_OUTDATED_ERROR);
	EQUAL(add(other, "a", 5, &keep), 0);
	/* An addition of nothing. */
	EQUAL(reftable_stack_reload(st), 0);
	EQUAL(reftable_stack_new_addition(&addition, st, NULL, 0), 0);
	EQUAL(reftable_addition_commit(addition), 0);
	reftable_addition_destroy(addition);
	EQUAL(reftable_stack_next_update_index(st), 5);
	reftable_stack_destroy(st);
	reftable_stack_destroy(other);
}

/* Callbacks that use the stack. */
struct user {
	struct reftable_stack *st;
	struct reftable_iterator it;
	int reloads;
};

static void on_reload(void *payload)
{
	struct user *user = payload;
	user->reloads++;
	reftable_iterator_destroy(&user->it);
	if (user->st) {
		/* It sees the new state already. */
		EQUAL(reftable_stack_init_ref_iterator(user->st, &user->it), 0);
		EQUAL(reftable_iterator_seek_ref(&user->it, ""), 0);
		EQUAL(reftable_stack_reload(user->st), 0);
	}
}

static int read_while_writing(struct reftable_writer *w, void *arg)
{
	struct user *user = arg;
	uint64_t index = reftable_stack_next_update_index(user->st);
	struct reftable_ref_record ref = ref_to("copy", index, 0), found = { 0 };
	struct reftable_iterator it = { 0 };
	EQUAL(reftable_writer_set_limits(w, index, index), 0);
	EQUAL(reftable_stack_init_ref_iterator(user->st, &it), 0);
	EQUAL(reftable_iterator_seek_ref(&it, "a"), 0);
	EQUAL(reftable_iterator_next_ref(&it, &found), 0);
	EQUAL(reftable_stack_reload(user->st), 0);
	memset(ref.value.val1, found.value.val1[0] + 1, sizeof(ref.value.val1));
	reftable_ref_record_release(&found);
	reftable_iterator_destroy(&it);
	EQUAL(reftable_writer_stats(w)->blocks, 0);
	for (int i = 0; i < 200; i++) {
		char name[20];
		sprintf(name, "a/%03d", i);
		ref.refname = name;
		EQUAL(reftable_writer_add_ref(w, &ref), 0);
	}
	CHECK(reftable_writer_stats(w)->ref_stats.blocks > 0);
	ref.refname = (char *)"copy";
	return reftable_writer_add_ref(w, &ref);
}

static void callbacks(const char *dir)
{
	struct user user = { 0 };
	struct reftable_stack_options options = { .on_reload = on_reload, .on_reload_payload = &user };
	struct reftable_stack *other = open_stack(dir);
	char list[300];
	FILE *file;

	EQUAL(reftable_new_stack(&user.st, dir, &options), 0);
	EQUAL(user.reloads, 1);
	EQUAL(reftable_stack_reload(user.st), 0);
	EQUAL(user.reloads, 1);
	EQUAL(add(other, "a", 6, NULL), 0);
	EQUAL(reftable_stack_reload(user.st), 0);
	EQUAL(user.reloads, 2);
	CHECK(user.it.ops);
	EQUAL(reftable_stack_add(user.st, read_while_writing, &user, NULL, 0), 0);
	EQUAL(user.reloads, 3);
	EQUAL(read_byte(user.st, "copy"), 7);
	EQUAL(reftable_stack_compact_all(user.st, NULL, NULL), 0);
	reftable_iterator_destroy(&user.it);

	/* A reload that fails is told, too, and what was read stays. */
	snprintf(list, sizeof(list), "%s/tables.list", dir);
	CHECK((file = fopen("new-list", "w")) && fputs("garbage", file) >= 0 && !fclose(file));
	EQUAL(rename("new-list", list), 0);
	user.reloads = 0;
	options.on_reload = NULL;
	{
		struct reftable_stack *st = user.st, *broken = (void *)1;
		user.st = NULL;
		EQUAL(reftable_stack_reload(st), REFTABLE_FORMAT_ERROR);
		EQUAL(user.reloads, 1);
		EQUAL(read_byte(st, "copy"), 7);
		EQUAL(reftable_new_stack(&broken, dir, &options), REFTABLE_FORMAT_ERROR);
		CHECK(!broken);
		reftable_stack_destroy(st);
	}
	reftable_stack_destroy(other);
}

static void compaction(const char *dir)
{
	struct reftable_write_options keep = { .disable_auto_compact = 1 };
	struct reftable_log_expiry_config expiry = { 0 };
	struct reftable_stack *st = open_stack(dir);
	struct reftable_compaction_stats *stats = reftable_stack_compaction_stats(st);
	struct reftable_log_record log = { 0 };
	bool required = true;
	char stale[300];
	FILE *file;

	EQUAL(reftable_stack_compaction_required(st, NULL, false, &required), 0);
	CHECK(!required);
	EQUAL(reftable_stack_compact_all(st, NULL, NULL), 0);
	EQUAL(reftable_stack_auto_compact(st, NULL), 0);
	EQUAL(stats->attempts, 0);
	for (int i = 1; i <= 5; i++) {
		struct reftable_ref_record ref = ref_to("a", i, i);
		struct reftable_log_record entry = log_of("a", i, "m");
		struct contents contents = { i, i, &ref, 1, &entry, 1 };
		EQUAL(reftable_stack_add(st, write_contents, &contents, &keep, 0), 0);
	}
	EQUAL(files(dir, ".ref"), 5);
	EQUAL(reftable_stack_compaction_required(st, NULL, true, &required), 0);
	CHECK(required);
	EQUAL(reftable_stack_compaction_required(st, NULL, true, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_auto_compact(st, &keep), 0);
	EQUAL(files(dir, ".ref"), 1);
	EQUAL(stats->attempts, 1);
	EQUAL(stats->entries_written, 6);
	CHECK(stats->bytes > 500);
	EQUAL(read_byte(st, "a"), 5);
	EQUAL(reftable_stack_compaction_required(st, NULL, false, &required), 0);
	CHECK(!required);

	/* Entries expire, by time and by number, also out of a single table. */
	expiry.time = 1003;
	EQUAL(reftable_stack_compact_all(st, NULL, &expiry), 0);
	EQUAL(files(dir, ".ref"), 1);
	expiry = (struct reftable_log_expiry_config){ .min_update_index = 6 };
	EQUAL(reftable_stack_read_log(st, "a", &log), 0);
	EQUAL(log.update_index, 5);
	EQUAL(reftable_stack_compact_all(st, NULL, &expiry), 0);
	EQUAL(reftable_stack_read_log(st, "a", &log), 1);
	EQUAL(reftable_stack_next_update_index(st), 6);

	/* A lock on a table: nothing happens, and the caller is told. */
	EQUAL(add(st, "b", 1, &keep), 0);
	{
		DIR *d = opendir(dir);
		struct dirent *e;
		char name[600] = "";
		while ((e = readdir(d)))
			if (strstr(e->d_name, ".ref"))
				snprintf(name, sizeof(name), "%s/%s.lock", dir, e->d_name);
		closedir(d);
		CHECK((file = fopen(name, "w")) && !fclose(file));
		EQUAL(reftable_stack_compact_all(st, NULL, NULL), REFTABLE_LOCK_ERROR);
		EQUAL(stats->failures, 1);
		EQUAL(files(dir, ".ref"), 2);
		EQUAL(unlink(name), 0);
		EQUAL(reftable_stack_compact_all(st, NULL, NULL), 0);
		EQUAL(files(dir, ".ref"), 1);
	}

	snprintf(stale, sizeof(stale), "%s/0x000000000001-0x000000000001-12345678.ref", dir);
	CHECK((file = fopen(stale, "w")) && !fclose(file));
	EQUAL(reftable_stack_clean(st), 0);
	EQUAL(access(stale, F_OK), -1);
	EQUAL(files(dir, ""), 2);
	reftable_stack_destroy(st);
}

static int found, talked;

static int report(struct reftable_fsck_info *info, void *arg)
{
	EQUAL(info->error, REFTABLE_FSCK_ERROR_TABLE_NAME);
	CHECK(info->msg);
	SAME(info->path, arg);
	found++;
	return -1;
}

static void talk(const char *message, void *arg)
{
	CHECK(strstr(message, "Checking table: "));
	(void)arg;
	talked++;
}

static void checking(const char *dir)
{
	struct reftable_stack *st = open_stack(dir);
	char from[300] = "", to[300], list[300];
	struct dirent *e;
	FILE *file;
	DIR *d;

	EQUAL(add(st, "a", 1, NULL), 0);
	EQUAL(reftable_fsck_check(st, report, talk, "odd.ref"), 0);
	EQUAL(found, 0);
	EQUAL(talked, 1);
	CHECK((d = opendir(dir)));
	while ((e = readdir(d)))
		if (strstr(e->d_name, ".ref"))
			snprintf(from, sizeof(from), "%s/%.100s", dir, e->d_name);
	closedir(d);
	snprintf(to, sizeof(to), "%s/odd.ref", dir);
	EQUAL(rename(from, to), 0);
	snprintf(list, sizeof(list), "%s/tables.list", dir);
	EQUAL(unlink(list), 0);
	CHECK((file = fopen(list, "w")) && fputs("odd.ref\n", file) >= 0 && !fclose(file));
	EQUAL(reftable_stack_reload(st), 0);
	EQUAL(reftable_fsck_check(st, report, talk, "odd.ref"), -1);
	EQUAL(found, 1);
	EQUAL(reftable_fsck_check(st, report, NULL, "odd.ref"), -1);
	reftable_stack_destroy(st);
}

static void modes(const char *dir)
{
	struct reftable_write_options options = { .default_permissions = 0660, .disable_auto_compact = 1 };
	struct reftable_stack *st = open_stack(dir);
	struct dirent *e;
	DIR *d;

	umask(077);
	EQUAL(add(st, "a", 1, &options), 0);
	EQUAL(add(st, "b", 1, &options), 0);
	EQUAL(reftable_stack_compact_all(st, &options, NULL), 0);
	CHECK((d = opendir(dir)));
	while ((e = readdir(d))) {
		char path[600];
		struct stat about;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		EQUAL(stat(path, &about), 0);
		if (S_ISREG(about.st_mode) && !strstr(path, ".owner"))
			EQUAL(about.st_mode & 0777, 0660);
	}
	closedir(d);
	umask(022);
	reftable_stack_destroy(st);
}

static void nulls(void)
{
	struct reftable_iterator it = { 0 };
	struct reftable_ref_record ref = { 0 };
	struct reftable_log_record log = { 0 };
	struct reftable_stack *st;
	bool required;

	reftable_stack_destroy(NULL);
	EQUAL(reftable_new_stack(NULL, ".", NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_new_stack(&st, NULL, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_reload(NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_next_update_index(NULL), 0);
	EQUAL(reftable_stack_hash_id(NULL), 0);
	CHECK(!reftable_stack_merged_table(NULL));
	CHECK(!reftable_stack_compaction_stats(NULL));
	EQUAL(reftable_stack_init_ref_iterator(NULL, &it), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_init_log_iterator(NULL, &it), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_read_ref(NULL, "a", &ref), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_read_log(NULL, "a", &log), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_add(NULL, write_contents, NULL, NULL, 0), REFTABLE_API_ERROR);
	EQUAL(reftable_addition_commit(NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_compact_all(NULL, NULL, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_auto_compact(NULL, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_compaction_required(NULL, NULL, true, &required), REFTABLE_API_ERROR);
	EQUAL(reftable_stack_clean(NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_fsck_check(NULL, NULL, NULL, NULL), REFTABLE_API_ERROR);
}

static const char *fresh(const char *name)
{
	CHECK(!mkdir(name, 0777));
	return name;
}

int main(int argc, char **argv)
{
	struct reftable_stack *st = (void *)1;

	CHECK(argc == 2);
	CHECK(!chdir(argv[1]));
	count_allocations();
#ifdef WITH_HOST
	EQUAL(reftable_has_host(), 1);
	/* A host may open a stack before there is a directory. */
	st = open_stack("missing");
	reftable_stack_destroy(st);
#else
	EQUAL(reftable_has_host(), 0);
	EQUAL(reftable_new_stack(&st, "missing", NULL), REFTABLE_NOT_EXIST_ERROR);
	CHECK(!st);
#endif
	reading_and_writing(fresh("sha1"), 0);
	reading_and_writing(fresh("sha256"), REFTABLE_HASH_SHA256);
	tombstones(fresh("tombstones"));
	additions(fresh("additions"));
	callbacks(fresh("callbacks"));
	compaction(fresh("compaction"));
	checking(fresh("checking"));
	modes(fresh("modes"));
	nulls();
	return finish();
}
