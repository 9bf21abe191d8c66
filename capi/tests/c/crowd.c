/*
 * Many processes of a host on one store: crowds, kills, signals, hooks. Each commit of a child opens the store anew, as a
 * command does.
 *
 *   crowd DIRECTORY crowd PROCESSES COMMITS     none is lost
 *   crowd DIRECTORY kill TIMES                  what is acknowledged stays, and the next commit succeeds
 *   crowd DIRECTORY signal TIMES                the handler removes the lock
 *   crowd DIRECTORY hook                        who waits for its own parent gets the time-out
 *   crowd DIRECTORY loop NAME SECONDS           commits one reference after another, and prints how many
 */
#include "host.h"
#include <signal.h>
#include <sys/wait.h>

/* As git's default. */
static const struct reftable_write_options patient = { .lock_timeout_ms = 100, .default_permissions = 0644 };

static int commit(const char *dir, const char *name)
{
	struct reftable_stack *st = NULL;
	struct reftable_ref_record ref;
	struct contents contents;
	struct reftable_addition *addition = NULL;
	uint64_t index;
	int err = reftable_new_stack(&st, dir, NULL);
	if (!err)
		err = reftable_stack_new_addition(&addition, st, &patient, REFTABLE_STACK_NEW_ADDITION_RELOAD);
	if (!err) {
		index = reftable_stack_next_update_index(st);
		ref = ref_to(name, index, 1);
		contents = (struct contents){ index, index, &ref, 1, NULL, 0 };
		err = reftable_addition_add(addition, write_contents, &contents);
	}
	if (!err)
		err = reftable_addition_commit(addition);
	reftable_addition_destroy(addition);
	reftable_stack_destroy(st);
	return err;
}

static int exists(const char *dir, const char *name)
{
	struct reftable_ref_record ref = { 0 };
	struct reftable_stack *st = NULL;
	int err;
	EQUAL(reftable_new_stack(&st, dir, NULL), 0);
	err = reftable_stack_read_ref(st, name, &ref);
	reftable_ref_record_release(&ref);
	reftable_stack_destroy(st);
	CHECK(err == 0 || err == 1);
	return !err;
}

static void name_of(char *name, int process, int number)
{
	sprintf(name, "refs/heads/p%03d/%04d", process, number);
}

static void crowd(const char *dir, int processes, int commits)
{
	int failed = 0, lost = 0, status;
	char name[64];
	for (int p = 0; p < processes; p++) {
		pid_t child = fork();
		CHECK(child >= 0);
		if (child)
			continue;
		for (int c = 0; c < commits; c++) {
			name_of(name, p, c);
			failed += !!commit(dir, name);
		}
		_exit(failed);
	}
	while (wait(&status) > 0)
		failed += WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	for (int p = 0; p < processes; p++)
		for (int c = 0; c < commits; c++) {
			name_of(name, p, c);
			lost += !exists(dir, name);
		}
	printf("%d processes with %d commits each: %d failed, %d not there\n", processes, commits, failed, lost);
	EQUAL(lost, failed);
	EQUAL(failed, 0);
}

static void pause_for(long microseconds)
{
	struct timespec time = { 0, microseconds * 1000 };
	nanosleep(&time, NULL);
}

static void kills(const char *dir, int times)
{
	unsigned seed = 4711;
	int refused = 0, slow = 0, left = 0;
	char name[64], lock[600];
	snprintf(lock, sizeof(lock), "%s/tables.list.lock", dir);
	EQUAL(commit(dir, "refs/heads/first"), 0);
	for (int k = 0; k < times; k++) {
		int pipes[2], acknowledged = -1, number;
		uint64_t start;
		pid_t child;
		EQUAL(pipe(pipes), 0);
		child = fork();
		CHECK(child >= 0);
		if (!child) {
			for (int c = 0;; c++) {
				name_of(name, k, c);
				if (commit(dir, name) || write(pipes[1], &c, sizeof(c)) != sizeof(c))
					_exit(1);
			}
		}
		close(pipes[1]);
		pause_for(500 + rand_r(&seed) % 8000);
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		while (read(pipes[0], &number, sizeof(number)) == sizeof(number))
			acknowledged = number;
		close(pipes[0]);
		left += !access(lock, F_OK);
		start = reftable_time_ms();
		sprintf(name, "refs/heads/after/%04d", k);
		refused += !!commit(dir, name);
		slow += reftable_time_ms() - start > 1000;
		for (int c = 0; c <= acknowledged; c++) {
			name_of(name, k, c);
			CHECK(exists(dir, name));
		}
	}
	printf("%d kills, %d of them left a lock: %d commits refused, %d slow\n", times, left, refused, slow);
	EQUAL(refused + slow, 0);
	CHECK(access(lock, F_OK));
	CHECK(left || times < 100);
}

static const char *lock_to_remove;

/* git's handler, for its one name that is of interest here. */
static void remove_on_signal(int number)
{
	unlink(lock_to_remove);
	signal(number, SIG_DFL);
	raise(number);
}

static void signals(const char *dir)
{
	struct reftable_stack *st = NULL;
	struct reftable_addition *addition = NULL;
	char lock[600], byte;
	int pipes[2];
	pid_t child;
	snprintf(lock, sizeof(lock), "%s/tables.list.lock", dir);
	EQUAL(pipe(pipes), 0);
	child = fork();
	if (!child) {
		EQUAL(reftable_new_stack(&st, dir, NULL), 0);
		EQUAL(reftable_stack_new_addition(&addition, st, &patient, 0), 0);
		/* That is what a host has its list of names for. */
		EQUAL(names_held, 1);
		SAME(registered, lock);
		lock_to_remove = registered;
		signal(SIGTERM, remove_on_signal);
		CHECK(write(pipes[1], "x", 1) == 1);
		pause();
	}
	CHECK(read(pipes[0], &byte, 1) == 1);
	EQUAL(access(lock, F_OK), 0);
	kill(child, SIGTERM);
	waitpid(child, NULL, 0);
	CHECK(access(lock, F_OK));
	EQUAL(commit(dir, "refs/heads/after-a-signal"), 0);
}

static void hook(const char *dir)
{
	struct reftable_stack *st = NULL;
	struct reftable_addition *addition = NULL;
	uint64_t start = reftable_time_ms(), took;
	int status;
	pid_t child;
	EQUAL(reftable_new_stack(&st, dir, NULL), 0);
	EQUAL(reftable_stack_new_addition(&addition, st, &patient, 0), 0);
	child = fork();
	if (!child)
		_exit(commit(dir, "refs/heads/of-a-hook") == REFTABLE_LOCK_ERROR ? 0 : 1);
	waitpid(child, &status, 0);
	took = reftable_time_ms() - start;
	EQUAL(status, 0);
	CHECK(took >= 99 && took < 3000);
	reftable_addition_destroy(addition);
	reftable_stack_destroy(st);
	EQUAL(commit(dir, "refs/heads/after-a-hook"), 0);
}

static void loop(const char *dir, const char *name, int seconds)
{
	uint64_t end = reftable_time_ms() + seconds * 1000;
	int done = 0, failed = 0;
	char full[128];
	while (reftable_time_ms() < end) {
		snprintf(full, sizeof(full), "refs/heads/%s/%05d", name, done);
		if (commit(dir, full))
			failed++;
		else
			done++;
	}
	printf("%d done, %d failed\n", done, failed);
}

int main(int argc, char **argv)
{
	const char *dir = argv[1], *what = argv[2];
	CHECK(argc > 2);
	mkdir(dir, 0777);
	EQUAL(reftable_has_host(), 1);
	if (!strcmp(what, "crowd"))
		crowd(dir, atoi(argv[3]), atoi(argv[4]));
	else if (!strcmp(what, "kill"))
		kills(dir, atoi(argv[3]));
	else if (!strcmp(what, "signal"))
		signals(dir);
	else if (!strcmp(what, "hook"))
		hook(dir);
	else
		loop(dir, argv[3], atoi(argv[4]));
	return 0;
}
