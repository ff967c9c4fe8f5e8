//! What became of the commit behind a version's mark (P11), and meeting one that is undecided
//! (P17).
//!
//! **Concurrency**: reads any session's descriptor; writes another's `state` or cell only to abort
//! it.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const segment_ = @import("../segment/segment.zig");
const ring = @import("../segment/ring.zig");
const word = @import("../segment/word.zig");
const scheduler = @import("../instrument/scheduler.zig");
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const State = layout.State;
const Version = layout.Version;

pub const Undecided = struct { session: u32, state: State, csn: u64 };

pub const Fate = union(enum) {
    committed: u64,
    aborted,
    undecided: Undecided,
    /// The record is free: the reader was not pinned, or its pin was revoked (P10).
    free,
};

/// P11.
pub fn of(segment: *const Segment, version: *Version) segment_.Corrupt!Fate {
    return ofMark(segment, version, version.mark.load(.seq_cst));
}

pub fn ofMark(segment: *const Segment, version: *Version, mark_raw: u64) segment_.Corrupt!Fate {
    return ofWord(segment, &version.mark, mark_raw);
}

/// The same for any word that holds a `Mark`, read as `mark_raw`.
pub inline fn ofWord(
    segment: *const Segment,
    mark: *word.Word(u64),
    mark_raw: u64,
) segment_.Corrupt!Fate {
    var raw = mark_raw;
    while (true) { // each turn means that the owner took a step
        const pending = switch (layout.Mark.of(raw)) {
            .free => return .free,
            .csn => |csn| return .{ .committed = csn },
            .pending => |pending| pending,
        };
        if (pending.session >= segment.session_count) return error.SegmentCorrupt;
        const slot = &segment.sessions[pending.session];
        const state_raw = slot.state.load(.seq_cst);
        const state = State.of(state_raw);
        if (state.sequence != pending.sequence) {
            const again = mark.load(.seq_cst);
            if (again == raw) return .aborted;
            raw = again;
            continue;
        }
        switch (state.phase) {
            .open => return .{ .undecided = .{
                .session = pending.session,
                .state = state,
                .csn = 0,
            } },
            .aborted => return .aborted,
            .numbered, .final => {},
        }
        const csn = slot.csn.load(.seq_cst);
        if (slot.state.load(.seq_cst) == state_raw) {
            if (state.phase == .final) return .{ .committed = csn };
            switch (ring.classify(segment, csn, ring.load(segment, csn))) {
                .committed => return .{ .committed = csn },
                .aborted => return .aborted,
                .empty => return .{ .undecided = .{
                    .session = pending.session,
                    .state = state,
                    .csn = csn,
                } },
                .drained => if (slot.state.load(.seq_cst) == state_raw) return .aborted,
            }
        }
        raw = mark.load(.seq_cst);
    }
}

/// P17: returns when the commit behind `met` is decided or its owner took a step; the caller looks
/// again.
/// `age` is the caller's; the older one is waited for.
pub fn settle(session: *Session, met: Undecided, age: u64) void {
    const segment = session.segment;
    const slot = &segment.sessions[met.session];
    const counters = &session.slot.counters;
    word.bump(&counters.waits, 1);
    if (met.state.phase == .numbered) {
        const raw = ring.load(segment, met.csn);
        if (ring.classify(segment, met.csn, raw) != .empty) return;
        ring.waitCell(segment, met.csn, raw);
        if (ring.abort(segment, met.csn)) word.bump(&counters.wounds, 1);
        return;
    }
    // a stale age only misjudges who waits
    const met_age = layout.Age.of(slot.age.load(.monotonic));
    const younger = met_age.csn > age;
    const doublings: u6 = @intCast(@min(met_age.wounds, limits.open_wait_doublings_max));
    const older_wait_ns = @as(u64, limits.open_wait_ns) << doublings;
    const wait_ns: u64 = if (younger) limits.young_wait_ns else older_wait_ns;
    if (!scheduler.isActive()) {
        const start = os.monotonicNs();
        var turns: u32 = 0;
        while (true) : (turns += 1) {
            var spins: u32 = 0;
            while (spins < 64) : (spins += 1) {
                if (slot.state.load(.acquire) != met.state.raw()) return;
                std.atomic.spinLoopHint();
            }
            const waited = os.monotonicNs() - start;
            if (waited >= wait_ns) break;
            if (waited > 5_000 and turns % 8 == 7) {
                if (!session.isAlive(met.session)) break;
                if (younger) os.yieldThread() else os.sleepNs(50_000);
            }
        }
    } else if (session.isAlive(met.session) and !younger and session.nextRandom() & 3 != 0) {
        return;
    }
    if (slot.state.cas(met.state.raw(), met.state.with(.aborted).raw(), .seq_cst)) {
        word.bump(&counters.wounds, 1);
    }
}

/// The version visible at `snapshot` (P10), or null. **Precondition**: pinned at or below the
/// snapshot.
pub fn visible(
    segment: *const Segment,
    head: u32,
    snapshot: u64,
) error{ SegmentCorrupt, SnapshotTooOld }!?*Version {
    var ref = head;
    var steps: u64 = 0;
    while (ref != 0) : (steps += 1) {
        if (layout.isClosed(ref)) return null;
        if (steps > segment.chain_steps_max) return error.SegmentCorrupt;
        const version = try segment.at(Version, ref);
        switch (try of(segment, version)) {
            .committed => |csn| if (csn < snapshot) {
                return if (version.isTombstone()) null else version;
            },
            .aborted, .undecided => {},
            .free => return error.SnapshotTooOld,
        }
        ref = version.older.load(.acquire); // pairs with the release that installed
    }
    return null;
}
