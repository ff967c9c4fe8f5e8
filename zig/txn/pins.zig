//! Which pin a session shows while it has open snapshots, reads, or commits (P6, P8, P29).
//!
//! **Invariants**: the pin is at or below every open snapshot that was not revoked; it carries
//! `committing` exactly inside `enterCommit`/`leave`.
//!
//! **Concurrency**: the owner moves the pin; others may only revoke one without `committing`.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const os = @import("../os.zig");
const ring = @import("../segment/ring.zig");
const word = @import("../segment/word.zig");
const Session = @import("../segment/session.zig").Session;

/// An open snapshot. The CSN alone does not name it: one that was revoked and one that was opened
/// afterwards have the same where nobody has committed in between.
pub const Snapshot = struct { csn: u64, revocations: u32 };

pub const Pins = struct {
    const Open = struct { csn: u64, opened_ms: u64 };

    /// Open snapshots, oldest first.
    snapshots: std.ArrayList(Open) = .empty,
    /// How many there were: all snapshots from before the last one are gone.
    revocations: u32 = 0,

    pub fn deinit(pins: *Pins, allocator: std.mem.Allocator) void {
        pins.snapshots.deinit(allocator);
    }

    /// Opens a snapshot (P8).
    pub fn open(
        pins: *Pins,
        allocator: std.mem.Allocator,
        session: *Session,
    ) error{OutOfMemory}!Snapshot {
        try pins.snapshots.ensureUnusedCapacity(allocator, 1);
        pins.notice(session);
        const now = os.coarseMs();
        const csn = if (pins.snapshots.items.len == 0) first: {
            // Read by whoever revokes, behind the pin: it must not take it for an older one.
            session.slot.pinned_ms.store(now, .release);
            break :first session.openSnapshot(false);
        } else ring.firstUndecided(session.segment, session.floor); // the pin stands lower already
        session.floor = @max(session.floor, csn);
        pins.snapshots.appendAssumeCapacity(.{ .csn = csn, .opened_ms = now });
        return .{ .csn = csn, .revocations = pins.revocations };
    }

    pub fn close(pins: *Pins, session: *Session, snapshot: Snapshot) void {
        pins.notice(session);
        if (snapshot.revocations != pins.revocations) return;
        for (pins.snapshots.items, 0..) |each, i| {
            if (each.csn != snapshot.csn) continue;
            _ = pins.snapshots.orderedRemove(i);
            break;
        }
        pins.restore(session);
    }

    pub fn isRevoked(pins: *Pins, session: *Session, snapshot: Snapshot) bool {
        pins.notice(session);
        return snapshot.revocations != pins.revocations;
    }

    /// Sees a revocation: every snapshot that was open then is gone.
    fn notice(pins: *Pins, session: *Session) void {
        word.settleLoads(); // of what was read under the pin
        if (session.slot.pin.load(.seq_cst) == layout.pin_revoked) pins.forget(session);
    }

    /// Every open snapshot is gone.
    fn forget(pins: *Pins, session: *Session) void {
        pins.revocations +%= 1;
        pins.snapshots.clearRetainingCapacity();
        session.setPin(layout.pin_none);
    }

    fn restore(pins: *Pins, session: *Session) void {
        if (pins.snapshots.items.len == 0) {
            session.setPin(layout.pin_none);
            return;
        }
        const oldest = pins.snapshots.items[0];
        const raw = (layout.Pin{ .csn = @truncate(oldest.csn), .committing = false }).raw();
        const now = session.slot.pin.load(.seq_cst);
        if (now == raw or now == layout.pin_revoked) return;
        session.slot.pinned_ms.store(oldest.opened_ms, .release); // first, as in `open`
        // Only raised, and never over a revocation.
        _ = session.slot.pin.cas(now, raw, .seq_cst);
    }

    /// A pin that cannot be revoked, for the duration of a commit; but it can be overtaken (P32).
    pub fn enterCommit(pins: *Pins, session: *Session) void {
        pins.notice(session);
        if (pins.snapshots.items.len != 0) {
            const csn: u63 = @truncate(pins.snapshots.items[0].csn);
            const raw = (layout.Pin{ .csn = csn, .committing = false }).raw();
            const held = (layout.Pin{ .csn = csn, .committing = true }).raw();
            session.noteEra();
            if (session.slot.pin.cas(raw, held, .seq_cst)) {
                if (!session.segment.isOvertaken()) return;
                pins.forget(session); // the horizon may have passed the pin at once
            } else pins.notice(session);
        }
        _ = session.pinFloor(true);
    }

    /// A pin for one read.
    pub fn enterRead(pins: *Pins, session: *Session) void {
        pins.notice(session); // a pin that was revoked holds nothing
        if (pins.snapshots.items.len != 0) return; // the pin stands lower
        _ = session.pinFloor(false);
    }

    /// Whether the pin of a read was revoked before its end: what was read then means nothing, be
    /// it an error. Asked before `leave`.
    pub fn isReadLost(session: *const Session) bool {
        word.settleLoads(); // of what was read under the pin
        return session.slot.pin.load(.seq_cst) == layout.pin_revoked;
    }

    pub inline fn leaveRead(pins: *Pins, session: *Session) void {
        if (pins.snapshots.items.len == 0) session.setPin(layout.pin_none);
    }

    pub fn leaveCommit(pins: *Pins, session: *Session) void {
        if (pins.snapshots.items.len == 0) return session.unpin();
        const csn: u63 = @truncate(pins.snapshots.items[0].csn);
        const held = (layout.Pin{ .csn = csn, .committing = true }).raw();
        const raw = (layout.Pin{ .csn = csn, .committing = false }).raw();
        if (session.slot.pin.load(.seq_cst) == held) {
            // Sequentially consistent: who overtakes after the look behind it sees this pin.
            _ = session.slot.pin.swap(raw, .seq_cst);
        }
        if (session.wasOvertaken()) pins.forget(session); // the horizon has passed its snapshots
        session.letGo();
    }
};

const harness = @import("../testing/harness.zig");

fn revoke(session: *Session) void {
    session.slot.pin.store(layout.pin_revoked, .seq_cst);
}

test "pins: a snapshot after a revocation is not the one that was revoked, be its CSN the same" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const session = &engine.context.session;
    const pins = &engine.pins;

    const old = try pins.open(std.testing.allocator, session);
    revoke(session);
    const new = try pins.open(std.testing.allocator, session);
    try std.testing.expectEqual(old.csn, new.csn);
    try std.testing.expect(pins.isRevoked(session, old));
    try std.testing.expect(!pins.isRevoked(session, new));
    pins.close(session, old);
    try std.testing.expect(session.slot.pin.raw != layout.pin_none);
    pins.close(session, new);
    try std.testing.expectEqual(layout.pin_none, session.slot.pin.raw);
}

test "pins: a read beside a snapshot that was revoked has a pin of its own" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const session = &engine.context.session;
    const pins = &engine.pins;

    const forgotten = try pins.open(std.testing.allocator, session);
    defer pins.close(session, forgotten);

    revoke(session);
    pins.enterRead(session);
    try std.testing.expect(!Pins.isReadLost(session));
    try std.testing.expect(session.slot.pin.raw != layout.pin_none);
    revoke(session);
    try std.testing.expect(Pins.isReadLost(session));
    pins.leaveRead(session);
    try std.testing.expectEqual(layout.pin_none, session.slot.pin.raw);
}

test "pins: a snapshot stays open while commits of others are overtaken" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const session = &engine.context.session;
    const pins = &engine.pins;

    for (0..2) |_| { // of a session that never committed, and of one that has
        const snapshot = try pins.open(std.testing.allocator, session);
        try std.testing.expect(world.segment.overtake(world.segment.header.era.raw));
        pins.enterRead(session);
        pins.leaveRead(session);
        try std.testing.expect(!pins.isRevoked(session, snapshot));

        pins.enterCommit(session);
        pins.leaveCommit(session);
        try std.testing.expect(!pins.isRevoked(session, snapshot));

        pins.enterCommit(session);
        try std.testing.expect(world.segment.overtake(world.segment.header.era.raw));
        pins.leaveCommit(session);
        try std.testing.expect(pins.isRevoked(session, snapshot));
        pins.close(session, snapshot);
    }
}

test "pins: the age of a session is that of its oldest snapshot" {
    const world = try harness.World.init(std.testing.allocator, .{});
    defer world.deinit();
    const engine = try world.attach();
    const session = &engine.context.session;
    const pins = &engine.pins;

    const first = try pins.open(std.testing.allocator, session);
    pins.snapshots.items[0].opened_ms -= 5_000;
    session.slot.pinned_ms.raw -= 5_000;
    ring.passCsn(session.segment);
    const second = try pins.open(std.testing.allocator, session);
    defer pins.close(session, second);

    pins.close(session, first);
    try std.testing.expectEqual(pins.snapshots.items[0].opened_ms, session.slot.pinned_ms.raw);
}
