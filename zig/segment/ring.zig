//! The ring of commit sequence numbers: where every numbered commit is decided (P4, P5, P7, P15,
//! P17).
//!
//! **Invariants**: the cell of CSN *c* is the word at *c* modulo the cell count; a word of an
//! earlier lap is empty for *c*, one of a later lap says that *c* was decided and drained. A
//! decided cell never changes before its lap ends.
//!
//! **Concurrency**: every change is a compare-and-swap on the whole word. A participant that dies
//! after taking a CSN leaves an empty cell, which whoever needs it decides aborted.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const log_state = @import("log_state.zig");
const word = @import("word.zig");
const scheduler = @import("../instrument/scheduler.zig");
const Segment = @import("segment.zig").Segment;

pub const CellStatus = enum(u2) { empty = 0, committed = 1, aborted = 2, _ };

/// P4. `position` counts units of eight bytes in the session's log buffer.
pub const Cell = packed struct(u64) {
    status: CellStatus,
    session: u12,
    position: u22,
    lap: u28,

    pub fn of(raw: u64) Cell {
        return @bitCast(raw);
    }
};

pub const View = enum { empty, committed, aborted, drained };

const cells_per_line = Segment.line_size / @sizeOf(Cell);

/// How often the ring had been gone around before `csn`. A shift: a division takes longer than all
/// else that is done with a cell.
fn lapOf(segment: *const Segment, csn: u64) u28 {
    return @truncate(csn >> @intCast(@ctz(segment.cell_count)));
}

/// What the word of `csn` says for it.
pub fn classify(segment: *const Segment, csn: u64, raw: u64) View {
    const cell = Cell.of(raw);
    const lap = lapOf(segment, csn);
    if (cell.lap == lap) return switch (cell.status) {
        .committed => .committed,
        .aborted => .aborted,
        .empty, _ => .empty,
    };
    // Laps are compared modulo 2^28: half of that is years of commits away.
    return if (cell.lap -% lap < 1 << 27) .drained else .empty;
}

pub inline fn load(segment: *const Segment, csn: u64) u64 {
    // Sequentially consistent: P8 and P14 need one order over pins, tail and cells (P30).
    return segment.cells[csn & (segment.cell_count - 1)].load(.seq_cst);
}

/// Takes the next CSN, or null when the ring is full (P5). The WAL writer is asked for room before.
pub fn takeCsn(segment: *const Segment) ?u64 {
    if (!hasRoom(segment)) return null;
    const csn = segment.header.tail.add(1, .seq_cst);
    // The log writer's processor has read the next line of cells when it went around.
    Segment.fetchToWrite(&segment.cells[(csn + cells_per_line) & (segment.cell_count - 1)]);
    if (csn & (segment.cell_count / 4 - 1) == 0 and !scheduler.isActive()) {
        log_state.nudge(segment.header);
    }
    return csn;
}

/// False when the WAL writer is behind by the whole ring (P5).
pub fn hasRoom(segment: *const Segment) bool {
    const header = segment.header;
    // Acquire: pairs with the release compare-and-swap of the WAL writer.
    const drained = drainedOf(header.drained.load(.acquire));
    // Monotonic: the slack of one cell per session covers everybody who checked before adding.
    const tail = header.tail.load(.monotonic);
    return tail -| drained <= segment.cell_count - segment.session_count and !isUsedUp(tail);
}

/// No CSN is left: there is no more room, ever.
pub fn isUsedUp(tail: u64) bool {
    return tail >= limits.csn_end;
}

/// Has everything below `csn` decided, in a segment that no other process knows: without that, the
/// empty cells of a new one are of a lap that seems to be over when CSNs begin high.
pub fn startAt(segment: *const Segment, csn: u64) void {
    for (0..segment.cell_count) |back| {
        if (back >= csn) return;
        const earlier = csn - 1 - back;
        const cell: Cell = .{
            .status = .aborted,
            .session = 0,
            .position = 0,
            .lap = lapOf(segment, earlier),
        };
        segment.cells[earlier & (segment.cell_count - 1)].raw = @bitCast(cell);
    }
}

/// Takes a CSN and aborts it, so that what was retired at the tail falls below later horizons.
pub fn passCsn(segment: *const Segment) void {
    const csn = takeCsn(segment) orelse return;
    _ = abort(segment, csn);
}

/// The low bits of an epoch, which tell it from those around it.
pub const EpochBits = u12;

/// What the drained word holds: up to where the log is written, in which epoch.
const Drained = packed struct(u64) {
    csn: u52,
    epoch: EpochBits,
};

comptime {
    std.debug.assert(@bitSizeOf(@FieldType(Drained, "csn")) == limits.csn_bits);
}

pub fn drainedOf(drained: u64) u64 {
    return @as(Drained, @bitCast(drained)).csn;
}

pub fn epochOf(drained: u64) EpochBits {
    return @as(Drained, @bitCast(drained)).epoch;
}

/// The drained word of an epoch, of which it has the low bits.
pub fn drainedWord(epoch: u64, csn: u64) u64 {
    return @bitCast(Drained{ .csn = @truncate(csn), .epoch = @truncate(epoch) });
}

/// Decides `csn` for its owner (P16). False: somebody aborted it.
pub fn commit(segment: *const Segment, csn: u64, session: u32, position: u64) bool {
    return decide(segment, csn, .{
        .status = .committed,
        .session = @intCast(session),
        .position = @intCast(position & ((1 << 22) - 1)),
        .lap = lapOf(segment, csn),
    });
}

/// Decides `csn` aborted unless it is decided already. True when this call did it.
pub fn abort(segment: *const Segment, csn: u64) bool {
    return decide(segment, csn, .{
        .status = .aborted,
        .session = 0,
        .position = 0,
        .lap = lapOf(segment, csn),
    });
}

fn decide(segment: *const Segment, csn: u64, cell: Cell) bool {
    const slot = &segment.cells[csn & (segment.cell_count - 1)];
    const raw = slot.load(.seq_cst);
    if (classify(segment, csn, raw) != .empty) return false;
    return slot.cas(raw, @bitCast(cell), .seq_cst);
}

/// Where a walk down from `csn` ends: at the floor, and a lap below at the latest, since all that
/// is older has been drained (P5), however damaged the tail may be.
fn walkEnd(segment: *const Segment, csn: u64, floor: u64) u64 {
    return @max(floor, csn -| segment.cell_count);
}

/// The lowest undecided CSN (P7); everything below `floor` is known to be decided.
pub fn firstUndecided(segment: *const Segment, floor: u64) u64 {
    var lowest = segment.header.tail.load(.seq_cst);
    var csn = lowest;
    const end = walkEnd(segment, csn, floor);
    while (csn > end) {
        csn -= 1;
        switch (classify(segment, csn, load(segment, csn))) {
            .committed, .drained => break,
            .aborted => {},
            .empty => lowest = csn,
        }
    }
    return lowest;
}

/// P15: decides everything below `csn`; an empty cell gets `limits.numbered_wait_ns`. Returns how
/// many were aborted.
pub fn decideEarlier(segment: *const Segment, csn: u64, floor: u64) u64 {
    var aborted: u64 = 0;
    var earlier = csn;
    const end = walkEnd(segment, csn, floor);
    while (earlier > end) {
        earlier -= 1;
        const raw = load(segment, earlier);
        switch (classify(segment, earlier, raw)) {
            .committed, .drained => break,
            .aborted => {},
            .empty => {
                waitCell(segment, earlier, raw);
                if (abort(segment, earlier)) aborted += 1;
                // Decided now, by whomever; if committed, all below is decided.
                if (classify(segment, earlier, load(segment, earlier)) != .aborted) break;
            },
        }
    }
    return aborted;
}

/// Spins while the cell stands as it was, some 10 microseconds (P17).
pub fn waitCell(segment: *const Segment, csn: u64, seen: u64) void {
    if (scheduler.isActive()) {
        for (0..8) |_| if (load(segment, csn) != seen) return;
        return;
    }
    const deadline = os.monotonicNs() + limits.numbered_wait_ns;
    while (true) {
        var spins: u32 = 0;
        while (spins < 64) : (spins += 1) {
            if (load(segment, csn) != seen) return;
            std.atomic.spinLoopHint();
        }
        if (os.monotonicNs() >= deadline) return;
    }
}

test "ring: a damaged tail is walked down for one lap at most" {
    const size = 4 << 20;
    const memory = try std.testing.allocator.alignedAlloc(u8, .fromByteUnits(4096), size);
    defer std.testing.allocator.free(memory);

    @memset(memory, 0);
    const segment = Segment.createInMemory(memory, .{
        .size = size,
        .session_count = 4,
        .cell_count = 1 << 12,
    }).?;
    const tail = 1 << 38;
    segment.header.tail.raw = tail;
    try std.testing.expectEqual(tail - segment.cell_count, firstUndecided(&segment, 1));
}
