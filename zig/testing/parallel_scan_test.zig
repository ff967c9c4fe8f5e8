//! Scans by several threads over the engine's own tables, at snapshots beside which another session
//! inserts, changes and deletes: the same rows as one thread finds at the same snapshot.
const std = @import("std");
const drain = @import("../txn/drain.zig");
const executor = @import("../query/executor.zig");
const harness = @import("harness.zig");
const model = @import("../query/model.zig");
const plan = @import("../query/plan.zig");
const ring = @import("../segment/ring.zig");
const view_ = @import("../table/view.zig");
const Engine = @import("../txn/engine.zig").Engine;
const Source = @import("../read/source.zig").Source;
const Execution = executor.Executor(Source);

/// Several parts of a scan.
const row_count = 24_000;
const altitude_count = 1_000;
const rounds = 12;
const threads = 3;
const image_size = 40;

const Writer = struct {
    engine: *Engine,
    table: u32,
    is_over: std.atomic.Value(bool) = .init(false),
    written: std.atomic.Value(u64) = .init(0),
    failure: ?anyerror = null,

    fn run(writer: *Writer) void {
        writer.write() catch |failure| {
            writer.failure = failure;
        };
        // release: the reader may wait for more than there will be
        writer.is_over.store(true, .release);
    }

    fn write(writer: *Writer) !void {
        var state: std.Random.DefaultPrng = .init(7);
        const random = state.random();
        while (!writer.is_over.load(.acquire)) { // pairs with the reader's release
            const id = random.uintLessThan(u64, row_count + row_count / 8);
            const altitude = random.uintLessThan(u32, altitude_count);
            const row: harness.Row = .init(id, altitude, id);
            if (random.uintLessThan(u8, 4) == 0) {
                _ = try row.write(writer.engine, writer.table, .delete);
            } else {
                _ = try row.write(writer.engine, writer.table, .upsert);
            }
            const count = writer.written.fetchAdd(1, .release); // pairs with `waitFor`
            if (count % 64 == 0) try drainRing(writer.engine);
        }
    }

    /// Returns when `count` more rows were written.
    fn waitFor(writer: *Writer, count: u64) !void {
        const start = writer.written.load(.acquire);
        while (writer.written.load(.acquire) < start + count) {
            if (writer.is_over.load(.acquire)) return error.WriterFailed;
            std.Thread.yield() catch {};
        }
    }
};

fn drainRing(engine: *Engine) !void {
    const session = &engine.context.session;
    const epoch = ring.epochOf(session.segment.header.drained.raw);
    while (try drain.run(session, epoch, null, null) != 0) {}
}

/// Rows of low altitude: how many, or the first 50 by falling stamp.
fn planOf(count_only: bool) model.TestPlan {
    return .{
        .residual = &.{.{
            .operator = .between,
            .column = 1,
            .flags = plan.clause_has_high,
            .operands = &.{.{ .bits = altitude_count / 3 }},
        }},
        .sorts = if (count_only) &.{} else &.{.{
            .column = 2,
            .flags = plan.sort_descending,
            .reserved = 0,
        }},
        .flags = if (count_only) plan.flag_count_only else 0,
        .limit = if (count_only) 0 else 50,
    };
}

const Found = struct { count: u64, examined: u64, images: [50 * image_size]u8 align(8) };

fn find(
    engine: *Engine,
    table: *const view_.TableView,
    program: *const executor.Program,
    snapshot: u64,
    threads_forced: usize,
) !Found {
    var source: Source = .{
        .allocator = std.testing.allocator,
        .segment = engine.context.session.segment,
        .table = table,
        .snapshot = snapshot,
        .transaction = null,
        .threads_forced = threads_forced,
    };
    try std.testing.expectEqual(threads_forced > 0, source.split() != null);
    var room: executor.Room = undefined;
    var execution: Execution = .init(std.testing.allocator, &source, program, &room);
    defer execution.deinit();
    var found: Found = .{ .count = 0, .examined = 0, .images = @splat(0) };
    const batch = try execution.next(&found.images);
    try std.testing.expect(batch.done);
    found.count = execution.returned;
    found.examined = execution.examined;
    return found;
}

test "parallel scan: the rows of one thread at the same snapshot, beside a writer" {
    const world = try harness.World.init(std.testing.allocator, .{
        .size = 64 << 20,
        .cell_count = 1 << 14,
    });
    defer world.deinit();
    const engine = try world.attach();
    const table_id = try world.createTable(engine);
    for (0..row_count) |id| {
        const row: harness.Row = .init(id, @intCast(id % altitude_count), id);
        _ = try row.write(engine, table_id, .insert);
        if (id % 100 == 0) try drainRing(engine);
    }
    const table = try engine.context.table(table_id);
    var arena: std.heap.ArenaAllocator = .init(std.testing.allocator);
    defer arena.deinit();
    var programs: [2]executor.Program = undefined;
    for (&programs, [_]bool{ true, false }) |*program, count_only| {
        const bytes = try planOf(count_only).encode(arena.allocator(), &table.schema);
        program.* = try executor.Program.init(arena.allocator(), &table.schema, bytes);
    }

    var writer: Writer = .{ .engine = try world.attach(), .table = table_id };
    const thread = try std.Thread.spawn(.{}, Writer.run, .{&writer});
    defer thread.join();
    defer writer.is_over.store(true, .release); // pairs with the acquire of its loop
    for (0..rounds) |_| {
        try writer.waitFor(100);
        const session = &engine.context.session;
        const snapshot = try engine.pins.open(std.testing.allocator, session);
        defer engine.pins.close(session, snapshot);
        for (&programs) |*program| {
            const expected = try find(engine, table, program, snapshot.csn, 0);
            try writer.waitFor(10);
            const found = try find(engine, table, program, snapshot.csn, threads);
            try std.testing.expect(expected.count > 0);
            try std.testing.expectEqual(expected.count, found.count);
            try std.testing.expectEqual(expected.examined, found.examined);
            try std.testing.expectEqualSlices(u8, &expected.images, &found.images);
        }
    }
    try std.testing.expectEqual(null, writer.failure);
}
