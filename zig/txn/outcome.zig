//! What became of a transaction whose token was asked for.
//!
//! **Invariants**: an entry belongs to the token whose number is in its word; it leaves `pending`
//! once.
//!
//! **Concurrency**: the owner, or the repairer of a dead owner, settles an entry before the owner's
//! sequence moves on.
//!
//! **Who may die where**: an owner that dies between its decision and settling leaves the token in
//! its descriptor, and its repair settles it.
const layout = @import("../segment/layout.zig");
const ring = @import("../segment/ring.zig");
const Segment = @import("../segment/segment.zig").Segment;
const Session = @import("../segment/session.zig").Session;
const State = layout.State;
const OutcomeState = layout.OutcomeState;

/// Opens an entry; the token is its number plus one.
pub fn open(session: *Session) u64 {
    const segment = session.segment;
    const number = segment.header.outcome_next.add(1, .acq_rel);
    const entry = entryOf(segment, number);
    entry.word.store(wordOf(number, .unknown), .release); // the old owner's word is gone first
    entry.owner.store(ownerOf(session), .release);
    entry.word.store(wordOf(number, .pending), .release); // pairs with the acquire in `of`
    return number + 1;
}

pub fn ownerOf(session: *Session) u64 {
    // the owner's own
    return @as(u64, session.index) << 52 | session.slot.generation.load(.monotonic);
}

fn entryOf(segment: *const Segment, number: u64) *layout.Outcome {
    return &segment.outcomes[number & (segment.header.geometry.outcome_count - 1)];
}

fn wordOf(number: u64, state: OutcomeState) u64 {
    return number << 2 | @intFromEnum(state);
}

pub fn settle(segment: *const Segment, token: u64, state: OutcomeState) void {
    const number = token - 1;
    _ = entryOf(segment, number).word.cas(
        wordOf(number, .pending),
        wordOf(number, state),
        .acq_rel,
    );
}

/// The answer to a token. `pending` may mean that the owner died; the caller repairs and asks
/// again.
pub fn of(segment: *const Segment, token: u64) OutcomeState {
    if (token == 0) return .unknown;
    const number = token - 1;
    if (number >= segment.header.outcome_next.load(.acquire)) return .unknown;
    const entry = entryOf(segment, number);
    const raw = entry.word.load(.acquire); // pairs with the releases above
    if (raw >> 2 != number) return .unknown;
    const state: OutcomeState = @enumFromInt(@as(u2, @truncate(raw)));
    if (state != .pending) return state;
    const owner = entry.owner.load(.acquire);
    const index = owner >> 52;
    if (index >= segment.session_count) return .unknown;
    const slot = &segment.sessions[index];
    const descriptor = slot.state.load(.seq_cst);
    if (slot.token.load(.seq_cst) != token) return .pending;
    const phase = State.of(descriptor).phase;
    const csn = slot.csn.load(.seq_cst);
    const decided = ring.classify(segment, csn, ring.load(segment, csn));
    if (slot.state.load(.seq_cst) != descriptor) return .pending;
    if (phase == .final or (phase == .numbered and decided == .committed)) return .committed;
    return .pending;
}

/// The session of a pending token, so that a dead one can be repaired.
pub fn sessionOf(segment: *const Segment, token: u64) u32 {
    return @intCast(entryOf(segment, token - 1).owner.load(.acquire) >> 52);
}
