//! Those in this process who want to be told when commits are on the disk, or when there are any,
//! without blocking: a handle's event loop watches one end of a stream, and a byte comes through
//! it.
//!
//! **Invariants**: `armed_count` is the number of listeners of which `is_armed` is 1. A listener is
//! told once for each time it is armed.
//!
//! **Concurrency**: the list by its lock. What a listener waits for is set by the handle's thread
//! before it arms it, and read by the maintenance thread, which looks after every change of the log
//! and after every wake of a commit; `is_armed` is sequentially consistent with `durable` and the
//! cells: either the armer sees what it waits for, or the teller sees it armed.
//!
//! **Memory**: a listener belongs to its handle, and owns its end of the stream. The other end is
//! the caller's from the start.
const std = @import("std");
const os = @import("../os.zig");
const ring = @import("../segment/ring.zig");
const wake = @import("../segment/change_wake.zig");
const Segment = @import("../segment/segment.zig").Segment;
const log_state = @import("../segment/log_state.zig");
const Lock = @import("lock.zig").Lock;

const awaited_none = std.math.maxInt(u64);

pub const Listener = struct {
    near: os.Fd,
    is_armed: u32 = 0,
    /// Told when this CSN is on the disk.
    awaited: u64 = awaited_none,
    /// Told when this CSN, or a later one, is committed.
    visible: u64 = awaited_none,
};

pub const Listeners = struct {
    lock: Lock = .{},
    list: std.ArrayList(*Listener) = .empty,
    armed_count: u32 = 0,
    /// Whether the maintenance thread is woken by `log_state.announce`.
    is_hearing: u32 = 0,
    /// Everything below is decided.
    floor: u64 = 0,

    /// A new listener; `far` is the end to be watched, the caller's.
    pub fn add(
        listeners: *Listeners,
        allocator: std.mem.Allocator,
        far: *os.Fd,
    ) (os.Error || error{OutOfMemory})!*Listener {
        const listener = try allocator.create(Listener);
        errdefer allocator.destroy(listener);
        listeners.lock.acquire();
        defer listeners.lock.release();

        try listeners.list.ensureUnusedCapacity(allocator, 1);
        const ends = try os.socketPair();
        listener.* = .{ .near = ends[0] };
        far.* = ends[1];
        listeners.list.appendAssumeCapacity(listener);
        return listener;
    }

    pub fn remove(
        listeners: *Listeners,
        allocator: std.mem.Allocator,
        listener: *Listener,
    ) void {
        listeners.lock.acquire();
        defer listeners.lock.release();

        _ = listeners.take(listener);
        for (listeners.list.items, 0..) |each, index| {
            if (each != listener) continue;
            _ = listeners.list.swapRemove(index);
            break;
        }
        os.close(listener.near);
        allocator.destroy(listener);
    }

    /// The listener is told when `csn` is on the disk, or the log fails.
    pub fn arm(listeners: *Listeners, listener: *Listener, csn: u64) void {
        listeners.armFor(listener, csn, awaited_none);
    }

    /// The listener is told when anything at or above `visible` is committed, or when `awaited` is
    /// on the disk.
    pub fn armChange(
        listeners: *Listeners,
        listener: *Listener,
        visible: ?u64,
        awaited: ?u64,
    ) void {
        listeners.armFor(listener, awaited orelse awaited_none, visible orelse awaited_none);
    }

    fn armFor(listeners: *Listeners, listener: *Listener, awaited: u64, visible: u64) void {
        @atomicStore(u64, &listener.awaited, awaited, .seq_cst);
        @atomicStore(u64, &listener.visible, visible, .seq_cst);
        if (@atomicRmw(u32, &listener.is_armed, .Xchg, 1, .seq_cst) != 0) return;
        _ = @atomicRmw(u32, &listeners.armed_count, .Add, 1, .seq_cst);
    }

    /// Takes the order back; false when the byte is on its way.
    pub fn take(listeners: *Listeners, listener: *Listener) bool {
        if (@atomicRmw(u32, &listener.is_armed, .Xchg, 0, .seq_cst) == 0) return false;
        _ = @atomicRmw(u32, &listeners.armed_count, .Sub, 1, .seq_cst);
        return true;
    }

    pub fn isArmed(listeners: *const Listeners) bool {
        return @atomicLoad(u32, &listeners.armed_count, .seq_cst) != 0;
    }

    /// Tells those whose commit is there, or on the disk, and who waits for the disk when the log
    /// has failed. Arms the word that commits look at for those who are left, and looks again.
    pub fn tell(listeners: *Listeners, segment: *const Segment) void {
        if (!listeners.isArmed()) return;
        listeners.lock.acquire();
        defer listeners.lock.release();

        if (!listeners.tellOnce(segment)) return;
        wake.arm(segment.header);
        _ = listeners.tellOnce(segment);
    }

    /// True when a session is left that waits for a commit.
    fn tellOnce(listeners: *Listeners, segment: *const Segment) bool {
        const header = segment.header;
        const failed = if (log_state.check(header)) false else |_| true;
        listeners.floor = ring.firstUndecided(segment, listeners.floor);
        var is_left = false;
        for (listeners.list.items) |listener| {
            if (@atomicLoad(u32, &listener.is_armed, .seq_cst) == 0) continue;
            const awaited = @atomicLoad(u64, &listener.awaited, .seq_cst);
            const visible = @atomicLoad(u64, &listener.visible, .seq_cst);
            const on_disk = awaited != awaited_none and
                (failed or log_state.isDurable(header, awaited));
            const is_there = visible != awaited_none and listeners.floor > visible;
            if (on_disk or is_there) {
                if (listeners.take(listener)) os.sendByte(listener.near);
            } else if (visible != awaited_none) is_left = true;
        }
        return is_left;
    }
};
