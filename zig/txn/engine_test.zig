//! Tests of single statements and batches on one engine, against a model.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const paged = @import("../segment/paged.zig");
const schema_ = @import("../row/schema.zig");
const harness = @import("../testing/harness.zig");
const scheduler = @import("../instrument/scheduler.zig");
const write_ = @import("write.zig");
const Engine = @import("engine.zig").Engine;
const Link = @import("../segment/rel_ptr.zig").Link;

test "engine: a row is inserted, read, updated, deleted and inserted again" {
    var world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();

    const engine = try world.attach();
    const table = try world.createTable(engine);
    var row: harness.Row = .init(7, 100, 5);
    try std.testing.expectEqual(write_.Result.inserted, try row.write(engine, table, .upsert));
    row = .init(7, 200, 5);
    try std.testing.expectEqual(write_.Result.updated, try row.write(engine, table, .upsert));
    try std.testing.expectEqual(write_.Result.unchanged, try row.write(engine, table, .upsert));
    try std.testing.expectError(error.DuplicateKey, row.write(engine, table, .insert));
    try std.testing.expectEqual(@as(?i64, 200), try harness.altitudeOf(engine, table, 7));
    try std.testing.expect(try engine.delete(table, row.key()));
    try std.testing.expect(!try engine.delete(table, row.key()));
    try std.testing.expectEqual(@as(?i64, null), try harness.altitudeOf(engine, table, 7));
    try std.testing.expectEqual(write_.Result.absent, try row.write(engine, table, .update));
    try std.testing.expectEqual(write_.Result.inserted, try row.write(engine, table, .insert));
    try std.testing.expectEqual(@as(?i64, 200), try harness.altitudeOf(engine, table, 7));
    try world.verify(engine, table);
}

test "engine: random statements agree with a map, and memory stays flat" {
    var world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();

    const engine = try world.attach();
    const table = try world.createTable(engine);
    var model = std.AutoHashMap(u64, i64).init(std.testing.allocator);
    defer model.deinit();

    var prng = std.Random.DefaultPrng.init(1);
    const random = prng.random();
    for (0..200_000) |i| {
        const key = random.uintLessThan(u64, 200);
        const altitude = random.intRangeAtMost(i64, -5, 5);
        var row: harness.Row = .init(key, altitude, @intCast(i));
        switch (random.uintLessThan(u8, 10)) {
            0 => try std.testing.expectEqual(
                model.remove(key),
                try engine.delete(table, row.key()),
            ),
            1...3 => try std.testing.expectEqual(
                model.get(key),
                try harness.altitudeOf(engine, table, key),
            ),
            else => {
                const result = try row.write(engine, table, .upsert);
                try std.testing.expectEqual(model.contains(key), result != .inserted);
                try model.put(key, altitude);
            },
        }
    }
    try world.verify(engine, table);
    try std.testing.expectEqual(model.count(), try harness.countRows(engine, table));
    try std.testing.expect(world.pagesUsed() < 64);
}

test "engine: a batch is one transaction, with records of one key in their order" {
    var world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();

    const engine = try world.attach();
    const table = try world.createTable(engine);
    var batch: harness.Batch = .init(std.testing.allocator, engine, table);
    defer batch.deinit();

    for (0..3000) |i| try batch.add(i % 1000, @intCast(i), i);
    const counts = try batch.write(write_.newest_none);
    try std.testing.expectEqual(@as(u64, 1000), counts.inserted);
    try std.testing.expectEqual(@as(u64, 2000), counts.updated);
    try std.testing.expectEqual(@as(?i64, 2005), try harness.altitudeOf(engine, table, 5));
    try world.verify(engine, table);
}

test "engine: 4,096 sessions attach, write and see each other's rows" {
    const world = try harness.World.init(std.testing.allocator, .{
        .size = 256 << 20,
        .session_count = limits.session_count_max,
        .cell_count = 4 * limits.session_count_max,
    });
    defer world.deinit();
    const first = try world.attach();
    const table = try world.createTable(first);
    for (1..limits.session_count_max) |id| {
        const engine = try world.attach();
        if (id % 16 != 0) continue;
        const row: harness.Row = .init(id, @intCast(id), id);
        _ = try row.write(engine, table, .insert);
    }
    try std.testing.expectError(error.TooManySessions, world.attach());
    const rows = try harness.countRows(first, table);
    try std.testing.expectEqual(limits.session_count_max / 16 - 1, rows);
    try world.verify(first, table);
}

test "engine: batches of rows that share keys leave every index in order and whole" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const table = try world.createTable(engine);
    var prng = std.Random.DefaultPrng.init(5);
    const random = prng.random();
    for (0..20) |turn| {
        var batch: harness.Batch = .init(std.testing.allocator, engine, table);
        defer batch.deinit();
        // Few altitudes, so that rows of one key come in any order; stamps that rise and fall.
        for (0..200) |_| try batch.add(
            random.uintLessThan(u64, 400),
            random.intRangeAtMost(i64, -2, 2),
            random.uintLessThan(u64, 40 + turn * 100),
        );
        _ = try batch.write(write_.newest_none);
        try world.verify(engine, table);
    }
    try world.settle(engine);
    try world.verifySettled(engine, table);
}

test "engine: a row whose version is free is damaged, not read for ever" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const table = try world.createTable(engine);
    const row: harness.Row = .init(1, 2, 3);
    _ = try row.write(engine, table, .insert);
    const view = try engine.context.table(table);
    const found = (try view.map().find(.init(row.key()))).?;
    const head = Link.of(found.slot.head.raw).ref;
    (try world.segment.at(layout.Version, head)).mark.raw = 0;
    try std.testing.expectError(error.SegmentCorrupt, harness.altitudeOf(engine, table, 1));
}

/// Makes a table, or raises the era over and over.
const Maker = struct {
    world: *harness.World,
    engine: *Engine,
    failure: ?anyerror = null,

    fn make(context: *anyopaque) void {
        const maker: *Maker = @ptrCast(@alignCast(context));
        _ = maker.world.createTable(maker.engine) catch |err| {
            maker.failure = err;
        };
    }

    fn overtake(context: *anyopaque) void {
        const maker: *Maker = @ptrCast(@alignCast(context));
        for (0..3) |_| {
            const era = maker.world.segment.header.era.load(.seq_cst);
            _ = maker.world.segment.overtake(era);
        }
    }
};

test "engine: a table is made, however often its commit is overtaken" {
    if (!scheduler.supported) return error.SkipZigTest;
    for (0..100) |seed| {
        const world = try harness.World.init(std.testing.allocator, .{ .size = 4 << 20 });
        defer world.deinit();
        var maker: Maker = .{ .world = world, .engine = try world.attach() };
        _ = try scheduler.run(std.testing.allocator, &.{
            .{ .context = &maker, .main = Maker.make },
            .{ .context = &maker, .main = Maker.overtake },
        }, .{ .seed = seed });
        try std.testing.expectEqual(null, maker.failure);
        _ = try maker.engine.context.table(0);
    }
}

test "engine: what an open snapshot holds back is bounded by the segment alone" {
    const world = try harness.World.init(std.testing.allocator, .{ .size = 16 << 20 });
    defer world.deinit();
    const reader = try world.attach();
    const writer = try world.attach();
    const table = try world.createTable(writer);
    const first: harness.Row = .init(1, 0, 0);
    _ = try first.write(writer, table, .insert);

    const snapshot = try reader.pins.open(std.testing.allocator, &reader.context.session);
    // Two directories and more.
    const count = (2 * paged.RetireQueue.words_per_page + 1) * paged.per_page;
    const slot = writer.context.session.slot;
    var stamp: u64 = 1;
    while (slot.retire_added.raw - slot.retire_taken.raw < count) : (stamp += 1) {
        const row: harness.Row = .init(1, @intCast(stamp), stamp);
        try std.testing.expectEqual(write_.Result.updated, try row.write(writer, table, .update));
    }
    try world.verify(writer, table);

    reader.pins.close(&reader.context.session, snapshot);
    try world.settle(writer);
    try world.verifySettled(writer, table);
    // The queue keeps its root, and the directory and page of its end.
    var queue_pages: u32 = 0;
    for (world.segment.pages[0..world.segment.header.geometry.page_count]) |*page| {
        const state = layout.PageState.of(page.raw);
        if (state.state == .used and state.kind == .retired) queue_pages += 1;
    }
    try std.testing.expect(queue_pages <= 4);
}
