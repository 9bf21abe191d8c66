/*
 * What `reftable-stress libgit2` calls of libgit2, by git's own commands, one at a time. With LIES one reference of five
 * is acknowledged and not made; with REFUSES it is refused.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char repository[4096];
static char refused[] = "the fake refuses";
static struct {
	const char *message;
	int class;
} error = { refused, 1 };

static int git(const char *command, const char *name, const char *rest)
{
	char all[8192];
	int status;
	/* Held already here: another thread that opens the repository writes its path meanwhile. */
	pthread_mutex_lock(&lock);
	snprintf(all, sizeof(all), "git -C '%s' %s %s %s >/dev/null 2>&1", repository, command, name, rest);
	status = system(all);
	pthread_mutex_unlock(&lock);
	return status ? -1 : 0;
}

int git_libgit2_init(void)
{
	return 1;
}

int git_repository_open(void **out, const char *path)
{
	pthread_mutex_lock(&lock);
	snprintf(repository, sizeof(repository), "%s", path);
	pthread_mutex_unlock(&lock);
	*out = repository;
	return 0;
}

void git_repository_free(void *handle)
{
	(void)handle;
}

int git_reference_name_to_id(void *id, void *handle, const char *name)
{
	(void)id, (void)handle, (void)name;
	return 0;
}

int git_reference_create(void **out, void *handle, const char *name, const void *id, int force, const char *message)
{
	int is_fifth = name[strlen(name) - 1] == '4';
	(void)handle, (void)id, (void)force, (void)message;
	*out = NULL;
#ifdef REFUSES
	if (is_fifth)
		return -1;
#endif
#ifdef LIES
	if (is_fifth)
		return 0;
#endif
	(void)is_fifth;
	return git("update-ref", name, "HEAD");
}

int git_reference_lookup(void **out, void *handle, const char *name)
{
	(void)handle;
	*out = strdup(name);
#ifdef LIES
	return 0;
#else
	return git("rev-parse --verify", name, "");
#endif
}

int git_reference_delete(void *reference)
{
	return git("update-ref -d", reference, "");
}

void git_reference_free(void *reference)
{
	free(reference);
}

const void *git_error_last(void)
{
	return &error;
}
