//! Rows of equal keys in an index, which lie there in the order of their primary keys.
const std = @import("std");
const ahead = @import("../index/prefetch.zig");
const harness = @import("harness.zig");
const executor = @import("../query/executor.zig");
const view_ = @import("../table/view.zig");
const Engine = @import("../txn/engine.zig").Engine;
const Source = @import("../read/source.zig").Source;
const Row = executor.Row;

const ids = 400;
const altitudes = 7;
const directions = [_]executor.Direction{
    .{},
    .{ .backward = true },
    .{ .backward = true, .ties = .backward },
};

fn sourceAt(engine: *Engine, table: *const view_.TableView, snapshot: u64) Source {
    return .{
        .allocator = std.testing.allocator,
        .segment = engine.context.session.segment,
        .table = table,
        .snapshot = snapshot,
        .transaction = null,
    };
}

/// The ids of the rows between two altitudes, as a search reads them.
fn readRange(
    engine: *Engine,
    table: *const view_.TableView,
    low: i64,
    high: i64,
    direction: executor.Direction,
    random: std.Random,
    out: *std.ArrayList(u64),
) !void {
    const session = &engine.context.session;
    const snapshot = try engine.pins.open(std.testing.allocator, session);
    defer engine.pins.close(session, snapshot);
    var source = sourceAt(engine, table, snapshot.csn);
    const index = &table.indexes[0];
    const from = [1]u64{encoded(if (direction.backward) high else low)};
    const until = [1]u64{encoded(if (direction.backward) low else high)};
    var cursor = try source.seek(index.column().position, &from, &until, direction);
    defer cursor.deinit();
    var rows: [2 * ahead.entries_max]Row = undefined;
    while (true) {
        const room = rows[0..random.intRangeAtMost(usize, 1, rows.len)];
        const count = try cursor.fill(room, random.intRangeAtMost(usize, 1, room.len));
        if (count == 0) return;
        for (room[0..count]) |row| {
            try out.append(
                std.testing.allocator,
                std.mem.readInt(u64, row.image[8..16], .little),
            );
        }
    }
}

fn encoded(altitude: i64) u64 {
    return @as(u64, @bitCast(altitude)) ^ (1 << 63);
}

const Expected = struct {
    altitudes: []const i64,
    direction: executor.Direction,

    fn less(expected: Expected, a: u64, b: u64) bool {
        const x = expected.altitudes[@intCast(a)];
        const y = expected.altitudes[@intCast(b)];
        if (x != y) return (x > y) == expected.direction.backward;
        return (a > b) == (expected.direction.ties == .backward);
    }
};

test "search: rows of equal keys come in the order of their primary keys, in every direction" {
    const allocator = std.testing.allocator;
    const world = try harness.World.init(allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const id = try world.createTable(engine);
    var random_state: std.Random.DefaultPrng = .init(1);
    const random = random_state.random();
    var rows: [ids]i64 = @splat(0);
    var found: std.ArrayList(u64) = .empty;
    defer found.deinit(allocator);
    var expected: std.ArrayList(u64) = .empty;
    defer expected.deinit(allocator);

    for (0..300) |round| {
        // At first few rows have a key, at last more than a run of entries.
        for (0..if (round == 0) 2 * ids else 20) |_| {
            const row = random.uintLessThan(u64, ids);
            const range: i64 = if (round < 150) 200 else altitudes;
            rows[row] = random.intRangeAtMost(i64, 0, range);
            const written: harness.Row = .init(row, rows[row], round);
            _ = try written.write(engine, id, .upsert);
        }
        if (round == 0) for (0..ids) |row| {
            const written: harness.Row = .init(row, rows[row], round);
            _ = try written.write(engine, id, .upsert);
        };
        const low = random.intRangeAtMost(i64, -1, altitudes);
        const high = random.intRangeAtMost(i64, low, 201);
        const direction = directions[random.uintLessThan(usize, directions.len)];

        found.clearRetainingCapacity();
        const table = try engine.context.table(id);
        try readRange(engine, table, low, high, direction, random, &found);
        expected.clearRetainingCapacity();
        for (rows, 0..) |altitude, row| {
            if (altitude >= low and altitude <= high) try expected.append(allocator, row);
        }
        const order: Expected = .{ .altitudes = &rows, .direction = direction };
        std.mem.sortUnstable(u64, expected.items, order, Expected.less);
        try std.testing.expectEqualSlices(u64, expected.items, found.items);
    }
}

test "search: what a row has left in an index is not an entry of the row that has its slot now" {
    const allocator = std.testing.allocator;
    const world = try harness.World.init(allocator, .{});
    defer world.deinit();
    const first = try world.attach();
    const second = try world.attach();
    const id = try world.createTable(first);
    const table = try second.context.table(id);
    const map = table.map();
    const old: harness.Row = .init(1, 5, 0);
    _ = try old.write(first, id, .upsert);
    const slot = (try map.find(.init(old.key()))).?.ref;
    // The entry at 5 is left to the first session's vacuum.
    _ = try (harness.Row.init(1, 6, 0)).write(first, id, .upsert);
    try std.testing.expect(try second.delete(id, old.key()));
    var next: u64 = 2;
    const heir = while (next < 1_000) : (next += 1) {
        const row: harness.Row = .init(next, 5, 0);
        _ = try row.write(second, id, .upsert);
        if ((try map.find(.init(row.key()))).?.ref == slot) break row;
        try std.testing.expect(try second.delete(id, row.key()));
    } else return error.SlotNotReused;
    const entry = try table.indexes[0].list.seek(.{ .words = &.{ encoded(5), 1 }, .slot = 0 });
    try std.testing.expectEqual(slot, entry.?.entry.slot.raw);
    try std.testing.expectEqual(1, table.indexes[0].list.wordsOf(entry.?.entry)[1]);

    var random_state: std.Random.DefaultPrng = .init(1);
    var found: std.ArrayList(u64) = .empty;
    defer found.deinit(allocator);
    try readRange(second, table, 0, 9, .{}, random_state.random(), &found);
    try std.testing.expectEqualSlices(u64, &.{next}, found.items);

    try world.settle(first);
    try world.verifySettled(first, id); // the entry is closed, though the slot has a row of its key
    var out: [32]u8 align(8) = undefined;
    try std.testing.expect(try second.get(id, heir.key(), &out));
}

test "search: an entry whose key was damaged does not lead a walk from key to key in a ring" {
    const allocator = std.testing.allocator;
    const world = try harness.World.init(allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const id = try world.createTable(engine);
    const count = 127;
    for (1..count + 1) |row| {
        const written: harness.Row = .init(row, @intCast(row), 0);
        _ = try written.write(engine, id, .upsert);
    }
    const table = try engine.context.table(id);
    const index = &table.indexes[0];
    for (1..count) |row| {
        const key = [1]u64{encoded(@intCast(row))};
        const found = try index.list.seek(.{ .words = &key, .slot = 0 });
        const words = @constCast(index.list.wordsOf(found.?.entry));
        for (0..7) |bit| {
            const mask = @as(u64, 1) << @intCast(bit);
            words[0] ^= mask;
            defer words[0] ^= mask;
            for ([_]usize{ 1, 5, 16, 31, 64 }) |room| try readAround(engine, table, count, room);
        }
    }
}

/// Reads all rows from key to key; an error if that does not end.
fn readAround(
    engine: *Engine,
    table: *const view_.TableView,
    count: i64,
    room: usize,
) !void {
    const session = &engine.context.session;
    const snapshot = try engine.pins.open(std.testing.allocator, session);
    defer engine.pins.close(session, snapshot);
    var source = sourceAt(engine, table, snapshot.csn);
    const column = table.indexes[0].column().position;
    const direction: executor.Direction = .{ .backward = true };
    var cursor = try source.seek(column, &.{encoded(count)}, &.{encoded(0)}, direction);
    defer cursor.deinit();
    var rows: [ahead.entries_max]Row = undefined;
    for (0..2 * @as(usize, @intCast(count))) |_| {
        const read = cursor.fill(rows[0..room], room) catch |err| {
            return std.testing.expectEqual(error.SegmentCorrupt, err);
        };
        if (read == 0) return;
    }
    return error.Ring;
}

test "search: how many words an entry has is not asked of the segment again" {
    const allocator = std.testing.allocator;
    const world = try harness.World.init(allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const id = try world.createTable(engine);
    const count = 100;
    for (0..count) |row| {
        const written: harness.Row = .init(row, @intCast(row / 3), 0);
        _ = try written.write(engine, id, .upsert);
    }
    const table = try engine.context.table(id);
    const words = &table.indexes[0].list.index.position_words;
    const before = words.*;
    defer words.* = before;
    var random_state: std.Random.DefaultPrng = .init(1);
    var found: std.ArrayList(u64) = .empty;
    defer found.deinit(allocator);
    for (0..32) |bit| {
        words.* = before ^ @as(u32, 1) << @intCast(bit);
        for (directions) |direction| {
            found.clearRetainingCapacity();
            try readRange(engine, table, 0, count, direction, random_state.random(), &found);
            try std.testing.expectEqual(count, found.items.len);
        }
    }
}
