//! A program that compares a scan with what memory gives: the time of a count over two columns that
//! no index has, in one thread, and of a plain sum of all words of the same row versions, where
//! they lie, whose places are known beforehand.
//!
//!   zig build scan-bench && zig-out/bin/scan-bench 1000000
//!
//! One line: rows, bytes of their versions, microseconds of the scan and of the sum; the least of
//! many rounds, in turns.
const std = @import("std");
const drain = @import("txn/drain.zig");
const executor = @import("query/executor.zig");
const harness = @import("testing/harness.zig");
const layout = @import("segment/layout.zig");
const model = @import("query/model.zig");
const os = @import("os.zig");
const plan = @import("query/plan.zig");
const ring = @import("segment/ring.zig");
const Engine = @import("txn/engine.zig").Engine;
const Source = @import("read/source.zig").Source;

const rounds = 40;
const altitude_count = 45_000;
const image_size = 40;
const VersionWords = [(@sizeOf(layout.Version) + image_size) / 8]u64;
/// Of the segment, for each row; with its two index entries.
const row_bytes_max = 400;

pub fn main(init: std.process.Init.Minimal) !void {
    var arguments = init.args.iterate();
    _ = arguments.next();
    const row_count = try std.fmt.parseInt(u32, arguments.next() orelse "100000", 10);
    const allocator = std.heap.c_allocator;

    const needed = (64 << 20) + @as(u64, row_count) * row_bytes_max;
    const size = std.mem.alignForward(u64, needed, 1 << 20);
    const world = try harness.World.init(allocator, .{ .size = size, .cell_count = 1 << 14 });
    defer world.deinit();
    const engine = try world.attach();
    const table_id = try world.createTable(engine);
    var random: std.Random.DefaultPrng = .init(1);
    for (0..row_count) |id| {
        const altitude = random.random().uintLessThan(u32, altitude_count);
        const row: harness.Row = .init(id, altitude, id);
        _ = try row.write(engine, table_id, .insert);
        if (id % 100 == 0) try drainRing(engine);
    }
    const table = try engine.context.table(table_id);
    var arena: std.heap.ArenaAllocator = .init(allocator);
    defer arena.deinit();
    const bytes = try counting.encode(arena.allocator(), &table.schema);
    const program = try executor.Program.init(arena.allocator(), &table.schema, bytes);
    const versions = try arena.allocator().alloc(*const VersionWords, row_count);
    if (table.schema.image_size != image_size) return error.Unexpected;

    var scan_ns: u64 = std.math.maxInt(u64);
    var sum_ns: u64 = std.math.maxInt(u64);
    var kept: u64 = 0;
    for (0..rounds) |_| {
        const snapshot = try engine.pins.open(allocator, &engine.context.session);
        defer engine.pins.close(&engine.context.session, snapshot);
        var source: Source = .{
            .allocator = allocator,
            .segment = engine.context.session.segment,
            .table = table,
            .snapshot = snapshot.csn,
            .transaction = null,
        };
        try findVersions(&source, versions);
        const started = os.monotonicNs();
        kept +%= try count(&source, &program);
        const scanned = os.monotonicNs();
        kept +%= sum(versions);
        const summed = os.monotonicNs();
        scan_ns = @min(scan_ns, scanned - started);
        sum_ns = @min(sum_ns, summed - scanned);
    }
    const line = "{d} rows, {d} bytes: scan {d} us, sum {d} us, {d} % of its bandwidth ({x})\n";
    std.debug.print(line, .{
        row_count,
        row_count * @sizeOf(VersionWords),
        scan_ns / 1_000,
        sum_ns / 1_000,
        100 * sum_ns / scan_ns,
        kept,
    });
}

const counting: model.TestPlan = .{
    .residual = &.{
        .{
            .operator = .between,
            .column = 1,
            .flags = plan.clause_has_high,
            .operands = &.{.{ .bits = altitude_count / 2 }},
        },
        .{
            .operator = .between,
            .column = 3,
            .flags = plan.clause_has_high,
            .operands = &.{.{ .bits = 1 }},
        },
    },
    .flags = plan.flag_count_only,
};

/// By the walk that a scan is, without other threads.
fn count(source: *Source, program: *const executor.Program) !u64 {
    var scan = source.scan();
    var room: executor.Room = undefined;
    var found: u64 = 0;
    while (true) {
        const filled = try scan.fill(&room.rows);
        if (filled == 0) return found;
        found += program.select(room.rows[0..filled]);
    }
}

/// Where the row versions lie, in the order of a scan.
fn findVersions(source: *Source, out: []*const VersionWords) !void {
    var scan = source.scan();
    var room: executor.Room = undefined;
    var at: usize = 0;
    while (true) {
        const filled = try scan.fill(&room.rows);
        if (filled == 0) break;
        for (room.rows[0..filled]) |row| {
            if (at == out.len) return error.Unexpected;
            out[at] = @ptrCast(@alignCast(row.image - @sizeOf(layout.Version)));
            at += 1;
        }
    }
    if (at != out.len) return error.Unexpected;
}

noinline fn sum(versions: []const *const VersionWords) u64 {
    var total: VersionWords = @splat(0);
    for (versions) |words| {
        for (&total, words) |*each, word| each.* +%= word;
    }
    var all: u64 = 0;
    for (total) |each| all +%= each;
    return all;
}

fn drainRing(engine: *Engine) !void {
    const session = &engine.context.session;
    const epoch = ring.epochOf(session.segment.header.drained.raw);
    while (try drain.run(session, epoch, null, null) != 0) {}
}
