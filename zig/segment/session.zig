//! The process's own side of a slot in the process array: attaching, liveness, pins.
//!
//! **Invariants**: while a session is attached, its owner holds the slot's byte of the lock file;
//! `floor` is a CSN below which everything is decided.
//!
//! **Concurrency**: a `Session` belongs to one thread at a time.
//!
//! **Who may die where**: the kernel drops the byte with the owner. Whoever takes the byte of a
//! slot with `attached` set repairs it first (P26); a slot is never handed out unrepaired.
const std = @import("std");
const os = @import("../os.zig");
const limits = @import("../limits.zig");
const layout = @import("layout.zig");
const mutant = @import("../testing/mutant.zig");
const segment_ = @import("segment.zig");
const ring = @import("ring.zig");
const Segment = segment_.Segment;
const Liveness = @import("liveness.zig").Liveness;

pub const Session = struct {
    segment: *const Segment,
    slot: *layout.SessionSlot,
    index: u32,
    liveness: Liveness,
    /// Everything below is decided.
    floor: u64,
    random: u64,
    /// Last horizon that this session computed or saw.
    horizon: u64,
    /// Rows written since this session computed it for its own vacuum.
    horizon_age: u64 = 0,
    /// Additions to the own retire queue up to this position have their pages.
    retire_room: u64 = 0,
    /// Scratch for one index key, so that the hot path has no array to initialize.
    words: [limits.index_key_words_max]u64 = @splat(0),
    /// Of the last attempt that lost, kept for its retry (P17).
    retry: layout.Age = .none,

    /// The session of a slot whose byte the caller holds and that needs no repair.
    pub fn init(segment: *const Segment, index: u32, liveness: Liveness) Session {
        // pairs with the release in `refreshHorizon`
        const horizon = segment.header.horizon.load(.acquire);
        var seed: [8]u8 = undefined;
        os.randomBytes(&seed);
        return .{
            .segment = segment,
            .slot = &segment.sessions[index],
            .index = index,
            .liveness = liveness,
            .floor = horizon,
            .random = std.mem.readInt(u64, &seed, .little) | 1,
            .horizon = horizon,
        };
    }

    pub fn state(session: *const Session) layout.State {
        return layout.State.of(session.slot.state.load(.seq_cst));
    }

    /// xorshift64*.
    pub fn nextRandom(session: *Session) u64 {
        var x = session.random;
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        session.random = x;
        return x *% 0x2545F4914F6CDD1D;
    }

    /// Opens a snapshot (P8): the pin stands at the floor before the tail is read. Returns its CSN.
    pub fn openSnapshot(session: *Session, committing: bool) u64 {
        const slot = session.slot;
        while (true) { // each turn means that the pin was revoked before the snapshot was open
            const floor = session.floor;
            const low = (layout.Pin{ .csn = @intCast(floor), .committing = committing }).raw();
            // Sequentially consistent: a horizon computed after this sees the pin (P30).
            if (!mutant.is(.pinned_late)) slot.pin.store(low, .seq_cst);
            const csn = if (mutant.is(.snapshot_stale))
                floor
            else if (mutant.is(.snapshot_ahead))
                session.segment.header.tail.load(.seq_cst)
            else
                ring.firstUndecided(session.segment, floor);
            session.floor = csn;
            const high = (layout.Pin{ .csn = @intCast(csn), .committing = committing }).raw();
            if (mutant.is(.pinned_late)) slot.pin.store(low, .seq_cst);
            // Never over a revocation: the horizon may have passed the floor since.
            if (slot.pin.cas(low, high, .seq_cst)) return csn;
        }
    }

    /// A pin without a snapshot, for a read or a commit that looks at the newest versions only.
    pub inline fn pinFloor(session: *Session, committing: bool) u64 {
        const raw = (layout.Pin{ .csn = @intCast(session.floor), .committing = committing }).raw();
        // Sequentially consistent: as in `openSnapshot`.
        _ = session.slot.pin.swap(raw, .seq_cst);
        return raw;
    }

    pub inline fn setPin(session: *Session, raw: u64) void {
        session.slot.pin.store(raw, .release); // nothing below the new pin is read after this
    }

    /// Computes the horizon anew (P6): first the first undecided CSN, then all pins.
    pub fn refreshHorizon(session: *Session) u64 {
        const segment = session.segment;
        var horizon = ring.firstUndecided(segment, session.floor);
        session.floor = @max(session.floor, horizon);
        // Acquire: pairs with the release in `claim`.
        const limit = @min(segment.header.session_limit.load(.acquire), segment.session_count);
        var index: u32 = 0;
        while (index < limit) : (index += 1) {
            const raw = segment.sessions[index].pin.load(.seq_cst);
            if (raw == layout.pin_none or raw == layout.pin_revoked) continue;
            if (mutant.is(.pins_ignored)) continue;
            horizon = @min(horizon, layout.Pin.of(raw).csn);
        }
        session.horizon = @max(session.horizon, horizon);
        // Nothing is reclaimed by a horizon that is not published yet: `vacuum.isNeeded` relies on
        // it. Sequentially consistent: a reclaimed record is read before a horizon that allows it,
        // or not at all.
        var published = segment.header.horizon.load(.seq_cst);
        while (published < session.horizon) : (published = segment.header.horizon.load(.seq_cst)) {
            if (segment.header.horizon.cas(published, session.horizon, .seq_cst)) break;
        }
        session.horizon = @max(session.horizon, published);
        return session.horizon;
    }

    /// False only when the owner of the slot is certainly gone.
    pub fn isAlive(session: *const Session, index: u32) bool {
        return index == session.index or session.liveness.isHeld(index);
    }

    /// Takes the liveness byte of another slot; only whoever has it may repair.
    pub fn lockOther(session: *const Session, index: u32) bool {
        return session.liveness.lock(index);
    }

    pub fn unlockOther(session: *const Session, index: u32) void {
        session.liveness.unlock(index);
    }
};
