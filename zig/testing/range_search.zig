//! A search of a play: the rows from an altitude on, through the index, validated as a range.
//!
//! **Memory**: what the validation needs lies in the transaction's arena.
const std = @import("std");
const limits = @import("../limits.zig");
const history_ = @import("history.zig");
const performer = @import("performer.zig");
const key_ = @import("../row/key.zig");
const read_set = @import("../txn/read_set.zig");
const source_ = @import("../read/source.zig");
const Row = @import("../query/executor.zig").Row;
const view_ = @import("../table/view.zig");
const Transaction = @import("../txn/transaction.zig").Transaction;

const Image = [*]align(8) const u8;

const Range = struct { transaction: *Transaction, table: *const view_.TableView };

/// Notes the rows found in `seen`. Anything that a later commit does to the range is a conflict.
pub fn readRange(transaction: *Transaction, table_id: u32, seen: *history_.State) !void {
    const table = try transaction.engine.context.table(table_id);
    const allocator = transaction.arena.allocator();
    const range = try allocator.create(Range);
    range.* = .{ .transaction = transaction, .table = table };
    try transaction.reads.addScan(.{
        .table = table,
        .context = range,
        .covers = covers,
        .repeat = repeat,
    });
    try walk(range, transaction.snapshot, seen);
}

fn walk(range: *Range, snapshot: u64, seen: *history_.State) !void {
    const transaction = range.transaction;
    var source: source_.Source = .{
        .allocator = transaction.arena.allocator(),
        .segment = transaction.engine.context.session.segment,
        .table = range.table,
        .snapshot = snapshot,
        .transaction = null,
    };
    const index = &range.table.indexes[0];
    var low: [limits.index_key_words_max]u64 = undefined;
    var image: [history_.image_size]u8 align(8) = @splat(0);
    std.mem.writeInt(i64, image[16..24], history_.range_from, .little);
    index.source.encode(&image, &low);
    const high: [limits.index_key_words_max]u64 = @splat(std.math.maxInt(u64));
    const words = index.key_words;
    var cursor = try source.seek(index.column().position, low[0..words], high[0..words], .{});
    defer cursor.deinit();

    var rows: [4]Row = undefined;
    while (true) {
        const count = try cursor.fill(&rows, rows.len);
        if (count == 0) return;
        for (rows[0..count]) |row| {
            const id = std.mem.readInt(u64, row.image[8..16], .little);
            if (id >= history_.ids) return error.SegmentCorrupt;
            if (seen.rows[id] != null) return error.SegmentCorrupt; // found twice
            seen.rows[id] = performer.rowOf(row.image);
        }
    }
}

fn covers(context: *anyopaque, image: Image) bool {
    _ = context;
    return performer.rowOf(image).altitude >= history_.range_from;
}

fn repeat(context: *anyopaque, snapshot: u64) read_set.Error!bool {
    const range: *Range = @ptrCast(@alignCast(context));
    var then: history_.State = .{};
    var now: history_.State = .{};
    walk(range, range.transaction.snapshot, &then) catch |err| return narrowed(err);
    walk(range, snapshot, &now) catch |err| return narrowed(err);
    return std.meta.eql(then, now);
}

fn narrowed(err: source_.Source.Error) read_set.Error {
    return switch (err) {
        error.OutOfMemory => error.SegmentFull,
        else => |e| e,
    };
}
