//! How a session learns whether another one's owner is alive: by bytes of the lock file that the
//! kernel drops with their holder.
//!
//! **Invariants**: byte `lock_byte_sessions + index` is held by the owner of that slot.
//!
//! **Concurrency**: any thread of a process through its one `LockFile`; processes through the
//! kernel.
//!
//! **Who may die where**: a process with everything that it holds. Threads that end give up their
//! sessions first.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const lock_byte_sessions = @import("segment.zig").lock_byte_sessions;

pub const Liveness = union(enum) {
    file: *LockFile,
    /// Tests: the same in private memory.
    simulated: Simulated,

    /// Takes the byte of a slot; false when another session holds it.
    pub fn lock(liveness: Liveness, index: u32) bool {
        return switch (liveness) {
            .file => |file| file.lock(index),
            .simulated => |simulated| simulated.lock(index),
        };
    }

    pub fn unlock(liveness: Liveness, index: u32) void {
        switch (liveness) {
            .file => |file| file.unlock(index),
            .simulated => |simulated| simulated.unlock(index),
        }
    }

    /// True when another session holds the byte of a slot.
    pub fn isHeld(liveness: Liveness, index: u32) bool {
        return switch (liveness) {
            .file => |file| file.isHeld(index),
            .simulated => |simulated| simulated.isHeld(index),
        };
    }
};

/// The lock file as one process has it open for all of its sessions. The bytes belong to the open
/// file description, and the kernel's list of locks has one entry for adjacent ones: with a
/// description for each session it would have an entry for each, and every look would walk it.
/// Among the sessions of the process `held` tells who has what.
pub const LockFile = struct {
    fd: os.Fd,
    held: [limits.session_count_max / 64]u64 = @splat(0),

    fn lock(file: *LockFile, index: u32) bool {
        const bit = @as(u64, 1) << @intCast(index % 64);
        // Acquire: pairs with the release in `unlock`.
        if (@atomicRmw(u64, &file.held[index / 64], .Or, bit, .acq_rel) & bit != 0) return false;
        if (os.lockByte(file.fd, lock_byte_sessions + index) catch false) return true;
        _ = @atomicRmw(u64, &file.held[index / 64], .And, ~bit, .release);
        return false;
    }

    /// The kernel first: who sees the bit clear may take the byte at once.
    fn unlock(file: *LockFile, index: u32) void {
        os.unlockByte(file.fd, lock_byte_sessions + index);
        const bit = @as(u64, 1) << @intCast(index % 64);
        // Release: pairs with the acquire in `lock`.
        _ = @atomicRmw(u64, &file.held[index / 64], .And, ~bit, .release);
    }

    fn isHeld(file: *const LockFile, index: u32) bool {
        const bit = @as(u64, 1) << @intCast(index % 64);
        // Acquire: pairs with the release in `unlock`.
        if (@atomicLoad(u64, &file.held[index / 64], .acquire) & bit != 0) return true;
        return os.byteHeld(file.fd, lock_byte_sessions + index);
    }
};

/// The lock file of tests: who holds each slot's byte. Like open file descriptions, holders are
/// told apart by number, and all bytes of one are dropped at its death.
pub const Simulated = struct {
    holders: *[limits.session_count_max]u16,
    /// Never 0.
    self: u16,

    fn lock(simulated: Simulated, index: u32) bool {
        const holder = @cmpxchgStrong(
            u16,
            &simulated.holders[index],
            0,
            simulated.self,
            .acq_rel,
            .acquire,
        ) orelse
            return true;
        return holder == simulated.self;
    }

    fn unlock(simulated: Simulated, index: u32) void {
        // pairs with the acquire in `lock`
        @atomicStore(u16, &simulated.holders[index], 0, .release);
    }

    fn isHeld(simulated: Simulated, index: u32) bool {
        const holder = @atomicLoad(u16, &simulated.holders[index], .acquire); // pairs with `unlock`
        return holder != 0 and holder != simulated.self;
    }

    /// What the kernel does when a holder is gone.
    pub fn drop(simulated: Simulated) void {
        for (simulated.holders) |*holder| {
            // Pairs with whoever takes the byte next.
            if (holder.* == simulated.self) @atomicStore(u16, holder, 0, .release);
        }
    }
};

test "liveness: two sessions of one process, and one of another, never have the same slot" {
    const path = "/dev/shm/aerostore-liveness-test.lock";
    var here: LockFile = .{ .fd = try os.open(path, .{ .create = true }) };
    defer os.close(here.fd);
    defer os.unlink(path) catch {};
    var there: LockFile = .{ .fd = try os.open(path, .{}) };
    const mine: Liveness = .{ .file = &here };
    const other: Liveness = .{ .file = &there };

    try std.testing.expect(mine.lock(7));
    try std.testing.expect(mine.lock(8));
    try std.testing.expect(!mine.lock(7));
    try std.testing.expect(!other.lock(7));
    try std.testing.expect(mine.isHeld(7) and other.isHeld(7));
    try std.testing.expect(other.lock(9));
    mine.unlock(7);
    try std.testing.expect(!mine.isHeld(7) and !other.isHeld(7));
    try std.testing.expect(other.isHeld(8));
    try std.testing.expect(other.lock(7));
    try std.testing.expect(!mine.lock(7));
    os.close(there.fd);
    try std.testing.expect(mine.lock(7));
    try std.testing.expect(mine.lock(9));
}
