//! Writing a checkpoint: tables and rows pushed in by the caller, who walks a pinned snapshot
//! (P28), packed into checksummed blocks of a temporary file, which takes the name of the
//! checkpoint when it is complete and on the disk.
//!
//! **Invariants.** `occ_checkpoint.dat` is at any instant a whole checkpoint: the one before until
//! `finish` renames, and when `finish` has returned the new one, even after a power loss (C1).
//! Nothing but `finish` touches it. A checkpoint never takes the place of a newer one.
//!
//! **Concurrency.** One writer at a time: the caller holds the checkpoint lock from `begin` until
//! it has dropped the log, and a holder that dies loses it. Whatever it left behind under the
//! temporary name is overwritten.
//!
//! **Memory.** Fills the caller's buffer; owns its file until `finish` or `abandon`.

const std = @import("std");
const fault = @import("../instrument/fault.zig");
const formats = @import("format.zig");
const storages = @import("../wal/storage.zig");
const rows = @import("../row/packed.zig");
const assert = std.debug.assert;

const BlockHeader = formats.BlockHeader;
const BlockKind = formats.BlockKind;
const FileHeader = formats.FileHeader;
const RowCodec = rows.RowCodec;
const Storage = storages.Storage;

pub const Error = storages.Error || error{
    /// The file would have more blocks, or a schema more bytes, than the format can say.
    CheckpointTooLarge,
};

pub const FinishError = Error || error{
    /// There is a checkpoint of a later CSN, or of another database.
    Superseded,
};

pub const Options = struct {
    database_id: formats.DatabaseId,
    snapshot_csn: u64,
    timeline: formats.Timeline = .{},
    /// Written bytes are synced in portions, so that the log's own syncs do not wait for all of
    /// them at once.
    sync_size: u64 = 16 << 20,
};

pub const Report = struct {
    table_count: u64,
    row_count: u64,
    block_count: u64,
    size: u64,
};

/// What `buffer` has at least: a block that takes one more row of any table.
pub const buffer_size = formats.block_size;

pub const Writer = struct {
    storage: Storage,
    file: storages.File,
    header: FileHeader,
    seed: u32,
    buffer: []u8,
    /// Of the block in the buffer, its header's room included.
    used: usize,
    row_count: u32,
    table_id: u32,
    codec: ?*const RowCodec,
    position: u64,
    synced_position: u64,
    sync_size: u64,

    /// Begins a temporary file. `buffer` has at least `buffer_size` bytes and lives as long as the
    /// writer.
    pub fn begin(storage: Storage, buffer: []u8, options: Options) Error!Writer {
        assert(buffer.len >= buffer_size);
        const file = try storage.open(formats.temporary_name, .create);
        const header: FileHeader = .{
            .database_id = options.database_id,
            .snapshot_csn = options.snapshot_csn,
            .timeline = options.timeline,
        };
        return .{
            .storage = storage,
            .file = file,
            .header = header,
            .seed = header.blockSeed(),
            .buffer = buffer,
            .used = formats.block_header_size,
            .row_count = 0,
            .table_id = 0,
            .codec = null,
            .position = formats.blocks_offset,
            .synced_position = formats.blocks_offset,
            .sync_size = options.sync_size,
        };
    }

    /// Gives up: removes the temporary file. After `finish`, failed or not, it must not be called.
    pub fn abandon(writer: *Writer) void {
        writer.storage.close(writer.file);
        writer.storage.unlink(formats.temporary_name) catch {};
    }

    /// Begins a table; its rows follow. `codec` is that of `schema_bytes`, and lives until the next
    /// table or the end.
    pub fn beginTable(
        writer: *Writer,
        table_id: u32,
        schema_bytes: []const u8,
        codec: *const RowCodec,
    ) Error!void {
        assert(formats.block_header_size + codec.row_size_max <= writer.buffer.len);
        try writer.flush();
        if (schema_bytes.len > formats.payload_size_max) return error.CheckpointTooLarge;
        writer.table_id = table_id;
        writer.codec = codec;
        writer.header.table_count += 1;
        try writer.writeBlock(.table, schema_bytes);
    }

    /// Adds a row of the table begun last.
    pub fn addRow(writer: *Writer, image: []align(8) const u8) Error!void {
        const codec = writer.codec.?;
        if (codec.row_size_max > writer.buffer.len - writer.used) try writer.flush();
        writer.used += codec.encode(image, writer.buffer[writer.used..]);
        writer.row_count += 1;
        writer.header.row_count += 1;
    }

    /// Completes the file, puts it on the disk and then in its place. The writer is over, whether
    /// it succeeds or not; on an error the checkpoint before is still there, unless the directory
    /// could not be synced: then it may be either.
    pub fn finish(writer: *Writer) FinishError!Report {
        errdefer writer.storage.unlink(formats.temporary_name) catch {};
        {
            defer writer.storage.close(writer.file);
            try writer.complete();
        }
        fault.point("checkpoint.written");
        try writer.checkCurrent();
        try writer.storage.rename(formats.temporary_name, formats.current_name, .replace);
        fault.point("checkpoint.placed");
        try writer.storage.syncDirectory();
        fault.point("checkpoint.synced");
        return .{
            .table_count = writer.header.table_count,
            .row_count = writer.header.row_count,
            .block_count = writer.header.block_count,
            .size = writer.header.size,
        };
    }

    fn complete(writer: *Writer) Error!void {
        try writer.flush();
        const totals: formats.Totals = .{
            .table_count = writer.header.table_count,
            .row_count = writer.header.row_count,
        };
        try writer.writeBlock(.totals, std.mem.asBytes(&totals));
        writer.header.size = writer.position;
        writer.header.seal();
        try writer.storage.write(writer.file, 0, std.mem.asBytes(&writer.header));
        try writer.storage.sync(writer.file);
    }

    /// A second defence behind the checkpoint lock: rows of an older snapshot, without the log that
    /// has been dropped since, would be a loss.
    fn checkCurrent(writer: *Writer) FinishError!void {
        const found = try readHeader(writer.storage, formats.current_name) orelse return;
        if (found.fault() != null) return;
        if (!std.mem.eql(u8, &found.database_id, &writer.header.database_id)) {
            return error.Superseded;
        }
        if (found.snapshot_csn > writer.header.snapshot_csn) return error.Superseded;
    }

    /// Writes the rows gathered.
    fn flush(writer: *Writer) Error!void {
        if (writer.row_count == 0) return;
        const payload = writer.buffer[formats.block_header_size..writer.used];
        const header = try writer.makeHeader(.rows, writer.row_count, payload);
        @memcpy(writer.buffer[0..formats.block_header_size], std.mem.asBytes(&header));
        try writer.storage.write(writer.file, writer.position, writer.buffer[0..writer.used]);
        try writer.advance(writer.used);
        writer.used = formats.block_header_size;
        writer.row_count = 0;
    }

    fn writeBlock(writer: *Writer, kind: BlockKind, payload: []const u8) Error!void {
        const header = try writer.makeHeader(kind, 0, payload);
        try writer.storage.write(writer.file, writer.position, std.mem.asBytes(&header));
        const payload_position = writer.position + formats.block_header_size;
        try writer.storage.write(writer.file, payload_position, payload);
        try writer.advance(formats.block_header_size + payload.len);
    }

    fn makeHeader(
        writer: *Writer,
        kind: BlockKind,
        row_count: u32,
        payload: []const u8,
    ) Error!BlockHeader {
        const number = std.math.cast(u32, writer.header.block_count) orelse
            return error.CheckpointTooLarge;
        var header: BlockHeader = .{
            .kind = @intFromEnum(kind),
            .payload_size = @intCast(payload.len),
            .table_id = writer.table_id,
            .row_count = row_count,
            .number = number,
        };
        header.crc = header.checksumOf(writer.seed, payload);
        return header;
    }

    fn advance(writer: *Writer, count: usize) Error!void {
        writer.position += count;
        writer.header.block_count += 1;
        if (writer.position - writer.synced_position < writer.sync_size) return;
        try writer.storage.sync(writer.file);
        writer.synced_position = writer.position;
    }
};

/// The header of a checkpoint file as it stands, or null if there is no such file. One that is cut
/// has zeros, and so a fault.
pub fn readHeader(storage: Storage, name: []const u8) storages.Error!?FileHeader {
    const file = storage.open(name, .read) catch |err| switch (err) {
        error.NotFound => return null,
        else => |other| return other,
    };
    defer storage.close(file);
    var header = std.mem.zeroes(FileHeader);
    _ = try storage.read(file, 0, std.mem.asBytes(&header));
    return header;
}
