//! One attached session as the boundary sees it: single statements, each its own transaction, and
//! batches.
//!
//! **Concurrency**: one thread at a time per `Engine`; any number of engines on one segment.
//!
//! **Memory**: an `Engine` owns its context and its transactions; `detach` gives everything back.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const scheduler = @import("../instrument/scheduler.zig");
const depot = @import("../segment/depot.zig");
const layout = @import("../segment/layout.zig");
const segment_ = @import("../segment/segment.zig");
const word = @import("../segment/word.zig");
const view_ = @import("../table/view.zig");
const Key = @import("../table/primary_map.zig").Key;
const Batch = @import("batch.zig").Batch;
const catalog = @import("catalog.zig");
const commit = @import("commit.zig");
const context_ = @import("context.zig");
const drain = @import("drain.zig");
const fate = @import("status.zig");
const repair = @import("repair.zig");
const log_state = @import("../segment/log_state.zig");
const ring = @import("../segment/ring.zig");
const vacuum = @import("vacuum.zig");
const write_ = @import("write.zig");
const Context = context_.Context;
const Pins = @import("pins.zig").Pins;
const ReadSet = @import("read_set.zig").ReadSet;
const Transaction = @import("transaction.zig").Transaction;
const Liveness = @import("../segment/liveness.zig").Liveness;
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const Link = @import("../segment/rel_ptr.zig").Link;
const Version = layout.Version;

pub const Error = commit.Error || error{ UnknownTable, TooManySessions, OutOfMemory };

/// Attempts of a single statement before the conflict is reported.
pub const attempts_max = 64;
/// Old versions that one commit takes back; more than it makes, so that none pile up.
const vacuum_budget = 4;
/// A write leaves its old version, its slot when it deletes, and an entry for each index that it
/// moved in.
const retired_per_write = 12;
/// Of a long queue a commit takes back a sixteenth, at most so many: some 20 microseconds.
const vacuum_share_max = 64;

/// A session computes the horizon once in so many rows that it writes: one that lags makes the
/// walks over a row's versions long, a new one costs a look at every session's pin.
const horizon_age_max = if (@import("build_options").scheduler) 1 else 8;

/// What is kept for deletes is for transactions of at most so many: tombstones stay in the free
/// lists of their session, so a large one would leave nothing for others.
const reserve_writes_max = 1024;
/// Attempts of a commit that finds no room, after the first.
const full_attempts_max = 2;
/// The same where the horizon has to be waited for.
const full_waits_max = 64;
/// So many CSNs above the horizon are worth waiting for in a full segment.
const lag_min = 1024;
/// The horizon is waited for as long as it does not stand still for so long: processes that share
/// few processors with many others hold their pins for a while.
const lag_wait_ms = 2000;
/// The same where a session of this process holds it, which may be the one that would wait.
const lag_wait_own_ms = 10;
/// A row that was deleted goes in steps: its versions and entries, its slot, its tombstone.
const reclaim_rounds = 4;

pub const Counts = struct {
    inserted: u64 = 0,
    updated: u64 = 0,
    unchanged: u64 = 0,
    stale: u64 = 0,
    absent: u64 = 0,
    deleted: u64 = 0,

    pub fn add(counts: *Counts, result: write_.Result) void {
        switch (result) {
            .none => {},
            .inserted => counts.inserted += 1,
            .updated => counts.updated += 1,
            .unchanged => counts.unchanged += 1,
            .stale => counts.stale += 1,
            .absent => counts.absent += 1,
            .deleted => counts.deleted += 1,
        }
    }
};

pub const Record = struct { named: u64, missing: u64, image: [*]align(8) const u8 };

pub const Engine = struct {
    /// The session's own view of the segment, which notes the era of its commit.
    segment: Segment,
    context: Context,
    pins: Pins = .{},
    /// An ended transaction whose memory the next one takes over.
    spare: ?*Transaction = null,
    /// Memory of batches, which the next one finds warm.
    batch: Batch = .{},
    /// Dead owners of the slot that were repaired when it was claimed.
    repaired: u32 = 0,

    /// Claims a slot of the process array, repairing its dead owner if need be.
    pub fn attach(
        engine: *Engine,
        allocator: std.mem.Allocator,
        segment: *const Segment,
        liveness: Liveness,
    ) Error!void {
        var repaired: u32 = 0;
        const index = try claimSlot(allocator, segment, liveness, &repaired);
        const slot = &segment.sessions[index];
        errdefer {
            slot.attached.store(0, .release); // pairs with the acquire of whoever claims the slot
            liveness.unlock(index);
        }
        const view = segment.*; // which may be that of the engine before
        engine.* = .{
            .segment = view,
            .context = try Context.init(
                allocator,
                Session.init(&engine.segment, index, liveness),
            ),
            .repaired = repaired,
        };
        _ = slot.generation.add(1, .seq_cst);
        slot.pid = os.processId();
        slot.opened_ms = os.realtimeMs();
        slot.commits_before = slot.counters.commits;
        slot.may_use_reserve.store(0, .monotonic); // the owner's own
        slot.pin.store(layout.pin_none, .seq_cst);
        slot.held_era.store(0, .seq_cst);
    }

    /// Leaves the process array, and what is free to others.
    pub fn detach(engine: *Engine) void {
        const slot = engine.context.session.slot;
        depot.leave(engine.context.session.segment, engine.context.session.index);
        slot.pin.store(layout.pin_none, .release);
        slot.attached.store(0, .release); // pairs with the acquire of whoever claims the slot
        engine.context.session.liveness.unlock(engine.context.session.index);
        if (engine.spare) |transaction| transaction.free(engine.context.allocator);
        engine.batch.deinit(engine.context.allocator);
        engine.pins.deinit(engine.context.allocator);
        engine.context.deinit();
    }

    /// Creates a table, or finds the one of the same name and schema.
    pub fn createTable(
        engine: *Engine,
        schema_bytes: []const u8,
    ) (Error || catalog.Error)!catalog.Created {
        const context = &engine.context;
        var conflict_count: u32 = 0;
        while (true) {
            engine.pins.enterCommit(&context.session);
            const created = catalog.create(context, schema_bytes);
            engine.pins.leaveCommit(&context.session);
            return created catch |err| switch (err) {
                // Ends when the writer, or this session in its place, has drained.
                error.LogFull => {
                    try engine.waitForLog();
                    continue;
                },
                error.Conflict => {
                    if (conflict_count >= attempts_max) return err;
                    engine.backOff(conflict_count);
                    conflict_count += 1;
                    continue;
                },
                else => err,
            };
        }
    }

    /// One write, its own transaction.
    pub fn write(
        engine: *Engine,
        table_id: u32,
        op: write_.Op,
        record: Record,
        newest: []const write_.NewestGroup,
    ) Error!write_.Result {
        const table = try engine.context.table(table_id);
        var writes = [1]write_.Write{.{
            .table = table,
            .key = Key.init(table.keyBytes(record.image)),
            .op = op,
            .named = record.named,
            .missing = record.missing,
            .newest = newest,
            .image = record.image,
        }};
        try engine.commitWrites(&writes, null);
        return writes[0].result;
    }

    /// Deletes by key; the bytes lie as in an image.
    pub fn delete(engine: *Engine, table_id: u32, key: []const u8) Error!bool {
        const table = try engine.context.table(table_id);
        var writes = [1]write_.Write{.{
            .table = table,
            .key = Key.init(key),
            .op = .delete,
            .image = engine.context.scratch,
        }};
        try engine.commitWrites(&writes, null);
        return writes[0].result == .deleted;
    }

    /// Many records in one transaction, in their order where they share a key.
    pub fn writeMany(
        engine: *Engine,
        table_id: u32,
        bytes: []align(8) const u8,
        count: usize,
        newest: []const write_.NewestGroup,
    ) Error!Counts {
        const context = &engine.context;
        const table = try context.table(table_id);
        defer engine.batch.release(context.allocator);

        const writes = try engine.batch.fill(
            context.allocator,
            table,
            bytes,
            count,
            newest,
        );
        var reads: ReadSet = .init(context.allocator, context.session.floor);
        defer reads.deinit();

        try engine.commitWrites(writes, &reads);
        var counts: Counts = .{};
        for (writes) |*first| {
            var each: ?*write_.Write = first;
            while (each) |w| : (each = w.next) counts.add(w.result);
        }
        return counts;
    }

    /// Commits with retries: conflicts of writes that carry no expectation are nobody's business.
    fn commitWrites(engine: *Engine, writes: []write_.Write, reads: ?*ReadSet) Error!void {
        var conflict_count: u32 = 0;
        var full_count: u32 = 0;
        defer engine.keepReserve();

        while (true) {
            const is_done = engine.attempt(writes, reads, &full_count) catch |err| switch (err) {
                error.Conflict => lost: {
                    if (conflict_count >= attempts_max) return err;
                    engine.backOff(conflict_count);
                    conflict_count += 1;
                    break :lost false;
                },
                else => return err,
            };
            if (is_done) return;
        }
    }

    /// One attempt under a pin of its own. False: room had to be made or waited for first.
    fn attempt(
        engine: *Engine,
        writes: []write_.Write,
        reads: ?*ReadSet,
        full_count: *u32,
    ) Error!bool {
        const context = &engine.context;
        const session = &context.session;
        engine.pins.enterCommit(session);
        defer engine.pins.leaveCommit(session);

        if (reads) |set| set.clear(ring.firstUndecided(session.segment, session.floor));
        for (writes) |*each| {
            write_.unbind(each);
            each.version = 0;
        }
        _ = commit.run(context, writes, reads, &.{}) catch |err| switch (err) {
            error.LogFull => {
                try engine.waitForLog();
                return false;
            },
            error.SegmentFull => {
                if (!try engine.makeRoom(writes, full_count.*)) return err;
                full_count.* += 1;
                return false;
            },
            else => return err,
        };
        try engine.vacuumSome(writes.len);
        return true;
    }

    /// After a commit found no room, for the time `full_count` (from 0): true when another attempt
    /// is worth while, since the horizon lets something go, at once or after a while, or deletes
    /// may have what is kept for them until `keepReserve`. **Precondition**: pinned for committing,
    /// nothing installed.
    pub fn makeRoom(engine: *Engine, writes: []const write_.Write, full_count: u32) Error!bool {
        if (full_count >= full_waits_max) return false;
        const session = &engine.context.session;
        const slot = session.slot;
        var freed: u32 = 0;
        for (0..reclaim_rounds) |_| {
            freed += try engine.reclaim(1 << 16);
            // Monotonic: both are the owner's.
            if (slot.retire_taken.load(.monotonic) == slot.retire_added.load(.monotonic)) break;
            // What vacuum closed, and what an undone commit left, was retired at the tail: it waits
            // for a later CSN, which nobody may be able to take, and for a pin above it.
            ring.passCsn(session.segment);
            const decided = ring.firstUndecided(session.segment, session.floor);
            session.floor = @max(session.floor, decided);
            engine.pins.leaveCommit(session);
            engine.pins.enterCommit(session);
        }
        const only_deletes = for (writes) |*each| {
            if (each.op != .delete) break false;
        } else writes.len <= reserve_writes_max;
        if (only_deletes) slot.may_use_reserve.store(1, .monotonic); // the owner's own
        if (full_count < full_attempts_max and (only_deletes or freed > 0)) return true;
        return engine.waitForHorizon();
    }

    /// Sleeps until the horizon has gone on. False when it does not lag, when the caller holds it
    /// back itself, and when it stands still. **Precondition**: pinned for committing.
    fn waitForHorizon(engine: *Engine) bool {
        if (scheduler.isActive()) return false;
        const session = &engine.context.session;
        engine.pins.leaveCommit(session);
        defer engine.pins.enterCommit(session);

        const before = session.refreshHorizon();
        const decided = ring.firstUndecided(session.segment, session.floor);
        const holder = pinAt(session.segment, before) orelse return false;
        if (decided -| before < lag_min or holder == session.slot) return false;
        const wait_ms: u64 = if (holder.pid == session.slot.pid) lag_wait_own_ms else lag_wait_ms;
        word.bump(&session.slot.counters.waits, 1);
        const begun_ms = os.monotonicNs() / 1_000_000;
        var turn: u32 = 3;
        while (session.refreshHorizon() == before) : (turn += 1) {
            if (os.monotonicNs() / 1_000_000 - begun_ms >= wait_ms) return false;
            engine.backOff(turn);
        }
        return true;
    }

    /// The session whose pin holds the horizon at a CSN.
    fn pinAt(segment: *const Segment, csn: u64) ?*layout.SessionSlot {
        const limit = @min(segment.header.session_limit.load(.acquire), segment.session_count);
        for (segment.sessions[0..limit]) |*slot| {
            const raw = slot.pin.load(.seq_cst);
            if (raw == layout.pin_none or raw == layout.pin_revoked) continue;
            if (layout.Pin.of(raw).csn <= csn) return slot;
        }
        return null;
    }

    /// Whether what a segment without room could let go is held back by one old snapshot alone,
    /// which a transaction had better give up.
    pub fn isHeldBy(engine: *Engine, snapshot: u64) bool {
        const session = &engine.context.session;
        if (engine.pins.snapshots.items.len != 1) return false;
        const decided = ring.firstUndecided(session.segment, session.floor);
        return session.refreshHorizon() >= snapshot -| 1 and decided -| snapshot >= lag_min;
    }

    /// Ends what `makeRoom` allowed.
    pub fn keepReserve(engine: *Engine) void {
        engine.context.session.slot.may_use_reserve.store(0, .monotonic); // the owner's own
    }

    /// Takes back a little more than a commit of that many writes has left behind.
    pub fn vacuumSome(engine: *Engine, writes_count: usize) Error!void {
        const context = &engine.context;
        const slot = context.session.slot;
        // both are the owner's
        if (slot.retire_taken.load(.monotonic) == slot.retire_added.load(.monotonic)) return;
        const waiting = slot.retire_added.load(.monotonic) -| slot.retire_taken.load(.monotonic);
        context.session.horizon_age += writes_count;
        if (context.session.horizon_age >= horizon_age_max) {
            context.session.horizon_age = 0;
            _ = context.session.refreshHorizon();
        }
        // What commits that stand still hold is only passed by.
        const is_held = context.session.held_era != 0;
        const share = if (is_held) 0 else @min(waiting / 16, vacuum_share_max);
        const made = writes_count * retired_per_write;
        const budget: u32 = @intCast(@min(vacuum_budget + made + share, 1 << 17));
        _ = vacuum.run(&context.session, slot, context.tables(), budget) catch |err| switch (err) {
            // The commit is done whatever becomes of this; a later one has to make room.
            error.SegmentFull => {},
            error.SegmentCorrupt => if (!context.session.wasOvertaken()) return err,
        };
    }

    /// Takes back what the horizon allows, own and left over by others. **Precondition**: pinned
    /// for committing.
    pub fn reclaim(engine: *Engine, budget: u32) Error!u32 {
        const context = &engine.context;
        const session = &context.session;
        _ = session.refreshHorizon();
        const before = session.slot.may_use_reserve.load(.monotonic); // the owner's own
        session.slot.may_use_reserve.store(1, .monotonic);
        defer session.slot.may_use_reserve.store(before, .monotonic);

        var count: u32 = 0;
        const limit = @min(
            session.segment.header.session_limit.load(.acquire),
            session.segment.session_count,
        );
        for (0..limit) |index| {
            const owner = &session.segment.sessions[index];
            count += vacuum.run(session, owner, context.tables(), budget) catch |err| {
                if (session.wasOvertaken()) break else return err; // P32
            };
        }
        return count;
    }

    /// After a conflict, for the time `conflict_count` (from 0): truncated exponential backoff with
    /// jitter, 1 ms to 16 ms, after a few attempts at once. **Precondition**: not pinned for it, so
    /// that nobody's memory waits as well.
    pub fn backOff(engine: *Engine, conflict_count: u32) void {
        word.bump(&engine.context.session.slot.counters.retries, 1);
        if (scheduler.isActive() or conflict_count < 3) return;
        const ceiling_ns = @as(u64, 1_000_000) << @intCast(@min(conflict_count - 3, 4));
        os.sleepNs(engine.context.session.nextRandom() % ceiling_ns);
    }

    /// The ring or the log buffer is full. Without a WAL writer the session drains in its place.
    pub fn waitForLog(engine: *Engine) Error!void {
        const session = &engine.context.session;
        const header = session.segment.header;
        word.bump(&session.slot.counters.log_waits, 1);
        try log_state.check(header);
        if (header.log_enabled.load(.acquire) == 0) {
            const epoch = ring.epochOf(header.drained.load(.acquire));
            _ = drain.run(session, epoch, null, null) catch |err| switch (err) {
                error.LostEpoch => {},
                error.SegmentCorrupt => return error.SegmentCorrupt,
                error.SinkFailed => unreachable, // there is no sink
            };
            return;
        }
        log_state.nudge(header);
        os.sleepNs(100_000);
    }

    /// A single read (P20): the newest decided version, copied to `out`. False: no such row.
    pub fn get(
        engine: *Engine,
        table_id: u32,
        key_bytes: []const u8,
        out: [*]align(8) u8,
    ) Error!bool {
        const table = try engine.context.table(table_id);
        const session = &engine.context.session;
        word.bump(&session.slot.counters.reads, 1);
        while (true) { // each turn means that the pin was revoked, which takes a housekeeper
            engine.pins.enterRead(session);
            defer engine.pins.leaveRead(session);

            const found = readNewest(session.segment, table, key_bytes, out);
            if (!Pins.isReadLost(session)) return found;
        }
    }

    fn readNewest(
        segment: *const Segment,
        table: *const view_.TableView,
        key_bytes: []const u8,
        out: [*]align(8) u8,
    ) Error!bool {
        const key = Key.init(key_bytes);
        const found = (try table.map().find(key)) orelse return false;
        const size = table.schema.image_size;
        var turns: u32 = 0;
        while (true) : (turns += 1) { // each turn means that another changed the row meanwhile
            if (turns > limits.row_turns_max) return error.SegmentCorrupt;
            const head = Link.of(found.slot.head.load(.seq_cst));
            if (head.ref == 0 or layout.isClosed(head.ref)) return false;
            var version = try segment.at(Version, head.ref);
            var mark = version.mark.load(.seq_cst);
            var csn = mark;
            if (layout.Mark.of(mark) != .csn) {
                const older_ref = version.older.load(.acquire);
                const older: ?*Version = if (older_ref == 0) null else try segment.at(
                    Version,
                    older_ref,
                );
                const older_mark = if (older) |o| o.mark.load(.seq_cst) else 0;
                if (found.slot.head.load(.seq_cst) != head.raw()) continue;
                switch (try fate.ofMark(segment, version, mark)) {
                    .committed => |c| csn = c,
                    .aborted, .undecided => {
                        version = older orelse return false;
                        mark = older_mark;
                        csn = mark;
                        if (layout.Mark.of(mark) != .csn) continue;
                    },
                    .free => continue,
                }
            } else if (found.slot.head.load(.seq_cst) != head.raw()) continue;
            const tombstone = version.isTombstone();
            if (!tombstone) @memcpy(out[0..size], version.image()[0..size]);
            word.settleLoads(); // of the image
            const again = version.mark.load(.seq_cst);
            if (again != mark and again != csn) continue;
            if (tombstone) return false;
            if (!std.mem.eql(u8, table.keyBytes(out), key_bytes)) return false;
            return true;
        }
    }
};

/// The one order in which all transactions install (P13).
pub fn inKeyOrder(_: void, a: write_.Write, b: write_.Write) bool {
    if (a.table.id != b.table.id) return a.table.id < b.table.id;
    if (a.key.hash != b.key.hash) return a.key.hash < b.key.hash;
    return std.mem.order(u8, a.key.bytes, b.key.bytes) == .lt;
}

fn claimSlot(
    allocator: std.mem.Allocator,
    segment: *const Segment,
    liveness: Liveness,
    repaired: *u32,
) Error!u32 {
    // Free slots first; then those of the dead.
    for ([_]bool{ false, true }) |take_dead| {
        var index: u32 = 0;
        while (index < segment.session_count) : (index += 1) {
            const slot = &segment.sessions[index];
            // pairs with the releases of detach and repair
            const attached = slot.attached.load(.acquire) != 0;
            if (attached and !take_dead) continue;
            if (!liveness.lock(index)) continue;
            errdefer liveness.unlock(index);

            if (slot.attached.load(.acquire) != 0) {
                var view = segment.*;
                var context = try Context.init(allocator, Session.init(&view, index, liveness));
                defer context.deinit();

                context.session.takeOver();
                repair.repairSession(&context, index) catch |err| switch (err) {
                    error.UnknownTable => return error.SegmentCorrupt,
                    else => |e| return e,
                };
                repaired.* += 1;
            }
            slot.attached.store(1, .seq_cst);
            var limit = segment.header.session_limit.load(.monotonic);
            while (limit < index + 1) : (limit = segment.header.session_limit.load(.monotonic)) {
                _ = segment.header.session_limit.cas(limit, index + 1, .seq_cst);
            }
            return index;
        }
    }
    return error.TooManySessions;
}
