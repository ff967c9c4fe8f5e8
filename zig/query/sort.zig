//! Sorting in the path of a search, where most lists are short.
//!
//! **Memory.** In place. `std.sort.pdq` keeps 64 ranges on its stack, which a safe build fills
//! with a pattern at every call: 2,000 instructions, so only long lists go there.

const std = @import("std");

const short_max = 16;
/// Up to here a list is ranked: the square of its length in comparisons, without a branch on any.
const ranked_max = 128;
/// Words that are compared with one at a time.
const lane_count = 8;

/// Unstable, O(n log n).
pub fn sort(
    comptime T: type,
    items: []T,
    context: anytype,
    comptime less: fn (@TypeOf(context), T, T) bool,
) void {
    if (items.len < 2) return;
    if (items.len <= short_max) return std.sort.insertion(T, items, context, less);
    std.sort.pdq(T, items, context, less);
}

/// The same for items with a `prefix: u64` that never contradicts `less`: where two differ in it,
/// the item with the smaller one is less. Fast where most do.
pub fn sortByPrefix(
    comptime T: type,
    items: []T,
    context: anytype,
    comptime less: fn (@TypeOf(context), T, T) bool,
) void {
    if (items.len < 2) return;
    if (items.len > ranked_max) return std.sort.pdq(T, items, context, less);
    if (items.len > lane_count) rank(T, items);
    // Only what has equal prefixes is left to be moved.
    std.sort.insertion(T, items, context, less);
}

/// Puts each item where as many are before it as have smaller prefixes.
fn rank(comptime T: type, items: []T) void {
    @setRuntimeSafety(false); // at most `ranked_max` items, and ranks are below their number
    const Lanes = @Vector(lane_count, i64);
    var copies: [ranked_max]T = undefined;
    var words: [ranked_max]i64 = undefined;
    var equals: [ranked_max]u8 = undefined;
    const count = items.len;
    const end = std.mem.alignForward(usize, count, lane_count);
    for (items, 0..) |item, i| {
        copies[i] = item;
        words[i] = @bitCast(item.prefix ^ 1 << 63); // in the order of signed numbers
        equals[i] = 0;
    }
    for (count..end) |i| words[i] = std.math.maxInt(i64); // before nothing
    for (copies[0..count], words[0..count]) |item, word| {
        var before: usize = 0;
        var i: usize = 0;
        while (i < end) : (i += lane_count) {
            const lanes: Lanes = words[i..][0..lane_count].*;
            const smaller: u8 = @bitCast(lanes < @as(Lanes, @splat(word)));
            before += @popCount(smaller);
        }
        items.ptr[before + equals[before]] = item;
        equals[before] += 1;
    }
}

const testing = std.testing;
const TestItem = struct {
    prefix: u64,
    rest: u32,

    fn less(_: void, a: TestItem, b: TestItem) bool {
        return if (a.prefix != b.prefix) a.prefix < b.prefix else a.rest < b.rest;
    }
};

test "sort: by prefix, of any number of items, equal prefixes included" {
    var random_state: std.Random.DefaultPrng = .init(1);
    const random = random_state.random();
    var items: [2 * ranked_max]TestItem = undefined;
    for (0..items.len + 1) |count| {
        const domain: u64 = if (count % 3 == 0) 5 else std.math.maxInt(u64);
        const spread: u64 = if (count % 2 == 0) 1 << 62 else 1;
        var sum: u64 = 0;
        for (items[0..count]) |*item| {
            const prefix = random.uintAtMost(u64, domain) *% spread;
            item.* = .{ .prefix = prefix, .rest = random.uintLessThan(u32, 10) };
            sum +%= item.prefix +% item.rest;
        }
        sortByPrefix(TestItem, items[0..count], {}, TestItem.less);
        for (items[0..count], 0..) |item, i| {
            if (i > 0) try testing.expect(!TestItem.less({}, item, items[i - 1]));
            sum -%= item.prefix +% item.rest;
        }
        try testing.expectEqual(0, sum);
    }
}
