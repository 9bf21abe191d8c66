/* Records: what they are, whether they are the same, what releasing them does. */
#include "check.h"

static void references(void)
{
	struct reftable_ref_record id = ref_to("HEAD", 3, 7), tag = ref_tag("HEAD", 3, 7, 8);
	struct reftable_ref_record symbolic = ref_symbolic("HEAD", 3, "refs/a"), gone = ref_gone("HEAD", 3), other;
	struct reftable_ref_record *all[] = { &id, &tag, &symbolic, &gone };

	CHECK(reftable_ref_record_val1(&id) == id.value.val1);
	CHECK(reftable_ref_record_val1(&tag) == tag.value.val2.value);
	CHECK(!reftable_ref_record_val1(&symbolic) && !reftable_ref_record_val1(&gone) && !reftable_ref_record_val1(NULL));
	CHECK(reftable_ref_record_val2(&tag) == tag.value.val2.target_value);
	CHECK(!reftable_ref_record_val2(&id) && !reftable_ref_record_val2(NULL));
	CHECK(reftable_ref_record_is_deletion(&gone) && !reftable_ref_record_is_deletion(&id));
	CHECK(!reftable_ref_record_is_deletion(NULL));

	for (size_t i = 0; i < COUNT(all); i++)
		for (size_t j = 0; j < COUNT(all); j++)
			EQUAL(reftable_ref_record_equal(all[i], all[j], 20), i == j);
	other = id;
	other.update_index++;
	CHECK(!reftable_ref_record_equal(&id, &other, 20));
	other = ref_to("HEAS", 3, 7);
	CHECK(!reftable_ref_record_equal(&id, &other, 20));
	other = ref_symbolic("HEAD", 3, "refs/b");
	CHECK(!reftable_ref_record_equal(&symbolic, &other, 20));
	other = ref_tag("HEAD", 3, 7, 9);
	CHECK(!reftable_ref_record_equal(&tag, &other, 20));
	/* Bytes after the id do not count. */
	other = id;
	other.value.val1[20] ^= 1;
	CHECK(reftable_ref_record_equal(&id, &other, 20));
	CHECK(!reftable_ref_record_equal(&id, &other, 32));
	CHECK(!reftable_ref_record_equal(&id, &id, 21));
	CHECK(!reftable_ref_record_equal(&id, NULL, 20) && !reftable_ref_record_equal(NULL, NULL, 20));

	other = ref_symbolic(reftable_strdup("HEAD"), 3, reftable_strdup("refs/a"));
	EQUAL(allocations, 2);
	reftable_ref_record_release(&other);
	EQUAL(allocations, 0);
	for (size_t i = 0; i < sizeof(other); i++)
		EQUAL(((char *)&other)[i], 0);
	reftable_ref_record_release(&other);
	reftable_ref_record_release(NULL);
	/* An id is not a string to be freed. */
	other = ref_to(reftable_strdup("HEAD"), 3, 7);
	reftable_ref_record_release(&other);
}

static void logs(void)
{
	struct reftable_log_record a = log_of("HEAD", 3, "m\n"), b = a, gone = log_gone("HEAD", 3);

	CHECK(reftable_log_record_is_deletion(&gone) && !reftable_log_record_is_deletion(&a));
	CHECK(!reftable_log_record_is_deletion(NULL));
	CHECK(reftable_log_record_equal(&a, &b, 20) && reftable_log_record_equal(&gone, &gone, 20));
	CHECK(!reftable_log_record_equal(&a, &gone, 20) && !reftable_log_record_equal(&a, NULL, 20));
	b.value.update.message = (char *)"n\n";
	CHECK(!reftable_log_record_equal(&a, &b, 20));
	b = a;
	b.value.update.tz_offset = 130;
	CHECK(!reftable_log_record_equal(&a, &b, 20));
	b = a;
	b.value.update.old_hash[0] = 1;
	CHECK(!reftable_log_record_equal(&a, &b, 20));
	/* No name is an empty one. */
	a.value.update.email = NULL;
	b = a;
	b.value.update.email = (char *)"";
	CHECK(reftable_log_record_equal(&a, &b, 20));

	a = log_of(reftable_strdup("HEAD"), 3, reftable_strdup("m"));
	a.value.update.name = reftable_strdup("A");
	a.value.update.email = reftable_strdup("a@b");
	EQUAL(allocations, 4);
	reftable_log_record_release(&a);
	EQUAL(allocations, 0);
	for (size_t i = 0; i < sizeof(a); i++)
		EQUAL(((char *)&a)[i], 0);
	reftable_log_record_release(&a);
	reftable_log_record_release(NULL);
	/* What a deletion has in the place of an entry means nothing. */
	a = log_of(reftable_strdup("HEAD"), 3, "not from the family");
	a.value_type = REFTABLE_LOG_DELETION;
	reftable_log_record_release(&a);
}

int main(void)
{
	count_allocations();
	references();
	logs();
	return finish();
}
