/*
 * Many processes of a host on one store: crowds, kills, signals, hooks. Each commit of a child opens the store anew, as a
 * command does.
 *
 *   crowd DIRECTORY crowd PROCESSES COMMITS     none is lost
 *   crowd DIRECTORY kill TIMES                  what is acknowledged stays, and the next commit succeeds
 *   crowd DIRECTORY signal TIMES                the handler removes the lock
 *   crowd DIRECTORY hook                        waiting for its own parent, or for itself, ends at the time-out
 *   crowd DIRECTORY threads THREADS COMMITS     threads wait for one another as processes do
 *   crowd DIRECTORY orphan                      who cannot be seen and has the kernel's lock is waited for
 *   crowd DIRECTORY order WAITERS               who came first is first
 *   crowd DIRECTORY stopped                     a waiter that is stopped keeps nobody
 *   crowd DIRECTORY clean                       cleaning waits for the lock as long as the compaction before it
 *   crowd DIRECTORY cross                       two that wait for each other come to an end
 *   crowd DIRECTORY idle WAITERS PERCENT        what waiters take of a processor while nothing moves
 *   crowd DIRECTORY loop NAME SECONDS           commits one reference after another, and tells each, and how many
 */
#include "host.h"
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* As git's default. */
static const struct reftable_write_options patient = { .lock_timeout_ms = 100, .default_permissions = 0644 };
/* A lock of git's is given up on when nobody moves it for so long, and on a busy machine a git may have no processor for
 * longer than its default. */
static const struct reftable_write_options beside_git = { .lock_timeout_ms = 10000, .default_permissions = 0644 };

static int commit_as(const char *dir, const char *name, const struct reftable_write_options *options)
{
	struct reftable_stack *st = NULL;
	struct reftable_ref_record ref;
	struct contents contents;
	struct reftable_addition *addition = NULL;
	uint64_t index;
	int err = reftable_new_stack(&st, dir, NULL);
	if (!err)
		err = reftable_stack_new_addition(&addition, st, options, REFTABLE_STACK_NEW_ADDITION_RELOAD);
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

static int commit(const char *dir, const char *name)
{
	return commit_as(dir, name, &patient);
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

#ifdef WITHOUT_UNNAMED
/* Between the host's call and the mark a kill leaves a lock that nobody can judge. */
#define TOLERATED(times) ((times) / 4)
#else
#define TOLERATED(times) 0
#endif

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
		if (commit(dir, name)) {
			refused++;
			unlink(lock);
		}
		slow += reftable_time_ms() - start > 1000;
		for (int c = 0; c <= acknowledged; c++) {
			name_of(name, k, c);
			CHECK(exists(dir, name));
		}
	}
	printf("%d kills, %d of them left a lock: %d commits refused, %d slow\n", times, left, refused, slow);
	CHECK(refused <= TOLERATED(times));
	EQUAL(slow, 0);
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
	start = reftable_time_ms();
	EQUAL(commit(dir, "refs/heads/of-ourselves"), REFTABLE_LOCK_ERROR);
	took = reftable_time_ms() - start;
	CHECK(took >= 99 && took < 3000);
	reftable_addition_destroy(addition);
	reftable_stack_destroy(st);
	EQUAL(commit(dir, "refs/heads/after-a-hook"), 0);
}

/* The lock of the list, held until it is destroyed. */
static struct reftable_addition *held(const char *dir, struct reftable_stack **st)
{
	struct reftable_addition *addition = NULL;
	EQUAL(reftable_new_stack(st, dir, NULL), 0);
	EQUAL(reftable_stack_new_addition(&addition, *st, &patient, 0), 0);
	return addition;
}

/* An owner that is gone, while another process keeps what it had open: so look those that die and have not let go yet,
 * and those in other containers. */
static void orphan(const char *dir)
{
	uint64_t start, took;
	pid_t child = fork();
	CHECK(child >= 0);
	if (!child) {
		struct reftable_stack *st = NULL;
		held(dir, &st);
		if (!fork())
			for (int s = 0; s < 10; s++)
				pause_for(100000);
		_exit(0);
	}
	waitpid(child, NULL, 0);
	start = reftable_time_ms();
	EQUAL(commit(dir, "refs/heads/of-the-patient"), 0);
	took = reftable_time_ms() - start;
	printf("an orphan was waited for: %d ms\n", (int)took);
	CHECK(took > 500 && took < 8000);
}

struct thread {
	const char *dir;
	int number, commits, failed;
	pthread_t id;
};

static void *commits_of(void *argument)
{
	struct thread *thread = argument;
	char name[64];
	for (int c = 0; c < thread->commits; c++) {
		name_of(name, thread->number, c);
		thread->failed += !!commit(thread->dir, name);
	}
	return NULL;
}

static void threads(const char *dir, int count, int commits)
{
	struct thread started[64];
	struct reftable_stack *st = NULL;
	struct reftable_addition *addition = NULL;
	int failed = 0;
	char name[64];
	CHECK(count <= 64);
	EQUAL(reftable_new_stack(&st, dir, NULL), 0);
	EQUAL(reftable_stack_new_addition(&addition, st, &patient, 0), 0);
	for (int t = 0; t < count; t++) {
		started[t] = (struct thread){ dir, t, commits, 0, 0 };
		EQUAL(pthread_create(&started[t].id, NULL, commits_of, &started[t]), 0);
	}
	/* While nothing moves, for more than the time-out: the owner lives. */
	for (int s = 0; s < 5; s++)
		pause_for(100000);
	reftable_addition_destroy(addition);
	reftable_stack_destroy(st);
	for (int t = 0; t < count; t++) {
		EQUAL(pthread_join(started[t].id, NULL), 0);
		failed += started[t].failed;
	}
	printf("%d threads with %d commits each: %d failed\n", count, commits, failed);
	EQUAL(failed, 0);
	for (int t = 0; t < count; t++)
		for (int c = 0; c < commits; c++) {
			name_of(name, t, c);
			CHECK(exists(dir, name));
		}
}

static void let_go(struct reftable_addition *addition, struct reftable_stack *st)
{
	reftable_addition_destroy(addition);
	reftable_stack_destroy(st);
}

/* A process that holds the lock until the descriptor is closed: nobody waits long for a parent of its own. */
static int holder(const char *dir)
{
	int up[2], down[2];
	char byte = 0;
	pid_t child;
	EQUAL(pipe(up) | pipe(down), 0);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		struct reftable_stack *st = NULL;
		struct reftable_addition *addition = held(dir, &st);
		close(down[1]);
		CHECK(write(up[1], &byte, 1) == 1 && read(down[0], &byte, 1) == 0);
		let_go(addition, st);
		_exit(0);
	}
	close(up[1]);
	close(down[0]);
	CHECK(read(up[0], &byte, 1) == 1);
	close(up[0]);
	return down[1];
}

/* Opens the store, and calls both with its one table, as git's pack-refs does. */
static int compacts_and_cleans(const char *dir)
{
	struct reftable_stack *st = NULL;
	int err = reftable_new_stack(&st, dir, NULL);
	if (!err)
		err = reftable_stack_compact_all(st, &patient, NULL);
	if (!err)
		err = reftable_stack_clean(st);
	reftable_stack_destroy(st);
	return err;
}

static void clean(const char *dir)
{
	int hold, status;
	pid_t child;
	EQUAL(commit(dir, "refs/heads/a"), 0);
	hold = holder(dir);
	child = fork();
	CHECK(child >= 0);
	if (!child) {
		close(hold);
		_exit(-compacts_and_cleans(dir));
	}
	pause_for(300000);
	EQUAL(waitpid(child, &status, WNOHANG), 0);
	close(hold);
	CHECK(waitpid(child, &status, 0) == child);
	EQUAL(WEXITSTATUS(status), 0);
}

static double processor_time(void)
{
	struct rusage usage;
	EQUAL(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* What a waiter tells when it has the lock: its number, and the processor time that the wait has taken, in seconds. */
struct turn {
	int waiter;
	double used;
};

/* Starts a waiter; `hold` is what keeps the lock from it. */
static void start_waiter(const char *dir, int waiter, int hold, int told)
{
	struct turn turn = { .waiter = waiter };
	struct reftable_addition *addition;
	struct reftable_stack *st = NULL;
	pid_t child = fork();
	CHECK(child >= 0);
	if (child)
		return;
	close(hold);
	turn.used = -processor_time();
	addition = held(dir, &st);
	turn.used += processor_time();
	CHECK(write(told, &turn, sizeof(turn)) == sizeof(turn));
	pause_for(10000);
	let_go(addition, st);
	_exit(0);
}

static void order(const char *dir, int waiters)
{
	int hold = holder(dir), pipes[2], swapped = 0, pairs = waiters * (waiters - 1) / 2;
	struct turn turns[64];
	CHECK(waiters <= 64);
	EQUAL(pipe(pipes), 0);
	for (int w = 0; w < waiters; w++) {
		start_waiter(dir, w, hold, pipes[1]);
		pause_for(30000);
	}
	close(pipes[1]);
	close(hold);
	for (int t = 0; t < waiters; t++) {
		CHECK(read(pipes[0], &turns[t], sizeof(turns[t])) == sizeof(turns[t]));
		for (int before = 0; before < t; before++)
			swapped += turns[before].waiter > turns[t].waiter;
	}
	while (wait(NULL) > 0)
		;
	printf("%d waiters, %d of %d pairs were swapped\n", waiters, swapped, pairs);
	/* By chance it is the half; and on a loaded machine some of them oversleep. */
	CHECK(swapped * 8 < pairs * 3);
}

static void stopped(const char *dir)
{
	int hold = holder(dir);
	uint64_t start;
	char name[64];
	pid_t first = fork(), second;
	if (!first) {
		close(hold);
		_exit(!!commit(dir, "refs/heads/of-the-first"));
	}
	pause_for(100000);
	kill(first, SIGSTOP);
	/* Waits after it in the queue, and takes over when it is first. */
	second = fork();
	if (!second) {
		close(hold);
		_exit(!!commit(dir, "refs/heads/of-the-second"));
	}
	pause_for(100000);
	start = reftable_time_ms();
	close(hold);
	CHECK(waitpid(second, NULL, 0) == second);
	for (int c = 0; c < 20; c++) {
		name_of(name, 0, c);
		EQUAL(commit(dir, name), 0);
	}
	printf("20 commits beside a waiter that is stopped: %d ms\n", (int)(reftable_time_ms() - start));
	CHECK(reftable_time_ms() - start < 8000);
	CHECK(exists(dir, "refs/heads/of-the-second") && !exists(dir, "refs/heads/of-the-first"));
	kill(first, SIGCONT);
	CHECK(waitpid(first, NULL, 0) == first);
	CHECK(exists(dir, "refs/heads/of-the-first"));
}

static void cross(const char *dir)
{
	char dirs[2][600];
	int pipes[2][2], refused = 0, status;
	uint64_t start = reftable_time_ms(), took;
	for (int p = 0; p < 2; p++) {
		snprintf(dirs[p], sizeof(dirs[p]), "%s/%d", dir, p);
		EQUAL(mkdir(dirs[p], 0777), 0);
		EQUAL(pipe(pipes[p]), 0);
	}
	for (int p = 0; p < 2; p++) {
		struct reftable_stack *st = NULL;
		struct reftable_addition *addition;
		char byte = 0;
		int err;
		pid_t child = fork();
		CHECK(child >= 0);
		if (child)
			continue;
		addition = held(dirs[p], &st);
		CHECK(write(pipes[!p][1], &byte, 1) == 1 && read(pipes[p][0], &byte, 1) == 1);
		err = commit(dirs[!p], "refs/heads/of-the-other");
		let_go(addition, st);
		_exit(err == REFTABLE_LOCK_ERROR ? 1 : err ? 2 : 0);
	}
	while (wait(&status) > 0) {
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) < 2);
		refused += WEXITSTATUS(status);
	}
	took = reftable_time_ms() - start;
	printf("two that wait for each other: %d refused, after %d ms\n", refused, (int)took);
	CHECK(refused > 0 && took >= 10000 && took < 25000);
	EQUAL(commit(dirs[0], "refs/heads/after") | commit(dirs[1], "refs/heads/after"), 0);
}

static void idle(const char *dir, int waiters, int percent)
{
	double used = 0, seconds;
	struct turn turn;
	int hold = holder(dir), pipes[2];
	uint64_t start = reftable_time_ms();
	EQUAL(pipe(pipes), 0);
	for (int w = 0; w < waiters; w++)
		start_waiter(dir, w, hold, pipes[1]);
	for (int s = 0; s < 30; s++)
		pause_for(100000);
	seconds = (reftable_time_ms() - start) / 1000.0;
	close(pipes[1]);
	close(hold);
	for (int w = 0; w < waiters; w++) {
		CHECK(read(pipes[0], &turn, sizeof(turn)) == sizeof(turn));
		used += turn.used;
	}
	while (wait(NULL) > 0)
		;
	printf("%d waiters for %.1f s: %.1f %% of a processor\n", waiters, seconds, 100 * used / seconds);
	CHECK(100 * used / seconds < percent);
}

static void loop(const char *dir, const char *name, int seconds)
{
	uint64_t end = reftable_time_ms() + seconds * 1000;
	int done = 0, failed = 0;
	char full[128];
	while (reftable_time_ms() < end) {
		snprintf(full, sizeof(full), "refs/heads/%s/%05d", name, done);
		if (commit_as(dir, full, &beside_git)) {
			failed++;
			continue;
		}
		done++;
		printf("%s\n", full);
		fflush(stdout);
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
	else if (!strcmp(what, "threads"))
		threads(dir, atoi(argv[3]), atoi(argv[4]));
	else if (!strcmp(what, "orphan"))
		orphan(dir);
	else if (!strcmp(what, "order"))
		order(dir, atoi(argv[3]));
	else if (!strcmp(what, "stopped"))
		stopped(dir);
	else if (!strcmp(what, "clean"))
		clean(dir);
	else if (!strcmp(what, "cross"))
		cross(dir);
	else if (!strcmp(what, "idle"))
		idle(dir, atoi(argv[3]), atoi(argv[4]));
	else
		loop(dir, argv[3], atoi(argv[4]));
	return 0;
}
