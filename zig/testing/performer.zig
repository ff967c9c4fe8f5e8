//! Performs the operations of a script on the real engine and notes in the history what came of
//! them.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const harness = @import("harness.zig");
const history_ = @import("history.zig");
const drain = @import("../txn/drain.zig");
const engine_ = @import("../txn/engine.zig");
const fate = @import("../txn/status.zig");
const repair = @import("../txn/repair.zig");
const ring = @import("../segment/ring.zig");
const search_ = @import("range_search.zig");
const write_ = @import("../txn/write.zig");
const Transaction = @import("../txn/transaction.zig").Transaction;
const Engine = engine_.Engine;
const Event = history_.Event;
const History = history_.History;
const Link = rel_ptr.Link;
const Op = history_.Op;
const Row = history_.Row;

/// One participant of a play.
pub const Actor = struct {
    number: u8,
    engine: *Engine,
    table: u32,
    script: []const Op,
    history: *History,
    seed: u64,
    current: ?*Event = null,
    failure: ?anyerror = null,
    is_stopped: bool = false,
    is_dead: bool = false,

    pub fn main(context: *anyopaque) void {
        const actor: *Actor = @ptrCast(@alignCast(context));
        for (actor.script) |op| {
            actor.perform(op) catch |err| {
                actor.history.report(
                    "participant {d} failed with {t} at {any}",
                    .{ actor.number, err, op },
                );
                if (!actor.history.silent) {
                    if (@errorReturnTrace()) |trace| std.debug.dumpErrorReturnTrace(trace);
                }
                actor.failure = err;
                return;
            };
        }
    }

    fn perform(actor: *Actor, op: Op) !void {
        const engine = actor.engine;
        const event = try actor.history.begin(actor.number, op);
        actor.current = event;
        engine.context.last_csn = 0;
        if (op == .reattach) {
            const liveness = engine.context.session.liveness;
            const allocator = engine.context.allocator;
            engine.detach();
            try engine.attach(allocator, engine.context.session.segment, liveness);
            engine.context.session.random = actor.seed;
        } else {
            event.result = performed(engine, actor.table, op) catch |err| switch (err) {
                // A pin that was revoked shows as any of them.
                error.Conflict, error.SnapshotTooOld => .conflict,
                error.DuplicateKey => .{ .write = .none },
                else => return err,
            };
        }
        event.csn = engine.context.last_csn;
        actor.history.end(event, engine.context.session.segment.header.tail.raw);
    }

    /// The process is gone: the kernel drops what it held.
    pub fn die(actor: *Actor) void {
        actor.is_dead = true;
        actor.engine.context.session.liveness.simulated.drop();
    }

    /// The participant takes no further step: what its commit has come to is noted. Of one that
    /// stays alive it is noted before it dies: until then others may decide.
    pub fn noteCommit(actor: *Actor) void {
        const session = &actor.engine.context.session;
        const event = actor.current orelse return;
        if (event.end != 0) return;
        event.csn = actor.engine.context.last_csn;
        if (event.csn != 0) return;
        const state = layout.State.of(session.slot.state.raw);
        if (state.phase != .numbered and state.phase != .final) return;
        const csn = session.slot.csn.raw;
        const raw = session.segment.cells[csn & (session.segment.cell_count - 1)].raw;
        if (state.phase == .final or ring.classify(
            session.segment,
            csn,
            raw,
        ) == .committed) event.csn = csn;
    }
};

pub fn run(engine: *Engine, table: u32, op: Op) !void {
    _ = try performed(engine, table, op);
}

fn performed(engine: *Engine, table: u32, op: Op) !history_.Result {
    switch (op) {
        .put => |row| return .{ .write = try write(engine, table, .upsert, row) },
        .insert => |row| return .{ .write = try write(engine, table, .insert, row) },
        .update => |row| return .{ .write = try write(engine, table, .update, row) },
        .delete => |id| {
            const row: harness.Row = .init(id, 0, 0);
            return .{ .write = if (try engine.delete(table, row.key())) .deleted else .absent };
        },
        .pair => |pair| {
            var batch: harness.Batch = .init(engine.context.allocator, engine, table);
            defer batch.deinit();

            try batch.add(pair.a, pair.amount, 0);
            try batch.add(pair.b, -pair.amount, 0);
            _ = try batch.write(write_.newest_none);
            return .done;
        },
        .move => |move| return moved(engine, table, move),
        .tally, .range, .rolled, .locked, .kept => return derived(engine, table, op),
        .half => |row| return .{ .write = try writeHalf(engine, table, row) },
        .get => |id| return .{ .value = try get(engine, table, id) },
        .look => return .{ .look = try look(engine, table) },
        .vacuum => {
            engine.pins.enterCommit(&engine.context.session);
            defer engine.pins.leaveCommit(&engine.context.session);

            _ = try engine.reclaim(1 << 16);
        },
        .drain => {
            const session = &engine.context.session;
            const epoch = ring.epochOf(session.segment.header.drained.load(.acquire));
            _ = drain.run(session, epoch, null, null) catch |err| switch (err) {
                error.LostEpoch => {}, // another was faster
                else => return err,
            };
        },
        .sweep => _ = try repair.sweep(&engine.context),
        .tick => if (ring.takeCsn(engine.context.session.segment)) |csn| {
            _ = ring.abort(engine.context.session.segment, csn);
        },
        .revoke => {
            const segment = engine.context.session.segment;
            for (segment.sessions[0..segment.session_count]) |*slot| {
                const raw = slot.pin.load(.seq_cst);
                if (raw == layout.pin_none or raw == layout.pin_revoked) continue;
                if (layout.Pin.of(raw).committing) continue;
                _ = slot.pin.cas(raw, layout.pin_revoked, .seq_cst);
            }
        },
        .overtake => {
            const segment = engine.context.session.segment;
            const era = segment.header.era.load(.seq_cst);
            for (segment.sessions[0..segment.session_count]) |*slot| {
                const raw = slot.pin.load(.seq_cst);
                if (raw == layout.pin_none or raw == layout.pin_revoked) continue;
                if (!layout.Pin.of(raw).committing) continue;
                _ = segment.overtake(era);
                break;
            }
        },
        .reattach => {},
    }
    return .done;
}

fn write(engine: *Engine, table: u32, op: write_.Op, put: history_.Put) !write_.Result {
    const row: harness.Row = .init(put.id, put.altitude, put.stamp);
    return row.write(engine, table, op);
}

/// A transaction that reads two rows and moves an amount from one to the other.
fn moved(engine: *Engine, table: u32, move: history_.Move) !history_.Result {
    const transaction = try Transaction.begin(engine, 1, false);
    defer transaction.destroy();

    const a = try readIn(transaction, table, move.a);
    const b = try readIn(transaction, table, move.b);
    if (a != null and b != null) {
        _ = try writeIn(transaction, table, move.a, a.?.altitude - move.amount);
        _ = try writeIn(transaction, table, move.b, b.?.altitude + move.amount);
    }
    _ = try transaction.commit();
    return .{ .moved = .{ .a = a, .b = b, .snapshot = transaction.snapshot } };
}

/// A transaction that writes what it has read.
fn derived(engine: *Engine, table: u32, op: Op) !history_.Result {
    const transaction = try Transaction.begin(engine, 1, false);
    defer transaction.destroy();

    return derivedIn(transaction, table, op) catch |err| {
        // `range` reads shared memory itself: without a pin it may meet anything.
        return if (transaction.isRevoked()) error.SnapshotTooOld else err;
    };
}

fn derivedIn(transaction: *Transaction, table: u32, op: Op) !history_.Result {
    var seen: history_.State = .{};
    switch (op) {
        .tally => for (seen.rows[0..history_.ids_tallied], 0..) |*row, id| {
            row.* = try readIn(transaction, table, id);
        },
        .range => try search_.readRange(transaction, table, &seen),
        .rolled => |move| {
            const savepoint = try transaction.savepoint();
            const result = try writeIn(transaction, table, move.b, never_seen);
            if (result != .inserted) seen.rows[move.b] = .{};
            if (!transaction.rollback(savepoint)) return error.SegmentCorrupt;
        },
        .kept => |move| {
            const result = try writeIn(transaction, table, move.b, never_seen);
            if (result != .inserted) seen.rows[move.b] = .{};
            _ = try writeIn(transaction, table, move.b, history_.kept_altitude);
        },
        .locked => |move| {
            seen.rows[move.b] = try readIn(transaction, table, move.b);
            const key: harness.Row = .init(move.a, 0, 0);
            if (!try transaction.lock(table, key.key())) return .conflict;
        },
        else => unreachable, // the others derive nothing
    }
    const value = seen.derive(op);
    const id = switch (op) {
        .rolled, .locked, .kept => |move| move.a,
        .tally, .range => |id| id,
        else => unreachable, // as above
    };
    _ = try writeIn(transaction, table, id, value);
    _ = try transaction.commit();
    return .{ .derived = .{ .value = value, .snapshot = transaction.snapshot } };
}

/// A transaction that names the altitude only.
fn writeHalf(engine: *Engine, table: u32, put: history_.Put) !write_.Result {
    const transaction = try Transaction.begin(engine, 1, false);
    defer transaction.destroy();

    const row: harness.Row = .init(put.id, put.altitude, put.stamp);
    const record: engine_.Record = .{ .named = 0b01, .missing = 0, .image = &row.image };
    const none = write_.newest_none;
    const result = try transaction.write(table, .upsert, record, row.key(), none);
    _ = try transaction.commit();
    return result;
}

/// An altitude that is only written to be taken back.
const never_seen = 999;

fn readIn(transaction: *Transaction, table: u32, id: u64) !?Row {
    const key: harness.Row = .init(id, 0, 0);
    var out: harness.Row = undefined;
    if (!try transaction.get(table, key.key(), &out.image)) return null;
    return rowOf(&out.image);
}

fn writeIn(transaction: *Transaction, table: u32, id: u64, altitude: i64) !write_.Result {
    const row: harness.Row = .init(id, altitude, 0);
    const record: engine_.Record = .{ .named = 0b11, .missing = 0, .image = &row.image };
    return transaction.write(table, .upsert, record, row.key(), write_.newest_none);
}

pub fn rowOf(image: [*]const u8) Row {
    return .{
        .altitude = std.mem.readInt(i64, image[16..24], .little),
        .stamp = std.mem.readInt(u64, image[24..32], .little),
    };
}

pub fn get(engine: *Engine, table: u32, id: u64) !?Row {
    const key: harness.Row = .init(id, 0, 0);
    var out: harness.Row = undefined;
    if (!try engine.get(table, key.key(), &out.image)) return null;
    return rowOf(&out.image);
}

/// One snapshot, read by keys and through every index.
fn look(engine: *Engine, table: u32) !history_.Look {
    const session = &engine.context.session;
    const snapshot = try engine.pins.open(engine.context.allocator, session);
    defer engine.pins.close(session, snapshot);

    const seen = lookAt(engine, table, snapshot.csn);
    // Whatever it is: read without a pin it means nothing.
    return if (engine.pins.isRevoked(session, snapshot)) error.SnapshotTooOld else seen;
}

fn lookAt(engine: *Engine, table_id: u32, snapshot: u64) !history_.Look {
    const table = try engine.context.table(table_id);
    const session = &engine.context.session;
    var seen: history_.Look = .{ .snapshot = snapshot };
    for (&seen.by_key, 0..) |*row, id| {
        const key: harness.Row = .init(id, 0, 0);
        const found = (try table.map().find(.init(key.key()))) orelse continue;
        const head = Link.of(found.slot.head.load(.seq_cst)).ref;
        const version = (try fate.visible(session.segment, head, snapshot)) orelse continue;
        row.* = rowOf(version.image());
    }
    for (table.indexes[0..table.index_count], 0..) |*index, i| {
        var entry = try session.segment.at(layout.Entry, index.list.index.head);
        while (try index.list.after(entry)) |found| {
            entry = found.entry;
            const slot = try session.segment.at(layout.RowSlot, entry.slot.load(.monotonic));
            const head = Link.of(slot.head.load(.seq_cst)).ref;
            const version = (try fate.visible(session.segment, head, snapshot)) orelse continue;
            if (!index.isOf(index.list.wordsOf(entry), version.image())) continue;
            const id = std.mem.readInt(u64, version.image()[8..16], .little);
            if (id >= history_.ids) return error.SegmentCorrupt;
            if (seen.by_index[i][id] != null) return error.RowTwice;
            seen.by_index[i][id] = rowOf(version.image());
        }
    }
    return seen;
}
