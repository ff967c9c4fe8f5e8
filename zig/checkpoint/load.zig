//! Reading a checkpoint: block by block, each checked before its rows are handed out.
//!
//! **Invariants.** Any bytes give tables and rows, or `CheckpointCorrupt` with a `Fault`; a row
//! that is handed out stood in a block that is whole, of this checkpoint and in its place. The
//! counts are compared at the end: until `next` has returned null, the checkpoint may still turn
//! out to be damaged, so nobody uses what was loaded before.
//!
//! **Concurrency.** None; the file is never written to under this name.
//!
//! **Memory.** Owns one buffer, of the largest block's size; an event is valid until the next call.

const std = @import("std");
const formats = @import("format.zig");
const limits = @import("../limits.zig");
const rows = @import("../row/packed.zig");
const storages = @import("../wal/storage.zig");
const vints = @import("../row/vint.zig");
const Window = @import("../wal/window.zig").Window;

const Allocator = std.mem.Allocator;
const BlockHeader = formats.BlockHeader;
const BlockKind = formats.BlockKind;
const FileHeader = formats.FileHeader;
const Storage = storages.Storage;

pub const Fault = struct {
    reason: Reason,
    offset: u64,

    /// Shown by number: append only.
    pub const Reason = enum(u8) {
        /// The file is shorter than its header.
        header_cut = 1,
        header_magic = 2,
        header_version = 3,
        header_checksum = 4,
        /// Of another database.
        database = 5,
        /// The file is not of the size that its header tells.
        size = 6,
        /// A block's checksum does not fit, or it is not a block.
        block = 7,
        /// A block is whole, but not the one that belongs here.
        order = 8,
        /// The counts at the end do not fit.
        totals = 9,
        /// A block is whole, but its rows are not what a writer writes.
        malformed = 10,
        /// A CSN that no writer reaches.
        out_of_range = 11,
    };
};

pub const Error = storages.Error || error{ OutOfMemory, CheckpointCorrupt };

pub const Options = struct {
    /// If known, what the file must carry.
    database_id: ?formats.DatabaseId = null,
    /// See `wal/reader.zig`.
    distrust_cache: bool = false,
};

pub const Event = union(enum) {
    table: Table,
    rows: Rows,
};

pub const Table = struct {
    table_id: u32,
    schema_bytes: []const u8,
};

/// The rows of a block, in the order in which they were added.
pub const Rows = struct {
    table_id: u32,
    row_count: u32,
    cursor: vints.Cursor,
    rows_left: u32,
    /// Of the block, for `Loader.refuse`.
    offset: u64,

    /// The next row, or null behind the last. `codec` is that of the table.
    pub inline fn next(block: *Rows, codec: *const rows.RowCodec) vints.Error!?rows.Row {
        if (block.rows_left == 0) {
            return if (block.cursor.done()) null else error.Malformed;
        }
        block.rows_left -= 1;
        return try codec.decode(&block.cursor);
    }
};

pub const Loader = struct {
    header: FileHeader,
    window: Window,
    seed: u32,
    offset: u64,
    block_number: u32,
    table_id: ?u32,
    table_count: u64,
    row_count: u64,
    finished: bool,
    /// Set when `open` or `next` has returned `CheckpointCorrupt`.
    fault: ?Fault,

    /// Null if there is no checkpoint. On `CheckpointCorrupt` the fault is in `fault_out`.
    pub fn open(
        storage: Storage,
        allocator: Allocator,
        options: Options,
        fault_out: *?Fault,
    ) Error!?Loader {
        var loader: Loader = .{
            .header = std.mem.zeroes(FileHeader),
            .window = .{
                .storage = storage,
                .allocator = allocator,
                .distrust = options.distrust_cache,
            },
            .seed = 0,
            .offset = formats.blocks_offset,
            .block_number = 0,
            .table_id = null,
            .table_count = 0,
            .row_count = 0,
            .finished = false,
            .fault = null,
        };
        loader.window.open(formats.current_name) catch |err| switch (err) {
            error.NotFound => return null,
            else => |other| return other,
        };
        errdefer loader.close();
        errdefer fault_out.* = loader.fault;
        const bytes = try loader.window.view(0, @sizeOf(FileHeader)) orelse
            return loader.refuse(.header_cut, 0);
        loader.header = std.mem.bytesToValue(FileHeader, bytes);
        if (loader.header.fault()) |fault| return loader.refuse(switch (fault) {
            .cut => .header_cut,
            .magic => .header_magic,
            .version => .header_version,
            .checksum => .header_checksum,
        }, 0);
        if (options.database_id) |known| {
            if (!std.mem.eql(u8, &known, &loader.header.database_id)) {
                return loader.refuse(.database, 0);
            }
        }
        if (loader.header.snapshot_csn > limits.csn_limit) {
            return loader.refuse(.out_of_range, 0);
        }
        if (loader.window.size != loader.header.size) {
            return loader.refuse(.size, @min(loader.window.size, loader.header.size));
        }
        loader.seed = loader.header.blockSeed();
        return loader;
    }

    pub fn close(loader: *Loader) void {
        loader.window.close();
        loader.window.deinit();
    }

    /// The next table or block of rows, or null when all is read and the totals fit.
    pub fn next(loader: *Loader) Error!?Event {
        if (loader.finished) return null;
        const start = loader.offset;
        const bytes = try loader.window.view(start, formats.block_header_size) orelse
            return loader.refuse(.block, start);
        const header = std.mem.bytesToValue(BlockHeader, bytes);
        if (!header.hasMagic()) return loader.refuse(.block, start);
        const payload_offset = start + formats.block_header_size;
        const payload = try loader.window.view(payload_offset, header.payload_size) orelse
            return loader.refuse(.block, start);
        if (header.crc != header.checksumOf(loader.seed, payload)) {
            return loader.refuse(.block, start);
        }
        if (header.number != loader.block_number) return loader.refuse(.order, start);
        loader.block_number +%= 1;
        loader.offset = payload_offset + header.payload_size;

        const kind = std.enums.fromInt(BlockKind, header.kind) orelse
            return loader.refuse(.order, start);
        switch (kind) {
            .table => {
                loader.table_id = header.table_id;
                loader.table_count += 1;
                return .{ .table = .{ .table_id = header.table_id, .schema_bytes = payload } };
            },
            .rows => {
                if (loader.table_id != header.table_id) return loader.refuse(.order, start);
                loader.row_count += header.row_count;
                return .{ .rows = .{
                    .table_id = header.table_id,
                    .row_count = header.row_count,
                    .cursor = .{ .bytes = payload },
                    .rows_left = header.row_count,
                    .offset = start,
                } };
            },
            .totals => {
                try loader.checkTotals(payload, start);
                return null;
            },
        }
    }

    fn checkTotals(loader: *Loader, payload: []const u8, start: u64) Error!void {
        if (payload.len != @sizeOf(formats.Totals)) return loader.refuse(.totals, start);
        const totals = std.mem.bytesToValue(formats.Totals, payload);
        const fits = totals.table_count == loader.table_count and
            totals.row_count == loader.row_count and
            loader.header.table_count == loader.table_count and
            loader.header.row_count == loader.row_count and
            loader.header.block_count == loader.block_number and
            loader.header.size == loader.offset;
        if (!fits) return loader.refuse(.totals, start);
        loader.finished = true;
    }

    /// Bytes read so far, of `header.size`.
    pub fn readSize(loader: *const Loader) u64 {
        return loader.offset;
    }

    /// Also for the caller whose rows were malformed.
    pub fn refuse(loader: *Loader, reason: Fault.Reason, offset: u64) error{CheckpointCorrupt} {
        loader.fault = .{ .reason = reason, .offset = offset };
        loader.finished = true;
        return error.CheckpointCorrupt;
    }
};
