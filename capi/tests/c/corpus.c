/*
 * Hostile tables through the C interface: each file that is named, each with one byte changed, each cut off. Nothing is
 * expected but answers.
 */
#include "check.h"

static long tables, records, blocks_alone;

static void drain(struct reftable_iterator *it, int logs)
{
	struct reftable_ref_record ref = { 0 };
	struct reftable_log_record log = { 0 };
	if (!logs && !reftable_iterator_seek_ref(it, ""))
		while (!reftable_iterator_next_ref(it, &ref))
			records += strlen(ref.refname) > 0;
	if (logs && !reftable_iterator_seek_log(it, ""))
		while (!reftable_iterator_next_log(it, &log))
			records += log.value_type == REFTABLE_LOG_DELETION || strlen(log.value.update.message) + 1;
	if (!reftable_iterator_seek_ref(it, "refs/heads/m"))
		reftable_iterator_next_ref(it, &ref);
	reftable_ref_record_release(&ref);
	reftable_log_record_release(&log);
	reftable_iterator_destroy(it);
}

static void read_block(const struct reftable_block *block)
{
	struct reftable_buf key = REFTABLE_BUF_INIT;
	struct reftable_iterator it = { 0 };
	int logs = reftable_block_type(block) == 'g';
	if (!reftable_block_first_key(block, &key))
		records += key.len > 0;
	if (!reftable_block_init_iterator(block, &it))
		drain(&it, logs);
	reftable_buf_release(&key);
}

/* The blocks as the file has them, whether it is a table or not. */
static void read_blocks(struct reftable_buf *buf)
{
	struct reftable_block_source source = { 0 };
	struct reftable_block block = { 0 };
	uint32_t at = 0;
	block_source_from_buf(&source, buf);
	while (!reftable_block_init(&block, &source, at, at ? 0 : 24, 4096, 20, 0) && block.full_block_size) {
		read_block(&block);
		at += block.full_block_size;
		blocks_alone++;
	}
	reftable_block_release(&block);
}

static void read_all(const char *bytes, size_t len)
{
	struct reftable_block_source source = { 0 };
	struct reftable_buf buf = REFTABLE_BUF_INIT;
	struct reftable_iterator it = { 0 };
	struct reftable_table_iterator blocks = { 0 };
	struct reftable_merged_table *merged = NULL;
	const struct reftable_block *block;
	struct reftable_table *table = NULL;
	unsigned sum = 0;
	int err;

	EQUAL(reftable_buf_add(&buf, bytes, len), 0);
	block_source_from_buf(&source, &buf);
	err = reftable_table_new(&table, &source, "hostile");
	if (!err) {
		tables++;
		if (!reftable_table_init_ref_iterator(table, &it))
			drain(&it, 0);
		if (!reftable_table_init_log_iterator(table, &it))
			drain(&it, 1);
		EQUAL(reftable_merged_table_new(&merged, &table, 1, table->hash_id), 0);
		if (!reftable_merged_table_init_ref_iterator(merged, &it))
			drain(&it, 0);
		reftable_merged_table_free(merged);
		if (!reftable_table_refs_for(table, &it, (uint8_t *)bytes))
			drain(&it, 0);
		EQUAL(reftable_table_iterator_init(&blocks, table), 0);
		while (!reftable_table_iterator_next(&blocks, &block)) {
			read_block(block);
			for (size_t i = 0; i < block->block_data.len; i++)
				sum += block->block_data.data[i];
		}
		reftable_table_iterator_release(&blocks);
		CHECK(sum || !sum);
	} else {
		CHECK(!table && err < 0);
	}
	reftable_table_decref(table);
	read_blocks(&buf);
	reftable_buf_release(&buf);
}

int main(int argc, char **argv)
{
	count_allocations();
	for (int i = 2; i < argc; i++) {
		static char bytes[1 << 20];
		FILE *file = fopen(argv[i], "rb");
		size_t len, step;
		CHECK(file);
		len = fread(bytes, 1, sizeof(bytes), file);
		CHECK(!fclose(file));
		read_all(bytes, len);
		step = len / 400 + 1;
		for (size_t at = 0; at < len; at += step) {
			bytes[at] ^= 0xff;
			read_all(bytes, len);
			bytes[at] ^= 0xfe;
			read_all(bytes, len);
			bytes[at] ^= 0x01;
		}
		for (size_t cut = 0; cut < len; cut += step)
			read_all(bytes, cut);
	}
	CHECK(argc > 2 && tables > 1000 && records > 1000 && blocks_alone > 1000);
	return finish();
}
