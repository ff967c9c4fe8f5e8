//! Repair of a session whose owner is gone (P26): everything it held goes back, and its commit in
//! progress ends the way it was decided.
//!
//! **Concurrency**: the repairer holds the dead session's liveness byte, so it is the only one; it
//! is pinned with a pin that cannot be revoked. It may die itself anywhere: the next one finds the
//! same words and goes on.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const classes = @import("../segment/classes.zig");
const depot = @import("../segment/depot.zig");
const arena = @import("../segment/arena.zig");
const segment_ = @import("../segment/segment.zig");
const word = @import("../segment/word.zig");
const Word = word.Word;
const view_ = @import("../table/view.zig");
const catalog = @import("catalog.zig");
const commit = @import("commit.zig");
const fate = @import("status.zig");
const mutant = @import("../instrument/mutant.zig");
const paged = @import("../segment/paged.zig");
const retire = @import("retire.zig");
const ring = @import("../segment/ring.zig");
const vacuum = @import("vacuum.zig");
const Context = @import("context.zig").Context;
const Skiplist = @import("../index/skiplist.zig").Skiplist;
const Session = @import("../segment/session.zig").Session;
const SessionSlot = layout.SessionSlot;
const State = layout.State;
const Held = layout.Held;
const Link = rel_ptr.Link;
const Ref = rel_ptr.Ref;

pub const Error = error{ SegmentFull, SegmentCorrupt, UnknownTable };

/// Repairs every session whose owner is gone. Returns how many.
pub fn sweep(context: *Context) Error!u32 {
    return sweepRange(context, 0, std.math.maxInt(u32));
}

/// Of up to `count` sessions from `cursor` on, which moves on. Every process does this all the
/// time, and to look at a session costs a system call.
pub fn sweepSome(context: *Context, cursor: *u32, count: u32) Error!void {
    const start = cursor.*;
    const limit = context.session.segment.header.session_limit.load(.acquire);
    cursor.* = if (start + count < limit) start + count else 0;
    _ = try sweepRange(context, start, count);
}

fn sweepRange(context: *Context, start: u32, count: u32) Error!u32 {
    const segment = context.session.segment;
    const limit = @min(segment.header.session_limit.load(.acquire), segment.session_count);
    var repaired: u32 = 0;
    var index = start;
    while (index < @min(limit, start +| count)) : (index += 1) {
        if (index == context.session.index) continue;
        const slot = &segment.sessions[index];
        // pairs with the release at the end of a repair
        if (slot.attached.load(.acquire) == 0) continue;
        if (context.session.isAlive(index)) continue;
        if (!context.session.lockOther(index)) continue;
        defer context.session.unlockOther(index);

        if (slot.attached.load(.acquire) == 0) continue;
        try repairSession(context, index);
        repaired += 1;
    }
    return repaired;
}

/// **Precondition**: the caller holds the liveness byte of `index`. If `index` is its own session,
/// it goes on with the pin of the dead (`Session.takeOver`).
pub fn repairSession(context: *Context, index: u32) Error!void {
    const session = &context.session;
    const pin_before = session.slot.pin.load(.monotonic); // the caller's own
    if (pin_before == layout.pin_none) _ = session.pinFloor(true);
    defer if (pin_before == layout.pin_none) session.unpin();
    const reserve_before = session.slot.may_use_reserve.load(.monotonic); // the caller's own
    session.slot.may_use_reserve.store(1, .monotonic);
    defer session.slot.may_use_reserve.store(reserve_before, .monotonic);

    while (true) { // each turn means that others have overtaken it (P32): it begins again
        repairOnce(context, index) catch |err| if (session.catchUp()) continue else return err;
        return;
    }
}

fn repairOnce(context: *Context, index: u32) Error!void {
    const session = &context.session;
    const segment = session.segment;
    const slot = &segment.sessions[index];
    depot.repair(segment, index);
    try repairHeld(context, slot, index);
    try repairCommit(session, slot);
    try repairVacuum(context, slot, index);
    try repairReclaim(context, slot, index);
    repairPages(segment, index);
    repairLatches(segment, index);
    repairOutcomes(segment, index);
    if (segment.header.writer_session.load(.acquire) == index + 1) {
        _ = segment.header.writer_session.cas(index + 1, 0, .acq_rel);
    }
    depot.leave(segment, index);
    word.bump(&session.slot.counters.repairs, 1);
    slot.pin.store(layout.pin_none, .release);
    slot.held_era.store(0, .release); // behind the pin, as in `letGo`
    // pairs with the acquire in `sweep`: the slot may be handed out
    slot.attached.store(0, .release);
}

fn repairCommit(session: *Session, slot: *SessionSlot) Error!void {
    if (mutant.is(.repair_idle)) return;
    const segment = session.segment;
    const state = State.of(slot.state.load(.seq_cst));
    const started = commit.isBegun(slot) or slot.finish_start.load(.monotonic) != 0;
    switch (state.phase) {
        .open => if (started) try commit.finishAborted(session, slot),
        .aborted => try commit.finishAborted(session, slot),
        .final => try commit.finishCommitted(session, slot, slot.csn.load(.seq_cst)),
        .numbered => {
            const csn = slot.csn.load(.seq_cst);
            _ = ring.abort(segment, csn);
            // P11: a committed cell that was drained had its state made final first, so it may be
            // now.
            const again = State.of(slot.state.load(.seq_cst));
            const committed = again.phase == .final or
                ring.classify(segment, csn, ring.load(segment, csn)) == .committed;
            if (committed) {
                try commit.finishCommitted(session, slot, csn);
            } else {
                try commit.finishAborted(session, slot);
            }
        },
    }
}

/// Records that had left a free list and were not reachable yet. Before the commit is finished,
/// because only its intents say which they took over: a row that another wrote to meanwhile is in
/// no retire queue.
fn repairHeld(context: *Context, slot: *SessionSlot, index: u32) Error!void {
    const segment = context.session.segment;
    const intent = try lastIntent(segment, slot);
    try repairSimple(segment, slot, index, &slot.held_version, intent.version);
    try repairSimple(segment, slot, index, &slot.held_slot, intent.slot);
    const bucket = Held.of(slot.held_bucket.load(.acquire));
    if (bucket.ref != rel_ptr.none) {
        if (try leftList(segment, slot, bucket) and !try isLinkedBucket(context, bucket.ref)) {
            try arena.give(segment, index, bucket.class, bucket.ref);
        }
        slot.held_bucket.store(0, .release);
    }
    const entry = Held.of(slot.held_entry.load(.acquire));
    if (entry.ref != rel_ptr.none) {
        if (try leftList(segment, slot, entry) and !try isLinkedEntry(context, entry.ref)) {
            try arena.give(segment, index, entry.class, entry.ref);
        }
        slot.held_entry.store(0, .release);
    }
}

/// A version or slot in hand goes back, unless the last intent names it: then it is the commit's
/// (P3).
fn repairSimple(
    segment: *const segment_.Segment,
    slot: *SessionSlot,
    index: u32,
    word_held: *Word(u64),
    intended: Ref,
) Error!void {
    // Pairs with the owner's release.
    const held = Held.of(word_held.load(.acquire));
    if (held.ref == rel_ptr.none) return;
    if (held.ref != intended and try leftList(segment, slot, held)) {
        if (held.class == classes.slot_class) {
            const row = try segment.at(layout.RowSlot, held.ref); // a free slot names no version
            row.head.store(Link.of(row.head.load(.monotonic)).next(rel_ptr.none).raw(), .release);
        }
        try arena.give(segment, index, held.class, held.ref);
    }
    word_held.store(0, .release); // pairs with the acquire above, of the next repairer
}

fn lastIntent(segment: *const segment_.Segment, slot: *SessionSlot) Error!layout.Intent {
    const count = slot.intent_count.load(.acquire);
    if (count == 0) return std.mem.zeroes(layout.Intent);
    return (try commit.intentsOf(segment, slot).at(count - 1)).*;
}

/// How many words name records in hand; a repair puts at most so many in front of a record in a
/// free list.
const held_count = 5;

/// True when the record is in no free list: it left the list after it was named, and did not come
/// back.
fn leftList(segment: *const segment_.Segment, slot: *SessionSlot, held: Held) Error!bool {
    if (held.class >= classes.count) return error.SegmentCorrupt;
    _ = try segment.at(u8, held.ref);
    const list = &slot.free[held.class];
    if (list.bump.load(.acquire) == held.ref) return false;
    var ref = layout.Chain.of(list.loaded.load(.acquire)).ref;
    for (0..held_count) |_| {
        if (ref == held.ref) return false;
        if (ref == rel_ptr.none) break;
        ref = (try arena.linkOf(segment, held.class, ref)).load(.monotonic); // the repairer's alone
    }
    return true;
}

fn isLinkedBucket(context: *Context, ref: Ref) Error!bool {
    const segment = context.session.segment;
    const slot = try segment.at(layout.RowSlot, ref);
    const order = slot.order.load(.acquire);
    if (order & 1 == 1) return false;
    for (0..limits.table_count_max) |id| {
        if (try catalog.committed(segment, id) == null) continue;
        const view = try context.table(@intCast(id));
        if (try view.map().hasBucket(order, ref)) return true;
    }
    return false;
}

/// True when the entry was linked. What the dead session linked of a closed one after the closer's
/// sweep is swept.
fn isLinkedEntry(context: *Context, ref: Ref) Error!bool {
    const segment = context.session.segment;
    const entry = try segment.at(layout.Entry, ref);
    for (0..limits.table_count_max) |id| {
        if (try catalog.committed(segment, id) == null) continue;
        const view = try context.table(@intCast(id));
        for (view.indexes[0..view.index_count]) |*index| {
            var words: [limits.position_words_max]u64 = undefined;
            const key = index.list.wordsOf(entry);
            @memcpy(words[0..key.len], key);
            var path: Skiplist.Path = undefined;
            const slot = entry.slot.load(.acquire);
            const found = try index.list.findEntry(
                .{ .words = words[0..key.len], .slot = slot },
                &path,
            );
            if (found != null and path.equal == ref) return true;
        }
    }
    // Only now: closing comes before unlinking. Entries that were never linked are not closed.
    if (!layout.EntryState.of(entry.state.load(.acquire)).closed) return false;
    try sweepEntry(context, ref);
    return true;
}

/// An entry or slot that was about to be closed, or was closed and not retired yet.
fn repairVacuum(context: *Context, slot: *SessionSlot, index: u32) Error!void {
    const session = &context.session;
    const segment = session.segment;
    const held = Held.of(slot.vacuum_entry.load(.acquire));
    if (held.ref != rel_ptr.none) {
        const entry = try segment.at(layout.Entry, held.ref);
        const state = layout.EntryState.of(entry.state.load(.acquire));
        if (state.closed and state.tag == index and !try lastRetired(
            segment,
            slot,
            .entry,
            held.ref,
        )) {
            try sweepEntry(context, held.ref);
            try retire.reserve(session, slot, 1);
            const tail = segment.header.tail.load(.seq_cst);
            try retire.add(segment, slot, layout.Retired.init(.entry, tail, held.ref, held.class));
        }
        slot.vacuum_entry.store(0, .release);
    }
    const row = Held.of(slot.vacuum_slot.load(.acquire));
    if (row.ref != rel_ptr.none) {
        const row_slot = try segment.at(layout.RowSlot, row.ref);
        const tombstone = try segment.at(layout.Version, row.class);
        const head = Link.of(row_slot.head.load(.seq_cst));
        if (head.ref == layout.closedRef(index) and !try lastRetired(
            segment,
            slot,
            .slot,
            row.ref,
        )) {
            const view = try context.table(tombstone.table());
            try retire.reserve(session, slot, 2);
            if (try lastRetired(segment, slot, .version, row.class)) {
                const tail = segment.header.tail.load(.seq_cst);
                try retire.add(segment, slot, layout.Retired.init(.slot, tail, row.ref, view.id));
            } else {
                try vacuum.finishSlot(session, slot, view, row.ref, row.class);
            }
        }
        slot.vacuum_slot.store(0, .release);
    }
}

fn lastRetired(
    segment: *const segment_.Segment,
    slot: *SessionSlot,
    kind: layout.Retired.Kind,
    ref: Ref,
) Error!bool {
    const added = slot.retire_added.load(.acquire);
    if (added == 0 or added == slot.retire_taken.load(.acquire)) return false;
    const entry = (try retire.queueOf(segment, slot).at(added - 1)).*;
    return entry.kind() == kind and entry.a == ref;
}

/// Unlinks a closed entry from whatever index it is in.
fn sweepEntry(context: *Context, ref: Ref) Error!void {
    const segment = context.session.segment;
    for (0..limits.table_count_max) |id| {
        if (try catalog.committed(segment, id) == null) continue;
        const view = try context.table(@intCast(id));
        for (view.indexes[0..view.index_count]) |*index| try index.unlink(ref);
    }
}

/// A retired record on its way to a free list; the queue may have been another session's, whose
/// latch is released last: without it the next repairer could not tell whether the record left the
/// queue.
fn repairReclaim(context: *Context, slot: *SessionSlot, index: u32) Error!void {
    const segment = context.session.segment;
    const held = Held.of(slot.reclaim_held.load(.acquire));
    const owner = latchedBy(segment, index) orelse return; // nothing is held without the latch
    const taken = owner.retire_taken.load(.acquire); // pairs with the release in `vacuum.advance`
    var advanced = held.ref != rel_ptr.none;
    if (advanced and taken != owner.retire_added.load(.acquire)) { // pairs with `retire.add`
        const entry = (try retire.queueOf(segment, owner).at(taken)).*;
        if (entry.a == held.ref and entry.kind() != .slot_candidate) advanced = false;
    }
    if ((advanced or held.ref == rel_ptr.none) and taken % paged.per_page == 0 and taken > 0) {
        const page = taken / paged.per_page - 1;
        try retire.queueOf(segment, owner).drop(context.session.index, page);
    }
    if (owner == slot and try isAside(segment, slot, taken, held.ref)) {
        if (!advanced) try vacuum.advance(&context.session, owner, taken);
    } else if (advanced and try leftList(segment, slot, held)) {
        try arena.give(segment, index, held.class, held.ref);
    }
    slot.reclaim_held.store(0, .release); // pairs with the acquire above, by the next repairer
    owner.retire_latch.store(0, .release); // pairs with the compare-and-swap in `vacuum.run`
}

/// True when the record at position `taken` of the dead session's own queue, or the one before, was
/// put aside: it stands at the end as well.
fn isAside(
    segment: *const segment_.Segment,
    slot: *SessionSlot,
    taken: u64,
    ref: Ref,
) Error!bool {
    const added = slot.retire_added.load(.acquire); // pairs with `retire.add`
    if (ref == rel_ptr.none or added <= taken + 1) return false;
    const last = (try retire.queueOf(segment, slot).at(added - 1)).*;
    return last.a == ref and last.kind() != .slot_candidate;
}

/// The session whose queue the session of this index was vacuuming.
fn latchedBy(segment: *const segment_.Segment, index: u32) ?*SessionSlot {
    // Acquire, both: pair with the releases of `claimSlot` and `vacuum.run`.
    const limit = @min(segment.header.session_limit.load(.acquire), segment.session_count);
    for (segment.sessions[0..limit]) |*owner| {
        if (owner.retire_latch.load(.acquire) == index + 1) return owner;
    }
    return null;
}

/// Pages that the session was setting up: kept where something names them, freed otherwise.
fn repairPages(segment: *const segment_.Segment, index: u32) void {
    const first = segment_.Segment.pageOf(segment.arena_ref);
    const end = segment_.Segment.pageOf(segment.limit_ref);
    const era = arena.eraNow(segment); // nothing was taken from them yet
    var page = first;
    while (page < end) : (page += 1) {
        const state = layout.PageState.of(segment.pages[page].load(.acquire));
        if (state.state != .claimed or state.session != index) continue;
        const run = runLength(segment, page, end, index);
        const ref = segment_.Segment.pageRef(page);
        if (kindNaming(segment, index, ref)) |kind| {
            arena.markUsed(segment, index, page, kind, run, era);
        } else {
            arena.freePages(segment, page, run);
        }
        page += run - 1;
    }
}

/// Pages of a run whose first one is still claimed: they are marked from the last one on, so the
/// rest may be.
fn runLength(segment: *const segment_.Segment, page: u32, end: u32, index: u32) u32 {
    var run: u32 = 1;
    var marked = false;
    while (page + run < end) : (run += 1) {
        const state = layout.PageState.of(segment.pages[page + run].load(.acquire));
        if (state.session != index) break;
        switch (state.state) {
            .claimed => if (marked) break,
            .tail => marked = true,
            .free, .used, _ => break,
        }
    }
    return run;
}

fn kindNaming(segment: *const segment_.Segment, index: u32, ref: Ref) ?classes.PageKind {
    const slot = &segment.sessions[index];
    for (0..classes.count) |class| {
        const list = &slot.free[class];
        // Nothing was carved from a span before all of its pages were marked.
        const is_next = list.bump.load(.acquire) == ref and list.bump_end.load(.acquire) > ref;
        if (is_next) return classes.kindOf(@intCast(class));
    }
    if ((paged.Intents{
        .segment = segment,
        .root = &slot.intents,
    }).names(ref)) return .intent;
    for (0..segment.session_count) |i| {
        const owner = &segment.sessions[i];
        if (owner.retired.raw == 0) continue;
        if (retire.queueOf(segment, owner).names(ref)) return .retired;
    }
    if (slot.log_buffer.load(.acquire) == ref) return .log;
    for (0..limits.table_count_max) |id| {
        const found = (catalog.committed(segment, id) catch continue) orelse continue;
        const table = segment.at(layout.Table, found.ref) catch continue;
        for (&table.buckets) |*bucket| {
            if (bucket.load(.acquire) == ref) return .bucket; // pairs with `ensureLevel`
        }
    }
    return null;
}

fn repairLatches(segment: *const segment_.Segment, index: u32) void {
    var i: u32 = 0;
    while (i < segment.header.geometry.latch_count) : (i += 1) {
        const raw = segment.latches[i].load(.acquire);
        // Words: `{ owner's index + 1: 16, count: 48 }`.
        if (raw >> 48 == index + 1) _ = segment.latches[i].cas(raw, 0, .acq_rel);
    }
}

/// Tokens that the dead session had given out and not decided are aborted: nobody can commit them
/// any more.
fn repairOutcomes(segment: *const segment_.Segment, index: u32) void {
    const next = segment.header.outcome_next.load(.acquire);
    const count = segment.header.geometry.outcome_count;
    const first = next -| count;
    var number = first;
    while (number < next) : (number += 1) {
        const entry = &segment.outcomes[number & (count - 1)];
        const word_ = layout.OutcomeWord.of(entry.word.load(.acquire));
        if (word_.session != index or word_.state != .pending) continue;
        _ = entry.word.cas(word_.raw(), word_.with(.aborted).raw(), .acq_rel);
    }
}
