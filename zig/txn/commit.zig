//! A commit, step by step (P12 to P19).
//!
//! **Invariants**: an intent stands in the descriptor before the compare-and-swap that makes it
//! reachable; nothing fails between the decision and the last retirement, because memory for
//! retiring is reserved before.
//!
//! **Concurrency**: the session is pinned with a pin that cannot be revoked, from before the first
//! install to after the last retirement.
//!
//! **Who may die where**: named at the fault points; `repair.zig` goes on from each.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const classes = @import("../segment/classes.zig");
const arena = @import("../segment/arena.zig");
const paged = @import("../segment/paged.zig");
const segment_ = @import("../segment/segment.zig");
const word = @import("../segment/word.zig");
const fault = @import("../instrument/fault.zig");
const mutant = @import("../instrument/mutant.zig");
const key_ = @import("../row/key.zig");
const view_ = @import("../table/view.zig");
const Index = @import("../index/index.zig").Index;
const catalog = @import("catalog.zig");
const entries = @import("index_entries.zig");
const fate = @import("status.zig");
const log_buffer = @import("log_buffer.zig");
const outcome = @import("outcome.zig");
const retire = @import("retire.zig");
const log_state = @import("../segment/log_state.zig");
const ring = @import("../segment/ring.zig");
const wake = @import("../segment/change_wake.zig");
const write_ = @import("write.zig");
const Context = @import("context.zig").Context;
const ReadSet = @import("read_set.zig").ReadSet;
const Session = @import("../segment/session.zig").Session;
const SessionSlot = layout.SessionSlot;
const Version = layout.Version;
const Retired = layout.Retired;
const Ref = rel_ptr.Ref;
const Link = rel_ptr.Link;
const Map = @import("../table/primary_map.zig").Map;
const Write = write_.Write;

pub const Error = error{
    /// Lost against another transaction; `Context.conflict` says where. May succeed when run again.
    Conflict,
    DuplicateKey,
    MissingValue,
    SegmentFull,
    SegmentCorrupt,
    SnapshotTooOld,
    TransactionTooLarge,
    LogPoisoned,
    LogRemoved,
    /// No CSN or no epoch is left.
    NumbersUsedUp,
    /// The log cannot be written for now.
    NoSpace,
    IoError,
    /// The ring or the log buffer is full: the WAL writer is behind.
    LogFull,
};

/// Installs, numbers and decides the writes, which are sorted by table and hash. Returns the CSN,
/// or 0 when nothing had to be written. **Precondition**: pinned for committing.
pub fn run(
    context: *Context,
    writes: []Write,
    reads: ?*ReadSet,
    extra_payload: []const u8,
) Error!u64 {
    const session = &context.session;
    const slot = session.slot;
    try log_state.check(session.segment.header);
    if (writes.len > limits.transaction_writes_max) return error.TransactionTooLarge;
    noteAge(context);

    context.observed = reads;
    // A creation has claimed its entry by now: aborted since, it must not begin again here.
    if (!isBegun(slot)) reopen(session);
    try retire.reserve(session, slot, 2 * writes.len + 4);
    return attempt(context, writes, reads, extra_payload) catch |failure| {
        // What was read after others overtook this commit means nothing, be it an error (P32).
        const err = if (session.wasOvertaken()) context.lose(.wounded, null) else failure;
        _ = session.catchUp();
        if (isBegun(slot) or session.state().phase != .open) try abandon(context);
        if (err != error.LogFull) word.bump(&slot.counters.aborts, 1);
        if (err == error.Conflict) {
            context.countConflict();
            keepAge(context);
        } else session.retry = .none;
        return err;
    };
}

/// Notes how old the commit is that begins: as old as what it runs again (P17).
pub fn noteAge(context: *Context) void {
    const session = &context.session;
    var age = session.retry;
    if (age.csn == 0) age.csn = @truncate(session.segment.header.tail.load(.monotonic));
    session.slot.age.store(age.raw(), .release); // a hint to those who wait
    context.age = age.csn;
}

/// After a conflict: what runs again is as old as this.
pub fn keepAge(context: *Context) void {
    var age = layout.Age.of(context.session.slot.age.load(.monotonic)); // the owner's own
    if (context.conflict.cause == .wounded) age.wounds +|= 1;
    context.session.retry = age;
}

/// Ends a commit that others aborted before it had anything in shared memory.
pub fn reopen(session: *Session) void {
    if (session.state().phase != .open) close(session.slot, session.state());
}

/// Whether a commit has something in shared memory to finish or to undo.
pub fn isBegun(slot: *SessionSlot) bool {
    // Monotonic: the owner's own, or its repairer's.
    return slot.intent_count.load(.monotonic) != 0 or slot.catalog_entry.load(.monotonic) != 0;
}

/// Undoes what the session has installed.
pub fn abandon(context: *Context) segment_.Corrupt!void {
    const session = &context.session;
    while (true) { // each turn means that it was overtaken again
        finishAborted(session, session.slot) catch |again| {
            if (session.catchUp()) continue else return again;
        };
        return;
    }
}

/// Why there is no CSN now.
fn fullRing(segment: *const segment_.Segment) Error {
    const tail = segment.header.tail.load(.monotonic); // it only rises
    return if (ring.isUsedUp(tail)) error.NumbersUsedUp else error.LogFull;
}

fn attempt(
    context: *Context,
    writes: []Write,
    reads: ?*ReadSet,
    extra_payload: []const u8,
) Error!u64 {
    const session = &context.session;
    const slot = session.slot;
    const segment = session.segment;
    if (!ring.hasRoom(segment)) return fullRing(segment);
    if (!try log_buffer.hasRoom(session, writes.len)) return error.LogFull;
    try paged.Intents.ensure(intentsOf(segment, slot), session.index, 0, writes.len);
    for (writes) |*write| try install(context, write);
    const count = slot.intent_count.load(.monotonic); // the owner's own
    if (count == 0 and extra_payload.len == 0) {
        // Nothing changed; what was read must have held at one instant all the same.
        if (reads) |set| if (!set.isEmpty()) try set.validate(context, nowDecided(session));
        if (session.wasOvertaken()) return context.lose(.wounded, null); // P32
        session.retry = .none;
        return 0;
    }
    fault.point("commit.installed");
    try entries.link(context, writes);
    for (writes) |*write| {
        if (write.version != rel_ptr.none and write.table.has_unique) try checkUnique(
            context,
            write,
        );
    }
    fault.point("commit.linked");
    if (reads) |set| if (!set.isEmpty()) try set.preValidate(context); // P12
    const position = try writeLog(context, writes, extra_payload);
    errdefer log_buffer.withdraw(session, slot, position) catch {};

    fault.point("commit.logged");
    const csn = ring.takeCsn(segment) orelse return fullRing(segment);
    fault.point("commit.taken");
    // P14: csn first, then the state
    if (!mutant.is(.numbered_early)) slot.csn.store(csn, .seq_cst);
    fault.point("commit.stored");
    try log_buffer.publish(session, position, csn);
    fault.point("commit.csn");
    const open = session.state();
    const is_numbered = open.phase == .open and
        slot.state.cas(open.raw(), open.with(.numbered).raw(), .seq_cst);
    if (!is_numbered and !mutant.is(.wound_ignored)) {
        _ = ring.abort(segment, csn);
        return context.lose(.wounded, null);
    }
    if (mutant.is(.numbered_early)) slot.csn.store(csn, .seq_cst);
    fault.point("commit.numbered");
    const is_decided = mutant.is(.decided_early) and
        ring.commit(segment, csn, session.index, position / 8);
    const wounds = if (mutant.is(.earlier_undecided))
        0
    else
        ring.decideEarlier(segment, csn, session.floor); // P15
    word.bump(&slot.counters.wounds, wounds);
    if (reads) |set| if (!set.isEmpty()) set.validate(context, csn) catch |err| {
        _ = ring.abort(segment, csn); // nobody but me could have committed it
        return err;
    };
    fault.point("commit.validated");
    if (session.wasOvertaken()) { // P32
        _ = ring.abort(segment, csn); // as above
        return context.lose(.wounded, null);
    }
    if (!is_decided and !ring.commit(
        segment,
        csn,
        session.index,
        position / 8,
    )) return context.lose(.wounded, null);
    fault.point("commit.decided");
    wake.afterCommit(segment.header);
    session.floor = csn + 1;
    session.retry = .none;
    context.last_csn = csn;
    try finishCommitted(session, slot, csn);
    countRows(writes);
    word.bump(&slot.counters.commits, 1);
    return csn;
}

/// Keeps the tables' numbers of rows.
fn countRows(writes: []const Write) void {
    for (writes) |*write| {
        if (write.version == rel_ptr.none or write.leaves_row == write.base_present) continue;
        // a statistic
        _ = write.table.shared.row_count.add(if (write.leaves_row) 1 else -1, .monotonic);
    }
}

/// A CSN at which everything below is decided, for a transaction that wrote nothing.
fn nowDecided(session: *Session) u64 {
    const tail = session.segment.header.tail.load(.seq_cst);
    _ = ring.decideEarlier(session.segment, tail, session.floor);
    session.floor = tail;
    return tail;
}

pub fn intentsOf(segment: *const segment_.Segment, slot: *SessionSlot) paged.Intents {
    return .{ .segment = segment, .root = &slot.intents };
}

/// P13 for one write.
fn install(context: *Context, write: *Write) Error!void {
    const session = &context.session;
    const segment = session.segment;
    const slot = session.slot;
    const map = write.table.map();
    var turns: u32 = 0;
    while (true) : (turns += 1) { // each turn means that another session took a step, or had to
        if (turns > limits.row_turns_max) return error.SegmentCorrupt;
        if (session.state().phase != .open) return context.lose(.wounded, write);
        const found = (try findSlot(map, write)) orelse {
            if (!try installNew(context, write)) continue;
            return;
        };
        const head = Link.of(found.slot.head.load(.seq_cst));
        try segment.checkEra(); // slot and version may be changed
        if (layout.isClosed(head.ref)) {
            try map.unlink(found.ref);
            write.found = rel_ptr.none;
            continue;
        }
        const newest = try segment.at(Version, head.ref);
        const mark = newest.mark.load(.seq_cst);
        const base_ref: Ref = switch (try fate.ofMark(segment, newest, mark)) {
            .free => continue,
            .committed => |csn| base: {
                if (mark != csn) {
                    _ = newest.mark.cas(mark, csn, .seq_cst);
                    word.bump(&slot.counters.helps, 1);
                }
                break :base head.ref;
            },
            .aborted => newest.older.load(.acquire),
            .undecided => |met| {
                fate.settle(session, met, context.age);
                continue;
            },
        };
        const base: ?*Version = if (base_ref == rel_ptr.none) null else try segment.at(
            Version,
            base_ref,
        );
        const present: ?*Version = if (base) |b| (if (b.isTombstone()) null else b) else null;
        switch (write.expected) {
            .any => {},
            .absent => if (present != null) return context.lose(.absent, write),
            .version => |expected| {
                const is_it = present != null and base_ref == expected;
                if (!is_it and !mutant.is(.base_unchecked)) return context.lose(.row, write);
            },
        }
        const base_image = if (present) |p| p.image() else null;
        const decision = write_.bind(write, base_image, context.scratch) catch |err|
            return context.refuse(write, err);
        if (decision == .nothing) {
            // Another version may have come between; then what was bound is not the newest.
            if (found.slot.head.load(.seq_cst) != head.raw()) {
                write_.unbind(write);
                continue;
            }
            // Also where the write expected it: nothing else keeps it so until the CSN.
            try context.observe(
                write,
                found.ref,
                if (present != null) base_ref else rel_ptr.none,
            );
            return;
        }
        const version_ref = try fill(context, write, decision, base_ref);
        try segment.checkEra(); // the version that was taken is held for this session, too (P32)
        const number = slot.intent_count.load(.monotonic);
        (try intentsOf(segment, slot).at(number)).* = .{
            .version = version_ref,
            .slot = found.ref,
            .base = base_ref,
            .table = write.table.id,
        };
        slot.intent_count.store(number + 1, .release); // named before it is reachable (P3)
        fault.point("install.named");
        if (found.slot.head.cas(head.raw(), head.next(version_ref).raw(), .seq_cst)) {
            slot.held_version.store(0, .release);
            fault.point("install.linked");
            write.version = version_ref;
            write.slot = found.ref;
            write.base = base_ref;
            write.base_present = present != null;
            return;
        }
        slot.intent_count.store(number, .release);
        write_.unbind(write);
    }
}

/// The slot of the write's key: the one that the transaction has read, or whatever the map says.
fn findSlot(map: Map, write: *const Write) Error!?Map.Found {
    if (write.found == rel_ptr.none) return map.find(write.key);
    return .{ .ref = write.found, .slot = try map.segment.at(layout.RowSlot, write.found) };
}

/// Installs into a new slot. False: the key appeared meanwhile.
fn installNew(context: *Context, write: *Write) Error!bool {
    const session = &context.session;
    const segment = session.segment;
    const slot = session.slot;
    if (write.expected == .version) return context.lose(.row, write);
    const decision = write_.bind(write, null, context.scratch) catch |err|
        return context.refuse(write, err);
    if (decision == .nothing) {
        if (write.expected == .any) try context.observe(write, rel_ptr.none, rel_ptr.none);
        return true;
    }
    const version_ref = try fill(context, write, decision, rel_ptr.none);
    const slot_ref = if (slot.held_slot.load(.monotonic) != 0)
        layout.Held.of(slot.held_slot.load(.monotonic)).ref
    else
        try arena.take(segment, session.index, classes.slot_class, &slot.held_slot);
    const row = try segment.at(layout.RowSlot, slot_ref);
    const head = Link.of(row.head.load(.monotonic)); // private; the tag survives reuse (P1)
    row.head.store(head.next(version_ref).raw(), .release);
    const number = slot.intent_count.load(.monotonic);
    (try intentsOf(segment, slot).at(number)).* = .{
        .version = version_ref,
        .slot = slot_ref,
        .base = rel_ptr.none,
        .table = write.table.id,
    };
    slot.intent_count.store(number + 1, .release);
    fault.point("insert.named");
    const existing = write.table.map().insert(session, slot_ref, write.key) catch |err| {
        forget(slot, row, number);
        return err;
    };
    if (existing != null) {
        forget(slot, row, number);
        write_.unbind(write);
        return false;
    }
    slot.held_version.store(0, .release);
    slot.held_slot.store(0, .release);
    fault.point("insert.linked");
    write.version = version_ref;
    write.slot = slot_ref;
    write.base = rel_ptr.none;
    write.base_present = false;
    return true;
}

/// Takes back an intent whose slot was not linked: slot and version stay in hand. A free slot names
/// no version, because vacuum may still look at it for a row that it was before.
fn forget(slot: *SessionSlot, row: *layout.RowSlot, number: u32) void {
    // first: the repair would take the slot for one that others wrote to
    slot.intent_count.store(number, .release);
    row.head.store(Link.of(row.head.load(.monotonic)).next(rel_ptr.none).raw(), .release);
}

/// Fills a free record with the row that the write leaves; it is named in `held_version`.
fn fill(context: *Context, write: *Write, decision: write_.Decision, base: Ref) Error!Ref {
    const session = &context.session;
    const slot = session.slot;
    const class = write.table.version_class;
    const held = layout.Held.of(slot.held_version.load(.monotonic));
    const ref = if (held.ref != rel_ptr.none and held.class == class) held.ref else blk: {
        if (held.ref != rel_ptr.none) {
            try arena.give(session.segment, session.index, held.class, held.ref);
            slot.held_version.store(0, .release);
        }
        break :blk try arena.take(session.segment, session.index, class, &slot.held_version);
    };
    const version = try session.segment.at(Version, ref);
    version.older.store(base, .monotonic); // published by the head
    const size = write.table.schema.image_size;
    version.fill(write.table.id, decision == .remove, context.scratch[0..size]);
    write.leaves_row = decision == .put;
    const pending = layout.Mark.pendingWord(session.index, session.state().sequence);
    version.mark.store(pending, .release);
    fault.point("install.filled");
    return ref;
}

/// Unique indexes: after linking, every other row with the key must be gone; two that insert one
/// key at a time both see the other, because both link before they look.
fn checkUnique(context: *Context, write: *Write) Error!void {
    const session = &context.session;
    const segment = session.segment;
    const version = try segment.at(Version, write.version);
    if (version.isTombstone()) return;
    for (write.table.indexes[0..write.table.index_count]) |*index| {
        if (!index.unique or index.source.isNull(version.image())) continue;
        var room: [limits.position_words_max]u64 = undefined;
        const key = index.encode(version.image(), &room); // unique: of nothing but the key
        var next = try index.list.seek(.{ .words = key, .slot = 0 });
        while (next) |found| : (next = try index.list.after(found.entry)) {
            if (!std.mem.eql(u64, index.list.wordsOf(found.entry), key)) break;
            const other = found.entry.slot.load(.monotonic); // never changes while linked
            if (other == write.slot) continue;
            if (try holds(context, write, index, other, key)) {
                context.conflict.column = index.column().position;
                return context.duplicate(write);
            }
        }
    }
}

/// True when the newest decided version of a row has the key; waits for undecided ones.
fn holds(
    context: *Context,
    write: *Write,
    index: *const Index,
    other: Ref,
    key: []const u64,
) Error!bool {
    const session = &context.session;
    const segment = session.segment;
    const row = try segment.at(layout.RowSlot, other);
    while (true) { // each turn means that another session took a step, or was made to
        if (session.state().phase != .open) return context.lose(.wounded, write);
        var ref = Link.of(row.head.load(.seq_cst)).ref;
        const version = while (ref != rel_ptr.none and !layout.isClosed(ref)) {
            const candidate = try segment.at(Version, ref);
            switch (try fate.of(segment, candidate)) {
                .committed => break candidate,
                .aborted => ref = candidate.older.load(.acquire),
                .free => return false,
                .undecided => |met| {
                    // My own transaction's rows are decided with me: they count.
                    if (met.session == session.index) break candidate;
                    if (try hasKey(candidate, write, index, key)) {
                        fate.settle(session, met, context.age);
                        break null;
                    }
                    ref = candidate.older.load(.acquire);
                    const older = if (ref == rel_ptr.none) null else try segment.at(Version, ref);
                    if (older) |o| if (try hasKey(o, write, index, key)) {
                        fate.settle(session, met, context.age);
                        break null;
                    };
                    return false;
                },
            }
        } else return false;
        if (version) |v| return hasKey(v, write, index, key);
    }
}

fn hasKey(
    version: *Version,
    write: *Write,
    index: *const Index,
    key: []const u64,
) Error!bool {
    if (version.isTombstone() or version.table() != write.table.id) return false;
    return index.isOf(key, version.image());
}

fn writeLog(context: *Context, writes: []Write, extra_payload: []const u8) Error!u64 {
    const session = &context.session;
    const segment = session.segment;
    // Clearing them would fill them with a pattern first.
    context.payload.items.len = 0;
    context.written.items.len = 0;
    // set before the segment is published
    const logs = segment.header.log_enabled.load(.monotonic) != 0;
    try context.appendPayload(extra_payload);
    for (writes) |*write| {
        if (write.version == rel_ptr.none) continue;
        context.written.append(
            context.allocator,
            .{ .slot = write.slot, .version = write.version },
        ) catch
            return error.SegmentFull;
        if (!logs) continue;
        const version = try segment.at(Version, write.version);
        const image = write.table.imageSlice(version);
        const base: ?*Version = if (write.base_present) try segment.at(
            Version,
            write.base,
        ) else null;
        try context.encodeOperation(
            write.table,
            if (base) |b| write.table.imageSlice(b) else null,
            if (version.isTombstone()) null else image,
        );
    }
    word.bump(&session.slot.counters.log_bytes, context.payload.items.len);
    return log_buffer.append(session, context.written.items, context.payload.items);
}

/// P19. Also run by the repairer of a dead owner.
pub fn finishCommitted(session: *Session, slot: *SessionSlot, csn: u64) segment_.Corrupt!void {
    const segment = session.segment;
    const state = layout.State.of(slot.state.load(.seq_cst));
    var sequence = retire.Resumable.begin(segment, slot);
    const intents = intentsOf(segment, slot);
    const count = slot.intent_count.load(.monotonic);
    const index: u32 = @intCast(
        (@intFromPtr(slot) - @intFromPtr(segment.sessions)) / @sizeOf(SessionSlot),
    );
    const pending = layout.Mark.pendingWord(index, state.sequence);
    var i: u32 = 0;
    while (i < count) : (i += 1) {
        const intent = (try intents.at(i)).*;
        const version = try segment.at(Version, intent.version);
        const stamp = if (mutant.is(.stamped_twice) and i > 0) csn + 1 else csn;
        if (!mutant.is(.unstamped)) _ = version.mark.cas(pending, stamp, .seq_cst);
        fault.point("finish.stamped");
        if (intent.base != rel_ptr.none) {
            try sequence.add(Retired.init(.version, csn, intent.base, intent.slot));
        }
        if (version.isTombstone()) {
            try sequence.add(Retired.init(.slot_candidate, csn, intent.slot, version.table()));
        }
        fault.point("finish.retired");
    }
    catalog.stamp(segment, slot, pending, csn);
    // The token's answer is known before the sequence moves on (P26).
    const token = slot.token.load(.monotonic); // the owner's, or its repairer's
    if (token != 0) outcome.settle(segment, index, token, .committed);
    fault.point("finish.settled");
    close(slot, state);
}

/// P18. Also run by the repairer of a dead owner. Does nothing when no commit was begun.
pub fn finishAborted(session: *Session, slot: *SessionSlot) segment_.Corrupt!void {
    const segment = session.segment;
    const state = layout.State.of(slot.state.load(.seq_cst));
    const index: u32 = @intCast(
        (@intFromPtr(slot) - @intFromPtr(segment.sessions)) / @sizeOf(SessionSlot),
    );
    const count = slot.intent_count.load(.monotonic);
    if (state.phase == .open and isBegun(slot)) {
        // Whoever resolves a version of mine from here on finds it aborted.
        _ = slot.state.cas(state.raw(), state.with(.aborted).raw(), .seq_cst);
    }
    var sequence = retire.Resumable.begin(segment, slot);
    const tail = if (mutant.is(.abort_reused)) 1 else segment.header.tail.load(.seq_cst);
    const intents = intentsOf(segment, slot);
    var i: u32 = 0;
    while (i < count) : (i += 1) {
        const intent = (try intents.at(i)).*;
        const row = try segment.at(layout.RowSlot, intent.slot);
        const base = if (intent.base == rel_ptr.none) layout.closedRef(index) else intent.base;
        while (true) { // each failure means that another replaced the head
            const head = Link.of(row.head.load(.seq_cst));
            if (head.ref != intent.version or mutant.is(.abort_left)) break;
            if (row.head.cas(head.raw(), head.next(base).raw(), .seq_cst)) break;
        }
        fault.point("abort.unlinked");
        try sequence.add(Retired.init(.version, tail, intent.version, intent.slot));
        if (Link.of(row.head.load(.seq_cst)).ref == layout.closedRef(index)) {
            try unlinkSlot(session, intent);
            try sequence.add(Retired.init(.slot, tail, intent.slot, intent.table));
        } else if (intent.base != rel_ptr.none and (try segment.at(
            Version,
            intent.base,
        )).isTombstone()) {
            // Vacuum may have passed the deleted row by while my version stood on it.
            try sequence.add(Retired.init(.slot_candidate, tail, intent.slot, intent.table));
        }
        fault.point("abort.retired");
    }
    catalog.undo(segment, slot, layout.Mark.pendingWord(index, state.sequence));
    close(slot, state);
}

fn unlinkSlot(session: *Session, intent: layout.Intent) segment_.Corrupt!void {
    const segment = session.segment;
    const found = try catalog.committed(segment, intent.table) orelse return error.SegmentCorrupt;
    const table = try segment.at(layout.Table, found.ref);
    const map: Map = .{ .segment = segment, .table = table };
    try map.unlink(intent.slot);
}

/// Intents first, the sequence last: while it stands, everybody can resolve what is not stamped yet
/// (P19).
fn close(slot: *SessionSlot, state: layout.State) void {
    slot.intent_count.store(0, .release);
    fault.point("finish.emptied");
    slot.finish_start.store(0, .release);
    slot.token.store(0, .release);
    fault.point("finish.closing");
    const next: layout.State = .{ .phase = .open, .sequence = state.sequence +% 1 };
    slot.state.store(next.raw(), .seq_cst);
}
