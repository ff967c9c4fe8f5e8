//! Taking cells from the ring in order (P25): the WAL writer's half of a commit.
//!
//! **Invariants**: everything below `drained` is decided, final, and with its sink; `drained` moves
//! only by compare-and-swap from the word with the drainer's own epoch.
//!
//! **Concurrency**: one session holds the writer's epoch; a late one stops at its next
//! compare-and-swap.
//!
//! **Who may die where**: anywhere before the compare-and-swap: the next writer takes the same
//! cells again.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const segment_ = @import("../segment/segment.zig");
const fault = @import("../instrument/fault.zig");
const log_buffer = @import("log_buffer.zig");
const ring = @import("../segment/ring.zig");
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const State = layout.State;

/// Where drained transactions go.
pub const Sink = struct {
    context: *anyopaque,
    /// Takes one committed transaction; false when the batch is full and must be written first.
    add: *const fn (context: *anyopaque, csn: u64, payload: []const u8) bool,
    /// Makes the file have what was added. After an error nothing is drained.
    flush: *const fn (context: *anyopaque, first_csn: u64, end_csn: u64) error{SinkFailed}!void,
};

pub const Error = error{ SinkFailed, SegmentCorrupt, LostEpoch };

pub const batch_cells_max = 4096;

/// The empty cell at which a writer stands that is in no hurry: nobody has committed behind it,
/// since whoever does decides it first (P15). So its owner, if it is only slow, need not lose its
/// commit.
pub const Hole = struct {
    csn: u64 = 0,
    since_ns: u64 = 0,

    fn isOver(hole: *Hole, segment: *const Segment, csn: u64) bool {
        // Aborted commits behind it fill the ring, too. Stale is fine: there is a half left.
        if (segment.header.tail.load(.monotonic) - csn >= segment.cell_count / 2) return true;
        const now = os.monotonicNs();
        if (hole.since_ns == 0 or hole.csn != csn) hole.* = .{ .csn = csn, .since_ns = now };
        return now - hole.since_ns >= limits.hole_wait_ns;
    }
};

/// Drains up to one batch; returns how many cells. With `sink == null` the log is kept nowhere.
/// Without `hole` an empty cell gets as long as from a commit.
pub fn run(session: *Session, epoch: ring.EpochBits, sink: ?Sink, hole: ?*Hole) Error!u64 {
    const segment = session.segment;
    const header = segment.header;
    const word = header.drained.load(.seq_cst);
    if (ring.epochOf(word) != epoch) return error.LostEpoch;
    const first = ring.drainedOf(word);
    const tail = header.tail.load(.seq_cst);
    if (tail -| first > segment.cell_count) { // P5: the words are damaged, or the lease is lost
        return if (header.drained.load(.seq_cst) == word) error.SegmentCorrupt else error.LostEpoch;
    }
    const limit = @min(tail, first + batch_cells_max);
    var csn = first;
    var full = false;
    while (csn < limit and !full) {
        const raw = ring.load(segment, csn);
        switch (ring.classify(segment, csn, raw)) {
            .empty => {
                // Not yet decided: what is before it goes first, then it gets its wait (P17).
                if (csn > first) break;
                if (hole) |h| if (!h.isOver(segment, csn)) return 0;
                ring.waitCell(segment, csn, raw);
                _ = ring.abort(segment, csn);
                continue;
            },
            .aborted => {},
            .committed => {
                const cell = ring.Cell.of(raw);
                if (sink) |s| {
                    const record = (try log_buffer.read(
                        segment,
                        csn,
                        cell,
                    )) orelse return error.LostEpoch;
                    if (!s.add(s.context, csn, record.payload)) {
                        full = true;
                        continue;
                    }
                }
            },
            .drained => return error.LostEpoch,
        }
        csn += 1;
    }
    if (csn == first) return 0;
    fault.point("drain.collected");
    if (sink) |s| try s.flush(s.context, first, csn);
    fault.point("drain.written");
    try finalize(segment, first, csn);
    fault.point("drain.final");
    const next = ring.drainedWord(epoch, csn);
    if (!header.drained.cas(word, next, .seq_cst)) return error.LostEpoch;
    return csn - first;
}

const harness = @import("../testing/harness.zig");

test "drain: whoever is slow keeps its cell while nobody is in a hurry" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const session = &engine.context.session;
    const segment = session.segment;
    var hole: Hole = .{};
    while (try run(session, 0, null, null) != 0) {}

    const slow = ring.takeCsn(segment).?;
    try std.testing.expectEqual(0, try run(session, 0, null, &hole));
    try std.testing.expectEqual(0, try run(session, 0, null, &hole));
    try std.testing.expectEqual(.empty, ring.classify(segment, slow, ring.load(segment, slow)));
    hole.since_ns -|= limits.hole_wait_ns;
    try std.testing.expectEqual(1, try run(session, 0, null, &hole));

    const other = ring.takeCsn(segment).?;
    try std.testing.expectEqual(0, try run(session, 0, null, &hole));
    try std.testing.expectEqual(1, try run(session, 0, null, null));
    try std.testing.expect(!ring.commit(segment, other, session.index, 0));
}

/// Before a cell may be reused its owner's state says what became of it (P11, P25). Only the last
/// commit of a session can be in its state still: each is looked at once, as its owner writes too.
fn finalize(segment: *const Segment, first: u64, end: u64) segment_.Corrupt!void {
    var looked_at: std.StaticBitSet(limits.session_count_max) = .initEmpty();
    var csn = end;
    while (csn > first) {
        csn -= 1;
        const raw = ring.load(segment, csn);
        if (ring.classify(segment, csn, raw) != .committed) continue;
        const cell = ring.Cell.of(raw);
        if (cell.session >= segment.session_count) return error.SegmentCorrupt;
        if (looked_at.isSet(cell.session)) continue;
        looked_at.set(cell.session);
        const slot = &segment.sessions[cell.session];
        const state_raw = slot.state.load(.seq_cst);
        const state = State.of(state_raw);
        if (state.phase != .numbered or slot.csn.load(.seq_cst) != csn) continue;
        _ = slot.state.cas(state_raw, state.with(.final).raw(), .seq_cst);
    }
}
