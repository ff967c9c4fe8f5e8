//! A map that is a short list until it is large: most transactions touch a handful of rows, and
//! looking through those is cheaper than hashing one.
//!
//! **Memory**: owns its table; `clear` keeps what is not large.
const std = @import("std");

/// Entries that are looked through; more are hashed.
const few_max = 16;
/// A table with room for more is given back by `clear`.
const kept_max = 4_096;

pub fn SmallMap(comptime K: type, comptime V: type) type {
    return struct {
        few: [few_max]Entry = undefined,
        few_count: u32 = 0,
        /// Everything, once there is more than `few` holds.
        many: std.AutoHashMapUnmanaged(K, V) = .empty,

        const Self = @This();
        pub const Entry = struct { key: K, value: V };

        pub fn deinit(map: *Self, allocator: std.mem.Allocator) void {
            map.many.deinit(allocator);
        }

        pub fn count(map: *const Self) usize {
            return if (map.isLarge()) map.many.count() else map.few_count;
        }

        fn isLarge(map: *const Self) bool {
            return map.many.count() != 0;
        }

        pub fn getPtr(map: *Self, key: K) ?*V {
            if (map.isLarge()) return map.many.getPtr(key);
            for (map.few[0..map.few_count]) |*each| {
                if (each.key == key) return &each.value;
            }
            return null;
        }

        pub fn get(map: *const Self, key: K) ?V {
            if (map.isLarge()) return map.many.get(key);
            for (map.few[0..map.few_count]) |*each| {
                if (each.key == key) return each.value;
            }
            return null;
        }

        pub fn put(
            map: *Self,
            allocator: std.mem.Allocator,
            key: K,
            value: V,
        ) error{OutOfMemory}!void {
            if (map.getPtr(key)) |known| {
                known.* = value;
                return;
            }
            if (!map.isLarge()) {
                if (map.few_count < few_max) {
                    map.few[map.few_count] = .{ .key = key, .value = value };
                    map.few_count += 1;
                    return;
                }
                try map.many.ensureTotalCapacity(allocator, few_max + 1);
                for (map.few) |each| map.many.putAssumeCapacity(each.key, each.value);
            }
            try map.many.put(allocator, key, value);
        }

        /// **Precondition**: the key is in the map.
        pub fn remove(map: *Self, key: K) void {
            if (map.isLarge()) {
                _ = map.many.remove(key);
                if (map.many.count() == 0) map.few_count = 0;
                return;
            }
            for (map.few[0..map.few_count], 0..) |*each, i| {
                if (each.key != key) continue;
                map.few_count -= 1;
                map.few[i] = map.few[map.few_count];
                return;
            }
        }

        pub fn clear(map: *Self, allocator: std.mem.Allocator) void {
            map.few_count = 0;
            if (map.many.capacity() > kept_max) {
                map.many.clearAndFree(allocator);
            } else if (map.isLarge()) {
                map.many.clearRetainingCapacity();
            }
        }

        pub fn iterator(map: *const Self) Iterator {
            return .{
                .few = if (map.isLarge()) &.{} else map.few[0..map.few_count],
                .many = map.many.iterator(),
            };
        }

        pub const Iterator = struct {
            few: []const Entry,
            many: std.AutoHashMapUnmanaged(K, V).Iterator,

            pub fn next(each: *Iterator) ?Entry {
                if (each.few.len > 0) {
                    defer each.few = each.few[1..];
                    return each.few[0];
                }
                const entry = each.many.next() orelse return null;
                return .{ .key = entry.key_ptr.*, .value = entry.value_ptr.* };
            }
        };
    };
}

test "small map: the same below and above the size at which it hashes" {
    const allocator = std.testing.allocator;
    var map: SmallMap(u32, u32) = .{};
    defer map.deinit(allocator);

    for (1..4) |round| {
        const size: u32 = @intCast(round * few_max * 2 / 3);
        for (0..size) |i| try map.put(allocator, @intCast(i), 0);
        for (0..size) |i| try map.put(allocator, @intCast(i), @intCast(i * 3));
        try std.testing.expectEqual(@as(usize, size), map.count());
        map.remove(size / 2);
        var sum: u64 = 0;
        var entries = map.iterator();
        while (entries.next()) |entry| sum += entry.value;
        try std.testing.expectEqual((size - 1) * size / 2 * 3 - size / 2 * 3, sum);
        try std.testing.expectEqual(null, map.get(size / 2));
        try std.testing.expectEqual(@as(?u32, 3), map.get(1));
        try std.testing.expectEqual(null, map.getPtr(size));
        for (0..size) |i| map.remove(@intCast(i));
        try std.testing.expectEqual(@as(usize, 0), map.count());
        map.clear(allocator);
    }
}
