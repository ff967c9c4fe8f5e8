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
const word = @import("word.zig");
const os = @import("../os.zig");
const limits = @import("../limits.zig");
const layout = @import("layout.zig");
const mutant = @import("../instrument/mutant.zig");
const segment_ = @import("segment.zig");
const ring = @import("ring.zig");
const Segment = segment_.Segment;
const Liveness = @import("liveness.zig").Liveness;

pub const Session = struct {
    /// The session's own view.
    segment: *Segment,
    slot: *layout.SessionSlot,
    index: u32,
    liveness: Liveness,
    /// Everything below is decided.
    floor: u64,
    random: u64,
    /// Last horizon that this session computed or saw; 0 before the first.
    horizon: u64,
    /// Records of this era and of earlier ones may be in the hands of commits that the horizon has
    /// passed; 0 when there are none (P32).
    held_era: u32 = 0,
    /// Rows written since this session computed it for its own vacuum.
    horizon_age: u64 = 0,
    /// Additions to the own retire queue up to this position have their pages.
    retire_room: u64 = 0,
    /// Scratch for one index key, so that the hot path has no array to initialize.
    words: [limits.position_words_max]u64 = @splat(0),
    /// Of the last attempt that lost, kept for its retry (P17).
    retry: layout.Age = .none,

    /// The session of a slot whose byte the caller holds and that needs no repair.
    /// **Memory**: the view belongs to the session alone, as long as there is one.
    pub fn init(segment: *Segment, index: u32, liveness: Liveness) Session {
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
            .horizon = 0,
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
            const low = (layout.Pin{ .csn = @truncate(floor), .committing = committing }).raw();
            // Sequentially consistent: a horizon computed after this sees the pin (P30).
            if (committing) session.noteEra();
            if (!mutant.is(.pinned_late)) slot.pin.store(low, .seq_cst);
            while (committing and session.segment.isOvertaken()) session.noteEra();
            const csn = if (mutant.is(.snapshot_stale))
                floor
            else if (mutant.is(.snapshot_ahead))
                session.segment.header.tail.load(.seq_cst)
            else
                ring.firstUndecided(session.segment, floor);
            session.floor = csn;
            const high = (layout.Pin{ .csn = @truncate(csn), .committing = committing }).raw();
            if (mutant.is(.pinned_late)) slot.pin.store(low, .seq_cst);
            // Never over a revocation: the horizon may have passed the floor since.
            if (slot.pin.cas(low, high, .seq_cst)) return csn;
        }
    }

    /// A pin without a snapshot, for a read or a commit that looks at the newest versions only.
    pub inline fn pinFloor(session: *Session, committing: bool) u64 {
        const raw = (layout.Pin{ .csn = @truncate(session.floor), .committing = committing }).raw();
        if (committing) {
            session.enter(raw);
        } else {
            // Sequentially consistent: as in `openSnapshot`.
            _ = session.slot.pin.swap(raw, .seq_cst);
        }
        return raw;
    }

    /// Sets a pin for committing, in the era of now (P32).
    inline fn enter(session: *Session, raw: u64) void {
        session.noteEra();
        // Sequentially consistent: as in `openSnapshot`. Whoever sees the pin sees the era.
        _ = session.slot.pin.swap(raw, .seq_cst);
        // Raised meanwhile: others may take this pin for one of the era before. Nothing was read
        // under it yet.
        while (session.segment.isOvertaken()) session.noteEra();
    }

    /// Before a pin for committing is set, and while `isOvertaken` under it.
    pub inline fn noteEra(session: *Session) void {
        session.segment.era = session.segment.header.era.load(.seq_cst);
        session.slot.era.store(session.segment.era, .seq_cst);
    }

    /// True when others did not wait for this commit, at any time since its pin was set.
    pub inline fn wasOvertaken(session: *const Session) bool {
        word.settleLoads(); // of what was read under the pin
        return session.segment.isOvertaken() or
            session.slot.held_era.load(.monotonic) != 0; // the owner's own
    }

    /// Makes the pin one of now, after others have overtaken it, so that what has to be finished
    /// can be. What the session has in hand stays its own; all that it has concluded means nothing.
    /// False when nobody has overtaken it.
    pub fn catchUp(session: *Session) bool {
        if (!session.segment.isOvertaken()) return false;
        session.takeOver();
        return true;
    }

    /// The same for the pin of a slot's dead owner, which whoever repairs it goes on with.
    pub fn takeOver(session: *Session) void {
        const slot = session.slot;
        const held = @max(slot.held_era.load(.monotonic), slot.era.load(.monotonic)); // the owner's
        slot.held_era.store(held, .seq_cst); // before the era changes, as others read them
        _ = session.pinFloor(true);
    }

    /// Behind a commit: what the session had in hand from before it caught up is let go.
    pub inline fn letGo(session: *Session) void {
        session.segment.era = 0;
        if (session.slot.held_era.load(.monotonic) == 0) return; // the owner's own
        session.slot.held_era.store(0, .release);
    }

    /// Ends a pin for committing.
    pub inline fn unpin(session: *Session) void {
        session.setPin(layout.pin_none);
        session.letGo();
    }

    pub inline fn setPin(session: *Session, raw: u64) void {
        session.slot.pin.store(raw, .release); // nothing below the new pin is read after this
    }

    /// Computes the horizon anew (P6): first the first undecided CSN, then all pins.
    pub fn refreshHorizon(session: *Session) u64 {
        const header = session.segment.header;
        while (true) { // each turn means that commits were overtaken meanwhile
            const era = header.era.load(.seq_cst);
            const horizon = session.lowestPin(era);
            session.horizon = @max(session.horizon, horizon);
            // Nothing is reclaimed by a horizon that is not published yet: `vacuum.unneeded` relies
            // on it. Sequentially consistent: a reclaimed record is read before a horizon that
            // allows it, or not at all.
            var published = header.horizon.load(.seq_cst);
            while (published < session.horizon) : (published = header.horizon.load(.seq_cst)) {
                if (header.horizon.cas(published, session.horizon, .seq_cst)) break;
            }
            // Another's, too, if it has passed no commit that this look has not found overtaken.
            if (header.era.load(.seq_cst) != era) continue;
            session.horizon = @max(session.horizon, published);
            return session.horizon;
        }
    }

    /// The lowest pin, or the first undecided CSN. Notes `held_era`.
    fn lowestPin(session: *Session, era: u32) u64 {
        const segment = session.segment;
        var lowest = ring.firstUndecided(segment, session.floor);
        session.floor = @max(session.floor, lowest);
        session.held_era = 0;
        // Acquire: pairs with the release in `claim`.
        const limit = @min(segment.header.session_limit.load(.acquire), segment.session_count);
        for (segment.sessions[0..limit]) |*slot| {
            const raw = slot.pin.load(.seq_cst);
            if (raw == layout.pin_none or raw == layout.pin_revoked) continue;
            if (mutant.is(.pins_ignored)) continue;
            const pin = layout.Pin.of(raw);
            if (pin.committing) {
                // In this order: `takeOver` writes them in the other one.
                const entered = slot.era.load(.seq_cst);
                session.held_era = @max(session.held_era, slot.held_era.load(.seq_cst));
                if (entered < era) { // overtaken (P32)
                    session.held_era = @max(session.held_era, entered);
                    continue;
                }
            }
            lowest = @min(lowest, pin.csn);
        }
        if (mutant.is(.held_reused)) session.held_era = 0;
        return lowest;
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
