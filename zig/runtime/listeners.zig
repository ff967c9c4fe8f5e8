//! Those in this process who want to be told when commits are on the disk, without blocking: a
//! handle's event loop watches one end of a stream, and a byte comes through it.
//!
//! **Invariants**: `armed_count` is the number of listeners whose `awaited` is a CSN. A listener is
//! told once for each time it is armed.
//!
//! **Concurrency**: the list by its lock. `awaited` is set by the handle's thread and taken by the
//! maintenance thread, which looks after every change of the log; both are sequentially consistent
//! with `durable`: either the armer sees what is durable, or the teller sees it armed.
//!
//! **Memory**: a listener belongs to its handle, and owns its end of the stream. The other end is
//! the caller's from the start.
const std = @import("std");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const log_state = @import("../segment/log_state.zig");
const Lock = @import("lock.zig").Lock;

const awaited_none = std.math.maxInt(u64);

pub const Listener = struct {
    near: os.Fd,
    /// Told when this CSN is on the disk.
    awaited: u64 = awaited_none,
};

pub const Listeners = struct {
    lock: Lock = .{},
    list: std.ArrayList(*Listener) = .empty,
    armed_count: u32 = 0,
    /// Whether the maintenance thread is woken by `log_state.announce`.
    is_hearing: u32 = 0,

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
        const before = @atomicRmw(u64, &listener.awaited, .Xchg, csn, .seq_cst);
        if (before != awaited_none) return;
        _ = @atomicRmw(u32, &listeners.armed_count, .Add, 1, .seq_cst);
    }

    /// Takes the order back; false when the byte is on its way.
    pub fn take(listeners: *Listeners, listener: *Listener) bool {
        const before = @atomicRmw(u64, &listener.awaited, .Xchg, awaited_none, .seq_cst);
        if (before == awaited_none) return false;
        _ = @atomicRmw(u32, &listeners.armed_count, .Sub, 1, .seq_cst);
        return true;
    }

    pub fn isArmed(listeners: *const Listeners) bool {
        return @atomicLoad(u32, &listeners.armed_count, .seq_cst) != 0;
    }

    /// Tells those whose commit is on the disk, and everybody when the log has failed.
    pub fn tell(listeners: *Listeners, header: *const layout.Header) void {
        if (!listeners.isArmed()) return;
        const failed = if (log_state.check(header)) false else |_| true;
        listeners.lock.acquire();
        defer listeners.lock.release();

        for (listeners.list.items) |listener| {
            const awaited = @atomicLoad(u64, &listener.awaited, .seq_cst);
            if (awaited == awaited_none) continue;
            if (!failed and !log_state.isDurable(header, awaited)) continue;
            if (listeners.take(listener)) os.sendByte(listener.near);
        }
    }
};
