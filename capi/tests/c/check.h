/*
 * What the test programs share: checks, a counting allocator, records. A program ends with finish(), which fails if the
 * library has memory of the family left, or has freed memory that is not.
 */
#ifndef CHECK_H
#define CHECK_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <reftable.h>

#define CHECK(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1); \
		} \
	} while (0)

#define EQUAL(a, b) \
	do { \
		long long left = (long long)(a), right = (long long)(b); \
		if (left != right) { \
			fprintf(stderr, "%s:%d: %s is %lld, expected %lld\n", __FILE__, __LINE__, #a, left, right); \
			exit(1); \
		} \
	} while (0)

#define SAME(a, b) \
	do { \
		const char *left = (a), *right = (b); \
		if (strcmp(left, right)) { \
			fprintf(stderr, "%s:%d: %s is '%s', expected '%s'\n", __FILE__, __LINE__, #a, left, right); \
			exit(1); \
		} \
	} while (0)

/* Each allocation has a header that tells it from malloc's own. */
#define MARK 0x7265667461626c65ULL

struct header {
	unsigned long long mark;
	size_t size;
};

static long allocations;
static long allocations_ever;
/* The allocation of this number fails; 0 for none. */
static long fail_at;

static void *counting_malloc(size_t size)
{
	struct header *h;
	CHECK(size > 0);
	if (++allocations_ever == fail_at)
		return NULL;
	h = malloc(sizeof(*h) + size);
	CHECK(h);
	h->mark = MARK;
	h->size = size;
	allocations++;
	/* What was not written must not be read. */
	memset(h + 1, 0xa5, size);
	return h + 1;
}

static void counting_free(void *p)
{
	struct header *h = (struct header *)p - 1;
	if (!p)
		return;
	CHECK(h->mark == MARK);
	memset(h, 0x5a, sizeof(*h) + h->size);
	free(h);
	allocations--;
	errno = ENOTTY;
}

static void *counting_realloc(void *p, size_t size)
{
	void *q = counting_malloc(size);
	if (p && q) {
		struct header *h = (struct header *)p - 1;
		CHECK(h->mark == MARK);
		memcpy(q, p, h->size < size ? h->size : size);
		counting_free(p);
	}
	return q;
}

static inline void count_allocations(void)
{
	reftable_set_alloc(counting_malloc, counting_realloc, counting_free);
}

static inline int finish(void)
{
	EQUAL(allocations, 0);
	return 0;
}

/* Records in constant memory: the library only borrows them. */

static inline struct reftable_ref_record ref_to(const char *name, uint64_t index, unsigned char byte)
{
	struct reftable_ref_record r = { .refname = (char *)name, .update_index = index, .value_type = REFTABLE_REF_VAL1 };
	memset(r.value.val1, byte, sizeof(r.value.val1));
	return r;
}

static inline struct reftable_ref_record ref_symbolic(const char *name, uint64_t index, const char *target)
{
	struct reftable_ref_record r = { .refname = (char *)name, .update_index = index, .value_type = REFTABLE_REF_SYMREF };
	r.value.symref = (char *)target;
	return r;
}

static inline struct reftable_ref_record ref_tag(const char *name, uint64_t index, unsigned char id, unsigned char peeled)
{
	struct reftable_ref_record r = { .refname = (char *)name, .update_index = index, .value_type = REFTABLE_REF_VAL2 };
	memset(r.value.val2.value, id, sizeof(r.value.val2.value));
	memset(r.value.val2.target_value, peeled, sizeof(r.value.val2.target_value));
	return r;
}

static inline struct reftable_ref_record ref_gone(const char *name, uint64_t index)
{
	struct reftable_ref_record r = { .refname = (char *)name, .update_index = index };
	return r;
}

static inline struct reftable_log_record log_of(const char *name, uint64_t index, const char *message)
{
	struct reftable_log_record r = {
		.refname = (char *)name, .update_index = index, .value_type = REFTABLE_LOG_UPDATE,
		.value.update = { .name = (char *)"A", .email = (char *)"a@b", .time = 1000 + index, .tz_offset = -130,
				  .message = (char *)message },
	};
	memset(r.value.update.new_hash, (int)index, sizeof(r.value.update.new_hash));
	return r;
}

static inline struct reftable_log_record log_gone(const char *name, uint64_t index)
{
	struct reftable_log_record r = { .refname = (char *)name, .update_index = index };
	return r;
}

/* What a write_table callback is to write. */
struct contents {
	uint64_t min, max;
	const struct reftable_ref_record *refs;
	size_t refs_nr;
	const struct reftable_log_record *logs;
	size_t logs_nr;
};

static inline int write_contents(struct reftable_writer *w, void *arg)
{
	const struct contents *c = arg;
	int err = reftable_writer_set_limits(w, c->min, c->max);
	for (size_t i = 0; !err && i < c->refs_nr; i++)
		err = reftable_writer_add_ref(w, (struct reftable_ref_record *)&c->refs[i]);
	for (size_t i = 0; !err && i < c->logs_nr; i++)
		err = reftable_writer_add_log(w, (struct reftable_log_record *)&c->logs[i]);
	return err;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
