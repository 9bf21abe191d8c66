/* Tables without a directory: written through callbacks, read through block sources, one by one and as one. */
#include "check.h"

static int flushed;

static ssize_t append(void *arg, const void *data, size_t len)
{
	return reftable_buf_add(arg, data, len) ? -1 : (ssize_t)len;
}

static int flush(void *arg)
{
	(void)arg;
	flushed++;
	return 0;
}

static ssize_t refuse(void *arg, const void *data, size_t len)
{
	(void)arg, (void)data, (void)len;
	return REFTABLE_IO_ERROR;
}

static void write_table(struct reftable_buf *buf, const struct contents *contents,
			const struct reftable_write_options *options, enum reftable_hash hash)
{
	struct reftable_writer *w = NULL;
	int before = flushed;
	EQUAL(reftable_writer_new(&w, append, flush, buf, hash, options), 0);
	EQUAL(write_contents(w, (void *)contents), 0);
	EQUAL(reftable_writer_close(w), 0);
	EQUAL(flushed, before + 1);
	EQUAL(reftable_writer_close(w), REFTABLE_API_ERROR);
	CHECK(reftable_writer_stats(w)->blocks > 0);
	reftable_writer_free(w);
}

static struct reftable_table *open_table(struct reftable_buf *buf)
{
	struct reftable_block_source source = { 0 };
	struct reftable_table *table = NULL;
	block_source_from_buf(&source, buf);
	EQUAL(source.ops->size(source.arg), buf->len);
	EQUAL(reftable_table_new(&table, &source, "name"), 0);
	EQUAL(table->refcount, 1);
	SAME(table->name, "name");
	return table;
}

static void expect_refs(struct reftable_iterator *it, const char *from, const char *names)
{
	struct reftable_ref_record ref = { 0 };
	char found[1000] = "";
	int err;
	EQUAL(reftable_iterator_seek_ref(it, from), 0);
	while (!(err = reftable_iterator_next_ref(it, &ref))) {
		strcat(found, ref.refname);
		strcat(found, ref.value_type == REFTABLE_REF_DELETION ? "- " : " ");
	}
	EQUAL(err, 1);
	EQUAL(reftable_iterator_next_ref(it, &ref), 1);
	SAME(found, names);
	reftable_ref_record_release(&ref);
}

static void expect_logs(struct reftable_iterator *it, const char *from, uint64_t at, const char *numbers)
{
	struct reftable_log_record log = { 0 };
	char found[1000] = "";
	int err;
	EQUAL(at ? reftable_iterator_seek_log_at(it, from, at) : reftable_iterator_seek_log(it, from), 0);
	while (!(err = reftable_iterator_next_log(it, &log)))
		sprintf(found + strlen(found), "%s%d%s ", log.refname, (int)log.update_index,
			log.value_type == REFTABLE_LOG_DELETION ? "-" : "");
	EQUAL(err, 1);
	SAME(found, numbers);
	reftable_log_record_release(&log);
}

static void round_trip(enum reftable_hash hash)
{
	const struct reftable_ref_record refs[] = { ref_symbolic("HEAD", 2, "refs/a"), ref_to("a", 2, 1), ref_gone("b", 3),
						    ref_tag("c", 4, 2, 3) };
	const struct reftable_log_record logs[] = { log_of("a", 4, "newest"), log_of("a", 2, ""), log_gone("a", 1),
						    log_of("b", 3, "two newlines\n\n") };
	const struct contents contents = { 2, 4, refs, COUNT(refs), logs, COUNT(logs) };
	struct reftable_buf buf = REFTABLE_BUF_INIT;
	struct reftable_iterator it = { 0 }, log_it = { 0 };
	struct reftable_ref_record ref = { 0 };
	struct reftable_log_record log = { 0 };
	struct reftable_table *table;
	long before;

	write_table(&buf, &contents, NULL, hash);
	table = open_table(&buf);
	EQUAL(reftable_table_hash_id(table), hash);
	EQUAL(table->version, hash == REFTABLE_HASH_SHA1 ? 1 : 2);
	EQUAL(table->block_size, 4096);
	EQUAL(table->size, buf.len - (hash == REFTABLE_HASH_SHA1 ? 68 : 72));
	EQUAL(reftable_table_min_update_index(table), 2);
	EQUAL(reftable_table_max_update_index(table), 4);
	CHECK(table->ref_offsets.is_present && table->log_offsets.is_present && !table->obj_offsets.is_present);

	EQUAL(reftable_table_init_ref_iterator(table, &it), 0);
	CHECK(it.ops);
	EQUAL(reftable_table_init_log_iterator(table, &log_it), 0);
	expect_refs(&it, "", "HEAD a b- c ");
	expect_refs(&it, "aa", "b- c ");
	expect_refs(&it, "", "HEAD a b- c ");
	expect_refs(&it, "d", "");
	expect_logs(&log_it, "", 0, "a4 a2 a1- b3 ");
	expect_logs(&log_it, "a", 3, "a2 a1- b3 ");
	expect_logs(&log_it, "b", 0, "b3 ");

	/* A record is filled again and again, whatever it held. */
	EQUAL(reftable_iterator_seek_ref(&it, ""), 0);
	for (size_t i = 0; i < COUNT(refs); i++) {
		EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
		CHECK(reftable_ref_record_equal(&ref, &refs[i], hash == REFTABLE_HASH_SHA1 ? 20 : 32));
	}
	before = allocations_ever;
	EQUAL(reftable_iterator_seek_ref(&it, "c"), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
	EQUAL(allocations_ever, before);
	reftable_ref_record_release(&ref);

	/* A string that the host put in has no capacity, and may be replaced. */
	ref = ref_symbolic(reftable_strdup("x"), 1, reftable_strdup("y"));
	EQUAL(reftable_iterator_seek_ref(&it, ""), 0);
	EQUAL(reftable_iterator_next_ref(&it, &ref), 0);
	SAME(ref.refname, "HEAD");
	SAME(ref.value.symref, "refs/a");
	reftable_ref_record_release(&ref);

	EQUAL(reftable_iterator_seek_log(&log_it, ""), 0);
	EQUAL(reftable_iterator_next_log(&log_it, &log), 0);
	SAME(log.value.update.message, "newest\n");
	SAME(log.value.update.name, "A");
	SAME(log.value.update.email, "a@b");
	EQUAL(log.value.update.time, 1004);
	EQUAL(log.value.update.tz_offset, -130);
	EQUAL(log.value.update.new_hash[hash == REFTABLE_HASH_SHA1 ? 19 : 31], 4);
	EQUAL(reftable_iterator_next_log(&log_it, &log), 0);
	SAME(log.value.update.message, "\n");
	EQUAL(reftable_iterator_next_log(&log_it, &log), 0);
	CHECK(reftable_log_record_is_deletion(&log));
	EQUAL(reftable_iterator_next_log(&log_it, &log), 0);
	SAME(log.value.update.message, "two newlines\n");
	reftable_log_record_release(&log);

	/* What marks an empty reflog: no ids, no message. */
	{
		struct reftable_log_record marker = log_of("m", 0, ""), after = log_of("n", 0, "a");
		const struct reftable_log_record two[] = { marker, after };
		const struct contents marked = { 0, 0, NULL, 0, two, 2 };
		struct reftable_write_options exact = { .exact_log_message = 1 };
		struct reftable_buf bytes = REFTABLE_BUF_INIT;
		struct reftable_iterator marks = { 0 };
		struct reftable_table *other;
		write_table(&bytes, &marked, &exact, hash);
		other = open_table(&bytes);
		EQUAL(reftable_table_init_log_iterator(other, &marks), 0);
		for (int i = 0; i < 2; i++) {
			EQUAL(reftable_iterator_seek_log(&marks, ""), 0);
			EQUAL(reftable_iterator_next_log(&marks, &log), 0);
			CHECK(!log.value.update.message && !log.value.update.message_cap);
			EQUAL(reftable_iterator_next_log(&marks, &log), 0);
			SAME(log.value.update.message, "a");
		}
		reftable_log_record_release(&log);
		reftable_iterator_destroy(&marks);
		reftable_table_decref(other);
		reftable_buf_release(&bytes);
	}

	/* The wrong kind of record, and iterators that are not in use. */
	EQUAL(reftable_iterator_seek_log(&it, ""), REFTABLE_API_ERROR);
	EQUAL(reftable_iterator_next_log(&it, &log), REFTABLE_API_ERROR);
	EQUAL(reftable_iterator_seek_ref(&log_it, ""), REFTABLE_API_ERROR);
	EQUAL(reftable_iterator_next_ref(&log_it, &ref), REFTABLE_API_ERROR);

	/* Iterators outlive their table, and are destroyed as often as one likes. */
	reftable_table_incref(table);
	reftable_table_decref(table);
	EQUAL(table->refcount, 1);
	reftable_table_decref(table);
	expect_refs(&it, "a", "a b- c ");
	expect_logs(&log_it, "a", 0, "a4 a2 a1- b3 ");
	for (int i = 0; i < 2; i++) {
		reftable_iterator_destroy(&it);
		reftable_iterator_destroy(&log_it);
		CHECK(!it.ops && !log_it.ops);
	}
	reftable_iterator_destroy(NULL);
	EQUAL(reftable_iterator_next_ref(&it, &ref), REFTABLE_API_ERROR);
	reftable_buf_release(&buf);
}

static void misuse(void)
{
	struct reftable_ref_record ref = ref_to("b", 5, 1), low = ref_to("c", 4, 1), high = ref_to("c", 6, 1);
	struct reftable_ref_record before = ref_to("a", 5, 1), next = ref_to("c", 5, 1), nameless = ref_to(NULL, 5, 1);
	struct reftable_ref_record many[] = { ref_to("f", 5, 1), ref_to("d", 5, 1), ref_to("e", 5, 1) };
	struct reftable_log_record log = log_of("b", 5, "m"), lines = log_of("c", 5, "two\nlines"), late = log_of("c", 6, "m");
	struct reftable_log_record logs[] = { log_of("d", 2, "m"), log_of("c", 5, "m"), log_of("d", 3, "m") };
	struct reftable_ref_record no_type = ref_to("z", 5, 1), empty = ref_to("", 5, 1);
	struct reftable_write_options options = { .block_size = 1 << 24 };
	struct reftable_buf buf = REFTABLE_BUF_INIT;
	struct reftable_iterator it = { 0 };
	struct reftable_writer *w = NULL;
	struct reftable_table *table;

	EQUAL(reftable_writer_new(&w, append, flush, &buf, 0, &options), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_new(&w, append, flush, &buf, 5, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_new(NULL, append, flush, &buf, 0, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_new(&w, NULL, flush, &buf, 0, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_new(&w, append, NULL, &buf, 0, NULL), 0);
	EQUAL(reftable_writer_add_ref(w, &ref), REFTABLE_API_ERROR);	/* the limits are 0 to 0 */
	EQUAL(reftable_writer_set_limits(w, 5, 5), 0);
	no_type.value_type = 9;
	EQUAL(reftable_writer_add_ref(w, &no_type), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_ref(w, &empty), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_ref(w, &ref), 0);
	EQUAL(reftable_writer_set_limits(w, 5, 6), REFTABLE_API_ERROR);
	/* Refused records change nothing. */
	EQUAL(reftable_writer_add_ref(w, &before), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_ref(w, &ref), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_ref(w, &low), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_ref(w, &high), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_ref(w, &nameless), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_ref(w, NULL), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_ref(w, &next), 0);
	EQUAL(reftable_writer_add_refs(w, many, COUNT(many)), 0);
	SAME(many[0].refname, "d");
	EQUAL(reftable_writer_add_refs(w, NULL, 0), 0);
	EQUAL(reftable_writer_add_refs(w, NULL, 1), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_log(w, &log), 0);
	EQUAL(reftable_writer_add_log(w, &log), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_log(w, &lines), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_log(w, &late), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_ref(w, &high), REFTABLE_API_ERROR);
	EQUAL(reftable_writer_add_logs(w, logs, COUNT(logs)), 0);
	EQUAL(logs[1].update_index, 3);
	EQUAL(reftable_writer_close(w), 0);
	reftable_writer_free(w);
	reftable_writer_free(NULL);

	table = open_table(&buf);
	EQUAL(reftable_table_init_ref_iterator(table, &it), 0);
	expect_refs(&it, "", "b c d e f ");
	reftable_iterator_destroy(&it);
	EQUAL(reftable_table_init_log_iterator(table, &it), 0);
	expect_logs(&it, "", 0, "b5 c5 d3 d2 ");
	reftable_iterator_destroy(&it);
	reftable_table_decref(table);
	reftable_table_decref(NULL);
	reftable_table_incref(NULL);
	reftable_buf_release(&buf);

	/* Nothing at all. */
	EQUAL(reftable_writer_new(&w, append, flush, &buf, 0, NULL), 0);
	EQUAL(reftable_writer_close(w), REFTABLE_EMPTY_TABLE_ERROR);
	reftable_writer_free(w);
	table = open_table(&buf);
	EQUAL(reftable_table_init_ref_iterator(table, &it), 0);
	expect_refs(&it, "", "");
	reftable_iterator_destroy(&it);
	reftable_table_decref(table);
	reftable_buf_release(&buf);

	/* Limits that run backwards, as libgit2 sets them when it rewrites a reflog. */
	{
		struct reftable_log_record entry = log_of("a", 3, "m");
		EQUAL(reftable_writer_new(&w, append, flush, &buf, 0, NULL), 0);
		EQUAL(reftable_writer_set_limits(w, UINT64_MAX, 4), 0);
		EQUAL(reftable_writer_add_log(w, &entry), 0);
		EQUAL(reftable_writer_close(w), 0);
		reftable_writer_free(w);
		table = open_table(&buf);
		EQUAL(reftable_table_max_update_index(table), 4);
		reftable_table_decref(table);
		reftable_buf_release(&buf);
	}

	/* What cannot be written: the code of the callback comes back. */
	EQUAL(reftable_writer_new(&w, refuse, flush, NULL, 0, NULL), 0);
	EQUAL(reftable_writer_set_limits(w, 5, 5), 0);
	EQUAL(reftable_writer_add_ref(w, &ref), 0);
	EQUAL(reftable_writer_close(w), REFTABLE_IO_ERROR);
	reftable_writer_free(w);
}

static void sizes(void)
{
	struct reftable_write_options options = { .block_size = 256, .restart_interval = 4 };
	struct reftable_log_record exact = log_of("a", 1, "two\nlines");
	struct reftable_ref_record ref = ref_to("", 1, 1);
	struct reftable_table_iterator blocks = { 0 };
	const struct reftable_block *block = NULL;
	struct reftable_iterator it = { 0 };
	struct reftable_buf buf = REFTABLE_BUF_INIT;
	struct reftable_log_record log = { 0 };
	struct reftable_writer *w = NULL;
	struct reftable_table *table;
	char long_name[400], types[100] = "";
	int err, count = 0;

	options.exact_log_message = 1;
	EQUAL(reftable_writer_new(&w, append, flush, &buf, 0, &options), 0);
	EQUAL(reftable_writer_set_limits(w, 1, 1), 0);
	for (int i = 0; i < 100; i++) {
		char name[20];
		sprintf(name, "refs/%03d", i);
		ref.refname = name;
		ref.value.val1[0] = i;
		EQUAL(reftable_writer_add_ref(w, &ref), 0);
	}
	EQUAL(reftable_writer_add_log(w, &exact), 0);
	EQUAL(reftable_writer_close(w), 0);
	reftable_writer_free(w);

	table = open_table(&buf);
	CHECK(table->obj_offsets.is_present && table->object_id_len >= 2 && table->ref_offsets.index_offset);
	EQUAL(reftable_table_iterator_init(&blocks, table), 0);
	EQUAL(table->obj_offsets.offset % 256, 0);
	reftable_table_decref(table);
	while (!(err = reftable_table_iterator_next(&blocks, &block))) {
		char type[2] = { block->block_type, 0 };
		if (!count++)
			EQUAL(block->header_off, 24);
		CHECK(block->restart_count > 0 && block->restart_off < block->block_data.len);
		EQUAL(block->block_data.data[block->header_off], block->block_type);
		EQUAL(block->block_data.len, block->restart_off + 3 * block->restart_count + 2);
		if (!strlen(types) || types[strlen(types) - 1] != type[0])
			strcat(types, type);
	}
	EQUAL(err, 1);
	SAME(types, "rioig");
	CHECK(count > 10);
	reftable_table_iterator_release(&blocks);
	reftable_table_iterator_release(&blocks);
	reftable_table_iterator_release(NULL);

	table = open_table(&buf);
	EQUAL(reftable_table_init_log_iterator(table, &it), 0);
	EQUAL(reftable_iterator_seek_log(&it, "a"), 0);
	EQUAL(reftable_iterator_next_log(&it, &log), 0);
	SAME(log.value.update.message, "two\nlines");
	reftable_log_record_release(&log);
	reftable_iterator_destroy(&it);
	reftable_table_decref(table);
	reftable_buf_release(&buf);

	memset(long_name, 'x', sizeof(long_name));
	long_name[sizeof(long_name) - 1] = 0;
	ref.refname = long_name;
	EQUAL(reftable_writer_new(&w, append, flush, &buf, 0, &options), 0);
	EQUAL(reftable_writer_set_limits(w, 1, 1), 0);
	EQUAL(reftable_writer_add_ref(w, &ref), REFTABLE_ENTRY_TOO_BIG_ERROR);
	EQUAL(reftable_writer_close(w), REFTABLE_ENTRY_TOO_BIG_ERROR);
	reftable_writer_free(w);
	options.block_size = 20;
	EQUAL(reftable_writer_new(&w, append, flush, &buf, 0, &options), REFTABLE_ENTRY_TOO_BIG_ERROR);
	reftable_buf_release(&buf);
}

static void several(void)
{
	const struct reftable_ref_record old[] = { ref_to("a", 1, 1), ref_to("b", 1, 1) };
	const struct reftable_ref_record new[] = { ref_gone("a", 2), ref_to("c", 2, 1) };
	const struct reftable_log_record old_logs[] = { log_of("a", 1, "m") };
	const struct contents contents[] = { { 1, 1, old, COUNT(old), old_logs, 1 }, { 2, 2, new, COUNT(new), NULL, 0 } };
	struct reftable_buf bufs[2] = { REFTABLE_BUF_INIT, REFTABLE_BUF_INIT };
	struct reftable_table *tables[2];
	struct reftable_merged_table *merged = NULL;
	struct reftable_iterator it = { 0 }, log_it = { 0 };

	for (int i = 0; i < 2; i++) {
		write_table(&bufs[i], &contents[i], NULL, REFTABLE_HASH_SHA1);
		tables[i] = open_table(&bufs[i]);
	}
	EQUAL(reftable_merged_table_new(&merged, tables, 2, REFTABLE_HASH_SHA256), REFTABLE_FORMAT_ERROR);
	EQUAL(reftable_merged_table_new(&merged, NULL, 2, REFTABLE_HASH_SHA1), REFTABLE_API_ERROR);
	EQUAL(reftable_merged_table_new(&merged, tables, 2, REFTABLE_HASH_SHA1), 0);
	EQUAL(reftable_merged_table_hash_id(merged), REFTABLE_HASH_SHA1);
	EQUAL(reftable_merged_table_min_update_index(merged), 1);
	EQUAL(reftable_merged_table_max_update_index(merged), 2);
	EQUAL(reftable_merged_table_init_ref_iterator(merged, &it), 0);
	EQUAL(reftable_merged_table_init_log_iterator(merged, &log_it), 0);
	reftable_merged_table_free(merged);
	reftable_merged_table_free(NULL);
	for (int i = 0; i < 2; i++)
		reftable_table_decref(tables[i]);
	expect_refs(&it, "", "a- b c ");
	expect_logs(&log_it, "", 0, "a1 ");
	reftable_iterator_destroy(&it);
	reftable_iterator_destroy(&log_it);
	EQUAL(reftable_merged_table_new(&merged, NULL, 0, REFTABLE_HASH_SHA1), 0);
	EQUAL(reftable_merged_table_init_ref_iterator(merged, &it), 0);
	expect_refs(&it, "", "");
	reftable_iterator_destroy(&it);
	reftable_merged_table_free(merged);
	for (int i = 0; i < 2; i++)
		reftable_buf_release(&bufs[i]);
}

/* A source that counts. */
static int opened, closed, handed_out, taken_back;
static ssize_t short_by;

static uint64_t counted_size(void *arg)
{
	return ((struct reftable_buf *)arg)->len;
}

static ssize_t counted_read(void *arg, struct reftable_block_data *dest, uint64_t offset, uint32_t size)
{
	struct reftable_buf *buf = arg;
	if (short_by < 0)
		return short_by;
	handed_out++;
	dest->data = (uint8_t *)buf->buf + offset;
	dest->len = size - short_by;
	return size - short_by;
}

static void counted_release(void *arg, struct reftable_block_data *data)
{
	CHECK(arg && data->data);
	taken_back++;
}

static void counted_close(void *arg)
{
	CHECK(arg);
	closed++;
}

static struct reftable_block_source_vtable counted = { counted_size, counted_read, counted_release, counted_close };

static void sources(const char *path)
{
	const struct reftable_ref_record refs[] = { ref_to("a", 1, 1) };
	const struct contents contents = { 1, 1, refs, 1, NULL, 0 };
	struct reftable_buf buf = REFTABLE_BUF_INIT;
	struct reftable_block_source source;
	struct reftable_block_data data = { 0 };
	struct reftable_table *table = NULL;
	struct reftable_iterator it = { 0 };
	FILE *file;

	write_table(&buf, &contents, NULL, REFTABLE_HASH_SHA1);
	for (int round = 0; round < 4; round++) {
		int code = (int[]){ 0, REFTABLE_FORMAT_ERROR, REFTABLE_IO_ERROR, REFTABLE_IO_ERROR }[round];
		if (round == 1)
			buf.buf[buf.len - 1] ^= 1;
		short_by = round == 2 ? 3 : round == 3 ? REFTABLE_IO_ERROR : 0;
		source = (struct reftable_block_source){ &counted, &buf };
		opened++;
		EQUAL(reftable_table_new(&table, &source, "counted"), code);
		if (!code) {
			EQUAL(closed, 0);
			EQUAL(reftable_table_init_ref_iterator(table, &it), 0);
			reftable_table_decref(table);
			EQUAL(closed, 0);
			expect_refs(&it, "", "a ");
			reftable_iterator_destroy(&it);
		}
		EQUAL(closed, opened);
		EQUAL(taken_back, handed_out);
	}
	buf.buf[buf.len - 1] ^= 1;

	EQUAL(reftable_block_source_from_file(&source, "/does/not/exist"), REFTABLE_NOT_EXIST_ERROR);
	file = fopen(path, "wb");
	CHECK(file && fwrite(buf.buf, 1, buf.len, file) == buf.len && !fclose(file));
	source = (struct reftable_block_source){ 0 };
	EQUAL(reftable_block_source_from_file(&source, path), 0);
	EQUAL(source.ops->size(source.arg), buf.len);
	EQUAL(source.ops->read_data(source.arg, &data, 0, 4), 4);
	EQUAL(memcmp(data.data, "REFT", 4), 0);
	CHECK(source.ops->read_data(source.arg, &data, buf.len, 1) < 0);
	CHECK(source.ops->read_data(source.arg, &data, (uint64_t)-1, 1) < 0);
	source.ops->release_data(source.arg, &data);
	EQUAL(reftable_table_new(&table, &source, path), 0);
	EQUAL(reftable_table_init_ref_iterator(table, &it), 0);
	EQUAL(unlink(path), 0);
	expect_refs(&it, "", "a ");
	reftable_iterator_destroy(&it);
	reftable_table_decref(table);

	block_source_from_buf(&source, &buf);
	EQUAL(source.ops->read_data(source.arg, &data, 1, 3), 3);
	EQUAL(memcmp(data.data, "EFT", 3), 0);
	source.ops->release_data(source.arg, &data);
	CHECK(source.ops->read_data(source.arg, &data, 2, buf.len - 1) < 0);
	source.ops->close(source.arg);
	reftable_buf_release(&buf);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	CHECK(!chdir(argv[1]));
	count_allocations();
	round_trip(REFTABLE_HASH_SHA1);
	round_trip(REFTABLE_HASH_SHA256);
	misuse();
	sizes();
	several();
	sources("table");
	return finish();
}
