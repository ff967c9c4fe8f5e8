//! Runs of index entries that are read, backwards and in a ring.
const std = @import("std");
const ahead = @import("../index/prefetch.zig");
const estimate = @import("../index/estimate.zig");
const layout = @import("../segment/layout.zig");
const skiplist = @import("../index/skiplist.zig");
const harness = @import("harness.zig");
const Link = @import("../segment/rel_ptr.zig").Link;
const Row = @import("../query/executor.zig").Row;
const Skiplist = skiplist.Skiplist;
const Source = @import("../read/source.zig").Source;
const Entry = layout.Entry;

const entry_count = 1_000;
const row_slot = 64;

test "skiplist: a run has the entries before a position, the nearest first, and none is left out" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const session = &(try world.attach()).context.session;
    _ = session.pinFloor(true);
    defer session.unpin();
    var index = std.mem.zeroes(layout.Index);
    try harness.makeIndex(session, &index);
    const list: Skiplist = .{ .segment = session.segment, .index = &index, .words_count = 1 };
    for (0..entry_count) |i| {
        const key: u64 = i * 7 % entry_count;
        try list.insert(session, .{ .words = &.{key}, .slot = row_slot });
    }
    var random_state: std.Random.DefaultPrng = .init(1);
    const random = random_state.random();
    var room: [ahead.entries_max]*Entry = undefined;
    for (0..5_000) |_| {
        const key = random.uintAtMost(u64, entry_count);
        const size = random.intRangeAtMost(usize, 1, room.len);
        const count = try list.runBefore(.{ .words = &.{key}, .slot = row_slot }, room[0..size]);
        try std.testing.expectEqual(key == 0, count == 0);
        try std.testing.expect(count <= @min(size, key));
        for (room[0..count], 1..) |entry, distance| {
            try std.testing.expectEqual(key - distance, list.wordsOf(entry)[0]);
        }
    }
}

test "search: a walk over an index that goes around in a ring ends" {
    const allocator = std.testing.allocator;
    const world = try harness.World.init(allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const id = try world.createTable(engine);
    for (0..200) |key| {
        const row: harness.Row = .init(key, @intCast(key), key);
        _ = try row.write(engine, id, .upsert);
    }
    const table = try engine.context.table(id);
    const index = &table.indexes[0];
    // The last entry leads to the first one again.
    var last = try world.segment.at(Entry, index.list.index.head);
    const first = (try index.list.after(last)).?;
    while (try index.list.after(last)) |found| last = found.entry;
    last.links()[0].raw = Link.of(last.links()[0].raw).next(first.ref).raw();

    const beyond: [1]u64 = .{std.math.maxInt(u64)};
    const counted = estimate.countBetween(index.list, &beyond, &beyond);
    try std.testing.expectError(error.SegmentCorrupt, counted);

    const snapshot = try engine.pins.open(allocator, &engine.context.session);
    defer engine.pins.close(&engine.context.session, snapshot);
    var source: Source = .{
        .allocator = allocator,
        .segment = engine.context.session.segment,
        .table = table,
        .snapshot = snapshot.csn,
        .transaction = null,
    };
    const low: [1]u64 = .{0};
    const high: [1]u64 = .{std.math.maxInt(u64)};
    var cursor = try source.seek(index.column().position, &low, &high, .{});
    defer cursor.deinit();
    var rows: [16]Row = undefined;
    var count: usize = 0;
    const ended = while (count < 1000) {
        const filled = cursor.fill(&rows, rows.len) catch |err| break err;
        if (filled == 0) break error.NotNoticed;
        count += filled;
    } else error.NotNoticed;
    try std.testing.expectEqual(error.SegmentCorrupt, ended);
}
