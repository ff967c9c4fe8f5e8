//! Which pin a session shows while it has open snapshots, reads, or commits (P6, P8, P29).
//!
//! **Invariants**: the pin is at or below every open snapshot that was not revoked; it carries
//! `committing` exactly inside `enterCommit`/`leave`.
//!
//! **Concurrency**: the owner moves the pin; others may only revoke one without `committing`.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const os = @import("../os.zig");
const Session = @import("../segment/session.zig").Session;

pub const Pins = struct {
    /// Open snapshots, oldest first.
    snapshots: std.ArrayList(u64) = .empty,
    /// Snapshots up to this CSN were revoked.
    revoked_to: u64 = 0,

    pub fn deinit(pins: *Pins, allocator: std.mem.Allocator) void {
        pins.snapshots.deinit(allocator);
    }

    /// Opens a snapshot (P8).
    pub fn open(
        pins: *Pins,
        allocator: std.mem.Allocator,
        session: *Session,
    ) error{OutOfMemory}!u64 {
        try pins.snapshots.ensureUnusedCapacity(allocator, 1);
        pins.notice(session);
        if (pins.snapshots.items.len == 0) {
            const csn = session.openSnapshot(false);
            // read by whoever revokes
            session.slot.pinned_ms.store(os.coarseMs(), .release);
            pins.snapshots.appendAssumeCapacity(csn);
            return csn;
        }
        // The pin stands lower already; the new snapshot is not older.
        const csn = @import("../segment/ring.zig").firstUndecided(session.segment, session.floor);
        session.floor = @max(session.floor, csn);
        pins.snapshots.appendAssumeCapacity(csn);
        return csn;
    }

    pub fn close(pins: *Pins, session: *Session, snapshot: u64) void {
        if (std.mem.indexOfScalar(u64, pins.snapshots.items, snapshot)) |i| {
            _ = pins.snapshots.orderedRemove(i);
        }
        pins.notice(session);
        pins.restore(session);
    }

    pub fn isRevoked(pins: *Pins, session: *Session, snapshot: u64) bool {
        pins.notice(session);
        return snapshot <= pins.revoked_to;
    }

    /// Sees a revocation: every snapshot that was open then is gone.
    fn notice(pins: *Pins, session: *Session) void {
        if (session.slot.pin.load(.seq_cst) != layout.pin_revoked) return;
        for (pins.snapshots.items) |snapshot| pins.revoked_to = @max(pins.revoked_to, snapshot);
        pins.snapshots.clearRetainingCapacity();
        session.setPin(layout.pin_none);
    }

    fn restore(pins: *Pins, session: *Session) void {
        if (pins.snapshots.items.len == 0) {
            session.setPin(layout.pin_none);
            return;
        }
        const oldest = pins.snapshots.items[0];
        const raw = (layout.Pin{ .csn = @intCast(oldest), .committing = false }).raw();
        const now = session.slot.pin.load(.seq_cst);
        // Only raised, and never over a revocation.
        if (now != raw and now != layout.pin_revoked) _ = session.slot.pin.cas(now, raw, .seq_cst);
    }

    /// A pin that cannot be revoked, for the duration of a commit.
    pub fn enterCommit(pins: *Pins, session: *Session) void {
        pins.notice(session);
        if (pins.snapshots.items.len != 0) {
            const raw = (layout.Pin{
                .csn = @intCast(pins.snapshots.items[0]),
                .committing = false,
            }).raw();
            const held = (layout.Pin{
                .csn = @intCast(pins.snapshots.items[0]),
                .committing = true,
            }).raw();
            if (session.slot.pin.cas(raw, held, .seq_cst)) return;
            pins.notice(session);
        }
        _ = session.pinFloor(true);
    }

    /// A pin for one read.
    pub fn enterRead(pins: *Pins, session: *Session) void {
        // the pin stands lower; revocation is noticed at the end
        if (pins.snapshots.items.len != 0) return;
        _ = session.pinFloor(false);
    }

    pub fn leave(pins: *Pins, session: *Session) void {
        if (pins.snapshots.items.len == 0) {
            session.setPin(layout.pin_none);
            return;
        }
        const held = (layout.Pin{
            .csn = @intCast(pins.snapshots.items[0]),
            .committing = true,
        }).raw();
        const raw = (layout.Pin{
            .csn = @intCast(pins.snapshots.items[0]),
            .committing = false,
        }).raw();
        if (session.slot.pin.load(.seq_cst) == held) session.setPin(raw);
    }
};
