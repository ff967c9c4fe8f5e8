//! Tests of explicit transactions on one and two engines.
const std = @import("std");
const harness = @import("../testing/harness.zig");
const write_ = @import("write.zig");
const Transaction = @import("transaction.zig").Transaction;
const Engine = @import("engine.zig").Engine;

fn put(transaction: *Transaction, table: u32, id: u64, altitude: i64) !write_.Result {
    const row: harness.Row = .init(id, altitude, 0);
    return transaction.write(
        table,
        .upsert,
        .{ .named = 0b11, .missing = 0, .image = &row.image },
        row.key(),
        write_.newest_none,
    );
}

fn remove(transaction: *Transaction, table: u32, id: u64) !write_.Result {
    const row: harness.Row = .init(id, 0, 0);
    return transaction.write(
        table,
        .delete,
        .{ .named = 0, .missing = 0, .image = &row.image },
        row.key(),
        write_.newest_none,
    );
}

fn read(transaction: *Transaction, table: u32, id: u64) !?i64 {
    const row: harness.Row = .init(id, 0, 0);
    var out: [40]u8 align(8) = undefined;
    if (!try transaction.get(table, row.key(), &out)) return null;
    return std.mem.readInt(i64, out[16..24], .little);
}

const Pair = struct { world: *harness.World, a: *Engine, b: *Engine, table: u32 };

fn pair() !Pair {
    const world = try harness.World.init(std.testing.allocator, .{});
    const a = try world.attach();
    const b = try world.attach();
    const table = try world.createTable(a);
    const row: harness.Row = .init(1, 10, 0);
    _ = try row.write(a, table, .insert);
    return .{ .world = world, .a = a, .b = b, .table = table };
}

test "transaction: own writes are seen inside and by nobody else before the commit" {
    const p = try pair();
    defer p.world.deinit();

    const tx = try Transaction.begin(p.a, 1, false);
    defer tx.destroy();

    _ = try put(tx, p.table, 1, 20);
    _ = try put(tx, p.table, 2, 30);
    try std.testing.expectEqual(@as(?i64, 20), try read(tx, p.table, 1));
    try std.testing.expectEqual(@as(?i64, 10), try harness.altitudeOf(p.b, p.table, 1));
    try std.testing.expectEqual(@as(?i64, null), try harness.altitudeOf(p.b, p.table, 2));
    _ = try tx.commit();
    try std.testing.expectEqual(@as(?i64, 20), try harness.altitudeOf(p.b, p.table, 1));
    try std.testing.expectEqual(@as(?i64, 30), try harness.altitudeOf(p.b, p.table, 2));
    try p.world.verify(p.a, p.table);
}

test "transaction: a rolled back savepoint leaves no write, any number of times" {
    const p = try pair();
    defer p.world.deinit();

    const tx = try Transaction.begin(p.a, 1, false);
    defer tx.destroy();

    _ = try put(tx, p.table, 1, 20);
    const outer = try tx.savepoint();
    for (0..3) |_| {
        _ = try remove(tx, p.table, 1);
        const inner = try tx.savepoint();
        _ = try put(tx, p.table, 5, 1);
        _ = try put(tx, p.table, 5, 2);
        try std.testing.expect(tx.rollback(inner));
        try std.testing.expectEqual(@as(?i64, null), try read(tx, p.table, 5));
        try std.testing.expect(tx.rollback(outer));
        try std.testing.expectEqual(@as(?i64, 20), try read(tx, p.table, 1));
        try std.testing.expect(!tx.rollback(inner));
    }
    try std.testing.expect(tx.release(outer));
    try std.testing.expect(!tx.rollback(outer));
    _ = try tx.commit();
    try std.testing.expectEqual(@as(?i64, 20), try harness.altitudeOf(p.b, p.table, 1));
    try std.testing.expectEqual(@as(?i64, null), try harness.altitudeOf(p.b, p.table, 5));
}

test "transaction: write skew over two rows is refused" {
    const p = try pair();
    defer p.world.deinit();

    const second: harness.Row = .init(2, 10, 0);
    _ = try second.write(p.a, p.table, .insert);
    const x = try Transaction.begin(p.a, 1, false);
    defer x.destroy();

    const y = try Transaction.begin(p.b, 1, false);
    defer y.destroy();

    _ = try read(x, p.table, 1);
    _ = try read(y, p.table, 2);
    _ = try put(x, p.table, 2, 0);
    _ = try put(y, p.table, 1, 0);
    _ = try x.commit();
    try std.testing.expectError(error.Conflict, y.commit());
    try std.testing.expectEqual(@as(?i64, 10), try harness.altitudeOf(p.b, p.table, 1));
    try p.world.verify(p.a, p.table);
}

test "transaction: a key found absent conflicts with its insert" {
    const p = try pair();
    defer p.world.deinit();

    const x = try Transaction.begin(p.a, 1, false);
    defer x.destroy();

    try std.testing.expectEqual(@as(?i64, null), try read(x, p.table, 9));
    _ = try put(x, p.table, 1, 99);
    const row: harness.Row = .init(9, 1, 0);
    _ = try row.write(p.b, p.table, .insert);
    try std.testing.expectError(error.Conflict, x.commit());
}

test "transaction: a snapshot keeps its version however often the row changes" {
    const p = try pair();
    defer p.world.deinit();

    const x = try Transaction.begin(p.a, 1, true);
    defer x.destroy();

    for (0..5000) |i| {
        const row: harness.Row = .init(1, @intCast(i), 0);
        _ = try row.write(p.b, p.table, .upsert);
    }
    try std.testing.expectEqual(@as(?i64, 10), try read(x, p.table, 1));
    try std.testing.expectEqual(@as(?i64, 4999), try harness.altitudeOf(p.a, p.table, 1));
}

test "transaction: a token tells the outcome" {
    const p = try pair();
    defer p.world.deinit();

    const outcome = @import("outcome.zig");
    const x = try Transaction.begin(p.a, 1, false);
    const token = x.takeToken();
    try std.testing.expectEqual(.pending, outcome.of(&p.world.segment, token));
    _ = try put(x, p.table, 1, 5);
    _ = try x.commit();
    x.destroy();
    try std.testing.expectEqual(.committed, outcome.of(&p.world.segment, token));
    const y = try Transaction.begin(p.a, 2, false);
    const other = y.takeToken();
    y.destroy();
    try std.testing.expectEqual(.aborted, outcome.of(&p.world.segment, other));
    try std.testing.expectEqual(.unknown, outcome.of(&p.world.segment, other + 1));
}
