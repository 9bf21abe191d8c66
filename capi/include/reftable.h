/*
 * libreftable: git references in reftable files.
 *
 * The interface is that of git's own C library, as of git master 1a3e64c6c4a623626ff0687008732a8e007e2a1c (August 2026, after
 * 2.55); with REFTABLE_GIT_2_55 defined, as of git 2.55, for a library that was built for that. git changes it without
 * another name for what changed, and no linker notices: a program that includes headers of another git must not be
 * linked with this library. `make HOST=` checks a git's.
 *
 * Conventions. Functions answer 0, a code below 0 (enum reftable_error), or 1 for "the end" and "not found". Memory that
 * crosses the boundary belongs to one family of allocators: reftable_set_alloc()'s, malloc's by default. Every function
 * that frees, releases, destroys or closes takes null and zeroed structs. Nothing is safe for two threads at a time;
 * anything may move from one thread to another.
 */
#ifndef REFTABLE_H
#define REFTABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- errors ---- */

enum reftable_error {
	REFTABLE_IO_ERROR = -2,
	REFTABLE_FORMAT_ERROR = -3,		/* bytes on disk break a rule */
	REFTABLE_NOT_EXIST_ERROR = -4,		/* a file is missing */
	REFTABLE_LOCK_ERROR = -5,		/* another process has the lock */
	REFTABLE_API_ERROR = -6,		/* an argument, or the order of calls */
	REFTABLE_ZLIB_ERROR = -7,
	REFTABLE_EMPTY_TABLE_ERROR = -8,	/* a table was closed without records */
	REFTABLE_REFNAME_ERROR = -10,
	REFTABLE_ENTRY_TOO_BIG_ERROR = -11,	/* a record does not fit into a block */
	REFTABLE_OUTDATED_ERROR = -12,		/* reload the stack first */
	REFTABLE_OUT_OF_MEMORY_ERROR = -13,
};

/* What a code means, in a few words. Never freed. */
const char *reftable_error_str(int code);

/* ---- memory, hashes, buffers ---- */

/*
 * Names the allocator family. Before anything else is called, or after everything was freed; null stands for libc's.
 * malloc(0) is never asked for.
 */
void reftable_set_alloc(void *(*malloc_fn)(size_t), void *(*realloc_fn)(void *, size_t), void (*free_fn)(void *));

/* The family, for programs that fill records. reftable_malloc(0) is null; reftable_free keeps errno. */
void *reftable_malloc(size_t size);
void *reftable_calloc(size_t count, size_t size);
char *reftable_strdup(const char *string);
void reftable_free(void *memory);

enum reftable_hash {
	REFTABLE_HASH_SHA1 = 89,
	REFTABLE_HASH_SHA256 = 247,
};

#define REFTABLE_HASH_SIZE_SHA1 20
#define REFTABLE_HASH_SIZE_SHA256 32
#define REFTABLE_HASH_SIZE_MAX 32

/* A string of bytes that grows; a zero follows the last. All zeros are an empty one. */
struct reftable_buf {
	size_t alloc;
	size_t len;
	char *buf;
};

#define REFTABLE_BUF_INIT { 0 }

int reftable_buf_add(struct reftable_buf *buf, const void *data, size_t len);
void reftable_buf_release(struct reftable_buf *buf);

/* ---- records ---- */

#define REFTABLE_NR_REF_VALUETYPES 4
#define REFTABLE_NR_LOG_VALUETYPES 2

/*
 * A reference. All zeros are an empty record. The library fills it again and again: refname has refname_cap bytes, and
 * may move. A string that you put in has the capacity 0.
 */
struct reftable_ref_record {
	char *refname;
	size_t refname_cap;
	uint64_t update_index;
	enum {
		REFTABLE_REF_DELETION = 0,	/* hides the name in older tables */
		REFTABLE_REF_VAL1 = 1,		/* an id */
		REFTABLE_REF_VAL2 = 2,		/* the id of a tag, and what the tag leads to */
		REFTABLE_REF_SYMREF = 3,	/* another reference */
	} value_type;
	union {
		unsigned char val1[REFTABLE_HASH_SIZE_MAX];
		struct {
			unsigned char value[REFTABLE_HASH_SIZE_MAX];
			unsigned char target_value[REFTABLE_HASH_SIZE_MAX];
		} val2;
		char *symref;
	} value;
};

/* The id, or null; the peeled id, or null. They belong to the record. */
const unsigned char *reftable_ref_record_val1(const struct reftable_ref_record *record);
const unsigned char *reftable_ref_record_val2(const struct reftable_ref_record *record);
int reftable_ref_record_is_deletion(const struct reftable_ref_record *record);
int reftable_ref_record_equal(const struct reftable_ref_record *a, const struct reftable_ref_record *b,
			      uint32_t hash_size);
/* Frees what the record holds, and zeroes it. */
void reftable_ref_record_release(struct reftable_ref_record *record);

/* An entry of a reflog. As above. */
struct reftable_log_record {
	char *refname;
	size_t refname_cap;
	uint64_t update_index;
	enum {
		REFTABLE_LOG_DELETION = 0,	/* hides the entry of this name and number in older tables */
		REFTABLE_LOG_UPDATE = 1,
	} value_type;
	union {
		struct {
			unsigned char new_hash[REFTABLE_HASH_SIZE_MAX];
			unsigned char old_hash[REFTABLE_HASH_SIZE_MAX];
			char *name;
			char *email;
			uint64_t time;		/* seconds since 1970 */
			int16_t tz_offset;	/* +0130 is 130 */
			char *message;
			size_t message_cap;
		} update;
	} value;
};

int reftable_log_record_is_deletion(const struct reftable_log_record *record);
int reftable_log_record_equal(const struct reftable_log_record *a, const struct reftable_log_record *b,
			      uint32_t hash_size);
void reftable_log_record_release(struct reftable_log_record *record);

/* ---- iterators ---- */

struct reftable_iterator_vtable;

/*
 * A walk over references or reflog entries. All zeros are one that is not in use, for an init function. It keeps what it
 * walks over: stacks and tables may be freed before it. Seek it before the first record, and as often as you like.
 */
struct reftable_iterator {
	struct reftable_iterator_vtable *ops;	/* null when not in use */
	void *iter_arg;
};

/* Moves before the first reference whose name is at least this one. */
int reftable_iterator_seek_ref(struct reftable_iterator *it, const char *name);
/* Reads a record. 1 at the end, and ever after. */
int reftable_iterator_next_ref(struct reftable_iterator *it, struct reftable_ref_record *record);

/* Moves before the newest entry of a name; of those not newer than update_index. */
int reftable_iterator_seek_log(struct reftable_iterator *it, const char *name);
int reftable_iterator_seek_log_at(struct reftable_iterator *it, const char *name, uint64_t update_index);
int reftable_iterator_next_log(struct reftable_iterator *it, struct reftable_log_record *record);

/* It may be initialised again afterwards. */
void reftable_iterator_destroy(struct reftable_iterator *it);

/* ---- block sources, blocks ---- */

#define REFTABLE_BLOCK_TYPE_ANY 0
#define REFTABLE_BLOCK_TYPE_REF 'r'
#define REFTABLE_BLOCK_TYPE_LOG 'g'
#define REFTABLE_BLOCK_TYPE_INDEX 'i'
#define REFTABLE_BLOCK_TYPE_OBJ 'o'

struct reftable_block_data;

/* Where bytes come from. read_data answers the number of bytes, or a code below 0; release_data takes them back. */
struct reftable_block_source_vtable {
	uint64_t (*size)(void *arg);
	ssize_t (*read_data)(void *arg, struct reftable_block_data *dest, uint64_t offset, uint32_t size);
	void (*release_data)(void *arg, struct reftable_block_data *data);
	void (*close)(void *arg);
};

struct reftable_block_source {
	struct reftable_block_source_vtable *ops;
	void *arg;
};

struct reftable_block_data {
	uint8_t *data;
	size_t len;
	struct reftable_block_source source;
};

/* A file; a code of its own when it is not there. */
int reftable_block_source_from_file(struct reftable_block_source *source, const char *name);
/* A buffer, which stays yours and must outlive the source. */
void block_source_from_buf(struct reftable_block_source *source, struct reftable_buf *buf);

struct z_stream_s;

/*
 * A block. All zeros are one that is not in use. The fields from restart_count on are what hosts look at; zstream is the
 * library's.
 */
struct reftable_block {
	uint32_t header_off;
	struct reftable_block_data block_data;
	uint32_t hash_size;
	struct z_stream_s *zstream;
	unsigned char *uncompressed_data;
	size_t uncompressed_cap;
	uint16_t restart_count;
	uint32_t restart_off;
	uint32_t full_block_size;	/* bytes in the file, padding included; deflated, for logs */
	uint8_t block_type;
};

/*
 * Reads the block at an offset of a source, which is not needed afterwards. header_size is 24 or 28, the length of the file's
 * header, for the first block of a file, and 0 for all others. 1, and no block, if it is not of want_type. A block that
 * is in use is released first.
 */
int reftable_block_init(struct reftable_block *block, struct reftable_block_source *source, uint32_t offset,
			uint32_t header_size, uint32_t table_block_size, uint32_t hash_size, uint8_t want_type);
/* Not for blocks of a table iterator. */
void reftable_block_release(struct reftable_block *block);
uint8_t reftable_block_type(const struct reftable_block *block);
/* The first key, in place of what was in the buffer: for logs a name, a zero, and eight bytes of update index. */
int reftable_block_first_key(const struct reftable_block *block, struct reftable_buf *key);
/*
 * An iterator over a block of references or of log entries, before the first. It keeps what it walks over. Update
 * indexes of references count from the smallest of their table, as the block states them.
 */
int reftable_block_init_iterator(const struct reftable_block *block, struct reftable_iterator *it);

/* ---- tables ---- */

struct reftable_table_offsets {
	int is_present;
	uint64_t offset;
	uint64_t index_offset;
};

/* An open table. Read the fields, leave them alone. */
struct reftable_table {
	char *name;
	struct reftable_block_source source;
	uint64_t size;			/* without the footer */
	enum reftable_hash hash_id;
	uint32_t block_size;
	uint64_t min_update_index;
	uint64_t max_update_index;
	int object_id_len;
	int version;
	struct reftable_table_offsets ref_offsets;
	struct reftable_table_offsets obj_offsets;
	struct reftable_table_offsets log_offsets;
	uint64_t refcount;
};

/* Opens a table. The source is the table's from now on, also when this fails. Counted once. */
int reftable_table_new(struct reftable_table **out, struct reftable_block_source *source, const char *name);
void reftable_table_incref(struct reftable_table *table);
void reftable_table_decref(struct reftable_table *table);

/* Iterators over one table show tombstones. */
int reftable_table_init_ref_iterator(struct reftable_table *table, struct reftable_iterator *it);
int reftable_table_init_log_iterator(struct reftable_table *table, struct reftable_iterator *it);
/*
 * An iterator over the references whose id or peeled id is oid, before the first of them. It can be sought as one over
 * references.
 */
int reftable_table_refs_for(struct reftable_table *table, struct reftable_iterator *it, uint8_t *oid);
enum reftable_hash reftable_table_hash_id(struct reftable_table *table);
uint64_t reftable_table_max_update_index(struct reftable_table *table);
uint64_t reftable_table_min_update_index(struct reftable_table *table);

/* A walk over the blocks of a table, which it keeps. A block is valid until the next call. */
struct reftable_table_iterator {
	void *iter_arg;
};

int reftable_table_iterator_init(struct reftable_table_iterator *it, struct reftable_table *table);
int reftable_table_iterator_next(struct reftable_table_iterator *it, const struct reftable_block **out);
void reftable_table_iterator_release(struct reftable_table_iterator *it);

/* ---- several tables as one ---- */

struct reftable_merged_table;

/* The tables are given oldest first, and must stay while this does. */
int reftable_merged_table_new(struct reftable_merged_table **out, struct reftable_table **tables, size_t count,
			      enum reftable_hash hash_id);
void reftable_merged_table_free(struct reftable_merged_table *merged);
int reftable_merged_table_init_ref_iterator(struct reftable_merged_table *merged, struct reftable_iterator *it);
int reftable_merged_table_init_log_iterator(struct reftable_merged_table *merged, struct reftable_iterator *it);
enum reftable_hash reftable_merged_table_hash_id(struct reftable_merged_table *merged);
uint64_t reftable_merged_table_max_update_index(struct reftable_merged_table *merged);
uint64_t reftable_merged_table_min_update_index(struct reftable_merged_table *merged);

/* ---- writing tables ---- */

/* All zeros are the defaults. */
struct reftable_write_options {
	unsigned unpadded : 1;			/* blocks are not filled up */
	uint32_t block_size;			/* 64 to 2^24 - 1; 0 is 4096 */
	unsigned skip_index_objects : 1;	/* no section of objects */
	uint16_t restart_interval;		/* 0 is 16 */
#ifdef REFTABLE_GIT_2_55
	enum reftable_hash hash_id;		/* 0 is SHA-1 */
#endif
	unsigned int default_permissions;	/* mode bits of new files; 0 leaves them to the umask */
	unsigned exact_log_message : 1;		/* messages as they are; else one line, ended by a newline, also for none */
	unsigned disable_auto_compact : 1;	/* an addition does not compact */
	uint8_t auto_compaction_factor;		/* 0 and 1 are 2 */
	long lock_timeout_ms;			/* for the list: 0 does not wait, below 0 is for ever */
#ifdef REFTABLE_GIT_2_55
	void (*on_reload)(void *payload);	/* called whenever what readers see may have changed; may use the stack */
	void *on_reload_payload;
#endif
};

/* Of blocks of one kind, those that were written in whole. */
struct reftable_block_stats {
	int entries;
	uint32_t restarts;		/* records whose key stands alone */
	int blocks;
	int index_blocks;		/* of the index over them */
	int max_index_level;		/* its levels */
	uint64_t offset;		/* of the first of them, 0 if that begins the file */
	uint64_t index_offset;		/* of the topmost level, 0 without an index */
};

struct reftable_stats {
	int blocks;			/* of all kinds */
	struct reftable_block_stats ref_stats;
	struct reftable_block_stats obj_stats;
	struct reftable_block_stats idx_stats;
	struct reftable_block_stats log_stats;
	int object_id_len;		/* bytes of an id in the section of objects */
};

struct reftable_writer;

/*
 * A writer over functions of yours: write_fn writes all it is given, or answers a code below 0; flush_fn is called at the
 * end, and may be null.
 */
int reftable_writer_new(struct reftable_writer **out, ssize_t (*write_fn)(void *arg, const void *data, size_t len),
			int (*flush_fn)(void *arg), void *arg,
#ifndef REFTABLE_GIT_2_55
			enum reftable_hash hash_id,
#endif
			const struct reftable_write_options *options);

/* The range of update indexes. Before the first record. */
int reftable_writer_set_limits(struct reftable_writer *writer, uint64_t min, uint64_t max);

/*
 * References first, by name; then reflog entries, by name and newest first. Records are borrowed, and not changed. The
 * functions for many sort your array. Misuse changes nothing; after any other error the writer is of no more use.
 */
int reftable_writer_add_ref(struct reftable_writer *writer, struct reftable_ref_record *record);
int reftable_writer_add_refs(struct reftable_writer *writer, struct reftable_ref_record *records, size_t count);
int reftable_writer_add_log(struct reftable_writer *writer, struct reftable_log_record *record);
int reftable_writer_add_logs(struct reftable_writer *writer, struct reftable_log_record *records, size_t count);

/* What was written so far. The writer's; each call brings it up to date. */
const struct reftable_stats *reftable_writer_stats(struct reftable_writer *writer);

/* These are for writers of reftable_writer_new only. */
int reftable_writer_close(struct reftable_writer *writer);
void reftable_writer_free(struct reftable_writer *writer);

/* ---- stacks ---- */

struct reftable_stack;

#ifndef REFTABLE_GIT_2_55
struct reftable_stack_options {
	enum reftable_hash hash_id;		/* 0 is SHA-1 */
	void (*on_reload)(void *payload);	/* called whenever what readers see may have changed; may use the stack */
	void *on_reload_payload;
	int suppress_deletions;			/* iterators do not show tombstones */
};
#endif

/*
 * Opens the store in dir. on_reload is called before *out is set. Readers see one state until the next reload or write.
 * With git 2.55 the options of writing are said here, and iterators show no tombstones.
 */
#ifdef REFTABLE_GIT_2_55
int reftable_new_stack(struct reftable_stack **out, const char *dir, const struct reftable_write_options *options);
#else
int reftable_new_stack(struct reftable_stack **out, const char *dir, const struct reftable_stack_options *options);
#endif
void reftable_stack_destroy(struct reftable_stack *stack);
int reftable_stack_reload(struct reftable_stack *stack);
uint64_t reftable_stack_next_update_index(struct reftable_stack *stack);
enum reftable_hash reftable_stack_hash_id(struct reftable_stack *stack);

int reftable_stack_init_ref_iterator(struct reftable_stack *stack, struct reftable_iterator *it);
int reftable_stack_init_log_iterator(struct reftable_stack *stack, struct reftable_iterator *it);
/* Belongs to the stack, until the next reload or write. */
struct reftable_merged_table *reftable_stack_merged_table(struct reftable_stack *stack);
/* One record; 1 when there is none, and then the record is released. */
int reftable_stack_read_ref(struct reftable_stack *stack, const char *name, struct reftable_ref_record *record);
int reftable_stack_read_log(struct reftable_stack *stack, const char *name, struct reftable_log_record *record);

/* A transaction: holds the lock from the beginning to commit or destroy. */
struct reftable_addition;

enum {
	REFTABLE_STACK_NEW_ADDITION_RELOAD = 1,	/* reload an outdated stack instead of failing */
};

/* *out is null when this fails. options may be null. */
int reftable_stack_new_addition(struct reftable_addition **out, struct reftable_stack *stack,
#ifndef REFTABLE_GIT_2_55
				const struct reftable_write_options *options,
#endif
				unsigned int flags);
/* write_table sets the limits and adds records; it may read the stack. A code below 0 of its is handed on. */
int reftable_addition_add(struct reftable_addition *addition,
			  int (*write_table)(struct reftable_writer *writer, void *arg), void *arg);
/* Publishes the tables, lets the lock go, and compacts. Destroy it all the same. */
int reftable_addition_commit(struct reftable_addition *addition);
void reftable_addition_destroy(struct reftable_addition *addition);

/* All of that for one table. */
int reftable_stack_add(struct reftable_stack *stack, int (*write_table)(struct reftable_writer *writer, void *arg),
		       void *arg,
#ifndef REFTABLE_GIT_2_55
		       const struct reftable_write_options *options,
#endif
		       unsigned flags);

/* Leaves out entries from before time, and below min_update_index; 0 is for neither. */
struct reftable_log_expiry_config {
	uint64_t time;
	uint64_t min_update_index;
};

#ifdef REFTABLE_GIT_2_55
int reftable_stack_compact_all(struct reftable_stack *stack, struct reftable_log_expiry_config *config);
int reftable_stack_auto_compact(struct reftable_stack *stack);
int reftable_stack_compaction_required(struct reftable_stack *stack, bool use_heuristics, bool *required);
#else
int reftable_stack_compact_all(struct reftable_stack *stack, const struct reftable_write_options *options,
			       struct reftable_log_expiry_config *config);
int reftable_stack_auto_compact(struct reftable_stack *stack, const struct reftable_write_options *options);
int reftable_stack_compaction_required(struct reftable_stack *stack, const struct reftable_write_options *options,
				       bool use_heuristics, bool *required);
#endif
/* Removes tables that nothing lists. Waits for the lock as long as the call before was told to. */
int reftable_stack_clean(struct reftable_stack *stack);

struct reftable_compaction_stats {
	uint64_t bytes;
	uint64_t entries_written;
	int attempts;
	int failures;
};

/* Belongs to the stack. */
struct reftable_compaction_stats *reftable_stack_compaction_stats(struct reftable_stack *stack);

/* ---- checks ---- */

enum reftable_fsck_error {
	REFTABLE_FSCK_ERROR_TABLE_NAME = 0,
	REFTABLE_FSCK_MAX_VALUE,
};

struct reftable_fsck_info {
	enum reftable_fsck_error error;
	const char *msg;
	const char *path;
};

typedef int reftable_fsck_report_fn(struct reftable_fsck_info *info, void *cb_data);
typedef void reftable_fsck_verbose_fn(const char *msg, void *cb_data);

/* Reports tables with odd names. Answers the reports' answers, combined by |. */
int reftable_fsck_check(struct reftable_stack *stack, reftable_fsck_report_fn *report_fn,
			reftable_fsck_verbose_fn *verbose_fn, void *cb_data);

/* ---- what a host may bring ---- */

/*
 * A program that defines all of the functions below but reftable_fsync is a host: the library then creates files, locks,
 * maps, draws random numbers and tells the time by them, and syncs when and how reftable_fsync does. Without them it has
 * its own ways: robust locks, and tables, lists and directory synced.
 *
 * reftable_has_host tells which of the two. git's library does not have it, nor the two that follow.
 */
int reftable_has_host(void);

/* The name and version of this library, and the git that it fits: "(git 2.55)", or a commit of master. */
const char *reftable_version(void);

/*
 * How stacks that are opened from now on write: "git", as git does, or "full": what is committed survives a power
 * failure, whatever reftable_fsync does, few commits compact, and large compactions copy blocks. The default is what
 * the environment says in REFTABLE_POLICY, and "git" without. REFTABLE_API_ERROR for other words, here and from
 * reftable_new_stack for those in the environment, which are named on standard error besides.
 */
int reftable_set_policy(const char *policy);

struct reftable_tmpfile {
	const char *path;
	int fd;
	void *priv;
};

struct reftable_flock {
	const char *path;
	int fd;
	void *priv;
};

struct reftable_mmap {
	void *data;
	size_t size;
	void *priv;
};

/* TARGET.lock, created exclusively; REFTABLE_LOCK_ERROR when there is one. The library asks with a timeout of 0. */
int flock_acquire(struct reftable_flock *lock, const char *target, long timeout_ms);
int flock_close(struct reftable_flock *lock);
int flock_release(struct reftable_flock *lock);
/* The pattern ends with XXXXXX. */
int tmpfile_from_pattern(struct reftable_tmpfile *file, const char *pattern);
int tmpfile_close(struct reftable_tmpfile *file);
int tmpfile_delete(struct reftable_tmpfile *file);
int tmpfile_rename(struct reftable_tmpfile *file, const char *path);
uint32_t reftable_rand(void);
uint64_t reftable_time_ms(void);
int reftable_mmap(struct reftable_mmap *out, int fd, size_t len);
int reftable_munmap(struct reftable_mmap *map);
int reftable_fsync(int fd);

/* Three more that a host may have, as git does: files that its signal handlers remove. All of them, or none counts. */
struct tempfile;
struct tempfile *register_tempfile(const char *path);
int rename_tempfile(struct tempfile **file, const char *path);
int delete_tempfile(struct tempfile **file);

#ifdef __cplusplus
}
#endif

#endif
