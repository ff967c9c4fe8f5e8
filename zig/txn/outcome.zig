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
const OutcomeWord = layout.OutcomeWord;

/// Opens an entry; the token is its number plus one.
pub fn open(session: *Session) u64 {
    const segment = session.segment;
    const number = segment.header.outcome_next.add(1, .acq_rel);
    const opened = wordOf(number, @intCast(session.index), .pending);
    const entry = entryOf(segment, number);
    while (true) { // each failure means that another token has got the place, or left it
        const before = entry.word.load(.monotonic); // nothing else is published with it
        // One that stood still for as long as the table lasts leaves the place to the newer one.
        const old = OutcomeWord.of(before);
        if (old.state != .unknown and opened.number -% old.number > 1 << 49) break;
        if (entry.word.cas(before, opened.raw(), .acq_rel)) break;
    }
    return number + 1;
}

fn entryOf(segment: *const Segment, number: u64) *layout.Outcome {
    return &segment.outcomes[number & (segment.header.geometry.outcome_count - 1)];
}

fn wordOf(number: u64, session: u12, state: OutcomeState) OutcomeWord {
    return .{ .number = @truncate(number), .session = session, .state = state };
}

/// Settles an entry of one of the session `index`. Does nothing when another token has its place.
pub fn settle(segment: *const Segment, index: u32, token: u64, state: OutcomeState) void {
    const number = token - 1;
    const pending = wordOf(number, @intCast(index), .pending);
    _ = entryOf(segment, number).word.cas(pending.raw(), pending.with(state).raw(), .acq_rel);
}

/// The answer to a token. `pending` may mean that the owner died; the caller repairs and asks
/// again.
pub fn of(segment: *const Segment, token: u64) OutcomeState {
    const entry = find(segment, token) orelse return .unknown;
    if (entry.state != .pending) return entry.state;
    if (entry.session >= segment.session_count) return .unknown;
    const slot = &segment.sessions[entry.session];
    const descriptor = slot.state.load(.seq_cst);
    if (slot.token.load(.seq_cst) != token) return .pending;
    const phase = State.of(descriptor).phase;
    const csn = slot.csn.load(.seq_cst);
    const decided = ring.classify(segment, csn, ring.load(segment, csn));
    if (slot.state.load(.seq_cst) != descriptor) return .pending;
    if (phase == .final or (phase == .numbered and decided == .committed)) return .committed;
    return .pending;
}

/// The session of a token that is known, so that a dead one can be repaired.
pub fn sessionOf(segment: *const Segment, token: u64) ?u32 {
    const entry = find(segment, token) orelse return null;
    return if (entry.session < segment.session_count) entry.session else null;
}

/// Null: never given out, or others have taken its place since.
fn find(segment: *const Segment, token: u64) ?OutcomeWord {
    if (token == 0) return null;
    const number = token - 1;
    const next = segment.header.outcome_next.load(.acquire);
    if (number >= next or next - number > segment.header.geometry.outcome_count) return null;
    const entry = OutcomeWord.of(entryOf(segment, number).word.load(.acquire));
    return if (entry.number == @as(u50, @truncate(number))) entry else null;
}
