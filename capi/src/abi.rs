//! The structs that C programs see, and the constants. Their layout is the interface: checked
//! below, and by a C program in the tests.
//!
//! A number that C calls an enum is a plain integer here, because C may put anything into it.

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};

pub(crate) const HASH_SHA1: c_uint = 89;
pub(crate) const HASH_SHA256: c_uint = 247;

pub(crate) const REF_DELETION: c_uint = 0;
pub(crate) const REF_VAL1: c_uint = 1;
pub(crate) const REF_VAL2: c_uint = 2;
pub(crate) const REF_SYMREF: c_uint = 3;
pub(crate) const LOG_DELETION: c_uint = 0;
pub(crate) const LOG_UPDATE: c_uint = 1;

/// A flag of `reftable_stack_new_addition`.
pub(crate) const NEW_ADDITION_RELOAD: c_uint = 1;

/// The one finding of `reftable_fsck_check`.
pub(crate) const FSCK_TABLE_NAME: c_uint = 0;

/// The largest id in bytes.
pub(crate) const HASH_MAX: usize = 32;

#[repr(C)]
pub struct reftable_buf {
    pub alloc: usize,
    pub len: usize,
    pub buf: *mut c_char,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct reftable_block_source {
    pub ops: *const reftable_block_source_vtable,
    pub arg: *mut c_void,
}

#[repr(C)]
pub struct reftable_block_data {
    pub data: *mut u8,
    pub len: usize,
    pub source: reftable_block_source,
}

#[repr(C)]
pub struct reftable_block_source_vtable {
    pub size: Option<unsafe extern "C" fn(*mut c_void) -> u64>,
    pub read_data: Option<unsafe extern "C" fn(*mut c_void, *mut reftable_block_data, u64, u32) -> isize>,
    pub release_data: Option<unsafe extern "C" fn(*mut c_void, *mut reftable_block_data)>,
    pub close: Option<unsafe extern "C" fn(*mut c_void)>,
}

#[repr(C)]
pub struct reftable_block {
    pub header_off: u32,
    pub block_data: reftable_block_data,
    pub hash_size: u32,
    /// In C a deflate stream that no host looks at. Here all that a block stands for.
    pub contents: *mut c_void,
    pub uncompressed_data: *mut u8,
    pub uncompressed_cap: usize,
    pub restart_count: u16,
    pub restart_off: u32,
    pub full_block_size: u32,
    pub block_type: u8,
}

#[repr(C)]
pub struct reftable_iterator {
    /// Not null while the iterator is in use: hosts ask.
    pub ops: *const c_void,
    pub iter_arg: *mut c_void,
}

#[repr(C)]
pub struct reftable_table_iterator {
    pub iter_arg: *mut c_void,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Val2 {
    pub value: [u8; HASH_MAX],
    pub target_value: [u8; HASH_MAX],
}

#[repr(C)]
pub union RefValue {
    pub val1: [u8; HASH_MAX],
    pub val2: Val2,
    pub symref: *mut c_char,
}

#[repr(C)]
pub struct reftable_ref_record {
    pub refname: *mut c_char,
    pub refname_cap: usize,
    pub update_index: u64,
    pub value_type: c_uint,
    pub value: RefValue,
}

#[repr(C)]
pub struct LogUpdate {
    pub new_hash: [u8; HASH_MAX],
    pub old_hash: [u8; HASH_MAX],
    pub name: *mut c_char,
    pub email: *mut c_char,
    pub time: u64,
    pub tz_offset: i16,
    pub message: *mut c_char,
    pub message_cap: usize,
}

#[repr(C)]
pub struct reftable_log_record {
    pub refname: *mut c_char,
    pub refname_cap: usize,
    pub update_index: u64,
    pub value_type: c_uint,
    /// In C a union of one.
    pub update: LogUpdate,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct reftable_stack_options {
    pub hash_id: c_uint,
    pub on_reload: Option<unsafe extern "C" fn(*mut c_void)>,
    pub on_reload_payload: *mut c_void,
    pub suppress_deletions: c_int,
}

/// Bit fields are bytes here, named by what their bits are.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct reftable_write_options {
    /// Bit 0: unpadded.
    pub unpadded: u8,
    pub block_size: u32,
    /// Bit 0: skip_index_objects.
    pub skip_index_objects: u8,
    pub restart_interval: u16,
    pub default_permissions: c_uint,
    /// Bit 0: exact_log_message; bit 1: disable_auto_compact.
    pub exact_and_disable: u8,
    pub auto_compaction_factor: u8,
    pub lock_timeout_ms: c_long,
}

#[repr(C)]
pub struct reftable_log_expiry_config {
    pub time: u64,
    pub min_update_index: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct reftable_compaction_stats {
    pub bytes: u64,
    pub entries_written: u64,
    pub attempts: c_int,
    pub failures: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct reftable_table_offsets {
    pub is_present: c_int,
    pub offset: u64,
    pub index_offset: u64,
}

#[repr(C)]
pub struct reftable_table {
    pub name: *mut c_char,
    pub source: reftable_block_source,
    pub size: u64,
    pub hash_id: c_uint,
    pub block_size: u32,
    pub min_update_index: u64,
    pub max_update_index: u64,
    pub object_id_len: c_int,
    pub version: c_int,
    pub ref_offsets: reftable_table_offsets,
    pub obj_offsets: reftable_table_offsets,
    pub log_offsets: reftable_table_offsets,
    pub refcount: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct reftable_block_stats {
    pub entries: c_int,
    pub restarts: u32,
    pub blocks: c_int,
    pub index_blocks: c_int,
    pub max_index_level: c_int,
    pub offset: u64,
    pub index_offset: u64,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct reftable_stats {
    pub blocks: c_int,
    pub ref_stats: reftable_block_stats,
    pub obj_stats: reftable_block_stats,
    pub idx_stats: reftable_block_stats,
    pub log_stats: reftable_block_stats,
    pub object_id_len: c_int,
}

#[repr(C)]
pub struct reftable_fsck_info {
    pub error: c_uint,
    pub msg: *const c_char,
    pub path: *const c_char,
}

#[repr(C)]
pub struct reftable_tmpfile {
    pub path: *const c_char,
    pub fd: c_int,
    pub private: *mut c_void,
}

#[repr(C)]
pub struct reftable_flock {
    pub path: *const c_char,
    pub fd: c_int,
    pub private: *mut c_void,
}

#[repr(C)]
pub struct reftable_mmap {
    pub data: *mut c_void,
    pub size: usize,
    pub private: *mut c_void,
}

macro_rules! layout {
    ($($struct:ident $size:literal { $($field:ident $(. $inner:ident)? @ $offset:literal),* $(,)? })*) => {
        #[cfg(all(target_pointer_width = "64", unix))]
        const _: () = {
            use std::mem::{offset_of, size_of};
            $(
                assert!(size_of::<$struct>() == $size, stringify!($struct));
                $(assert!(
                    offset_of!($struct, $field $(. $inner)?) == $offset,
                    concat!(stringify!($struct), ".", stringify!($field))
                );)*
            )*
        };
    };
}

layout! {
    reftable_buf 24 { alloc@0, len@8, buf@16 }
    reftable_block_source 16 { ops@0, arg@8 }
    reftable_block_source_vtable 32 { size@0, read_data@8, release_data@16, close@24 }
    reftable_block_data 32 { data@0, len@8, source@16 }
    reftable_block 88 {
        header_off@0, block_data@8, hash_size@40, contents@48, uncompressed_data@56, uncompressed_cap@64,
        restart_count@72, restart_off@76, full_block_size@80, block_type@84,
    }
    reftable_iterator 16 { ops@0, iter_arg@8 }
    reftable_table_iterator 8 { iter_arg@0 }
    Val2 64 { value@0, target_value@32 }
    RefValue 64 { val1@0, val2@0, symref@0 }
    reftable_ref_record 96 { refname@0, refname_cap@8, update_index@16, value_type@24, value@32 }
    reftable_log_record 144 {
        refname@0, refname_cap@8, update_index@16, value_type@24, update.new_hash@32, update.old_hash@64,
        update.name@96, update.email@104, update.time@112, update.tz_offset@120, update.message@128,
        update.message_cap@136,
    }
    reftable_stack_options 32 { hash_id@0, on_reload@8, on_reload_payload@16, suppress_deletions@24 }
    reftable_write_options 32 {
        unpadded@0, block_size@4, skip_index_objects@8, restart_interval@10, default_permissions@12,
        exact_and_disable@16, auto_compaction_factor@17, lock_timeout_ms@24,
    }
    reftable_log_expiry_config 16 { time@0, min_update_index@8 }
    reftable_compaction_stats 24 { bytes@0, entries_written@8, attempts@16, failures@20 }
    reftable_table_offsets 24 { is_present@0, offset@8, index_offset@16 }
    reftable_table 144 {
        name@0, source@8, size@24, hash_id@32, block_size@36, min_update_index@40, max_update_index@48,
        object_id_len@56, version@60, ref_offsets@64, obj_offsets@88, log_offsets@112, refcount@136,
    }
    reftable_block_stats 40 {
        entries@0, restarts@4, blocks@8, index_blocks@12, max_index_level@16, offset@24, index_offset@32,
    }
    reftable_stats 176 { blocks@0, ref_stats@8, obj_stats@48, idx_stats@88, log_stats@128, object_id_len@168 }
    reftable_fsck_info 24 { error@0, msg@8, path@16 }
    reftable_tmpfile 24 { path@0, fd@8, private@16 }
    reftable_flock 24 { path@0, fd@8, private@16 }
    reftable_mmap 24 { data@0, size@8, private@16 }
}
