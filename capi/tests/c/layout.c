/*
 * The layouts, constants and types of functions that the library has been built for. Compiled against reftable.h, and with
 * -DHOST_HEADERS against the headers of a git: what this refuses must not be linked with the library, because the linker
 * would not notice. REFTABLE_GIT_2_55 is for a library that was built for git 2.55, and for that git.
 */
#ifdef HOST_HEADERS
#include "git-compat-util.h"
#include "reftable/system.h"
#include "reftable/reftable-basics.h"
#include "reftable/reftable-block.h"
#include "reftable/reftable-blocksource.h"
#include "reftable/reftable-constants.h"
#include "reftable/reftable-error.h"
#include "reftable/reftable-fsck.h"
#include "reftable/reftable-iterator.h"
#include "reftable/reftable-merged.h"
#include "reftable/reftable-record.h"
#include "reftable/reftable-stack.h"
#include "reftable/reftable-table.h"
#include "reftable/reftable-writer.h"
#else
#include <reftable.h>
#endif

#define SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)
#define AT(type, field, at) _Static_assert(offsetof(type, field) == (at), "place of " #type "." #field)
#define WIDTH(type, field, size) _Static_assert(sizeof(((type *)0)->field) == (size), "width of " #type "." #field)
#define VALUE(name, value) _Static_assert((name) == (value), "value of " #name)
#define IS(function, ...) \
	_Static_assert(__builtin_types_compatible_p(__typeof__(&function), __VA_ARGS__), "type of " #function)

SIZE(struct reftable_buf, 24);
AT(struct reftable_buf, len, 8);
AT(struct reftable_buf, buf, 16);
SIZE(struct reftable_block_source, 16);
AT(struct reftable_block_source, arg, 8);
SIZE(struct reftable_block_source_vtable, 32);
AT(struct reftable_block_source_vtable, read_data, 8);
AT(struct reftable_block_source_vtable, release_data, 16);
AT(struct reftable_block_source_vtable, close, 24);
SIZE(struct reftable_block_data, 32);
AT(struct reftable_block_data, len, 8);
AT(struct reftable_block_data, source, 16);
SIZE(struct reftable_block, 88);
AT(struct reftable_block, block_data, 8);
AT(struct reftable_block, hash_size, 40);
AT(struct reftable_block, zstream, 48);
AT(struct reftable_block, uncompressed_data, 56);
AT(struct reftable_block, uncompressed_cap, 64);
AT(struct reftable_block, restart_count, 72);
WIDTH(struct reftable_block, restart_count, 2);
AT(struct reftable_block, restart_off, 76);
AT(struct reftable_block, full_block_size, 80);
AT(struct reftable_block, block_type, 84);
WIDTH(struct reftable_block, block_type, 1);
SIZE(struct reftable_iterator, 16);
AT(struct reftable_iterator, iter_arg, 8);
SIZE(struct reftable_table_iterator, 8);
SIZE(struct reftable_ref_record, 96);
AT(struct reftable_ref_record, refname_cap, 8);
AT(struct reftable_ref_record, update_index, 16);
AT(struct reftable_ref_record, value_type, 24);
AT(struct reftable_ref_record, value.val1, 32);
AT(struct reftable_ref_record, value.val2.target_value, 64);
AT(struct reftable_ref_record, value.symref, 32);
SIZE(struct reftable_log_record, 144);
AT(struct reftable_log_record, refname_cap, 8);
AT(struct reftable_log_record, update_index, 16);
AT(struct reftable_log_record, value_type, 24);
AT(struct reftable_log_record, value.update.new_hash, 32);
AT(struct reftable_log_record, value.update.old_hash, 64);
AT(struct reftable_log_record, value.update.name, 96);
AT(struct reftable_log_record, value.update.email, 104);
AT(struct reftable_log_record, value.update.time, 112);
AT(struct reftable_log_record, value.update.tz_offset, 120);
WIDTH(struct reftable_log_record, value.update.tz_offset, 2);
AT(struct reftable_log_record, value.update.message, 128);
AT(struct reftable_log_record, value.update.message_cap, 136);
AT(struct reftable_write_options, block_size, 4);
AT(struct reftable_write_options, restart_interval, 10);
AT(struct reftable_write_options, lock_timeout_ms, 24);
#ifdef REFTABLE_GIT_2_55
SIZE(struct reftable_write_options, 48);
AT(struct reftable_write_options, hash_id, 12);
AT(struct reftable_write_options, default_permissions, 16);
AT(struct reftable_write_options, auto_compaction_factor, 21);
AT(struct reftable_write_options, on_reload, 32);
AT(struct reftable_write_options, on_reload_payload, 40);
#else
SIZE(struct reftable_stack_options, 32);
AT(struct reftable_stack_options, on_reload, 8);
AT(struct reftable_stack_options, on_reload_payload, 16);
AT(struct reftable_stack_options, suppress_deletions, 24);
SIZE(struct reftable_write_options, 32);
AT(struct reftable_write_options, default_permissions, 12);
AT(struct reftable_write_options, auto_compaction_factor, 17);
#endif
SIZE(struct reftable_log_expiry_config, 16);
AT(struct reftable_log_expiry_config, min_update_index, 8);
SIZE(struct reftable_compaction_stats, 24);
AT(struct reftable_compaction_stats, entries_written, 8);
AT(struct reftable_compaction_stats, attempts, 16);
AT(struct reftable_compaction_stats, failures, 20);
SIZE(struct reftable_table_offsets, 24);
SIZE(struct reftable_table, 144);
AT(struct reftable_table, source, 8);
AT(struct reftable_table, size, 24);
AT(struct reftable_table, hash_id, 32);
AT(struct reftable_table, block_size, 36);
AT(struct reftable_table, min_update_index, 40);
AT(struct reftable_table, max_update_index, 48);
AT(struct reftable_table, object_id_len, 56);
AT(struct reftable_table, version, 60);
AT(struct reftable_table, ref_offsets, 64);
AT(struct reftable_table, obj_offsets, 88);
AT(struct reftable_table, log_offsets, 112);
AT(struct reftable_table, refcount, 136);
SIZE(struct reftable_block_stats, 40);
AT(struct reftable_block_stats, max_index_level, 16);
AT(struct reftable_block_stats, offset, 24);
SIZE(struct reftable_stats, 176);
AT(struct reftable_stats, ref_stats, 8);
AT(struct reftable_stats, obj_stats, 48);
AT(struct reftable_stats, idx_stats, 88);
AT(struct reftable_stats, log_stats, 128);
AT(struct reftable_stats, object_id_len, 168);
SIZE(struct reftable_fsck_info, 24);
AT(struct reftable_fsck_info, msg, 8);
SIZE(struct reftable_tmpfile, 24);
AT(struct reftable_tmpfile, fd, 8);
SIZE(struct reftable_flock, 24);
AT(struct reftable_flock, fd, 8);
SIZE(struct reftable_mmap, 24);
AT(struct reftable_mmap, size, 8);

VALUE(REFTABLE_HASH_SHA1, 89);
VALUE(REFTABLE_HASH_SHA256, 247);
VALUE(REFTABLE_HASH_SIZE_MAX, 32);
VALUE(REFTABLE_REF_DELETION, 0);
VALUE(REFTABLE_REF_VAL1, 1);
VALUE(REFTABLE_REF_VAL2, 2);
VALUE(REFTABLE_REF_SYMREF, 3);
VALUE(REFTABLE_LOG_DELETION, 0);
VALUE(REFTABLE_LOG_UPDATE, 1);
VALUE(REFTABLE_STACK_NEW_ADDITION_RELOAD, 1);
VALUE(REFTABLE_BLOCK_TYPE_ANY, 0);
VALUE(REFTABLE_IO_ERROR, -2);
VALUE(REFTABLE_FORMAT_ERROR, -3);
VALUE(REFTABLE_NOT_EXIST_ERROR, -4);
VALUE(REFTABLE_LOCK_ERROR, -5);
VALUE(REFTABLE_API_ERROR, -6);
VALUE(REFTABLE_ZLIB_ERROR, -7);
VALUE(REFTABLE_EMPTY_TABLE_ERROR, -8);
VALUE(REFTABLE_REFNAME_ERROR, -10);
VALUE(REFTABLE_ENTRY_TOO_BIG_ERROR, -11);
VALUE(REFTABLE_OUTDATED_ERROR, -12);
VALUE(REFTABLE_OUT_OF_MEMORY_ERROR, -13);
VALUE(REFTABLE_FSCK_ERROR_TABLE_NAME, 0);

typedef int write_table_fn(struct reftable_writer *, void *);

IS(reftable_error_str, const char *(*)(int));
IS(reftable_set_alloc, void (*)(void *(*)(size_t), void *(*)(void *, size_t), void (*)(void *)));
IS(reftable_block_source_from_file, int (*)(struct reftable_block_source *, const char *));
IS(reftable_ref_record_val1, const unsigned char *(*)(const struct reftable_ref_record *));
IS(reftable_ref_record_val2, const unsigned char *(*)(const struct reftable_ref_record *));
IS(reftable_ref_record_is_deletion, int (*)(const struct reftable_ref_record *));
IS(reftable_ref_record_equal, int (*)(const struct reftable_ref_record *, const struct reftable_ref_record *, uint32_t));
IS(reftable_ref_record_release, void (*)(struct reftable_ref_record *));
IS(reftable_log_record_is_deletion, int (*)(const struct reftable_log_record *));
IS(reftable_log_record_equal, int (*)(const struct reftable_log_record *, const struct reftable_log_record *, uint32_t));
IS(reftable_log_record_release, void (*)(struct reftable_log_record *));
IS(reftable_iterator_seek_ref, int (*)(struct reftable_iterator *, const char *));
IS(reftable_iterator_next_ref, int (*)(struct reftable_iterator *, struct reftable_ref_record *));
IS(reftable_iterator_seek_log, int (*)(struct reftable_iterator *, const char *));
IS(reftable_iterator_seek_log_at, int (*)(struct reftable_iterator *, const char *, uint64_t));
IS(reftable_iterator_next_log, int (*)(struct reftable_iterator *, struct reftable_log_record *));
IS(reftable_iterator_destroy, void (*)(struct reftable_iterator *));
IS(reftable_table_new, int (*)(struct reftable_table **, struct reftable_block_source *, const char *));
IS(reftable_table_incref, void (*)(struct reftable_table *));
IS(reftable_table_decref, void (*)(struct reftable_table *));
IS(reftable_table_init_ref_iterator, int (*)(struct reftable_table *, struct reftable_iterator *));
IS(reftable_table_init_log_iterator, int (*)(struct reftable_table *, struct reftable_iterator *));
IS(reftable_block_init, int (*)(struct reftable_block *, struct reftable_block_source *, uint32_t, uint32_t, uint32_t,
				uint32_t, uint8_t));
IS(reftable_block_release, void (*)(struct reftable_block *));
IS(reftable_block_type, uint8_t (*)(const struct reftable_block *));
IS(reftable_block_first_key, int (*)(const struct reftable_block *, struct reftable_buf *));
IS(reftable_block_init_iterator, int (*)(const struct reftable_block *, struct reftable_iterator *));
IS(reftable_table_refs_for, int (*)(struct reftable_table *, struct reftable_iterator *, uint8_t *));
IS(reftable_table_hash_id, enum reftable_hash (*)(struct reftable_table *));
IS(reftable_table_max_update_index, uint64_t (*)(struct reftable_table *));
IS(reftable_table_min_update_index, uint64_t (*)(struct reftable_table *));
IS(reftable_table_iterator_init, int (*)(struct reftable_table_iterator *, struct reftable_table *));
IS(reftable_table_iterator_next, int (*)(struct reftable_table_iterator *, const struct reftable_block **));
IS(reftable_table_iterator_release, void (*)(struct reftable_table_iterator *));
IS(reftable_merged_table_new,
   int (*)(struct reftable_merged_table **, struct reftable_table **, size_t, enum reftable_hash));
IS(reftable_merged_table_free, void (*)(struct reftable_merged_table *));
IS(reftable_merged_table_init_ref_iterator, int (*)(struct reftable_merged_table *, struct reftable_iterator *));
IS(reftable_merged_table_init_log_iterator, int (*)(struct reftable_merged_table *, struct reftable_iterator *));
IS(reftable_merged_table_hash_id, enum reftable_hash (*)(struct reftable_merged_table *));
IS(reftable_merged_table_max_update_index, uint64_t (*)(struct reftable_merged_table *));
IS(reftable_merged_table_min_update_index, uint64_t (*)(struct reftable_merged_table *));
IS(reftable_writer_set_limits, int (*)(struct reftable_writer *, uint64_t, uint64_t));
IS(reftable_writer_add_ref, int (*)(struct reftable_writer *, struct reftable_ref_record *));
IS(reftable_writer_add_refs, int (*)(struct reftable_writer *, struct reftable_ref_record *, size_t));
IS(reftable_writer_add_log, int (*)(struct reftable_writer *, struct reftable_log_record *));
IS(reftable_writer_add_logs, int (*)(struct reftable_writer *, struct reftable_log_record *, size_t));
IS(reftable_writer_close, int (*)(struct reftable_writer *));
IS(reftable_writer_stats, const struct reftable_stats *(*)(struct reftable_writer *));
IS(reftable_writer_free, void (*)(struct reftable_writer *));
IS(reftable_stack_destroy, void (*)(struct reftable_stack *));
IS(reftable_stack_reload, int (*)(struct reftable_stack *));
IS(reftable_stack_next_update_index, uint64_t (*)(struct reftable_stack *));
IS(reftable_stack_hash_id, enum reftable_hash (*)(struct reftable_stack *));
IS(reftable_stack_init_ref_iterator, int (*)(struct reftable_stack *, struct reftable_iterator *));
IS(reftable_stack_init_log_iterator, int (*)(struct reftable_stack *, struct reftable_iterator *));
IS(reftable_stack_merged_table, struct reftable_merged_table *(*)(struct reftable_stack *));
IS(reftable_stack_read_ref, int (*)(struct reftable_stack *, const char *, struct reftable_ref_record *));
IS(reftable_stack_read_log, int (*)(struct reftable_stack *, const char *, struct reftable_log_record *));
IS(reftable_addition_add, int (*)(struct reftable_addition *, write_table_fn *, void *));
IS(reftable_addition_commit, int (*)(struct reftable_addition *));
IS(reftable_addition_destroy, void (*)(struct reftable_addition *));
IS(reftable_stack_clean, int (*)(struct reftable_stack *));
IS(reftable_stack_compaction_stats, struct reftable_compaction_stats *(*)(struct reftable_stack *));
IS(reftable_fsck_check, int (*)(struct reftable_stack *, reftable_fsck_report_fn *, reftable_fsck_verbose_fn *, void *));
#ifdef REFTABLE_GIT_2_55
IS(reftable_writer_new, int (*)(struct reftable_writer **, ssize_t (*)(void *, const void *, size_t), int (*)(void *),
				void *, const struct reftable_write_options *));
IS(reftable_new_stack, int (*)(struct reftable_stack **, const char *, const struct reftable_write_options *));
IS(reftable_stack_new_addition, int (*)(struct reftable_addition **, struct reftable_stack *, unsigned int));
IS(reftable_stack_add, int (*)(struct reftable_stack *, write_table_fn *, void *, unsigned));
IS(reftable_stack_compact_all, int (*)(struct reftable_stack *, struct reftable_log_expiry_config *));
IS(reftable_stack_auto_compact, int (*)(struct reftable_stack *));
IS(reftable_stack_compaction_required, int (*)(struct reftable_stack *, bool, bool *));
#else
IS(reftable_writer_new, int (*)(struct reftable_writer **, ssize_t (*)(void *, const void *, size_t), int (*)(void *),
				void *, enum reftable_hash, const struct reftable_write_options *));
IS(reftable_new_stack, int (*)(struct reftable_stack **, const char *, const struct reftable_stack_options *));
IS(reftable_stack_new_addition, int (*)(struct reftable_addition **, struct reftable_stack *,
					const struct reftable_write_options *, unsigned int));
IS(reftable_stack_add, int (*)(struct reftable_stack *, write_table_fn *, void *, const struct reftable_write_options *,
			       unsigned));
IS(reftable_stack_compact_all, int (*)(struct reftable_stack *, const struct reftable_write_options *,
				       struct reftable_log_expiry_config *));
IS(reftable_stack_auto_compact, int (*)(struct reftable_stack *, const struct reftable_write_options *));
IS(reftable_stack_compaction_required, int (*)(struct reftable_stack *, const struct reftable_write_options *, bool,
					       bool *));
#endif
IS(flock_acquire, int (*)(struct reftable_flock *, const char *, long));
IS(flock_close, int (*)(struct reftable_flock *));
IS(flock_release, int (*)(struct reftable_flock *));
IS(tmpfile_from_pattern, int (*)(struct reftable_tmpfile *, const char *));
IS(tmpfile_close, int (*)(struct reftable_tmpfile *));
IS(tmpfile_delete, int (*)(struct reftable_tmpfile *));
IS(tmpfile_rename, int (*)(struct reftable_tmpfile *, const char *));
IS(reftable_rand, uint32_t (*)(void));
IS(reftable_time_ms, uint64_t (*)(void));
IS(reftable_mmap, int (*)(struct reftable_mmap *, int, size_t));
IS(reftable_munmap, int (*)(struct reftable_mmap *));

/* Where the bits of the bit fields are, which the language cannot say at compile time. */
#ifndef HOST_HEADERS
#include <stdio.h>
#include <string.h>

#ifdef REFTABLE_GIT_2_55
#define BITS 20
#else
#define BITS 16
#endif

int main(void)
{
	const struct reftable_write_options all = { .unpadded = 1, .skip_index_objects = 1, .disable_auto_compact = 1 };
	const struct reftable_write_options exact = { .exact_log_message = 1 };
	unsigned char bytes[sizeof(all)];
	memcpy(bytes, &all, sizeof(all));
	if (bytes[0] != 1 || bytes[8] != 1 || bytes[BITS] != 2)
		return 1;
	memcpy(bytes, &exact, sizeof(exact));
	return bytes[BITS] != 1;
}
#endif
