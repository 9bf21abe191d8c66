/*
 * A host: what git's glue does, in its simplest form, counting what is held and able to fail at any call.
 */
#ifndef HOST_H
#define HOST_H

#include "check.h"
#include <fcntl.h>
#include <stdarg.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

static int locks_held, files_held, maps_held, locks_ever, files_ever;
/* Names that the signal handlers would remove. */
static int names_held, names_ever __attribute__((unused));
static const char *registered __attribute__((unused));
static int syncs_ever __attribute__((unused));
/* The host's call of this number fails; 0 for none. */
static int host_calls, host_fails_at;

static int host_fails(void)
{
	if (++host_calls != host_fails_at)
		return 0;
	errno = EIO;
	return 1;
}

/* What the library syncs by itself, and what it has handed to the disk before that: 'o' begins, 'w' waits, 's' syncs. */
static int fsyncs_ever __attribute__((unused));
static char disk_calls[64];
static void note_disk_call(char what)
{
	size_t len = strlen(disk_calls);
	if (len < sizeof(disk_calls) - 1)
		disk_calls[len] = what;
}
int fsync(int fd)
{
	fsyncs_ever++;
	note_disk_call('s');
	return syscall(SYS_fsync, fd);
}
int sync_file_range(int fd, off64_t offset, off64_t len, unsigned int flags)
{
	note_disk_call(flags == SYNC_FILE_RANGE_WRITE ? 'o' : 'w');
	return syscall(SYS_sync_file_range, fd, offset, len, flags);
}

/* The calls to the system by which the library makes files of its own. */
#ifdef WITHOUT_UNNAMED
int open(const char *path, int flags, ...)
{
	va_list rest;
	int mode;
	va_start(rest, flags);
	mode = va_arg(rest, int);
	va_end(rest);
	if ((flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
#else
int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	return host_fails() ? -1 : syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}
#endif

struct tempfile {
	char *path;
};

struct tempfile *register_tempfile(const char *path)
{
	struct tempfile *name = malloc(sizeof(*name));
	CHECK(name && (name->path = strdup(path)));
	names_held++;
	names_ever++;
	registered = name->path;
	return name;
}

static void forget_name(struct tempfile **name)
{
	free((*name)->path);
	free(*name);
	*name = NULL;
	names_held--;
}

int delete_tempfile(struct tempfile **name)
{
	int err = unlink((*name)->path);
	forget_name(name);
	return err;
}

#ifdef WITHOUT_DUPLICATE
/* As if hosts, which close a lock and rename it then, had the only descriptor: for that time its owner looks dead. */
static void close_first(const char *path)
{
	struct timespec a_while = { 0, 1000000 };
	struct stat lock, about;
	if (stat(path, &lock))
		return;
	for (int fd = 3; fd < 64; fd++)
		if (!fstat(fd, &about) && about.st_ino == lock.st_ino && about.st_dev == lock.st_dev)
			flock(fd, LOCK_UN);
	nanosleep(&a_while, NULL);
}
#else
static void close_first(const char *path) { (void)path; }
#endif

int rename_tempfile(struct tempfile **name, const char *path)
{
	close_first((*name)->path);
	if (host_fails() || rename((*name)->path, path)) {
		int error = errno;
		delete_tempfile(name);
		errno = error;
		return -1;
	}
	forget_name(name);
	return 0;
}

int flock_acquire(struct reftable_flock *l, const char *target, long timeout_ms)
{
	char *path = malloc(strlen(target) + 6);
	CHECK(path && !l->path && l->fd == -1 && !l->priv && timeout_ms == 0);
	sprintf(path, "%s.lock", target);
	l->fd = host_fails() ? -1 : open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
	if (l->fd < 0) {
		free(path);
		return errno == EEXIST ? REFTABLE_LOCK_ERROR : REFTABLE_IO_ERROR;
	}
	l->path = path;
	l->priv = path;
	locks_held++;
	locks_ever++;
	return 0;
}

int flock_close(struct reftable_flock *l)
{
	CHECK(l->priv);
	EQUAL(close(l->fd), 0);
	l->fd = -1;
	return 0;
}

int flock_release(struct reftable_flock *l)
{
	if (!l->priv)
		return 0;
	if (l->fd >= 0)
		EQUAL(close(l->fd), 0);
	EQUAL(unlink(l->path), 0);
	free(l->priv);
	*l = (struct reftable_flock){ .fd = -1 };
	locks_held--;
	return 0;
}

int tmpfile_from_pattern(struct reftable_tmpfile *out, const char *pattern)
{
	char *path = strdup(pattern);
	CHECK(path && !out->path && out->fd == -1 && !out->priv);
	out->fd = host_fails() ? -1 : mkstemp(path);
	if (out->fd < 0) {
		free(path);
		return REFTABLE_IO_ERROR;
	}
	EQUAL(fchmod(out->fd, 0644), 0);
	out->path = path;
	out->priv = path;
	files_held++;
	files_ever++;
	return 0;
}

int tmpfile_close(struct reftable_tmpfile *t)
{
	CHECK(t->priv);
	if (t->fd >= 0)
		EQUAL(close(t->fd), 0);
	t->fd = -1;
	return host_fails() ? REFTABLE_IO_ERROR : 0;
}

static void forget(struct reftable_tmpfile *t)
{
	free(t->priv);
	*t = (struct reftable_tmpfile){ .fd = -1 };
	files_held--;
}

int tmpfile_delete(struct reftable_tmpfile *t)
{
	if (!t->priv)
		return 0;
	tmpfile_close(t);
	EQUAL(unlink(t->path), 0);
	forget(t);
	return 0;
}

int tmpfile_rename(struct reftable_tmpfile *t, const char *path)
{
	int failed = host_fails() || rename(t->path, path);
	CHECK(t->fd == -1);
	if (failed)
		unlink(t->path);
	forget(t);
	return failed ? REFTABLE_IO_ERROR : 0;
}

uint32_t reftable_rand(void)
{
	static uint32_t state = 12345;
	return state = state * 1664525 + 1013904223;
}

uint64_t reftable_time_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int reftable_mmap(struct reftable_mmap *out, int fd, size_t len)
{
	CHECK(len > 0);
	if (host_fails())
		return REFTABLE_IO_ERROR;
	out->data = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (out->data == MAP_FAILED)
		return REFTABLE_IO_ERROR;
	out->size = len;
	maps_held++;
	return 0;
}

int reftable_munmap(struct reftable_mmap *map)
{
	EQUAL(munmap(map->data, map->size), 0);
	maps_held--;
	return 0;
}

#ifndef WITHOUT_FSYNC
int reftable_fsync(int fd)
{
	struct stat about;
	EQUAL(fstat(fd, &about), 0);
	syncs_ever++;
	return host_fails() ? -1 : 0;
}
#endif

/* Whether a store has this reference. */
static inline int exists(const char *dir, const char *name)
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

static inline void expect_nothing_held(void)
{
	EQUAL(locks_held, 0);
	EQUAL(files_held, 0);
	EQUAL(maps_held, 0);
	EQUAL(names_held, 0);
}

#endif
