//! A program over the engine alone, without JavaScript, files or a log writer: runs one kind of
//! operation many times, so that a tool can count the instructions of each. `zig build driver`,
//! then `valgrind --tool=callgrind --toggle-collect='*measured*' zig-out/bin/driver upsert 2000`.
//!
//! **Invariants**: the same operations in every run, whatever the machine; everything besides them
//! (filling the table, draining the ring) is outside of `measured`.
const std = @import("std");
const harness = @import("testing/harness.zig");
const drain = @import("txn/drain.zig");
const plan = @import("query/plan.zig");
const ring = @import("segment/ring.zig");
const write_ = @import("txn/write.zig");
const search_ = @import("runtime/search.zig");
const engine_ = @import("txn/engine.zig");
const Engine = engine_.Engine;
const Transaction = @import("txn/transaction.zig").Transaction;

const Operation = enum { upsert, get, search, commit, batch };

const row_count = 10_000;
const altitude_count = 45_000;
const warm_up_count = 2_000;
const batch_size = 1024;
/// Operations between two turns of the drain, which keeps the ring from filling.
const turn_count = 100;

pub fn main(init: std.process.Init.Minimal) !void {
    var arguments = init.args.iterate();
    _ = arguments.next();
    const name = arguments.next() orelse "";
    const operation = std.meta.stringToEnum(Operation, name) orelse return error.UnknownOperation;
    const count = try std.fmt.parseInt(u32, arguments.next() orelse "", 10);

    const world = try harness.World.init(std.heap.c_allocator, .{
        .size = 64 << 20,
        .cell_count = 1 << 14,
    });
    defer world.deinit();
    const engine = try world.attach();
    const table = try world.createTable(engine);
    var driver: Driver = .{
        .engine = engine,
        .table = table,
        .rows = .init(std.heap.c_allocator, engine, table),
        .random = .init(1),
        .plan = rangePlan(),
    };
    defer driver.programs.deinit(std.heap.c_allocator);
    defer driver.rows.deinit();
    for (0..row_count) |id| {
        const altitude = driver.random.random().uintLessThan(u32, altitude_count);
        const row: harness.Row = .init(id, altitude, id);
        _ = try row.write(engine, driver.table, .insert);
        if (id % turn_count == 0) try driver.drainRing();
    }
    var turn: u32 = 0;
    while (turn < warm_up_count / turn_count) : (turn += 1) {
        try driver.run(operation);
        try driver.drainRing();
    }
    turn = 0;
    while (turn < count / turn_count) : (turn += 1) {
        try driver.measured(operation);
        try driver.drainRing();
    }
}

const Driver = struct {
    engine: *Engine,
    table: u32,
    random: std.Random.DefaultPrng,
    plan: Plan,
    programs: search_.Cache = .{},
    estimates: search_.Estimates = undefined,
    rows: harness.Batch,
    stamp: u64 = row_count,
    buffer: [64 * 1024]u8 align(8) = undefined,

    /// The only place whose instructions are counted.
    noinline fn measured(driver: *Driver, operation: Operation) !void {
        try driver.run(operation);
    }

    fn run(driver: *Driver, operation: Operation) !void {
        if (operation == .batch) return driver.writeBatch();
        for (0..turn_count) |_| switch (operation) {
            .upsert => try driver.upsert(),
            .get => try driver.get(),
            .search => try driver.search(),
            .commit => try driver.commit(),
            .batch => unreachable, // above
        };
    }

    /// A row with a new altitude and a new stamp: two index entries move.
    fn nextRow(driver: *Driver) harness.Row {
        const random = driver.random.random();
        driver.stamp += 1;
        const id = random.uintLessThan(u32, row_count);
        return .init(id, random.uintLessThan(u32, altitude_count), driver.stamp);
    }

    fn upsert(driver: *Driver) !void {
        const row = driver.nextRow();
        const result = try row.write(driver.engine, driver.table, .upsert);
        if (result != .updated) return error.Unexpected;
    }

    /// `batch_size` such rows in one transaction.
    fn writeBatch(driver: *Driver) !void {
        const rows = &driver.rows;
        rows.bytes.clearRetainingCapacity();
        for (0..batch_size) |_| {
            const random = driver.random.random();
            driver.stamp += 1;
            const id = random.uintLessThan(u32, row_count);
            try rows.add(id, random.uintLessThan(u32, altitude_count), driver.stamp);
        }
        _ = try rows.write(write_.newest_none);
    }

    fn get(driver: *Driver) !void {
        const id = driver.random.random().uintLessThan(u32, row_count);
        _ = try harness.altitudeOf(driver.engine, driver.table, id) orelse return error.Unexpected;
    }

    /// The first 50 rows of a range of altitudes, in order.
    fn search(driver: *Driver) !void {
        const low = driver.random.random().uintLessThan(u32, altitude_count - 5_000);
        driver.plan.operands[0].value = low;
        driver.plan.operands[1].value = low + 2_000;
        const bytes = std.mem.asBytes(&driver.plan);
        const programs = &driver.programs;
        const open = try search_.Search.open(
            driver.engine,
            programs,
            null,
            driver.table,
            bytes,
            &driver.estimates,
        );
        defer open.close();
        const batch = try open.next(&driver.buffer);
        if (batch.rows != 50) return error.Unexpected;
    }

    /// A transaction that reads a row and changes it.
    fn commit(driver: *Driver) !void {
        const row = driver.nextRow();
        const transaction = try Transaction.begin(driver.engine, 1, false);
        defer transaction.destroy();
        if (!try transaction.get(driver.table, row.key(), &driver.buffer)) return error.Unexpected;
        const record: engine_.Record = .{ .named = 0b11, .missing = 0, .image = &row.image };
        _ = try transaction.write(driver.table, .update, record, row.key(), write_.newest_none);
        _ = try transaction.commit();
    }

    /// What the log writer does, with a log that is kept nowhere.
    fn drainRing(driver: *Driver) !void {
        const session = &driver.engine.context.session;
        const epoch = ring.epochOf(session.segment.header.drained.raw);
        while (try drain.run(session, epoch, null, null) != 0) {}
    }
};

/// `altitude >= low and altitude < high`, sorted by altitude, limit 50.
const Plan = extern struct {
    header: plan.Header,
    arm: plan.Arm,
    sort: plan.Sort,
    clause: plan.Clause,
    operands: [2]plan.Operand,
};

const altitude_column = 1;

fn rangePlan() Plan {
    const operand: plan.Operand = .{
        .position = @intFromEnum(plan.Position.at),
        .reserved = @splat(0),
        .size = 0,
        .value = 0,
    };
    return .{
        .header = .{
            .magic = plan.magic,
            .version = plan.version,
            .flags = plan.flag_walk,
            .size = @sizeOf(Plan),
            .image_size = 40,
            .column_count = 4,
            .arm_count = 1,
            .group_count = 0,
            .sort_count = 1,
            .clause_count = 1,
            .residual_count = 0,
            .operand_count = 2,
            .text_size = 0,
            .offset = 0,
            .limit = 50,
            .projection = 0b111,
        },
        .arm = .{
            .kind = @intFromEnum(plan.ArmKind.index),
            .reserved = 0,
            .column = altitude_column,
            .clause_count = 1,
        },
        .sort = .{ .column = altitude_column, .flags = 0, .reserved = 0 },
        .clause = .{
            .operator = @intFromEnum(plan.Operator.between),
            .flags = plan.clause_has_low | plan.clause_has_high | plan.clause_low_inclusive,
            .column = altitude_column,
            .operand_first = 0,
            .operand_count = 2,
            .reserved = 0,
        },
        .operands = @splat(operand),
    };
}
