//! A session's retire queue: records that nobody new can reach, waiting for the horizon (P27).
//!
//! **Invariants**: entries `[retire_taken, retire_added)` are valid; pages up to what was reserved
//! exist.
//!
//! **Concurrency**: the owner adds; whoever holds `retire_latch` takes. The latch is only ever
//! tried.
//!
//! **Who may die where**: an addition counts from the store of `retire_added` on.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const paged = @import("../segment/paged.zig");
const segment_ = @import("../segment/segment.zig");
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const SessionSlot = layout.SessionSlot;
const Retired = layout.Retired;

pub fn queueOf(segment: *const Segment, owner: *SessionSlot) paged.RetireQueue {
    return .{ .segment = segment, .root = &owner.retired };
}

/// Makes room for `count` more additions, so that adding them cannot fail.
pub fn reserve(session: *Session, owner: *SessionSlot, count: u64) paged.Error!void {
    const added = owner.retire_added.load(.monotonic); // the owner's own
    const taken = owner.retire_taken.load(.acquire);
    if (taken > added) return error.SegmentCorrupt;
    const waiting = added - taken;
    if (waiting + count > paged.RetireQueue.count_max) return error.SegmentFull;
    // Pages go back only once all of their entries are taken.
    const is_own = owner == session.slot;
    if (is_own and added + count <= session.retire_room) return;
    // A short queue gives its pages back soon, and without one nothing can be reused: even in a
    // full segment it may go on to its next page.
    const may_use_reserve = &session.slot.may_use_reserve;
    const before = may_use_reserve.load(.monotonic); // the owner's own
    if (waiting + count <= paged.per_page) may_use_reserve.store(1, .monotonic);
    defer may_use_reserve.store(before, .monotonic);

    try queueOf(session.segment, owner).ensure(session.index, added, count);
    if (is_own) session.retire_room = std.mem.alignForward(u64, added + count, paged.per_page);
}

/// Adds one entry; room was reserved.
pub fn add(segment: *const Segment, owner: *SessionSlot, entry: Retired) segment_.Corrupt!void {
    const added = owner.retire_added.load(.monotonic); // the owner's own
    (try queueOf(segment, owner).at(added)).* = entry;
    owner.retire_added.store(added + 1, .release); // pairs with the acquire of whoever takes
}

/// Adds the entries of one commit or abort, skipping those that an owner who died had added
/// already.
pub const Resumable = struct {
    segment: *const Segment,
    owner: *SessionSlot,
    /// Position that the next entry of the sequence has.
    position: u64,

    /// **Precondition**: the sequence is the same each time it is begun for one sequence number.
    pub fn begin(segment: *const Segment, owner: *SessionSlot) Resumable {
        const marked = owner.finish_start.load(.monotonic); // written by the owner, or its repairer
        if (marked != 0) return .{ .segment = segment, .owner = owner, .position = marked - 1 };
        const added = owner.retire_added.load(.monotonic);
        owner.finish_start.store(added + 1, .release);
        return .{ .segment = segment, .owner = owner, .position = added };
    }

    pub fn add(sequence: *Resumable, entry: Retired) segment_.Corrupt!void {
        if (sequence.position >= sequence.owner.retire_added.load(.monotonic)) {
            try @import("retire.zig").add(sequence.segment, sequence.owner, entry);
        }
        sequence.position += 1;
    }
};
