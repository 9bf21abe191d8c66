/* Errors, memory, buffers. */
#include "check.h"

int main(void)
{
	const int codes[] = { -1, -2, -3, -4, -5, -6, -7, -8, -10, -11, -12, -13 };
	struct reftable_buf buf = REFTABLE_BUF_INIT;
	char *copy;
	void *memory;

	for (size_t i = 0; i < COUNT(codes); i++)
		for (size_t j = 0; j < i; j++)
			CHECK(strcmp(reftable_error_str(codes[i]), reftable_error_str(codes[j])));
	SAME(reftable_error_str(REFTABLE_LOCK_ERROR), "data is locked");
	SAME(reftable_error_str(REFTABLE_ENTRY_TOO_BIG_ERROR), "entry too large");
	CHECK(strstr(reftable_error_str(12345), "unknown"));

	/* libc's family, as nothing was set. */
	copy = reftable_strdup("text");
	SAME(copy, "text");
	free(copy);
	memory = reftable_malloc(10);
	CHECK(memory);
	free(memory);
	reftable_free(malloc(3));
	CHECK(!reftable_malloc(0));
	CHECK(!reftable_calloc(0, 5));
	CHECK(!reftable_calloc((size_t)-1, 2));
	CHECK(!reftable_strdup(NULL));
	reftable_free(NULL);

	/* Ours. */
	count_allocations();
	copy = reftable_strdup("");
	SAME(copy, "");
	EQUAL(allocations, 1);
	errno = EPERM;
	reftable_free(copy);
	EQUAL(errno, EPERM);
	EQUAL(allocations, 0);
	copy = reftable_calloc(3, 5);
	for (int i = 0; i < 15; i++)
		EQUAL(copy[i], 0);
	reftable_free(copy);
	fail_at = allocations_ever + 1;
	CHECK(!reftable_calloc(3, 5));

	for (int i = 0; i < 1000; i++)
		EQUAL(reftable_buf_add(&buf, "0123456789", i % 11), 0);
	EQUAL(buf.len, 4995);
	CHECK(buf.alloc > buf.len);
	EQUAL(buf.buf[buf.len], 0);
	EQUAL(memcmp(buf.buf + 1, "01" "012", 5) == 0 ? 0 : memcmp(buf.buf, "0" "01" "012" "0123", 10), 0);
	EQUAL(reftable_buf_add(&buf, NULL, 0), 0);
	EQUAL(reftable_buf_add(&buf, "", (size_t)-1), REFTABLE_OUT_OF_MEMORY_ERROR);
	EQUAL(buf.len, 4995);
	reftable_buf_release(&buf);
	CHECK(!buf.buf && !buf.len && !buf.alloc);
	reftable_buf_release(&buf);
	reftable_buf_release(NULL);
	EQUAL(reftable_buf_add(NULL, "", 0), REFTABLE_API_ERROR);
	fail_at = allocations_ever + 1;
	EQUAL(reftable_buf_add(&buf, "x", 1), REFTABLE_OUT_OF_MEMORY_ERROR);
	reftable_buf_release(&buf);
	return finish();
}
