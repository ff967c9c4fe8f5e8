//! The work behind the exports about transactions, savepoints, latches and outcomes.
//!
//! **Concurrency**: as the handle that is passed.
const word = @import("../segment/word.zig");
const outcome = @import("../txn/outcome.zig");
const repair = @import("../txn/repair.zig");
const Handle = @import("connection.zig").Handle;
const Transaction = @import("../txn/transaction.zig").Transaction;

/// Flags of `begin`.
pub const begin_read_only: u32 = 1;
/// The transaction is run again after a conflict, and keeps its age.
pub const begin_retry: u32 = 2;

pub fn begin(handle: *Handle, flags: u32) !void {
    const session = &handle.engine.context.session;
    if (flags & begin_retry == 0)
        session.retry = .none
    else
        word.bump(&session.slot.counters.retries, 1);
    handle.io.result.transaction = try handle.begin(flags & begin_read_only != 0);
}

fn existing(handle: *Handle, id: u32) !*Transaction {
    return (try handle.transactionOf(id)) orelse error.InvalidArgument;
}

pub fn commit(handle: *Handle, id: u32) !void {
    const transaction = try existing(handle, id);
    defer handle.end(id);

    const csn = try transaction.commit();
    handle.noteCommit(csn);
}

pub fn snapshotOf(handle: *Handle, id: u32) !void {
    handle.io.result.csn = @floatFromInt((try existing(handle, id)).snapshot);
}

pub fn abort(handle: *Handle, id: u32) !void {
    _ = try existing(handle, id);
    handle.end(id);
}

pub fn savepoint(handle: *Handle, id: u32) !void {
    handle.io.result.savepoint = try (try existing(handle, id)).savepoint();
}

pub fn rollback(handle: *Handle, id: u32, number: u32) !void {
    if (!(try existing(handle, id)).rollback(number)) return error.InvalidArgument;
}

pub fn releaseSavepoint(handle: *Handle, id: u32, number: u32) !void {
    if (!(try existing(handle, id)).release(number)) return error.InvalidArgument;
}

pub fn token(handle: *Handle, id: u32) !void {
    const value = (try existing(handle, id)).takeToken();
    handle.io.result.token_low = @truncate(value);
    handle.io.result.token_high = @truncate(value >> 32);
}

pub fn lock(handle: *Handle, id: u32, table_id: u32) !void {
    const transaction = try existing(handle, id);
    const table = try handle.engine.context.table(table_id);
    const key = handle.io.input[0..table.schema.primaryKey().size];
    if (!try transaction.lock(table_id, key)) return error.Busy;
    // A latch taken by a transaction that has lost before.
    const session = &handle.engine.context.session;
    if (session.retry.csn != 0) word.bump(&session.slot.counters.escalations, 1);
}

pub fn outcomeOf(handle: *Handle, low: u32, high: u32) !void {
    const context = &handle.engine.context;
    const segment = context.session.segment;
    const value = @as(u64, high) << 32 | low;
    var state = outcome.of(segment, value);
    const owner = outcome.sessionOf(segment, value) orelse context.session.index;
    if (state == .pending and !context.session.isAlive(owner)) {
        // A repair needs a pin that cannot be revoked.
        handle.engine.pins.enterCommit(&context.session);
        defer handle.engine.pins.leaveCommit(&context.session);

        _ = try repair.sweep(context);
        state = outcome.of(segment, value);
    }
    handle.io.result.outcome = @intFromEnum(state);
}
