/*
 * Compactions of a host that are large enough to let others commit meanwhile: they lock the tables that they merge.
 *
 *   compactions DIRECTORY kill TIMES               a process killed with such locks hinders no other
 *   compactions DIRECTORY many TABLES DESCRIPTORS  however many tables are locked, descriptors are few
 */
#include "host.h"
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* As git's default. */
static const struct reftable_write_options patient = { .lock_timeout_ms = 100, .default_permissions = 0644 };

/* How many names in the directory end so. */
static int names_with(const char *dir, const char *end)
{
	size_t len = strlen(end);
	struct dirent *e;
	int found = 0;
	DIR *d = opendir(dir);
	CHECK(d);
	while ((e = readdir(d)))
		found += strlen(e->d_name) > len && !strcmp(e->d_name + strlen(e->d_name) - len, end);
	closedir(d);
	return found;
}

/* Adds one table with so many references, and compacts nothing. */
static void add_table(const char *dir, int number, int count)
{
	struct reftable_write_options keep = { .lock_timeout_ms = 100, .disable_auto_compact = 1 };
	struct reftable_ref_record *refs = calloc(count, sizeof(*refs));
	char (*names)[64] = calloc(count, sizeof(*names));
	struct reftable_stack *st = NULL;
	struct contents contents;
	uint64_t index;
	CHECK(refs && names);
	EQUAL(reftable_new_stack(&st, dir, NULL), 0);
	index = reftable_stack_next_update_index(st);
	for (int i = 0; i < count; i++) {
		sprintf(names[i], "refs/heads/p%03d/%04d", number, i);
		refs[i] = ref_to(names[i], index, i);
	}
	contents = (struct contents){ index, index, refs, count, NULL, 0 };
	EQUAL(reftable_stack_add(st, write_contents, &contents, &keep, REFTABLE_STACK_NEW_ADDITION_RELOAD), 0);
	reftable_stack_destroy(st);
	free(names);
	free(refs);
}

static int compact(const char *dir)
{
	struct reftable_stack *st = NULL;
	int err;
	EQUAL(reftable_new_stack(&st, dir, NULL), 0);
	err = reftable_stack_compact_all(st, &patient, NULL);
	reftable_stack_destroy(st);
	return err;
}

/* More than this is merged while others commit, under the locks of the tables. */
#define LARGE 6000

static void kills(const char *dir, int times)
{
	unsigned seed = 4711;
	int left = 0, refused = 0, slow = 0;
	add_table(dir, 0, LARGE);
	for (int k = 1; k <= times; k++) {
		uint64_t start;
		pid_t child = fork();
		CHECK(child >= 0);
		if (!child)
			for (;;) {
				add_table(dir, k, 1);
				if (compact(dir))
					_exit(1);
			}
		usleep(2000 + rand_r(&seed) % 60000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		left += !!names_with(dir, ".ref.lock");
		add_table(dir, 0, 1);
		start = reftable_time_ms();
		refused += !!compact(dir);
		slow += reftable_time_ms() - start > 5000;
		EQUAL(names_with(dir, ".lock"), 0);
		EQUAL(names_with(dir, ".ref"), 1);
	}
	printf("%d kills, %d of them left locks of tables: %d compactions refused, %d slow\n", times, left, refused, slow);
	EQUAL(refused, 0);
	EQUAL(slow, 0);
	CHECK(left || times < 40);
	CHECK(exists(dir, "refs/heads/p000/0000") && exists(dir, "refs/heads/p000/5999"));
}

static void many(const char *dir, int tables, int descriptors)
{
	struct rlimit few = { descriptors, descriptors };
	add_table(dir, 0, LARGE);
	for (int t = 1; t < tables; t++)
		add_table(dir, t, 1);
	EQUAL(names_with(dir, ".ref"), tables);
	EQUAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	EQUAL(compact(dir), 0);
	EQUAL(names_with(dir, ".ref"), 1);
	EQUAL(names_with(dir, ".lock"), 0);
}

int main(int argc, char **argv)
{
	CHECK(argc > 3);
	mkdir(argv[1], 0777);
	EQUAL(reftable_has_host(), 1);
	if (!strcmp(argv[2], "kill"))
		kills(argv[1], atoi(argv[3]));
	else
		many(argv[1], atoi(argv[3]), atoi(argv[4]));
	return 0;
}
