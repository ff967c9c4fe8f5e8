//! Every counter that has an end, started just below it: `docs/internals/counters.md`.

const std = @import("std");
const drain = @import("../txn/drain.zig");
const files = @import("crafted/files.zig");
const formats = @import("../wal/format.zig");
const harness = @import("harness.zig");
const layout = @import("../segment/layout.zig");
const limits = @import("../limits.zig");
const outcomes = @import("../txn/outcome.zig");
const readers = @import("../wal/reader.zig");
const recovery = @import("crafted/recovery.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const ring = @import("../segment/ring.zig");
const sim = @import("storage_sim.zig");
const wal_file = @import("../wal/file.zig");

const testing = std.testing;

/// A world whose next CSN is `csn`, as recovery leaves one.
fn worldAt(csn: u64) !*harness.World {
    const world = try harness.World.init(testing.allocator, .{});
    const header = world.segment.header;
    ring.startAt(&world.segment, csn);
    header.first_csn = csn;
    header.tail.raw = csn;
    header.drained.raw = ring.drainedWord(7, csn);
    header.durable.raw = csn;
    header.horizon.raw = csn;
    return world;
}

fn put(engine: anytype, table: u32, id: u64) !void {
    const row: harness.Row = .init(id % 50, @intCast(id), id);
    _ = try row.write(engine, table, .upsert);
}

test "counters: commits go on from any CSN, over the ends of laps" {
    for ([_]u64{
        1,
        1 << 37, // where laps of this small ring seem to be over
        (1 << 38) - 20,
        (1 << 42) + 1,
        (1 << 43) - 20,
        (1 << 48) - 20,
        limits.csn_end - 2_000,
    }) |start| {
        errdefer std.debug.print("CSN {d}\n", .{start});
        const world = try worldAt(start);
        defer world.deinit();
        const engine = try world.attach();
        const table = try world.createTable(engine);
        for (0..1_500) |id| try put(engine, table, id);
        try testing.expect(world.segment.header.tail.raw > start + 1_500);
        try testing.expectEqual(7, ring.epochOf(world.segment.header.drained.raw));
        try testing.expectEqual(50, try harness.countRows(engine, table));
        try world.verify(engine, table);
    }
}

test "counters: the last CSN is a clear end, and reads go on" {
    const world = try worldAt(limits.csn_end - 20);
    defer world.deinit();
    const engine = try world.attach();
    const table = try world.createTable(engine);
    var count: u64 = 0;
    while (count < 100) : (count += 1) {
        put(engine, table, count) catch |err| {
            try testing.expectEqual(error.NumbersUsedUp, err);
            break;
        };
    }
    try testing.expectEqual(19, count);
    try testing.expectError(error.NumbersUsedUp, put(engine, table, 1));
    try testing.expectEqual(count, try harness.countRows(engine, table));
    try testing.expectEqual(3, (try harness.altitudeOf(engine, table, 3)).?);
    try world.verify(engine, table);
}

test "counters: a log far up opens, goes on, ends or is refused" {
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const cases = [_]struct { base: u64, outcome: recovery.Outcome }{
        .{ .base = (1 << 42) + 5, .outcome = .opened },
        .{ .base = (1 << 48) - 25, .outcome = .opened },
        .{ .base = (1 << 48) + 5, .outcome = .opened },
        .{ .base = limits.csn_end - 200, .outcome = .opened },
        .{ .base = limits.csn_end - 25, .outcome = .used_up },
        .{ .base = limits.csn_limit - 50, .outcome = .used_up },
        .{ .base = limits.csn_limit - 49, .outcome = .refused },
        .{ .base = (1 << 53) - 25, .outcome = .refused },
        .{ .base = std.math.maxInt(u64) - 25, .outcome = .refused },
    };
    for (cases) |case| {
        errdefer std.debug.print("CSN {d}\n", .{case.base});
        var made = try files.make(arena.allocator(), 3);
        files.lift(&made, case.base);
        var disk: sim.Disk = .init(testing.allocator);
        defer disk.deinit();
        try made.write(&disk, arena.allocator());
        try testing.expectEqual(case.outcome, try recovery.open(testing.allocator, &disk));
    }
}

test "counters: the last epoch has a file, and there is none after it" {
    var disk: sim.Disk = .init(testing.allocator);
    defer disk.deinit();
    var options: wal_file.CreateOptions = .{
        .database_id = files.database_id,
        .epoch = limits.epoch_limit - 1,
        .first_csn = 1,
        .allocate_size = 4096,
    };
    var writer = try wal_file.Writer.create(disk.storage(), testing.allocator, options);
    writer.close();
    options.epoch += 1;
    try testing.expectError(
        error.NumbersUsedUp,
        wal_file.Writer.create(disk.storage(), testing.allocator, options),
    );
    try expectEpoch(&disk, limits.epoch_limit - 1, null);

    for ([_]u64{ limits.epoch_limit, std.math.maxInt(u64) }) |epoch| {
        var other: sim.Disk = .init(testing.allocator);
        defer other.deinit();
        var header: formats.FileHeader = .{
            .database_id = files.database_id,
            .epoch = epoch,
            .first_csn = 1,
        };
        header.seal();
        const storage = other.storage();
        const file = try storage.open(formats.current_name, .create);
        try storage.write(file, 0, std.mem.asBytes(&header));
        storage.close(file);
        try expectEpoch(&other, epoch, .out_of_range);
    }
}

fn expectEpoch(disk: *sim.Disk, epoch: u64, refusal: ?readers.Fault.Reason) !void {
    var fault: ?readers.Fault = null;
    const options: readers.Options = .{ .start_csn = 1 };
    var reader = readers.Reader.open(disk.storage(), testing.allocator, options, &fault) catch {
        return testing.expectEqual(refusal.?, fault.?.reason);
    };
    defer reader.close();
    try testing.expectEqual(null, refusal);
    while (try reader.next()) |_| {}
    try testing.expectEqual(epoch, reader.report.epoch_max);
}

test "counters: sequences, signals, generations and tokens go around" {
    const world = try harness.World.init(testing.allocator, .{});
    defer world.deinit();
    const header = world.segment.header;
    const slot = &world.segment.sessions[0];
    slot.generation.raw = std.math.maxInt(u64);
    slot.state.raw = (layout.State{
        .phase = .open,
        .sequence = std.math.maxInt(u51) - 100,
    }).raw();
    header.catalog_version.raw = std.math.maxInt(u32);
    header.durable_signal.raw = std.math.maxInt(u32) - 1;
    header.writer_signal.raw = std.math.maxInt(u32) - 1;
    header.writer_beat.raw = std.math.maxInt(u32);
    header.clean_shutdown.raw = std.math.maxInt(u32);
    header.outcome_next.raw = std.math.maxInt(u50) - 1;
    const engine = try world.attach();
    world.segment.noteOpened();
    const table = try world.createTable(engine);
    for (0..500) |id| try put(engine, table, id);
    const sequence = layout.State.of(slot.state.raw).sequence;
    try testing.expect(sequence > 100 and sequence < 1_000);
    try testing.expectEqual(50, try harness.countRows(engine, table));
    try world.verify(engine, table);

    for (0..4) |_| {
        const token = outcomes.open(&engine.context.session);
        outcomes.settle(&world.segment, engine.context.session.index, token, .committed);
        try testing.expectEqual(.committed, outcomes.of(&world.segment, token));
    }
    try testing.expect(header.outcome_next.raw > std.math.maxInt(u50));
}

test "counters: the tags of links go around" {
    const last: rel_ptr.Link = .{ .ref = 8, .marked = false, .tag = std.math.maxInt(u31) };
    try testing.expectEqual(0, last.next(9).tag);
    try testing.expectEqual(0, last.closed().tag);

    const world = try harness.World.init(testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const table = try world.createTable(engine);
    for (0..50) |id| try put(engine, table, id);
    const found = (try (try engine.context.table(table)).map().find(
        .init(harness.Row.init(7, 0, 0).key()),
    )).?;
    var head = rel_ptr.Link.of(found.slot.head.raw);
    head.tag = std.math.maxInt(u31) - 3;
    found.slot.head.raw = head.raw();
    for (0..400) |id| try put(engine, table, id);
    try testing.expect(rel_ptr.Link.of(found.slot.head.raw).tag < 100);
    try testing.expectEqual(50, try harness.countRows(engine, table));
    try world.verify(engine, table);
}

test "counters: a log buffer at the end of its positions says so" {
    const world = try harness.World.init(testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const table = try world.createTable(engine);
    const slot = engine.context.session.slot;
    while (try drain.run(&engine.context.session, 0, null, null) != 0) {}
    const capacity = world.segment.log_buffer_size;
    const near = std.mem.alignBackward(u64, limits.log_position_max, capacity) - 4096;
    slot.log_head.raw = near;
    slot.log_previous.raw = near;
    slot.log_taken.raw = near;
    var ended: ?anyerror = null;
    for (0..500) |id| {
        put(engine, table, id) catch |err| {
            ended = err;
        };
    }
    try testing.expectEqual(error.SegmentCorrupt, ended.?);
    try testing.expect(try harness.altitudeOf(engine, table, 8) != null);
}

test "counters: the log buffers of all sessions leave half of the segment to rows" {
    for ([_]u64{ 64 << 20, 512 << 20, 1 << 30, 8 << 30 }) |size| {
        for ([_]u32{ 16, 256, 1024, 4096 }) |session_count| {
            const geometry = layout.Geometry.init(.{
                .size = size,
                .session_count = session_count,
                .cell_count = @max(limits.cell_count_default, 4 * session_count),
            }) orelse continue;
            const buffer_size = geometry.log_buffer_size;
            if (buffer_size == limits.log_buffer_size_min) continue;
            try testing.expect(@as(u64, buffer_size) * session_count <= size / 2);
        }
    }
}

test "counters: after the last era commits are waited for, and nothing else changes" {
    const world = try harness.World.init(testing.allocator, .{});
    defer world.deinit();
    world.segment.header.era.raw = layout.era_max - 1;
    try testing.expect(world.segment.overtake(layout.era_max - 1));
    try testing.expect(!world.segment.overtake(layout.era_max));
    const engine = try world.attach();
    const table = try world.createTable(engine);
    for (0..100) |id| try put(engine, table, id);
    try world.verify(engine, table);
}
