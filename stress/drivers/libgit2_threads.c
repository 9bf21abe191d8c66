/*
 * Threads of one process on one repository, through libgit2's interface: reftable-stress libgit2 compiles it, runs it,
 * and looks with git at what it tells.
 *
 *   libgit2_threads LIBRARY REPOSITORY THREADS CHANGES
 *
 * Each thread has a handle of its own, makes references of its own that point where HEAD does, reads each, and deletes
 * one of four. It tells of every change, a line each:
 *
 *   made NAME        acknowledged, and read back
 *   gone NAME        deleted
 *   failed NAME WHY  refused, or not to be read after that
 *   longest MS       that a change took, by any thread
 *
 * The library is looked up when it runs, so that one program does for all of them, and no header is needed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct error {
	const char *message;
	int class;
};

static int (*init)(void);
static int (*open_repository)(void **, const char *);
static void (*free_repository)(void *);
static int (*name_to_id)(void *, void *, const char *);
static int (*create)(void **, void *, const char *, const void *, int, const char *);
static int (*lookup)(void **, void *, const char *);
static int (*delete)(void *);
static void (*free_reference)(void *);
static const struct error *(*last_error)(void);

static const char *repository;
static int threads, changes;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double longest;

static void *find(void *library, const char *name)
{
	void *found = dlsym(library, name);
	if (!found) {
		fprintf(stderr, "this library has no %s\n", name);
		exit(2);
	}
	return found;
}

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static void took(double milliseconds)
{
	pthread_mutex_lock(&lock);
	if (milliseconds > longest)
		longest = milliseconds;
	pthread_mutex_unlock(&lock);
}

static void failed(const char *name)
{
	const struct error *error = last_error();
	printf("failed %s %s\n", name, error && error->message ? error->message : "no reason given");
}

static void make(void *handle, const char *name, const void *id)
{
	void *made = NULL, *found = NULL;
	double start = now();
	int err = create(&made, handle, name, id, 0, "made");
	took(now() - start);
	if (err || lookup(&found, handle, name))
		failed(name);
	else
		printf("made %s\n", name);
	free_reference(made);
	free_reference(found);
}

static void drop(void *handle, const char *name)
{
	void *found = NULL;
	double start = now();
	/* One that could not be made was told already. */
	if (lookup(&found, handle, name))
		return;
	if (delete(found))
		failed(name);
	else
		printf("gone %s\n", name);
	took(now() - start);
	free_reference(found);
}

static void *work(void *number)
{
	/* Larger than any id. */
	unsigned char id[64];
	char name[64];
	void *handle = NULL;
	if (open_repository(&handle, repository) || name_to_id(id, handle, "HEAD")) {
		failed("HEAD");
		return NULL;
	}
	for (int change = 0; change < changes; change++) {
		snprintf(name, sizeof(name), "refs/heads/%d/%d", *(int *)number, change);
		make(handle, name, id);
		if (change % 4 == 3)
			drop(handle, name);
	}
	free_repository(handle);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t started[256];
	int numbers[256];
	void *library;
	if (argc != 5)
		return 2;
	library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 2;
	}
	init = find(library, "git_libgit2_init");
	open_repository = find(library, "git_repository_open");
	free_repository = find(library, "git_repository_free");
	name_to_id = find(library, "git_reference_name_to_id");
	create = find(library, "git_reference_create");
	lookup = find(library, "git_reference_lookup");
	delete = find(library, "git_reference_delete");
	free_reference = find(library, "git_reference_free");
	last_error = find(library, "git_error_last");
	repository = argv[2];
	threads = atoi(argv[3]);
	changes = atoi(argv[4]);
	if (init() < 0 || threads < 1 || threads > 256)
		return 2;
	for (int t = 0; t < threads; t++) {
		numbers[t] = t;
		if (pthread_create(&started[t], NULL, work, &numbers[t]))
			return 2;
	}
	for (int t = 0; t < threads; t++)
		pthread_join(started[t], NULL);
	printf("longest %.0f\n", longest);
	return 0;
}
