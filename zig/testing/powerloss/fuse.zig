//! The kernel's FUSE protocol, as far as the power-loss file system speaks it: version 7.31.
//!
//! **Invariants.** Structures have the sizes and offsets of the kernel's `linux/fuse.h`.
//!
//! **Concurrency** and **Memory.** Values.

const std = @import("std");
const assert = std.debug.assert;

pub const major: u32 = 7;
pub const minor: u32 = 31;

pub const Opcode = enum(u32) {
    lookup = 1,
    forget = 2,
    getattr = 3,
    setattr = 4,
    mknod = 8,
    mkdir = 9,
    unlink = 10,
    rmdir = 11,
    rename = 12,
    link = 13,
    open = 14,
    read = 15,
    write = 16,
    statfs = 17,
    release = 18,
    fsync = 20,
    init = 26,
    opendir = 27,
    readdir = 28,
    releasedir = 29,
    fsyncdir = 30,
    create = 35,
    interrupt = 36,
    destroy = 38,
    batch_forget = 42,
    fallocate = 43,
    rename2 = 45,
    _,
};

pub const InHeader = extern struct {
    len: u32,
    opcode: Opcode,
    unique: u64,
    node: u64,
    uid: u32,
    gid: u32,
    pid: u32,
    padding: u32,

    comptime {
        assert(@sizeOf(InHeader) == 40);
    }
};

pub const OutHeader = extern struct {
    len: u32,
    /// 0, or an error number below it.
    status: i32,
    unique: u64,

    comptime {
        assert(@sizeOf(OutHeader) == 16);
    }
};

pub const InitIn = extern struct { major: u32, minor: u32, max_readahead: u32, flags: u32 };

pub const InitOut = extern struct {
    major: u32,
    minor: u32,
    max_readahead: u32,
    flags: u32,
    max_background: u16,
    congestion_threshold: u16,
    max_write: u32,
    time_gran: u32,
    max_pages: u16,
    map_alignment: u16,
    unused: [8]u32 = @splat(0),

    comptime {
        assert(@sizeOf(InitOut) == 64);
    }
};

/// Writes may be larger than a page.
pub const flag_big_writes = 1 << 5;
/// O_TRUNC comes with `open`, not as a request of its own.
pub const flag_atomic_truncation = 1 << 3;

pub const Attributes = extern struct {
    inode: u64,
    size: u64,
    blocks: u64,
    times: [3]u64 = @splat(0),
    nanoseconds: [3]u32 = @splat(0),
    mode: u32,
    links: u32,
    uid: u32,
    gid: u32,
    device: u32 = 0,
    block_size: u32 = 4096,
    flags: u32 = 0,

    comptime {
        assert(@sizeOf(Attributes) == 88);
    }
};

/// The kernel asks each time: nothing is remembered but bytes of files.
pub const EntryOut = extern struct {
    node: u64,
    generation: u64 = 0,
    entry_valid: u64 = 0,
    attributes_valid: u64 = 0,
    nanoseconds: [2]u32 = @splat(0),
    attributes: Attributes,

    comptime {
        assert(@sizeOf(EntryOut) == 128);
    }
};

pub const AttributesOut = extern struct {
    valid: u64 = 0,
    nanoseconds: u32 = 0,
    padding: u32 = 0,
    attributes: Attributes,

    comptime {
        assert(@sizeOf(AttributesOut) == 104);
    }
};

pub const SetAttributesIn = extern struct {
    valid: u32,
    padding: u32,
    handle: u64,
    size: u64,
    lock_owner: u64,
    times: [3]u64,
    nanoseconds: [3]u32,
    mode: u32,
    unused: u32,
    uid: u32,
    gid: u32,
    unused_last: u32,

    comptime {
        assert(@sizeOf(SetAttributesIn) == 88);
    }
};

pub const set_mode = 1 << 0;
pub const set_uid = 1 << 1;
pub const set_gid = 1 << 2;
pub const set_size = 1 << 3;

pub const OpenIn = extern struct { flags: u32, open_flags: u32 };
pub const OpenOut = extern struct { handle: u64, flags: u32, padding: u32 = 0 };
/// What the kernel remembers of the bytes stays across `open`.
pub const open_keeps_cache = 1 << 1;

pub const CreateIn = extern struct { flags: u32, mode: u32, umask: u32, open_flags: u32 };
pub const CreateOut = extern struct { entry: EntryOut, open: OpenOut };
pub const MknodIn = extern struct { mode: u32, device: u32, umask: u32, padding: u32 };
pub const MkdirIn = extern struct { mode: u32, umask: u32 };
pub const RenameIn = extern struct { directory: u64 };
pub const Rename2In = extern struct { directory: u64, flags: u32, padding: u32 };
pub const LinkIn = extern struct { node: u64 };

pub const ReadIn = extern struct {
    handle: u64,
    offset: u64,
    size: u32,
    read_flags: u32,
    lock_owner: u64,
    flags: u32,
    padding: u32,
};

pub const WriteIn = extern struct {
    handle: u64,
    offset: u64,
    size: u32,
    write_flags: u32,
    lock_owner: u64,
    flags: u32,
    padding: u32,

    comptime {
        assert(@sizeOf(WriteIn) == 40);
    }
};

pub const WriteOut = extern struct { size: u32, padding: u32 = 0 };

pub const AllocateIn = extern struct {
    handle: u64,
    offset: u64,
    length: u64,
    mode: u32,
    padding: u32,
};

pub const ReleaseIn = extern struct { handle: u64, flags: u32, release_flags: u32, owner: u64 };

pub const StatfsOut = extern struct {
    blocks: u64,
    blocks_free: u64,
    blocks_available: u64,
    files: u64,
    files_free: u64,
    block_size: u32,
    name_size_max: u32,
    fragment_size: u32,
    padding: u32 = 0,
    spare: [6]u32 = @splat(0),

    comptime {
        assert(@sizeOf(StatfsOut) == 80);
    }
};

pub const DirectoryEntry = extern struct {
    inode: u64,
    offset: u64,
    name_size: u32,
    kind: u32,

    comptime {
        assert(@sizeOf(DirectoryEntry) == 24);
    }
};

/// A message without a request: forget what you remember of a file's bytes.
pub const notify_inval_inode = 2;
pub const InvalidateInode = extern struct { node: u64, offset: i64, length: i64 };
