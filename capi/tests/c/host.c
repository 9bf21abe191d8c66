/* Inside a host: its files, its locks, its policy; and what is left when any of its calls fails. */
#include "host.h"
#include <dirent.h>

static int entries(const char *dir)
{
	DIR *d = opendir(dir);
	int count = -2;
	CHECK(d);
	while (readdir(d))
		count++;
	closedir(d);
	return count;
}

static int commit(struct reftable_stack *st, const char *name, const struct reftable_write_options *options)
{
	uint64_t index = reftable_stack_next_update_index(st);
	struct reftable_ref_record ref = ref_to(name, index, 1);
	struct contents contents = { index, index, &ref, 1, NULL, 0 };
	return reftable_stack_add(st, write_contents, &contents, options, REFTABLE_STACK_NEW_ADDITION_RELOAD);
}

static void its_means_are_used(void)
{
	struct reftable_write_options keep = { .disable_auto_compact = 1 };
	struct reftable_stack *st = NULL;
	struct reftable_addition *addition = NULL;

	EQUAL(mkdir("means", 0777), 0);
	EQUAL(reftable_new_stack(&st, "means", NULL), 0);
	EQUAL(commit(st, "a", &keep), 0);
#ifdef WITHOUT_UNNAMED
	CHECK(locks_ever == 1 && files_ever >= 2 && names_ever == 0);
#else
	CHECK(locks_ever == 0 && files_ever == 0 && names_ever == 1);
#endif
#ifndef WITHOUT_FSYNC
	CHECK(syncs_ever >= 2);
#endif
	EQUAL(commit(st, "b", &keep), 0);
	EQUAL(entries("means"), 3);
	EQUAL(reftable_stack_compact_all(st, NULL, NULL), 0);
	/* What is small is merged under the lock of the list alone. */
	EQUAL(locks_ever + names_ever, 3);
	EQUAL(entries("means"), 2);
	expect_nothing_held();

	EQUAL(reftable_stack_new_addition(&addition, st, NULL, 0), 0);
	EQUAL(locks_held + names_held, 1);
	/* Another process removes the lock and takes it: ours must not publish over theirs. */
	EQUAL(unlink("means/tables.list.lock"), 0);
	{
		uint64_t index = reftable_stack_next_update_index(st);
		struct reftable_ref_record ref = ref_to("c", index, 1);
		struct contents contents = { index, index, &ref, 1, NULL, 0 };
		int fd = open("means/tables.list.lock", O_CREAT | O_EXCL | O_RDWR, 0666);
		CHECK(fd >= 0 && !close(fd));
		EQUAL(reftable_addition_add(addition, write_contents, &contents), 0);
		EQUAL(reftable_addition_commit(addition), REFTABLE_LOCK_ERROR);
	}
	reftable_addition_destroy(addition);
	expect_nothing_held();
#ifndef WITHOUT_UNNAMED
	EQUAL(unlink("means/tables.list.lock"), 0);
#endif
	EQUAL(entries("means"), 2);
	reftable_stack_destroy(st);
}

static void waiting(void)
{
	struct reftable_write_options wait = { .lock_timeout_ms = 100 }, none = { 0 };
	struct reftable_stack *st = NULL;
	uint64_t start;
	int fd;

	EQUAL(mkdir("waiting", 0777), 0);
	EQUAL(reftable_new_stack(&st, "waiting", NULL), 0);
	fd = open("waiting/tables.list.lock", O_CREAT | O_EXCL | O_RDWR, 0666);
	CHECK(fd >= 0 && !close(fd));
	/* Under valgrind what runs first is slow. */
	EQUAL(commit(st, "a", &none), REFTABLE_LOCK_ERROR);
	start = reftable_time_ms();
	EQUAL(commit(st, "a", &none), REFTABLE_LOCK_ERROR);
	CHECK(reftable_time_ms() - start < 90);
	EQUAL(commit(st, "a", &wait), REFTABLE_LOCK_ERROR);
	CHECK(reftable_time_ms() - start >= 99);
	EQUAL(unlink("waiting/tables.list.lock"), 0);
	EQUAL(commit(st, "a", &wait), 0);
	reftable_stack_destroy(st);
}

static void large_tables_are_mapped(void)
{
	struct reftable_block_source source = { 0 };
	struct reftable_ref_record *refs = calloc(3000, sizeof(*refs)), found = { 0 };
	char (*names)[16] = calloc(3000, sizeof(*names));
	struct contents contents = { 1, 1, refs, 3000, NULL, 0 };
	struct reftable_stack *st = NULL;
	struct reftable_iterator it = { 0 };
	struct reftable_table *table = NULL;
	char path[600] = "";
	struct dirent *e;
	int count = 0;
	DIR *d;

	CHECK(refs && names);
	for (int i = 0; i < 3000; i++) {
		sprintf(names[i], "refs/%06d", i);
		refs[i] = ref_to(names[i], 1, i);
	}
	EQUAL(mkdir("large", 0777), 0);
	EQUAL(reftable_new_stack(&st, "large", NULL), 0);
	EQUAL(reftable_stack_add(st, write_contents, &contents, NULL, 0), 0);
	free(refs);
	free(names);
	EQUAL(maps_held, 1);
	EQUAL(reftable_stack_init_ref_iterator(st, &it), 0);
	reftable_stack_destroy(st);
	EQUAL(maps_held, 1);
	EQUAL(reftable_iterator_seek_ref(&it, ""), 0);
	while (!reftable_iterator_next_ref(&it, &found))
		count++;
	EQUAL(count, 3000);
	reftable_ref_record_release(&found);
	reftable_iterator_destroy(&it);
	expect_nothing_held();

	CHECK((d = opendir("large")));
	while ((e = readdir(d)))
		if (strstr(e->d_name, ".ref"))
			snprintf(path, sizeof(path), "large/%s", e->d_name);
	closedir(d);
	EQUAL(reftable_block_source_from_file(&source, path), 0);
	EQUAL(maps_held, 1);
	EQUAL(reftable_table_new(&table, &source, path), 0);
	reftable_table_decref(table);
	expect_nothing_held();
	host_fails_at = host_calls + 1;
	EQUAL(reftable_block_source_from_file(&source, path), REFTABLE_IO_ERROR);
	host_fails_at = host_calls + 1;
	EQUAL(reftable_new_stack(&st, "large", NULL), REFTABLE_IO_ERROR);
	host_fails_at = 0;
}

/* Fails call 1, call 2, and so on, until a run gets through. */
static void any_call_may_fail(void)
{
	struct reftable_write_options keep = { .disable_auto_compact = 1 };
	int failures = 0;

	for (int at = 1;; at++) {
		struct reftable_stack *st = NULL;
		char dir[32];
		int err, compacted;

		sprintf(dir, "fail-%d", at);
		EQUAL(mkdir(dir, 0777), 0);
		EQUAL(reftable_new_stack(&st, dir, NULL), 0);
		EQUAL(commit(st, "a", &keep), 0);
		host_fails_at = host_calls + at;
		err = commit(st, "b", &keep);
		compacted = err ? 0 : reftable_stack_compact_all(st, &keep, NULL);
		if (host_calls < host_fails_at)
			err = compacted = 0;
		else
			failures++;
		host_fails_at = 0;
		expect_nothing_held();
#ifdef WITHOUT_UNNAMED
		CHECK(err || compacted || at > failures);
#endif
		/* What failed was not done, and what was done is whole. */
		EQUAL(reftable_stack_reload(st), 0);
		EQUAL(reftable_stack_next_update_index(st), err ? 2 : 3);
		EQUAL(entries(dir), err ? 2 : compacted ? 3 : 2);
		EQUAL(commit(st, "c", &keep), 0);
		reftable_stack_destroy(st);
		if (at > failures)
			break;
	}
#ifdef WITHOUT_UNNAMED
	CHECK(failures > 10);
#else
	CHECK(failures > 6);
#endif
}

static void policies(void)
{
	struct reftable_write_options as_git __attribute__((unused)) = { .disable_auto_compact = 1, .default_permissions = 0644 };
	struct reftable_stack *st = NULL;
	char name[16];
	int synced;

	CHECK(strstr(reftable_version(), "libreftable "));
	EQUAL(reftable_set_policy("most"), REFTABLE_API_ERROR);
	EQUAL(reftable_set_policy(NULL), REFTABLE_API_ERROR);
	EQUAL(mkdir("policy", 0777), 0);
	setenv("REFTABLE_POLICY", "most", 1);
	EQUAL(reftable_new_stack(&st, "policy", NULL), REFTABLE_API_ERROR);
	setenv("REFTABLE_POLICY", "full", 1);
	EQUAL(reftable_new_stack(&st, "policy", NULL), 0);
	synced = syncs_ever;
	for (int i = 0; i < 8; i++) {
		sprintf(name, "refs/%d", i);
		EQUAL(commit(st, name, NULL), 0);
	}
	/* The host is not asked what is to be synced, and eight tables are not worth a merge. */
	EQUAL(syncs_ever, synced);
	EQUAL(entries("policy"), 9);
	reftable_stack_destroy(st);
#ifndef WITHOUT_UNNAMED
	/* A new process syncs its table, its list and the directory twice, and none of the tables that are there. */
	EQUAL(reftable_new_stack(&st, "policy", NULL), 0);
	synced = fsyncs_ever;
	memset(disk_calls, 0, sizeof(disk_calls));
	EQUAL(commit(st, "refs/sealed", NULL), 0);
	EQUAL(fsyncs_ever - synced, 4);
	/* Table and list are with the disk before either is synced, so that one write of the journal is for both. */
	SAME(disk_calls, "oowwssss");
	reftable_stack_destroy(st);
#endif
	EQUAL(reftable_set_policy("git"), 0);
	EQUAL(reftable_new_stack(&st, "policy", NULL), 0);
	EQUAL(commit(st, "refs/8", NULL), 0);
	EQUAL(entries("policy"), 2);
#ifndef WITHOUT_UNNAMED
	/* Whether its host syncs at all is the host's secret. */
	memset(disk_calls, 0, sizeof(disk_calls));
	EQUAL(commit(st, "refs/9", &as_git), 0);
	SAME(disk_calls, "");
#endif
	reftable_stack_destroy(st);
	unsetenv("REFTABLE_POLICY");
	expect_nothing_held();
}

int main(int argc, char **argv)
{
	int open_files = entries("/proc/self/fd");
	CHECK(argc == 2);
	CHECK(!chdir(argv[1]));
	count_allocations();
	EQUAL(reftable_has_host(), 1);
	its_means_are_used();
	waiting();
	large_tables_are_mapped();
	any_call_may_fail();
	policies();
	EQUAL(entries("/proc/self/fd"), open_files);
	return finish();
}
