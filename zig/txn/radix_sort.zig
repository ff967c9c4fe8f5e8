//! Sorting what has a key in an index, or a hash: by 64-bit words, spread over buckets by their
//! highest bits first. Keys of a batch are spread evenly enough that little is left to do in a
//! bucket; where they are not, it is sorted like anything else.
//!
//! **Concurrency**: one thread at a time.
//!
//! **Memory**: `Places` keeps an array of a usual size from use to use.
const std = @import("std");

/// The number of something in a list, and the word that it is sorted by.
pub const Place = struct {
    word: u64,
    number: u32,

    fn isBefore(_: void, a: Place, b: Place) bool {
        return a.word < b.word or (a.word == b.word and a.number < b.number);
    }
};

/// Memory for places, kept from one use to the next.
pub const Places = struct {
    list: std.ArrayList(Place) = .empty,

    /// `count` places, lent until `release`.
    pub fn lend(
        places: *Places,
        allocator: std.mem.Allocator,
        count: usize,
    ) error{OutOfMemory}![]Place {
        try places.list.ensureTotalCapacity(allocator, count);
        return places.list.items.ptr[0..count];
    }

    /// Keeps what is of a usual size.
    pub fn release(places: *Places, allocator: std.mem.Allocator) void {
        if (places.list.capacity > kept_max) places.list.clearAndFree(allocator);
    }

    pub fn deinit(places: *Places, allocator: std.mem.Allocator) void {
        places.list.deinit(allocator);
    }
};

const kept_max = 64 * 1024;
const bucket_bits = 10;
const bucket_count = 1 << bucket_bits;
/// Fewer are sorted by insertion alone.
const spread_min = 64;
/// A bucket that has more is sorted by itself.
const bucket_large = 32;

/// Sorts by word, then by number. `spare` is as long as `places`; which of the two holds the result
/// is returned. Numbers rise in `places`.
pub fn sort(places: []Place, spare: []Place) []Place {
    @setRuntimeSafety(false); // every bucket is below `bucket_count`: the shift sees to it
    std.debug.assert(spare.len >= places.len);
    if (places.len < spread_min or places.len > std.math.maxInt(u32)) {
        sortFew(places);
        return places;
    }
    var low: u64 = std.math.maxInt(u64);
    var high: u64 = 0;
    for (places) |place| {
        low = @min(low, place.word);
        high = @max(high, place.word);
    }
    const shift: u6 = @intCast((64 - @as(u32, @clz(high - low))) -| bucket_bits);
    var ends: [bucket_count]u32 = @splat(0);
    for (places) |place| ends[(place.word - low) >> shift] += 1;
    var total: u32 = 0;
    var largest: u32 = 0;
    for (&ends) |*end| {
        const size = end.*;
        end.* = total;
        total += size;
        largest = @max(largest, size);
    }
    for (places) |place| { // in their order: numbers of equal words stay in theirs
        const end = &ends[(place.word - low) >> shift];
        spare[end.*] = place;
        end.* += 1;
    }
    if (shift == 0) return spare[0..places.len]; // one word, one bucket
    if (largest <= bucket_large) {
        insert(spare[0..places.len]);
        return spare[0..places.len];
    }
    var start: u32 = 0;
    for (ends) |end| {
        sortFew(spare[start..end]);
        start = end;
    }
    return spare[0..places.len];
}

fn sortFew(places: []Place) void {
    if (places.len <= bucket_large) return insert(places);
    std.sort.pdq(Place, places, {}, Place.isBefore);
}

/// By insertion; equal words stay in their order.
fn insert(places: []Place) void {
    @setRuntimeSafety(false); // `at` stays within the list
    for (1..@max(places.len, 1)) |i| {
        const place = places[i];
        var at = i;
        while (at > 0 and places[at - 1].word > place.word) : (at -= 1) places[at] = places[at - 1];
        places[at] = place;
    }
}

test "places: sorted by word, then by number, however they are spread" {
    var prng = std.Random.DefaultPrng.init(11);
    const random = prng.random();
    var places: [3000]Place = undefined;
    var spare: [3000]Place = undefined;
    for ([_]usize{ 0, 1, 2, 31, 33, 63, 64, 100, 1024, 3000 }) |count| {
        for (0..6) |kind| {
            for (places[0..count], 0..) |*place, i| {
                const word: u64 = switch (kind) {
                    0 => random.int(u64),
                    1 => random.int(u8),
                    2 => 1 << 63 | random.uintLessThan(u64, 40_000),
                    3 => 7,
                    4 => if (i % 100 == 0) std.math.maxInt(u64) else random.int(u16),
                    else => i,
                };
                place.* = .{ .word = word, .number = @intCast(i) };
            }
            const sorted = sort(places[0..count], spare[0..count]);
            try std.testing.expectEqual(count, sorted.len);
            try std.testing.expect(std.sort.isSorted(Place, sorted, {}, Place.isBefore));
            var seen = std.StaticBitSet(3000).empty;
            for (sorted) |place| seen.set(place.number);
            try std.testing.expectEqual(count, seen.count());
        }
    }
}
