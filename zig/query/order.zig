//! The order of results: comparison of row images by sort columns, and a collector that keeps the
//! first rows of that order in bounded memory.
//!
//! **Invariants.** `Order.columns` ends with the primary key, so no two rows are equal. Nulls are
//! after every value; a descending column turns its whole order, nulls included.
//! The first `capacity` rows of a collector's order are always among its entries, which are at
//! most twice as many, or `room_size`.
//!
//! **Concurrency.** Private to one execution.
//!
//! **Memory.** A collector keeps 24 bytes a row, in the room that it was given while that is
//! enough, then in the allocator passed, and refers to images that the snapshot keeps in place.

const std = @import("std");
const assert = std.debug.assert;
const key = @import("../row/key.zig");
const plan_module = @import("plan.zig");
const schema_module = @import("../row/schema.zig");
const sort_ = @import("sort.zig");
const Allocator = std.mem.Allocator;
const Column = schema_module.Column;
const predicate = @import("predicate.zig");
const Image = predicate.Image;
const Row = predicate.Row;
const Schema = schema_module.Schema;

pub const SortColumn = struct { column: *const Column, descending: bool };

pub const Order = struct {
    /// Empty when the order does not matter.
    columns: []const SortColumn,

    pub fn compile(
        arena: Allocator,
        schema: *const Schema,
        plan: *const plan_module.Plan,
    ) (plan_module.DecodeError || Allocator.Error)!Order {
        if (plan.sorts.len == 0) return .{ .columns = &.{} };
        const columns = try arena.alloc(SortColumn, plan.sorts.len + 1);
        for (plan.sorts, columns[0..plan.sorts.len]) |sort, *out| {
            out.* = .{
                .column = schema.column(sort.column) orelse return error.InvalidPlan,
                .descending = sort.flags & plan_module.sort_descending != 0,
            };
        }
        columns[plan.sorts.len] = .{
            .column = schema.primaryKey(),
            .descending = plan.header.flags & plan_module.flag_key_descending != 0,
        };
        // Nothing is left to decide behind the first mention of the primary key.
        var count: usize = 0;
        while (columns[count].column.position != 0) count += 1;
        return .{ .columns = columns[0 .. count + 1] };
    }

    /// Compares from column `start` on: those before it are known to be equal.
    pub fn compare(order: Order, start: usize, a: Image, b: Image) std.math.Order {
        for (order.columns[start..]) |sort| {
            const result = compareColumn(sort.column, a, b);
            if (result != .eq) return if (sort.descending) result.invert() else result;
        }
        return .eq;
    }

    /// A word that never contradicts `compare`: of two rows the one with the smaller word is first.
    fn prefix(order: Order, start: usize, image: Image) u64 {
        const sort = order.columns[start];
        const word = prefixOf(sort.column, image);
        return if (sort.descending) ~word else word;
    }
};

fn prefixOf(column: *const Column, image: Image) u64 {
    if (column.isNull(image)) return std.math.maxInt(u64);
    switch (column.kind) {
        .string, .bytes => {
            const text = column.text(image);
            var first: [8]u8 = @splat(0);
            const size = @min(text.len, first.len);
            @memcpy(first[0..size], text[0..size]);
            return std.mem.readInt(u64, &first, .big);
        },
        inline else => |kind| return key.encodeFixed(kind, column.value(kind, image)),
    }
}

fn compareColumn(column: *const Column, a: Image, b: Image) std.math.Order {
    const a_null = column.isNull(a);
    const b_null = column.isNull(b);
    if (a_null or b_null) return std.math.order(@intFromBool(a_null), @intFromBool(b_null));
    switch (column.kind) {
        .string, .bytes => return std.mem.order(u8, column.text(a), column.text(b)),
        inline else => |kind| return std.math.order(column.value(kind, a), column.value(kind, b)),
    }
}

pub const Collector = struct {
    order: Order,
    /// Leading columns in which all rows collected are equal.
    start: usize,
    /// Rows to keep; `maxInt` keeps all.
    capacity: u64,
    entries: std.ArrayList(Entry),
    /// Where the entries are until they are too many.
    room: []Entry,
    /// The first `capacity` entries are in order: what is not before the last of them is no part of
    /// the result.
    is_cut: bool,

    pub const Entry = struct { prefix: u64, row: Row };

    /// A good number of entries for a room.
    pub const room_size = 128;

    pub fn init(order: Order, start: usize, room: []Entry) Collector {
        return .{
            .order = order,
            .start = @min(start, order.columns.len -| 1),
            .capacity = std.math.maxInt(u64),
            .entries = .initBuffer(room),
            .room = room,
            .is_cut = false,
        };
    }

    pub fn deinit(collector: *Collector, gpa: Allocator) void {
        if (collector.isInRoom()) return;
        collector.entries.deinit(gpa);
    }

    fn isInRoom(collector: *const Collector) bool {
        return collector.entries.items.ptr == collector.room.ptr;
    }

    /// Forgets the rows; `capacity` is for those that follow.
    pub fn reset(collector: *Collector, capacity: u64) void {
        collector.entries.clearRetainingCapacity();
        collector.capacity = capacity;
        collector.is_cut = false;
    }

    /// For each row O(log capacity) on the average, usually O(1) once there are that many.
    pub fn addAll(collector: *Collector, gpa: Allocator, rows: []const Row) Allocator.Error!void {
        const sort = collector.order.columns[collector.start];
        if (!sort.column.nullable) switch (sort.column.kind) {
            .string, .bytes => {},
            inline else => |kind| {
                const flip = if (sort.descending) ~@as(u64, 0) else 0;
                for (rows) |row| {
                    const word = key.encodeFixed(kind, sort.column.value(kind, row.image));
                    try collector.add(gpa, .{ .prefix = word ^ flip, .row = row });
                }
                return;
            },
        };
        for (rows) |row| {
            const prefix = collector.order.prefix(collector.start, row.image);
            try collector.add(gpa, .{ .prefix = prefix, .row = row });
        }
    }

    pub inline fn add(collector: *Collector, gpa: Allocator, entry: Entry) Allocator.Error!void {
        const entries = &collector.entries;
        if (collector.is_cut) {
            const last = &entries.items[@intCast(collector.capacity - 1)];
            if (entry.prefix > last.prefix or !less(collector, entry, last.*)) return;
        }
        if (entries.items.len == entries.capacity) try collector.makeRoom(gpa);
        entries.appendAssumeCapacity(entry);
    }

    /// Leaves out what is no part of the result, once that is half; before, takes more memory.
    fn makeRoom(collector: *Collector, gpa: Allocator) Allocator.Error!void {
        const entries = collector.entries.items;
        const most = @max(collector.capacity *| 2, room_size);
        if (entries.len >= most) return collector.cut();
        const size = @max(@min(2 * entries.len, most), room_size);
        var grown: std.ArrayList(Entry) = try .initCapacity(gpa, @intCast(size));
        grown.appendSliceAssumeCapacity(entries);
        collector.deinit(gpa);
        collector.entries = grown;
    }

    fn cut(collector: *Collector) void {
        const entries = &collector.entries;
        sort_.sortByPrefix(Entry, entries.items, collector, less);
        if (entries.items.len <= collector.capacity) return;
        entries.shrinkRetainingCapacity(@intCast(collector.capacity));
        collector.is_cut = collector.capacity > 0;
    }

    /// Brings the rows kept into order.
    pub fn finish(collector: *Collector) void {
        collector.cut();
    }

    pub fn rowsCount(collector: *const Collector) usize {
        return collector.entries.items.len;
    }

    pub fn rowAt(collector: *const Collector, index: usize) Row {
        return collector.entries.items[index].row;
    }

    fn less(collector: *const Collector, a: Entry, b: Entry) bool {
        if (a.prefix != b.prefix) return a.prefix < b.prefix;
        return collector.order.compare(collector.start, a.row.image, b.row.image) == .lt;
    }
};
