//! What the participants of a play did and saw, and whether one serial order explains it.
//!
//! **Invariants**: the order of the CSNs is the order that must explain everything; it agrees with
//! the order in which calls returned and began.
const std = @import("std");
const write_ = @import("../txn/write.zig");

/// Rows of plays have ids below this.
pub const ids = 8;
/// Bytes of a row image.
pub const image_size = 40;
/// How many of them a tally reads.
pub const ids_tallied = 4;
/// The search of `range` finds rows from this altitude on.
pub const range_from = 1;
/// What the transaction of `kept` leaves in its second row.
pub const kept_altitude = 1;

pub const Row = struct { altitude: i64 = 0, stamp: u64 = 0 };
pub const Put = struct { id: u64, altitude: i64 = 0, stamp: u64 = 0 };
pub const Move = struct { a: u64, b: u64, amount: i64 = 1 };

pub const Op = union(enum) {
    put: Put,
    insert: Put,
    update: Put,
    delete: u64,
    /// One batch: `amount` in row a, its opposite in row b.
    pair: Move,
    /// A transaction that reads both rows, takes from one and gives to the other.
    move: Move,
    /// Transactions that write what they have read into one row: all rows by key, absent ones
    /// too; how many rows a search through an index finds; whether there was a row b, seen by a
    /// write that is rolled back to a savepoint; row b, read before the latch of a is taken.
    tally: u64,
    range: u64,
    rolled: Move,
    locked: Move,
    /// As `rolled`, but what takes the write back is another write: to `kept_altitude`.
    kept: Move,
    /// A transaction that names one column only, the altitude.
    half: Put,
    get: u64,
    /// A snapshot of everything.
    look,
    vacuum,
    drain,
    /// Repairs the dead.
    sweep,
    /// Takes a CSN for nothing.
    tick,
    /// Revokes the pin of everybody who is not inside a commit, as if all snapshots were too old.
    revoke,
    /// Waits no longer for the commits that are under way.
    overtake,
    /// Leaves and comes back.
    reattach,
};

pub const Look = struct {
    snapshot: u64,
    by_key: [ids]?Row = @splat(null),
    by_index: [2][ids]?Row = @splat(@splat(null)),
};

pub const Result = union(enum) {
    /// Not ended.
    none,
    done,
    /// `none` is a duplicate key.
    write: write_.Result,
    value: ?Row,
    look: Look,
    moved: struct { a: ?Row, b: ?Row, snapshot: u64 },
    /// What a transaction has written for what it has read.
    derived: struct { value: i64, snapshot: u64 },
    conflict,
};

pub const Event = struct {
    participant: u8,
    op: Op,
    /// Numbers of a clock that ticks with each begin and end; `end` 0: never returned.
    begin: u32,
    end: u32 = 0,
    /// 0: wrote nothing.
    csn: u64 = 0,
    /// Everything acknowledged before the begin has a CSN at or below this.
    low: u64,
    /// The next CSN at the end.
    high: u64 = 0,
    result: Result = .none,
};

pub const State = struct {
    rows: [ids]?Row = @splat(null),

    /// The state after the operation, and what a write returns.
    pub fn apply(state: *State, op: Op) write_.Result {
        switch (op) {
            .put => |put| return state.write(put),
            .insert => |put| return if (state.rows[put.id] != null) .none else state.write(put),
            .update => |put| return if (state.rows[put.id] == null) .absent else state.write(put),
            .delete => |id| {
                defer state.rows[id] = null;
                return if (state.rows[id] == null) .absent else .deleted;
            },
            .pair => |pair| {
                const a = state.write(.{ .id = pair.a, .altitude = pair.amount });
                const b = state.write(.{ .id = pair.b, .altitude = -pair.amount });
                return if (a == .unchanged and b == .unchanged) .unchanged else .updated;
            },
            .move => |move| {
                if (state.rows[move.a] == null or state.rows[move.b] == null) return .absent;
                _ = state.write(
                    .{ .id = move.a, .altitude = state.rows[move.a].?.altitude - move.amount },
                );
                _ = state.write(
                    .{ .id = move.b, .altitude = state.rows[move.b].?.altitude + move.amount },
                );
                return .updated;
            },
            .tally, .range => |id| return state.write(
                .{ .id = id, .altitude = state.derive(op) },
            ),
            .half => |put| {
                const stamp = if (state.rows[put.id]) |row| row.stamp else put.stamp;
                return state.write(.{ .id = put.id, .altitude = put.altitude, .stamp = stamp });
            },
            .rolled, .locked => |move| return state.write(
                .{ .id = move.a, .altitude = state.derive(op) },
            ),
            .kept => |move| {
                const value = state.derive(op);
                const b = state.write(.{ .id = move.b, .altitude = kept_altitude });
                const a = state.write(.{ .id = move.a, .altitude = value });
                return if (a == .unchanged and b == .unchanged) .unchanged else .updated;
            },
            else => return .none,
        }
    }

    /// What a transaction of the kind writes for what it reads here.
    pub fn derive(state: *const State, op: Op) i64 {
        switch (op) {
            .tally => {
                var sum: i64 = 0;
                for (state.rows[0..ids_tallied]) |row| sum += if (row) |r| r.altitude else 2;
                return @mod(sum, 4);
            },
            .range => {
                var count: i64 = 0;
                for (state.rows) |row| if (row) |r| {
                    if (r.altitude >= range_from) count += 1;
                };
                return @mod(count, 3);
            },
            .rolled, .kept => |move| return if (state.rows[move.b] != null) 1 else 2,
            .locked => |move| {
                return if (state.rows[move.b]) |row| @mod(row.altitude + 1, 4) else 3;
            },
            else => unreachable, // the others derive nothing
        }
    }

    fn write(state: *State, row: Put) write_.Result {
        const old = state.rows[row.id];
        const new: Row = .{ .altitude = row.altitude, .stamp = row.stamp };
        state.rows[row.id] = new;
        if (old == null) return .inserted;
        return if (std.meta.eql(old.?, new)) .unchanged else .updated;
    }
};

pub const History = struct {
    allocator: std.mem.Allocator,
    events: std.ArrayList(*Event) = .empty,
    arena: std.heap.ArenaAllocator,
    clock: u32 = 0,
    acknowledged: u64 = 0,
    /// Set while failures are expected (mutants): they are not printed.
    silent: bool = false,

    pub fn init(allocator: std.mem.Allocator) History {
        return .{ .allocator = allocator, .arena = .init(allocator) };
    }

    pub fn deinit(history: *History) void {
        history.events.deinit(history.allocator);
        history.arena.deinit();
    }

    pub fn clear(history: *History) void {
        history.events.clearRetainingCapacity();
        _ = history.arena.reset(.retain_capacity);
        history.clock = 0;
        history.acknowledged = 0;
    }

    pub fn begin(history: *History, participant: u8, op: Op) !*Event {
        const event = try history.arena.allocator().create(Event);
        history.clock += 1;
        event.* = .{
            .participant = participant,
            .op = op,
            .begin = history.clock,
            .low = history.acknowledged,
        };
        try history.events.append(history.allocator, event);
        return event;
    }

    pub fn end(history: *History, event: *Event, tail: u64) void {
        history.clock += 1;
        event.end = history.clock;
        event.high = tail;
        history.acknowledged = @max(history.acknowledged, event.csn);
    }

    /// Explains every result by the order of the CSNs; returns the state that is left.
    pub fn check(history: *History, initial: State) !State {
        const scratch = history.arena.allocator();
        const events = try scratch.dupe(*Event, history.events.items);
        std.sort.block(*Event, events, {}, struct {
            fn before(_: void, a: *Event, b: *Event) bool {
                return a.csn < b.csn;
            }
        }.before);
        var first: usize = 0;
        while (first < events.len and events[first].csn == 0) first += 1;
        const commits = events[first..];
        const states = try scratch.alloc(State, commits.len + 1);
        states[0] = initial;
        for (commits, 0..) |event, i| {
            states[i + 1] = states[i];
            const result = states[i + 1].apply(event.op);
            try history.checkCommit(event, states[i], result);
            if (i > 0 and commits[i - 1].csn == event.csn) return history.wrong(
                event,
                "has another's CSN",
            );
            for (commits[0..i]) |earlier| {
                if (event.end != 0 and event.end < earlier.begin) return history.wrong(
                    event,
                    "ended before one below it began",
                );
            }
        }
        for (events[0..first]) |event| {
            if (event.end != 0) try history.checkRead(event, commits, states);
        }
        return states[commits.len];
    }

    fn checkCommit(
        history: *History,
        event: *const Event,
        before: State,
        result: write_.Result,
    ) !void {
        if (event.csn <= event.low) return history.wrong(
            event,
            "is below what was acknowledged before",
        );
        if (result == .unchanged or result == .absent) return history.wrong(
            event,
            "had nothing to write",
        );
        switch (event.result) {
            .none, .done => {},
            .write => |got| if (got != result) return history.wrong(
                event,
                "should have returned something else",
            ),
            .moved => |got| if (!std.meta.eql(got.a, before.rows[event.op.move.a]) or
                !std.meta.eql(got.b, before.rows[event.op.move.b]))
            {
                return history.wrong(event, "read what was not the newest");
            },
            .derived => |got| if (got.value != before.derive(event.op)) {
                return history.wrong(event, "wrote what was not so");
            },
            .value, .look => return history.wrong(event, "wrote, but only reads"),
            .conflict => return history.wrong(event, "has a CSN"),
        }
    }

    /// A call that wrote nothing is explained by some state between what was acknowledged when it
    /// began and what was numbered when it ended; one with a snapshot by that state.
    fn checkRead(
        history: *History,
        event: *const Event,
        commits: []const *Event,
        states: []const State,
    ) !void {
        for (states, 0..) |state, i| {
            const at_least = if (i == 0) 0 else commits[i - 1].csn;
            const below = if (i == commits.len) std.math.maxInt(u64) else commits[i].csn;
            if (below <= event.low or at_least >= event.high) continue;
            if (explains(event, state, at_least, below)) return;
        }
        return history.wrong(event, "saw what never was");
    }

    fn explains(event: *const Event, state: State, at_least: u64, below: u64) bool {
        switch (event.result) {
            .none, .done => {
                var copy = state;
                return event.op != .pair or copy.apply(event.op) == .unchanged;
            },
            .conflict => return true,
            .write => |got| {
                var copy = state;
                const result = copy.apply(event.op);
                return got == result and (got == .none or got == .absent or got == .unchanged);
            },
            .value => |row| return std.meta.eql(row, state.rows[event.op.get]),
            .look => |seen| {
                // The snapshot holds what is below it: the commits up to `at_least`, and no more.
                if (at_least >= seen.snapshot or below < seen.snapshot) return false;
                return std.meta.eql(seen.by_key, state.rows) and
                    std.meta.eql(seen.by_index[0], state.rows) and std.meta.eql(
                    seen.by_index[1],
                    state.rows,
                );
            },
            .derived => |got| {
                var copy = state;
                return at_least < got.snapshot and below >= got.snapshot and
                    got.value == state.derive(event.op) and copy.apply(event.op) == .unchanged;
            },
            .moved => |got| {
                if (at_least >= got.snapshot or below < got.snapshot) return false;
                return std.meta.eql(got.a, state.rows[event.op.move.a]) and
                    std.meta.eql(
                        got.b,
                        state.rows[event.op.move.b],
                    ) and (got.a == null or got.b == null);
            },
        }
    }

    fn wrong(history: *History, event: *const Event, what: []const u8) error{NotSerializable} {
        if (history.silent) return error.NotSerializable;
        std.debug.print("history: {any}\n  {s}\n", .{ event.*, what });
        for (history.events.items) |each| std.debug.print("  {any}\n", .{each.*});
        return error.NotSerializable;
    }

    pub fn report(history: *const History, comptime format: []const u8, arguments: anytype) void {
        if (!history.silent) std.debug.print("play: " ++ format ++ "\n", arguments);
    }
};
