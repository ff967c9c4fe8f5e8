//! A file read from front to back through one buffer.
//!
//! **Invariants.** `buffer[0..filled]` are the bytes of the file from `start` on.
//!
//! **Concurrency.** None; the file may grow meanwhile, which is not seen.
//!
//! **Memory.** Owns its buffer, which grows to the largest view asked for, never beyond the file's
//! size rounded up to a power of two.

const std = @import("std");
const storages = @import("storage.zig");
const assert = std.debug.assert;

const Allocator = std.mem.Allocator;
const Storage = storages.Storage;
const Error = storages.Error || error{OutOfMemory};

/// A part of a file in memory, moved as it is read.
pub const Window = struct {
    storage: Storage,
    allocator: Allocator,
    file: ?storages.File = null,
    size: u64 = 0,
    buffer: []u8 = &.{},
    start: u64 = 0,
    filled: usize = 0,
    /// Read from the disk, not from the kernel's memory.
    distrust: bool = false,

    const capacity_min = 4096;
    const capacity_usual = 256 * 1024;

    pub fn open(window: *Window, name: []const u8) Error!void {
        assert(window.file == null);
        const file = try window.storage.open(name, .read);
        errdefer window.storage.close(file);
        if (window.distrust) try window.storage.forget(file);
        window.size = try window.storage.size(file);
        window.file = file;
        window.filled = 0;
        const useful = std.math.clamp(window.size, capacity_min, capacity_usual);
        if (window.buffer.len < useful) try window.grow(@intCast(useful));
    }

    pub fn close(window: *Window) void {
        if (window.file) |file| window.storage.close(file);
        window.file = null;
    }

    pub fn deinit(window: *Window) void {
        window.allocator.free(window.buffer);
        window.buffer = &.{};
    }

    /// `count` bytes at `offset`, or null if the file is too short. Valid until the next call.
    pub fn view(window: *Window, offset: u64, count: usize) Error!?[]const u8 {
        if (offset > window.size or count > window.size - offset) return null;
        if (count > window.buffer.len) try window.grow(count);
        const inside = offset >= window.start and
            offset + count <= window.start + window.filled;
        if (!inside) try window.fill(offset);
        if (count > window.filled - @as(usize, @intCast(offset - window.start))) return null;
        return window.buffer[@intCast(offset - window.start)..][0..count];
    }

    /// As much as there is from `offset` on; null at the end of the file.
    pub fn some(window: *Window, offset: u64) Error!?[]const u8 {
        if (offset >= window.size) return null;
        try window.fill(offset);
        return if (window.filled == 0) null else window.buffer[0..window.filled];
    }

    fn grow(window: *Window, count: usize) Error!void {
        const capacity = std.math.ceilPowerOfTwoAssert(usize, count);
        window.allocator.free(window.buffer);
        window.buffer = &.{};
        window.filled = 0;
        window.buffer = try window.allocator.alloc(u8, capacity);
    }

    fn fill(window: *Window, offset: u64) Error!void {
        window.start = offset;
        window.filled = 0;
        window.filled = try window.storage.read(window.file.?, offset, window.buffer);
    }
};
