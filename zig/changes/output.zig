//! Commits as a consumer gets them: the operations of log records as keys and column images.
//!
//! **Invariants**: a commit stands in the output wholly or not at all. Everything read is input.
//!
//! **Concurrency** and **Memory**: as the feed; fills the caller's buffer.
const std = @import("std");
const limits = @import("../limits.zig");
const deltas = @import("../row/delta.zig");
const RowCodec = @import("../row/packed.zig").RowCodec;
const layout = @import("../segment/layout.zig");
const segment_ = @import("../segment/segment.zig");
const view_ = @import("../table/view.zig");
const log_buffer = @import("../txn/log_buffer.zig");
const Bases = @import("bases.zig").Bases;
const Context = @import("../txn/context.zig").Context;
const records = @import("../wal/record.zig");

pub const Error = error{
    OutOfMemory,
    BufferTooSmall,
    SegmentCorrupt,
    SegmentFull,
    UnknownTable,
    WalCorrupt,
    /// The log has a value only as a difference to a row that is gone.
    ValuesLost,
};

/// What a consumer wants to know of a row.
pub const Values = enum(u32) {
    keys = 0,
    /// The columns that changed.
    changed = 1,
    /// The whole row.
    row = 2,

    pub fn forms(values: Values) deltas.Choice {
        return switch (values) {
            .keys => .shortest,
            .changed => .alone,
            .row => .rows,
        };
    }
};

pub const Op = enum(u32) { insert = 1, update = 2, delete = 3, catalog = 4 };

/// In the output before the writes of a commit, and aligned to 8.
pub const CommitHead = extern struct {
    csn: f64,
    /// Milliseconds since 1970; NaN when that is not known.
    time: f64,
    write_count: u32,
    /// Bytes of the commit, this included.
    size: u32,
};

/// Before each image.
pub const WriteHead = extern struct {
    table: u32,
    op: Op,
    /// The null bits of the columns whose values the image has, besides the key.
    columns: u64,
    /// Bytes of the image, padded to 8.
    size: u32,
    reserved: u32 = 0,
};

pub const Filter = struct {
    values: Values,
    tables: [(limits.table_count_max + 63) / 64]u64 = @splat(std.math.maxInt(u64)),

    fn has(filter: *const Filter, table: u32) bool {
        if (table >= limits.table_count_max) return false;
        return filter.tables[table / 64] >> @intCast(table % 64) & 1 != 0;
    }
};

pub const Sink = struct {
    bytes: []align(8) u8,
    used: usize = 0,
    count: u32 = 0,

    fn take(sink: *Sink, size: usize) error{BufferTooSmall}![]align(8) u8 {
        const padded = std.mem.alignForward(usize, size, 8);
        if (padded > sink.bytes.len - sink.used) return error.BufferTooSmall;
        const taken = sink.bytes[sink.used..][0..padded];
        sink.used += padded;
        return @alignCast(taken);
    }
};

pub const Commit = struct {
    csn: u64,
    time: *f64,
    payload: []const u8,
    /// As the log buffer has them; empty when that is not known.
    written: []const log_buffer.Written,
    /// Where values are told as differences to rows that were.
    bases: ?*Bases,
    /// Nothing is told: the bases come to where the feed begins.
    is_silent: bool,
};

const Tables = struct {
    context: *Context,

    pub fn find(tables: Tables, id: u32) ?*const RowCodec {
        return &(tables.context.table(id) catch return null).codec;
    }
};

/// Appends a commit; false when nothing of it is of interest. After an error nothing was appended.
pub fn tell(filter: *const Filter, context: *Context, sink: *Sink, commit: Commit) Error!bool {
    const start = sink.used;
    errdefer sink.used = start;
    const head: *CommitHead = @ptrCast(try sink.take(@sizeOf(CommitHead)));
    head.write_count = 0;
    var rows: usize = 0;
    var operations = records.Operations.init(commit.payload);
    while (true) {
        const found = operations.next(Tables{ .context = context }) catch |err| switch (err) {
            error.Malformed => return error.WalCorrupt,
            error.UnknownTable => return error.UnknownTable,
        };
        const operation = found orelse break;
        switch (operation.body) {
            .time => |time_ms| {
                commit.time.* = @floatFromInt(time_ms);
                continue;
            },
            .passed_over => continue,
            .create_table, .change_table, .drop_table, .truncate_table => {
                const write: *WriteHead = @ptrCast(try sink.take(@sizeOf(WriteHead)));
                write.* = .{ .table = operation.table_id, .op = .catalog, .columns = 0, .size = 0 };
                head.write_count += 1;
                continue;
            },
            .insert, .update_full, .update, .delete => {},
        }
        defer rows += 1;
        const is_told = !commit.is_silent and filter.has(operation.table_id);
        if (!is_told and commit.bases == null) continue;
        const table = try context.table(operation.table_id);
        const place = if (rows < commit.written.len) &commit.written[rows] else null;
        const before = sink.used;
        try writeRow(filter, context, table, sink, operation.body, commit, place);
        if (is_told) head.write_count += 1 else sink.used = before;
    }
    if (head.write_count == 0) {
        sink.used = start;
        return false;
    }
    head.csn = @floatFromInt(commit.csn);
    head.time = commit.time.*;
    head.size = @intCast(sink.used - start);
    sink.count += 1;
    return true;
}

fn writeRow(
    filter: *const Filter,
    context: *Context,
    table: *const view_.TableView,
    sink: *Sink,
    body: records.Operation.Body,
    commit: Commit,
    place: ?*const log_buffer.Written,
) Error!void {
    const size = table.schema.image_size;
    const head: *WriteHead = @ptrCast(try sink.take(@sizeOf(WriteHead)));
    const image = (try sink.take(size))[0..size];
    head.* = .{ .table = table.id, .op = .update, .columns = 0, .size = @intCast(size) };
    @memset(image, 0);
    switch (body) {
        .insert, .update_full => |row| {
            table.codec.unpack(row, image) catch return error.WalCorrupt;
            head.op = if (body == .insert) .insert else .update;
            head.columns = table.columns_mask;
            if (commit.bases) |bases| try bases.put(table.id, table.keyBytes(image.ptr), image);
        },
        .delete => |key| {
            head.op = .delete;
            const at = image[table.schema.primaryKey().offset..];
            const key_bytes = table.codec.keyBytes(key, at);
            if (commit.bases) |bases| bases.remove(table.id, key_bytes);
        },
        .update => |update| {
            const key = image[table.schema.primaryKey().offset..];
            const key_bytes = table.codec.keyBytes(update.key, key);
            head.columns = update.change.columns;
            if (commit.bases) |bases| if (bases.find(table.id, key_bytes)) |base| {
                const change = &update.change;
                deltas.apply(&table.codec, change, base, image) catch |err| return switch (err) {
                    error.Malformed => error.WalCorrupt,
                    // The row was not known from its start.
                    error.WrongBase => error.ValuesLost,
                };
                try bases.put(table.id, table.keyBytes(image.ptr), image);
                if (filter.values == .row) head.columns = table.columns_mask;
                if (filter.values == .keys) head.columns = 0;
                return;
            };
            if (filter.values == .keys) {
                head.columns = 0;
                return;
            }
            // A row as it was committed, if it is still there, has everything.
            if (place) |at| if (readVersion(context, table, at, commit.csn, key_bytes)) |version| {
                @memcpy(image, version[0..size]);
                if (filter.values == .row) head.columns = table.columns_mask;
                return;
            };
            if (filter.values == .row) return error.ValuesLost;
            deltas.applyAlone(&table.codec, &update.change, image) catch |err| return switch (err) {
                error.Malformed => error.WalCorrupt,
                error.NeedsRow => error.ValuesLost,
            };
        },
        else => unreachable,
    }
    if (filter.values == .keys) head.columns = 0;
}

/// Copies the image that a commit has left, to the context's scratch; null when the version is
/// another commit's by now, or that of another row. A CSN is never used twice, so a version that
/// has it before and after the copy was not touched in between.
fn readVersion(
    context: *Context,
    table: *const view_.TableView,
    place: *const log_buffer.Written,
    csn: u64,
    key: []const u8,
) ?[*]align(8) const u8 {
    const segment = context.session.segment;
    const version = segment.at(layout.Version, place.version) catch return null;
    // Not stamped yet: the log's own values do.
    if (version.mark.load(.seq_cst) != csn) return null;
    if (version.table() != table.id or version.isTombstone()) return null;
    const size = table.schema.image_size;
    // The whole image lies in the segment, or the reference is damaged.
    _ = segment.bytesAt(place.version, @sizeOf(layout.Version) + @as(u64, size)) catch return null;
    @memcpy(context.scratch[0..size], version.image()[0..size]);
    if (version.mark.load(.seq_cst) != csn) return null;
    return if (std.mem.eql(u8, table.keyBytes(context.scratch), key)) context.scratch else null;
}
