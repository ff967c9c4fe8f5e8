//! The bytes of `occ_checkpoint.dat`: a file header, then numbered blocks of schemas and packed
//! rows, then a block of totals. `docs/internals/checkpoint.md` says what each is for.
//!
//! **Invariants.** A block's checksum is seeded with the database and the CSN, and covers its
//! number: a block of another checkpoint, or one out of its place, is not taken for one of this
//! file (C2).
//!
//! **Concurrency** and **Memory.** Values.

const std = @import("std");
const checksum = @import("../checksum.zig");
const assert = std.debug.assert;

pub const DatabaseId = @import("../wal/format.zig").DatabaseId;
pub const Timeline = @import("../wal/format.zig").Timeline;

/// 2: the timeline, schema bytes with a list of indexes.
pub const version: u32 = 2;
pub const blocks_offset: u32 = 4096;
pub const current_name = "occ_checkpoint.dat";
pub const temporary_name = current_name ++ ".tmp";

/// Blocks of rows are filled up to about this much; a reader holds any block up to the maximum,
/// which leaves room for the longest schema text.
pub const block_size = 128 * 1024;
pub const payload_size_max: u32 = 1 << 28;

pub const FileHeader = extern struct {
    magic: u64 = file_magic,
    version: u32 = version,
    blocks_offset: u32 = blocks_offset,
    database_id: DatabaseId,
    /// Rows are those visible at it; the log is replayed from it on (P28).
    snapshot_csn: u64,
    table_count: u64 = 0,
    row_count: u64 = 0,
    /// The block of totals included.
    block_count: u64 = 0,
    /// Of the whole file.
    size: u64 = 0,
    timeline: Timeline = .{},
    reserved: [8]u8 = @splat(0),
    /// Of the bytes before it.
    crc: u32 = 0,

    comptime {
        assert(@sizeOf(FileHeader) == 96);
        assert(@offsetOf(FileHeader, "snapshot_csn") == 32);
        assert(@offsetOf(FileHeader, "timeline") == 72);
        assert(@offsetOf(FileHeader, "crc") == 92);
    }

    pub fn seal(header: *FileHeader) void {
        header.crc = header.checksumNow();
    }

    pub const Fault = enum { cut, magic, version, checksum };

    pub fn fault(header: *const FileHeader) ?Fault {
        if (header.magic != file_magic) return .magic;
        if (header.version != version) return .version;
        if (header.crc != header.checksumNow()) return .checksum;
        return null;
    }

    fn checksumNow(header: *const FileHeader) u32 {
        return checksum.update(0, std.mem.asBytes(header)[0..@offsetOf(FileHeader, "crc")]);
    }

    /// The seed of the blocks' checksums.
    pub fn blockSeed(header: *const FileHeader) u32 {
        const identity = checksum.update(0, &header.database_id);
        return checksum.update(identity, std.mem.asBytes(&header.snapshot_csn));
    }
};

const file_magic: u64 = std.mem.readInt(u64, "AEROCKP\x01", .little);
const block_magic: u32 = std.mem.readInt(u32, "ABLK", .little);

/// Stored: append only.
pub const BlockKind = enum(u32) {
    /// A table begins; the payload is its schema bytes.
    table = 1,
    /// Packed rows of the table begun last.
    rows = 2,
    /// The end; the payload is `Totals`.
    totals = 3,
};

pub const BlockHeader = extern struct {
    magic: u32 = block_magic,
    kind: u32,
    payload_size: u32,
    table_id: u32,
    row_count: u32,
    /// Blocks count from 0.
    number: u32,
    reserved: u32 = 0,
    /// Of the header before it and the payload, seeded.
    crc: u32 = 0,

    comptime {
        assert(@sizeOf(BlockHeader) == block_header_size);
        assert(@offsetOf(BlockHeader, "crc") == 28);
    }

    pub fn checksumOf(header: *const BlockHeader, seed: u32, payload: []const u8) u32 {
        const covered = std.mem.asBytes(header)[0..@offsetOf(BlockHeader, "crc")];
        return checksum.update(checksum.update(seed, covered), payload);
    }

    pub fn hasMagic(header: *const BlockHeader) bool {
        return header.magic == block_magic and header.payload_size <= payload_size_max;
    }
};

pub const block_header_size = 32;

pub const Totals = extern struct {
    table_count: u64,
    row_count: u64,

    comptime {
        assert(@sizeOf(Totals) == 16);
    }
};
