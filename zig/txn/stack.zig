//! Memory that is given back in the order opposite to how it was taken: a transaction's images.
//!
//! **Memory**: owns its chunks; everything taken after a mark is gone when the mark is released.
const std = @import("std");

const chunk_size = 64 * 1024;

pub const Stack = struct {
    allocator: std.mem.Allocator,
    chunks: std.ArrayList([]align(8) u8) = .empty,
    /// Chunks in use, and bytes used of the last of them.
    chunk_count: usize = 0,
    used: usize = 0,

    pub const Mark = struct {
        chunk_count: usize,
        used: usize,

        pub const empty: Mark = .{ .chunk_count = 0, .used = 0 };
    };

    pub fn init(allocator: std.mem.Allocator) Stack {
        return .{ .allocator = allocator };
    }

    pub fn deinit(stack: *Stack) void {
        for (stack.chunks.items) |chunk| stack.allocator.free(chunk);
        stack.chunks.deinit(stack.allocator);
    }

    pub fn mark(stack: *const Stack) Mark {
        return .{ .chunk_count = stack.chunk_count, .used = stack.used };
    }

    pub fn release(stack: *Stack, to: Mark) void {
        std.debug.assert(to.chunk_count <= stack.chunk_count);
        stack.chunk_count = to.chunk_count;
        stack.used = to.used;
        // One chunk stays for what comes next.
        while (stack.chunks.items.len > stack.chunk_count + 1) {
            stack.allocator.free(stack.chunks.pop().?);
        }
    }

    pub fn copy(stack: *Stack, bytes: []const u8) error{OutOfMemory}![]const u8 {
        const room = try stack.alloc(bytes.len);
        @memcpy(room[0..bytes.len], bytes);
        return room[0..bytes.len];
    }

    /// Eight-byte aligned.
    pub fn alloc(stack: *Stack, size: usize) error{OutOfMemory}![*]align(8) u8 {
        const rounded = std.mem.alignForward(usize, size, 8);
        std.debug.assert(rounded <= chunk_size);
        if (stack.chunk_count == 0 or stack.used + rounded > chunk_size) {
            if (stack.chunk_count == stack.chunks.items.len) {
                try stack.chunks.ensureUnusedCapacity(stack.allocator, 1);
                const chunk = try stack.allocator.alignedAlloc(u8, .@"8", chunk_size);
                stack.chunks.appendAssumeCapacity(chunk);
            }
            stack.chunk_count += 1;
            stack.used = 0;
        }
        const chunk = stack.chunks.items[stack.chunk_count - 1];
        defer stack.used += rounded;
        return @alignCast(chunk[stack.used..].ptr);
    }
};

test "stack: releasing a mark gives back what came after it" {
    var stack: Stack = .init(std.testing.allocator);
    defer stack.deinit();

    const first = try stack.alloc(100);
    const mark = stack.mark();
    for (0..10_000) |_| _ = try stack.alloc(100);
    stack.release(mark);
    try std.testing.expect(stack.chunks.items.len <= 2);
    const again = try stack.alloc(8);
    try std.testing.expectEqual(@intFromPtr(first) + 104, @intFromPtr(again));
}
