//! Notices that the session whose pin is the lowest belongs to a process that does not run, under
//! SIGSTOP, a debugger or a frozen control group: others go on without it. A commit is overtaken
//! (P32); a snapshot is revoked (P29) once the segment is half full, long before it is too old.
//!
//! **Concurrency**: one look at a time in each process; any number of processes.
const std = @import("std");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const segment_ = @import("../segment/segment.zig");
const Segment = segment_.Segment;

/// A process that is not stopped and has used no processor time for so long is frozen, or as good
/// as that. One that only waits for a processor had better not lose its snapshot.
const idle_limit_ms = 2000;

pub const Standstill = struct {
    /// The lowest pin at the last look.
    seen: ?Seen = null,

    const Seen = struct {
        slot: *layout.SessionSlot,
        pin: u64,
        state: u64,
        since_ms: u64,
        /// Processor time of its process.
        ticks: u64,
    };

    /// Between two looks the lowest pin must not have changed. Returns what was done.
    pub fn look(standstill: *Standstill, segment: *const Segment, now_ms: u64) enum {
        nothing,
        overtaken,
        revoked,
    } {
        // Sequentially consistent: as the pins, before them.
        const era = segment.header.era.load(.seq_cst);
        const slot = lowest(segment, era) orelse {
            standstill.seen = null;
            return .nothing;
        };
        const process = os.processActivity(slot.pid) orelse return .nothing;
        const now: Seen = .{
            .slot = slot,
            .pin = slot.pin.load(.seq_cst),
            .state = slot.state.load(.seq_cst),
            .since_ms = now_ms,
            .ticks = process.ticks,
        };
        const before = standstill.seen orelse now;
        const is_same = before.slot == slot and before.pin == now.pin and
            before.state == now.state and before.ticks == now.ticks;
        if (standstill.seen == null or !is_same) {
            standstill.seen = now;
            return .nothing;
        }
        const is_idle = now_ms - before.since_ms >= idle_limit_ms;
        if (layout.Pin.of(now.pin).committing) {
            if (!process.is_stopped and !is_idle) return .nothing;
            return if (segment.overtake(era)) .overtaken else .nothing;
        }
        if (!process.is_stopped or !isHalfUsed(segment)) return .nothing;
        return if (slot.pin.cas(now.pin, layout.pin_revoked, .seq_cst)) .revoked else .nothing;
    }
};

/// The session that holds the horizon back the most, of those that were not overtaken.
fn lowest(segment: *const Segment, era: u32) ?*layout.SessionSlot {
    // Acquire: pairs with the release in `engine.claimSlot`.
    const limit = @min(segment.header.session_limit.load(.acquire), segment.session_count);
    var found: ?*layout.SessionSlot = null;
    var csn: u64 = std.math.maxInt(u64);
    for (segment.sessions[0..limit]) |*slot| {
        const raw = slot.pin.load(.seq_cst);
        if (raw == layout.pin_none or raw == layout.pin_revoked) continue;
        const pin = layout.Pin.of(raw);
        if (pin.committing and slot.era.load(.seq_cst) < era) continue;
        if (pin.csn >= csn) continue;
        csn = pin.csn;
        found = slot;
    }
    return found;
}

fn isHalfUsed(segment: *const Segment) bool {
    const first = Segment.pageOf(segment.arena_ref);
    const end = Segment.pageOf(segment.limit_ref);
    var used: u32 = 0;
    for (segment.pages[first..end]) |*page| {
        if (page.load(.monotonic) != 0) used += 1; // a statistic
    }
    return used > (end - first) / 2;
}
