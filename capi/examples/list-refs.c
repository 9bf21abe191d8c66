/*
 * Lists the references of a repository that keeps them in reftable files.
 *
 *     cc list-refs.c $(pkg-config --cflags --libs reftable) -o list-refs
 *     ./list-refs path/to/repository/.git/reftable
 */
#include <reftable.h>
#include <stdio.h>
#include <string.h>

static void print_id(const unsigned char *id, size_t len)
{
	for (size_t i = 0; i < len; i++)
		printf("%02x", id[i]);
}

static void print_ref(const struct reftable_ref_record *ref, size_t id_len)
{
	const unsigned char *id = reftable_ref_record_val1(ref), *peeled = reftable_ref_record_val2(ref);

	if (ref->value_type == REFTABLE_REF_SYMREF)
		printf("ref: %s", ref->value.symref);
	else if (id)
		print_id(id, id_len);
	printf(" %s\n", ref->refname);
	if (peeled) {
		print_id(peeled, id_len);
		printf(" %s^{}\n", ref->refname);
	}
}

static int list(const char *dir, enum reftable_hash hash)
{
	/* Tombstones are of no interest here. */
	struct reftable_stack_options options = { .hash_id = hash, .suppress_deletions = 1 };
	size_t id_len = hash == REFTABLE_HASH_SHA1 ? REFTABLE_HASH_SIZE_SHA1 : REFTABLE_HASH_SIZE_SHA256;
	struct reftable_stack *stack = NULL;
	struct reftable_iterator it = { 0 };
	struct reftable_ref_record ref = { 0 };
	int err;

	err = reftable_new_stack(&stack, dir, &options);
	if (!err)
		err = reftable_stack_init_ref_iterator(stack, &it);
	if (!err)
		err = reftable_iterator_seek_ref(&it, "");
	while (!err && !(err = reftable_iterator_next_ref(&it, &ref)))
		print_ref(&ref, id_len);

	/* All of them take what was never used. */
	reftable_ref_record_release(&ref);
	reftable_iterator_destroy(&it);
	reftable_stack_destroy(stack);
	return err > 0 ? 0 : err;
}

int main(int argc, char **argv)
{
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DIRECTORY, such as repository/.git/reftable\n", argv[0]);
		return 2;
	}
	err = list(argv[1], REFTABLE_HASH_SHA1);
	if (err == REFTABLE_FORMAT_ERROR)
		err = list(argv[1], REFTABLE_HASH_SHA256);
	if (err) {
		fprintf(stderr, "%s: %s\n", argv[1], reftable_error_str(err));
		return 1;
	}
	return 0;
}
