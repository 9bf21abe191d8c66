/* Blocks one by one, the references that point at an object, and what a writer counts. */
#include "check.h"

#define REFS 200
#define LOGS 60

static ssize_t append(void *arg, const void *data, size_t len)
{
	return reftable_buf_add(arg, data, len) ? -1 : (ssize_t)len;
}

static void name_of(char *name, int i)
{
	sprintf(name, "refs/heads/%04d", i);
}

/*
 * REFS references with the update indexes 10 to 12, every tenth a tag, LOGS entries. Ids have the number in their first
 * bytes, peeled ids 0xee after it; the references 50, 51 and 150 share an id, which the tag 160 leads to.
 */
static void id_of(unsigned char *id, int i)
{
	memset(id, i == 51 || i == 150 ? 50 : i, REFTABLE_HASH_SIZE_MAX);
	id[1] = 0;
}

static void fill(struct reftable_writer *w)
{
	struct reftable_ref_record ref = { 0 };
	struct reftable_log_record log;
	char name[30];
	ref.refname = name;
	EQUAL(reftable_writer_set_limits(w, 10, 12), 0);
	for (int i = 0; i < REFS; i++) {
		name_of(name, i);
		ref.update_index = 10 + i % 3;
		ref.value_type = i % 10 ? REFTABLE_REF_VAL1 : REFTABLE_REF_VAL2;
		id_of(ref.value.val2.value, i);
		if (!(i % 10)) {
			id_of(ref.value.val2.target_value, i == 160 ? 50 : i);
			ref.value.val2.target_value[1] = i == 160 ? 0 : 0xee;
		}
		EQUAL(reftable_writer_add_ref(w, &ref), 0);
	}
	for (int i = 0; i < LOGS; i++) {
		name_of(name, i);
		log = log_of(name, 11, "a message that fills blocks");
		EQUAL(reftable_writer_add_log(w, &log), 0);
	}
}

static void expect_stats(const struct reftable_stats *s, struct reftable_table *t, int many_levels)
{
	struct reftable_table_iterator it = { 0 };
	const struct reftable_block *block = NULL;
	int blocks = 0, by_type[256] = { 0 };
	unsigned restarts[256] = { 0 };
	EQUAL(reftable_table_iterator_init(&it, t), 0);
	while (!reftable_table_iterator_next(&it, &block)) {
		blocks++;
		by_type[block->block_type]++;
		restarts[block->block_type] += block->restart_count;
	}
	reftable_table_iterator_release(&it);
	EQUAL(s->blocks, blocks);
	EQUAL(s->ref_stats.entries, REFS);
	EQUAL(s->log_stats.entries, LOGS);
	EQUAL(s->ref_stats.blocks, by_type['r']);
	EQUAL(s->obj_stats.blocks, by_type['o']);
	EQUAL(s->idx_stats.blocks, by_type['i']);
	EQUAL(s->log_stats.blocks, by_type['g']);
	EQUAL(s->ref_stats.restarts, restarts['r']);
	EQUAL(s->obj_stats.restarts, restarts['o']);
	EQUAL(s->idx_stats.restarts, restarts['i']);
	EQUAL(s->log_stats.restarts, restarts['g']);
	EQUAL(s->ref_stats.index_blocks + s->obj_stats.index_blocks + s->log_stats.index_blocks, by_type['i']);
	EQUAL(s->ref_stats.max_index_level > 1, many_levels);
	if (!many_levels)
		EQUAL(s->idx_stats.entries, (s->ref_stats.index_blocks ? by_type['r'] : 0) +
						    (s->obj_stats.index_blocks ? by_type['o'] : 0) +
						    (s->log_stats.index_blocks ? by_type['g'] : 0));
	EQUAL(s->ref_stats.offset, 0);
	EQUAL(s->obj_stats.offset, t->obj_offsets.offset);
	EQUAL(s->log_stats.offset, t->log_offsets.offset);
	EQUAL(s->ref_stats.index_offset, t->ref_offsets.index_offset);
	EQUAL(s->obj_stats.index_offset, t->obj_offsets.index_offset);
	EQUAL(s->log_stats.index_offset, t->log_offsets.index_offset);
	EQUAL(s->object_id_len, t->object_id_len);
}

static struct reftable_table *table_of(struct reftable_buf *buf)
{
	struct reftable_block_source source = { 0 };
	struct reftable_table *table = NULL;
	block_source_from_buf(&source, buf);
	EQUAL(reftable_table_new(&table, &source, "name"), 0);
	return table;
}

static void write_to(struct reftable_buf *buf, uint32_t block_size, int unindexed, enum reftable_hash hash)
{
	struct reftable_write_options options = { .block_size = block_size, .skip_index_objects = unindexed };
	const struct reftable_stats *stats;
	struct reftable_writer *w = NULL;
	struct reftable_table *table;

	EQUAL(reftable_writer_new(&w, append, NULL, buf, hash, &options), 0);
	stats = reftable_writer_stats(w);
	EQUAL(stats->blocks, 0);
	fill(w);
	/* Whole blocks count, as soon as one asks. */
	CHECK(reftable_writer_stats(w) == stats);
	EQUAL(stats->ref_stats.entries, REFS);
	CHECK(stats->blocks > 1 && stats->log_stats.entries < LOGS);
	EQUAL(reftable_writer_close(w), 0);
	CHECK(reftable_writer_stats(w) == stats);
	table = table_of(buf);
	expect_stats(stats, table, block_size < 256);
	EQUAL(!stats->object_id_len, unindexed);
	reftable_table_decref(table);
	reftable_writer_free(w);
	CHECK(!reftable_writer_stats(NULL));
}

/* Reads the records of a block, which must follow those of the last. */
static void expect_records(const struct reftable_block *block, int *refs, int *logs)
{
	struct reftable_ref_record ref = { 0 };
	struct reftable_log_record log = { 0 };
	struct reftable_iterator it = { 0 };
	int err;
	char name[30];

	EQUAL(reftable_block_init_iterator(block, &it), 0);
	CHECK(it.ops);
	switch (reftable_block_type(block)) {
	case 'r':
		while (!(err = reftable_iterator_next_ref(&it, &ref))) {
			name_of(name, *refs);
			SAME(ref.refname, name);
			EQUAL(ref.update_index, *refs % 3);
			EQUAL(ref.value_type, *refs % 10 ? REFTABLE_REF_VAL1 : REFTABLE_REF_VAL2);
			++*refs;
		}
		EQUAL(err, 1);
		/* It can be sought, but not beyond the block. */
		name_of(name, *refs - 1);
		EQUAL(reftable_iterator_seek_ref(&it, name), 0);
		EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
		SAME(ref.refname, name);
		EQUAL(reftable_iterator_seek_ref(&it, "refs/heads/x"), 0);
		EQUAL(reftable_iterator_next_ref(&it, &ref), 1);
		EQUAL(reftable_iterator_seek_log(&it, ""), REFTABLE_API_ERROR);
		break;
	case 'g':
		while (!(err = reftable_iterator_next_log(&it, &log))) {
			name_of(name, *logs);
			SAME(log.refname, name);
			EQUAL(log.update_index, 11);
			++*logs;
		}
		EQUAL(err, 1);
		EQUAL(reftable_iterator_next_ref(&it, &ref), REFTABLE_API_ERROR);
		break;
	default:
		EQUAL(reftable_iterator_seek_ref(&it, ""), REFTABLE_API_ERROR);
		EQUAL(reftable_iterator_next_ref(&it, &ref), REFTABLE_API_ERROR);
		EQUAL(reftable_iterator_next_log(&it, &log), REFTABLE_API_ERROR);
	}
	reftable_ref_record_release(&ref);
	reftable_log_record_release(&log);
	reftable_iterator_destroy(&it);
}

static void blocks(const struct reftable_buf *bytes, uint32_t hash_size)
{
	struct reftable_buf buf = REFTABLE_BUF_INIT, key = REFTABLE_BUF_INIT, other = REFTABLE_BUF_INIT;
	struct reftable_block_source source = { 0 };
	struct reftable_table_iterator all = { 0 };
	const struct reftable_block *expected = NULL;
	struct reftable_block block = { 0 };
	struct reftable_iterator it = { 0 };
	struct reftable_ref_record ref = { 0 };
	struct reftable_table *table;
	uint32_t offset = 0, header;
	int refs = 0, logs = 0;
	size_t len;

	EQUAL(reftable_buf_add(&buf, bytes->buf, bytes->len), 0);
	table = table_of(&buf);
	header = hash_size == 20 ? 24 : 28;
	block_source_from_buf(&source, &buf);
	EQUAL(reftable_table_iterator_init(&all, table), 0);
	/* The same, from the source and from the table. A block in use is released by the next. */
	while (!reftable_table_iterator_next(&all, &expected)) {
		EQUAL(reftable_block_init(&block, &source, offset, offset ? 0 : header, table->block_size, hash_size,
					  expected->block_type), 0);
		EQUAL(reftable_block_type(&block), expected->block_type);
		EQUAL(block.header_off, expected->header_off);
		EQUAL(block.hash_size, hash_size);
		EQUAL(block.restart_count, expected->restart_count);
		EQUAL(block.restart_off, expected->restart_off);
		EQUAL(block.block_data.len, expected->block_data.len);
		EQUAL(memcmp(block.block_data.data, expected->block_data.data, block.block_data.len), 0);
		EQUAL(reftable_block_first_key(&block, &key), 0);
		EQUAL(reftable_block_first_key(expected, &other), 0);
		EQUAL(key.len, other.len);
		EQUAL(memcmp(key.buf, other.buf, key.len), 0);
		if (block.block_type == 'r') {
			char name[30];
			name_of(name, refs);
			SAME(key.buf, name);
		} else if (block.block_type == 'g') {
			char name[30];
			name_of(name, logs);
			SAME(key.buf, name);
			EQUAL(key.len, strlen(name) + 9);
			EQUAL((unsigned char)key.buf[key.len - 1], 0xff - 11);
		} else if (block.block_type == 'o') {
			EQUAL(key.len, table->object_id_len);
		}
		{
			int again_refs = refs, again_logs = logs;
			expect_records(&block, &again_refs, &again_logs);
			expect_records(expected, &refs, &logs);
			CHECK(refs == again_refs && logs == again_logs);
		}
		offset += expected->full_block_size;
	}
	EQUAL(refs, REFS);
	EQUAL(logs, LOGS);
	len = table->size;
	EQUAL(offset, len);

	/* Another type is no error, and leaves nothing. */
	EQUAL(reftable_block_init(&block, &source, 0, header, table->block_size, hash_size, 'g'), 1);
	EQUAL(reftable_block_type(&block), 0);
	EQUAL(reftable_block_first_key(&block, &key), REFTABLE_API_ERROR);
	EQUAL(reftable_block_init_iterator(&block, &it), REFTABLE_API_ERROR);
	/* The block size is a hint, but for padding. */
	EQUAL(reftable_block_init(&block, &source, 0, header, 0, hash_size, 0), 0);
	EQUAL(block.full_block_size, block.block_data.len);

	/* Iterators outlive blocks, and blocks their source. */
	EQUAL(reftable_block_init_iterator(&block, &it), 0);
	reftable_table_iterator_release(&all);
	reftable_table_decref(table);
	memset(buf.buf, 0xa5, buf.len);
	reftable_buf_release(&buf);
	EQUAL(reftable_block_first_key(&block, &key), 0);
	SAME(key.buf, "refs/heads/0000");
	reftable_block_release(&block);
	reftable_block_release(&block);
	for (int i = 0; i < REFTABLE_HASH_SIZE_MAX; i++)
		CHECK(!((unsigned char *)&block)[i]);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
	SAME(ref.refname, "refs/heads/0000");
	reftable_ref_record_release(&ref);
	reftable_iterator_destroy(&it);
	reftable_buf_release(&key);
	reftable_buf_release(&other);
}

/* A source that counts, and fails at the read of this number. */
static int reads, handed_out, fail_read;

static uint64_t counted_size(void *arg)
{
	return ((struct reftable_buf *)arg)->len;
}

static ssize_t counted_read(void *arg, struct reftable_block_data *dest, uint64_t offset, uint32_t size)
{
	struct reftable_buf *buf = arg;
	CHECK(offset + size <= buf->len && size > 0);
	if (++reads == fail_read)
		return REFTABLE_IO_ERROR;
	handed_out++;
	dest->data = (uint8_t *)buf->buf + offset;
	dest->len = size;
	return size;
}

static void counted_release(void *arg, struct reftable_block_data *data)
{
	CHECK(arg && data->data);
	handed_out--;
}

static void counted_close(void *arg)
{
	(void)arg;
	CHECK(!"a block does not close its source");
}

static struct reftable_block_source_vtable counted = { counted_size, counted_read, counted_release, counted_close };

static void broken_blocks(struct reftable_buf *buf)
{
	struct reftable_block_source source = { &counted, buf }, none = { 0 };
	struct reftable_block block = { 0 };
	struct reftable_buf key = REFTABLE_BUF_INIT;
	struct reftable_iterator it = { 0 };
	char saved = buf->buf[24];

	for (reads = 0, fail_read = 1; reftable_block_init(&block, &source, 0, 24, 512, 20, 'r'); fail_read++, reads = 0) {
		EQUAL(handed_out, 0);
		EQUAL(block.block_type, 0);
	}
	EQUAL(fail_read, 4);
	EQUAL(handed_out, 0);
	reftable_block_release(&block);
	fail_read = 0;
	EQUAL(reftable_block_init(&block, &source, buf->len, 0, 512, 20, 0), REFTABLE_FORMAT_ERROR);
	EQUAL(reftable_block_init(&block, &source, UINT32_MAX, 0, 512, 20, 'r'), REFTABLE_FORMAT_ERROR);
	EQUAL(reftable_block_init(&block, &source, 0, 24, 512, 21, 0), REFTABLE_API_ERROR);
	EQUAL(reftable_block_init(&block, &source, 0, 25, 512, 20, 0), REFTABLE_API_ERROR);
	EQUAL(reftable_block_init(&block, &source, 0, UINT32_MAX, 512, 20, 0), REFTABLE_API_ERROR);
	EQUAL(reftable_block_init(&block, &none, 0, 24, 512, 20, 0), REFTABLE_API_ERROR);
	EQUAL(reftable_block_init(&block, NULL, 0, 24, 512, 20, 0), REFTABLE_API_ERROR);
	EQUAL(reftable_block_init(NULL, &source, 0, 24, 512, 20, 0), REFTABLE_API_ERROR);
	/* A letter that no block has; a length that nothing has. */
	buf->buf[24] = 'x';
	EQUAL(reftable_block_init(&block, &source, 0, 24, 512, 20, 0), REFTABLE_FORMAT_ERROR);
	EQUAL(reftable_block_init(&block, &source, 0, 24, 512, 20, 'x'), REFTABLE_FORMAT_ERROR);
	buf->buf[24] = saved;
	for (int i = 25; i < 28; i++) {
		buf->buf[i] ^= 0xff;
		EQUAL(reftable_block_init(&block, &source, 0, 24, 512, 20, 0), REFTABLE_FORMAT_ERROR);
		buf->buf[i] ^= 0xff;
	}
	EQUAL(handed_out, 0);

	reftable_block_release(NULL);
	EQUAL(reftable_block_type(NULL), 0);
	EQUAL(reftable_block_first_key(NULL, &key), REFTABLE_API_ERROR);
	EQUAL(reftable_block_init_iterator(NULL, &it), REFTABLE_API_ERROR);
	EQUAL(reftable_block_init(&block, &source, 0, 24, 512, 20, 0), 0);
	EQUAL(reftable_block_first_key(&block, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_block_init_iterator(&block, NULL), REFTABLE_API_ERROR);
	reftable_block_release(&block);
}

static void pointing_at(struct reftable_buf *bytes, enum reftable_hash hash)
{
	const char *names[] = { "refs/heads/0050", "refs/heads/0051", "refs/heads/0150", "refs/heads/0160" };
	struct reftable_ref_record ref = { 0 };
	struct reftable_log_record log = { 0 };
	struct reftable_iterator it = { 0 };
	struct reftable_table *table = table_of(bytes);
	unsigned char id[REFTABLE_HASH_SIZE_MAX];

	id_of(id, 50);
	EQUAL(reftable_table_hash_id(table), hash);
	EQUAL(reftable_table_refs_for(table, &it, id), 0);
	CHECK(it.ops);
	/* It keeps the table, and the id. */
	reftable_table_decref(table);
	memset(id, 0, sizeof(id));
	for (int i = 0; i < 4; i++) {
		EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
		SAME(ref.refname, names[i]);
		EQUAL(ref.update_index, 10 + atoi(names[i] + 11) % 3);
		EQUAL(ref.value_type, i == 0 || i > 1 ? REFTABLE_REF_VAL2 : REFTABLE_REF_VAL1);
	}
	EQUAL(reftable_iterator_next_ref(&it, &ref), 1);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 1);
	EQUAL(reftable_iterator_seek_ref(&it, "refs/heads/0051x"), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
	SAME(ref.refname, names[2]);
	EQUAL(reftable_iterator_seek_ref(&it, ""), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
	SAME(ref.refname, names[0]);
	EQUAL(reftable_iterator_seek_log(&it, ""), REFTABLE_API_ERROR);
	EQUAL(reftable_iterator_next_log(&it, &log), REFTABLE_API_ERROR);
	reftable_iterator_destroy(&it);

	/* A peeled id of its own; an id that nothing has. */
	table = table_of(bytes);
	id_of(id, 70);
	id[1] = 0xee;
	EQUAL(reftable_table_refs_for(table, &it, id), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
	SAME(ref.refname, "refs/heads/0070");
	EQUAL(reftable_iterator_next_ref(&it, &ref), 1);
	reftable_iterator_destroy(&it);
	id[2] = 1;
	EQUAL(reftable_table_refs_for(table, &it, id), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 1);
	reftable_iterator_destroy(&it);
	EQUAL(reftable_table_refs_for(table, &it, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_table_refs_for(table, NULL, id), REFTABLE_API_ERROR);
	EQUAL(reftable_table_refs_for(NULL, &it, id), REFTABLE_API_ERROR);
	CHECK(!it.ops);
	reftable_table_decref(table);
	reftable_ref_record_release(&ref);
}

int main(int argc, char **argv)
{
	const enum reftable_hash hashes[] = { REFTABLE_HASH_SHA1, REFTABLE_HASH_SHA256 };
	(void)argc, (void)argv;
	count_allocations();
	for (int i = 0; i < 2; i++) {
		for (int unindexed = 0; unindexed < 2; unindexed++) {
			struct reftable_buf buf = REFTABLE_BUF_INIT, small = REFTABLE_BUF_INIT;
			write_to(&buf, 512, unindexed, hashes[i]);
			blocks(&buf, i ? 32 : 20);
			pointing_at(&buf, hashes[i]);
			if (!i)
				broken_blocks(&buf);
			write_to(&small, i ? 160 : 128, unindexed, hashes[i]);
			blocks(&small, i ? 32 : 20);
			pointing_at(&small, hashes[i]);
			reftable_buf_release(&buf);
			reftable_buf_release(&small);
		}
	}
	return finish();
}
