//! Many records as the writes of one transaction: in the order in which all transactions install,
//! records of one key chained in the order in which they came.
//!
//! **Memory**: keeps its arrays from batch to batch, as far as they are of a usual size; records
//! are borrowed until the batch is over.
const std = @import("std");
const view_ = @import("../table/view.zig");
const Key = @import("../table/primary_map.zig").Key;
const places_ = @import("radix_sort.zig");
const write_ = @import("write.zig");
const Place = places_.Place;
const Write = write_.Write;

/// Larger arrays are given back after each use.
const kept_max = 16 * 1024;

pub const Batch = struct {
    /// Records by the hashes of their keys, twice: unsorted and sorted.
    order: std.ArrayList(Place) = .empty,
    keys: std.ArrayList(Key) = .empty,
    writes: std.ArrayList(Write) = .empty,

    pub fn deinit(batch: *Batch, allocator: std.mem.Allocator) void {
        batch.order.deinit(allocator);
        batch.keys.deinit(allocator);
        batch.writes.deinit(allocator);
        batch.* = .{};
    }

    /// Ends the use of what `fill` returned.
    pub fn release(batch: *Batch, allocator: std.mem.Allocator) void {
        if (batch.writes.capacity > kept_max) batch.deinit(allocator);
    }

    /// The upserts of `count` records, one write for each key, at the front of what is lent until
    /// `release`. `bytes` holds the records whole.
    pub fn fill(
        batch: *Batch,
        allocator: std.mem.Allocator,
        table: *const view_.TableView,
        bytes: []align(8) const u8,
        count: usize,
        newest: []const write_.NewestGroup,
    ) error{OutOfMemory}![]Write {
        const stride = 16 + @as(usize, table.schema.image_size);
        std.debug.assert(bytes.len >= stride * count);
        try batch.order.ensureTotalCapacity(allocator, 2 * count);
        try batch.keys.ensureTotalCapacity(allocator, count);
        try batch.writes.ensureTotalCapacity(allocator, count);
        const places = batch.order.items.ptr[0 .. 2 * count];
        const keys = batch.keys.items.ptr[0..count];
        const writes = batch.writes.items.ptr[0..count];
        for (places[0..count], keys, 0..) |*place, *key, i| {
            key.* = .init(table.keyBytes(bytes[i * stride + 16 ..].ptr));
            place.* = .{ .word = key.hash, .number = @intCast(i) };
        }
        const order = places_.sort(places[0..count], places[count..]);

        var front: usize = 0;
        var back: usize = count;
        var start: usize = 0;
        while (start < count) {
            var end = start + 1;
            while (end < count and order[end].word == order[start].word) end += 1;
            const run = order[start..end];
            // Different keys with one hash are rare, and then few.
            if (run.len > 1) std.sort.insertion(Place, run, keys, isKeyBefore);
            var last: ?*Write = null;
            for (run) |place| {
                const number = place.number;
                const key = keys[number];
                const record: [*]align(8) const u8 = @alignCast(bytes[number * stride ..].ptr);
                const head: *const [2]u64 = @ptrCast(record);
                const follows = if (last) |l| std.mem.eql(u8, key.bytes, l.key.bytes) else false;
                if (follows) back -= 1;
                const write = &writes[if (follows) back else front];
                if (!follows) front += 1;
                write.* = .{
                    .table = table,
                    .key = key,
                    .op = .upsert,
                    .named = head[0],
                    .missing = head[1],
                    .newest = newest,
                    .image = @alignCast(record + 16),
                };
                if (follows) last.?.next = write;
                last = write;
            }
            start = end;
        }
        return writes[0..front];
    }
};

fn isKeyBefore(keys: []const Key, a: Place, b: Place) bool {
    return switch (std.mem.order(u8, keys[a.number].bytes, keys[b.number].bytes)) {
        .lt => true,
        .gt => false,
        .eq => a.number < b.number,
    };
}

test "batch: records of one key are chained in their order, keys stand in the order of commits" {
    const schemas = @import("../row/schema.zig");
    var buffer: [256]u8 = undefined;
    const bytes = schemas.encodeForTest(&.{ .{ .kind = .u64 }, .{ .kind = .i64 } }, &buffer);
    var table: view_.TableView = undefined;
    table.schema = try schemas.Schema.decode(bytes);
    const stride = 16 + @as(usize, table.schema.image_size);
    var prng = std.Random.DefaultPrng.init(7);
    const random = prng.random();
    const allocator = std.testing.allocator;
    var batch: Batch = .{};
    defer batch.deinit(allocator);

    for ([_]usize{ 0, 1, 2, 17, 500 }) |count| {
        const records = try allocator.alignedAlloc(u8, .@"8", count * stride);
        defer allocator.free(records);

        @memset(records, 0);
        for (0..count) |i| {
            const record = records[i * stride ..][0..stride];
            std.mem.writeInt(u64, record[0..8], i, .little); // named, here the record's number
            const key = record[16 + table.schema.primaryKey().offset ..];
            std.mem.writeInt(u64, key[0..8], random.uintLessThan(u64, 1 + count / 3), .little);
        }
        const writes = try batch.fill(allocator, &table, records, count, write_.newest_none);
        defer batch.release(allocator);

        var seen: usize = 0;
        for (writes, 0..) |*first, i| {
            if (i > 0) try std.testing.expect(writes[i - 1].key.hash <= first.key.hash);
            for (writes[0..i]) |*other| {
                try std.testing.expect(!std.mem.eql(u8, other.key.bytes, first.key.bytes));
            }
            var last: ?u64 = null;
            var each: ?*Write = first;
            while (each) |write| : (each = write.next) {
                try std.testing.expectEqualSlices(u8, first.key.bytes, write.key.bytes);
                if (last) |number| try std.testing.expect(number < write.named);
                last = write.named;
                seen += 1;
            }
        }
        try std.testing.expectEqual(count, seen);
    }
}
