//! The primary-key map: a split-ordered list of row slots (Shalev and Shavit 2006) that grows
//! without stopping readers, with deletion by mark, then unlink with helping (Harris 2001).
//!
//! **Invariants**: slots lie in one list in the order of `RowSlot.order`; rows with the same order
//! (same 32-bit hash) lie in the order of their insertion; every row in the map has a head with a
//! version or a closed one; all versions of a slot have one key; two slots that are not closed
//! never have the same key.
//!
//! **Concurrency**: all callers are pinned. A row is linked behind the last of its run by
//! compare-and-swap on that one link, with its pending version already in place, so that two
//! inserts of one key meet there (P21, see `docs/decisions/insert-links-installed-slots.md`).
//!
//! **Who may die where**: between closing and unlinking: whoever walks by unlinks. A bucket that
//! was linked but not entered in the bucket array is found again by its order.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const classes = @import("../segment/classes.zig");
const arena = @import("../segment/arena.zig");
const segment_ = @import("../segment/segment.zig");
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const Word = @import("../segment/word.zig").Word;
const Ref = rel_ptr.Ref;
const Link = rel_ptr.Link;

pub const Error = error{ SegmentFull, SegmentCorrupt };

const level_zero_buckets = limits.page_size / 4;
const load_factor = 2;

/// A key as it lies in an image, with its hash.
pub const Key = struct {
    bytes: []const u8,
    hash: u32,

    pub fn init(bytes: []const u8) Key {
        return .{ .bytes = bytes, .hash = hashOf(bytes) };
    }
};

/// Multiply-and-fold over words (after wyhash's mixing step); the column's padding is part of the
/// key.
fn hashOf(bytes: []const u8) u32 {
    var state: u64 = 0x9E3779B97F4A7C15 ^ bytes.len;
    var rest = bytes;
    while (rest.len >= 8) : (rest = rest[8..]) {
        state = fold(state ^ std.mem.readInt(u64, rest[0..8], .little), 0xA0761D6478BD642F);
    }
    var last: u64 = 0;
    for (rest, 0..) |byte, i| last |= @as(u64, byte) << @intCast(i * 8);
    state = fold(state ^ last, 0xE7037ED1A0B428DB);
    return @truncate(state ^ state >> 32);
}

inline fn fold(a: u64, b: u64) u64 {
    const product = @as(u128, a) * b;
    return @truncate(product ^ product >> 64);
}

pub const Map = struct {
    segment: *const Segment,
    table: *layout.Table,

    pub const Found = struct { ref: Ref, slot: *layout.RowSlot };

    /// A place in the list: the link word that leads on, what it was, and the target if it was met.
    const Place = struct { word: *Word(u64), link: Link, same: Ref = rel_ptr.none };

    /// The slot of the key, or null. **Precondition**: pinned.
    pub fn find(map: Map, key: Key) segment_.Corrupt!?Found {
        const order = rowOrder(key.hash);
        var ref = try map.startFor(key.hash);
        var steps: u64 = 0;
        while (ref != rel_ptr.none) : (steps += 1) {
            if (steps > map.segment.chain_steps_max) return error.SegmentCorrupt;
            const slot = try map.segment.at(layout.RowSlot, ref);
            const slot_order = slot.order.load(.monotonic); // never changes while linked
            if (slot_order > order) return null;
            if (slot_order == order) {
                if (try map.hasKey(slot, key)) return .{ .ref = ref, .slot = slot };
            }
            ref = Link.of(slot.next.load(.acquire)).ref; // pairs with the releases that link
        }
        return null;
    }

    /// True when the slot is in use and its versions have the key.
    fn hasKey(map: Map, slot: *layout.RowSlot, key: Key) segment_.Corrupt!bool {
        const head = Link.of(slot.head.load(.acquire)); // pairs with the release that installed
        if (head.ref == rel_ptr.none or layout.isClosed(head.ref)) return false;
        const version = try map.segment.at(layout.Version, head.ref);
        if (version.table() != map.table.id) return false;
        const image = version.image() + map.table.key_offset;
        return std.mem.eql(u8, image[0..key.bytes.len], key.bytes);
    }

    /// Links a slot whose head is installed. Null when done; otherwise the slot that has the key
    /// already.
    pub fn insert(map: Map, session: *Session, ref: Ref, key: Key) Error!?Ref {
        const slot = try map.segment.at(layout.RowSlot, ref);
        const order = rowOrder(key.hash);
        slot.order.store(order, .monotonic); // published by the link
        const bucket = try map.bucketFor(session, key.hash);
        while (true) { // each failure means that another linked or unlinked here
            const place = try map.seek(bucket, order, .{ .row = key });
            if (place.same != rel_ptr.none) return place.same;
            const old = Link.of(slot.next.load(.monotonic)); // private
            slot.next.store(old.next(place.link.ref).raw(), .monotonic); // published by the link
            // Release: publishes the slot; pairs with the acquires of walkers.
            if (place.word.cas(place.link.raw(), place.link.next(ref).raw(), .acq_rel)) break;
        }
        const slots = map.table.slot_count.add(1, .monotonic); // only says when to grow
        const buckets = map.table.bucket_count.load(.monotonic);
        if (slots > @as(i64, buckets) * load_factor) try map.grow(session, buckets);
        return null;
    }

    /// What a walk through the run of one order looks for.
    const Target = union(enum) { row: Key, bucket, past };

    /// The place behind the last slot whose order is at most `order`, or in front of the target,
    /// unlinking closed slots on the way. What it has met was met in the session's era.
    fn seek(map: Map, start: Ref, order: u32, target: Target) segment_.Corrupt!Place {
        const place = try map.seekAny(start, order, target);
        try map.segment.checkEra();
        return place;
    }

    fn seekAny(map: Map, start: Ref, order: u32, target: Target) segment_.Corrupt!Place {
        var steps: u64 = 0;
        restart: while (true) : (steps += 1) { // each restart means that another changed a link
            if (steps > map.segment.chain_steps_max) return error.SegmentCorrupt;
            var slot = try map.segment.at(layout.RowSlot, start);
            var place: Place = .{ .word = &slot.next, .link = Link.of(slot.next.load(.acquire)) };
            while (true) : (steps += 1) {
                if (steps > map.segment.chain_steps_max) return error.SegmentCorrupt;
                if (place.link.marked) continue :restart;
                const ref = place.link.ref;
                if (ref == rel_ptr.none) return place;
                slot = try map.segment.at(layout.RowSlot, ref);
                const next = Link.of(slot.next.load(.acquire)); // pairs with the releases that link
                if (next.marked) {
                    const unlinked = place.link.next(next.ref);
                    try map.segment.checkEra();
                    if (!place.word.cas(
                        place.link.raw(),
                        unlinked.raw(),
                        .acq_rel,
                    )) continue :restart;
                    place.link = unlinked;
                    continue;
                }
                const slot_order = slot.order.load(.monotonic); // never changes while linked
                if (slot_order > order) return place;
                if (slot_order == order and switch (target) {
                    .row => |key| try map.hasKey(slot, key),
                    .bucket => true,
                    .past => false,
                }) {
                    place.same = ref;
                    return place;
                }
                place = .{ .word = &slot.next, .link = next };
            }
        }
    }

    /// True when `ref` is the bucket of this order in the list.
    pub fn hasBucket(map: Map, order: u32, ref: Ref) segment_.Corrupt!bool {
        const place = try map.seek(map.table.map_head, order, .bucket);
        return place.same == ref;
    }

    /// Takes a closed slot out of the list. Anyone may do it, any number of times.
    pub fn unlink(map: Map, ref: Ref) segment_.Corrupt!void {
        const slot = try map.segment.at(layout.RowSlot, ref);
        while (true) { // each failure means that the link changed; a marked one never changes again
            const next = Link.of(slot.next.load(.acquire));
            if (next.marked) break;
            if (slot.next.cas(next.raw(), next.closed().raw(), .acq_rel)) break;
        }
        const order = slot.order.load(.monotonic);
        _ = try map.seek(try map.startForOrder(order), order, .past);
    }

    /// First slot of the walk for a hash: its bucket, or the nearest ancestor that exists.
    fn startFor(map: Map, hash: u32) segment_.Corrupt!Ref {
        var bucket = hash & (map.table.bucket_count.load(.acquire) - 1); // pairs with `grow`
        while (bucket != 0) : (bucket = parentOf(bucket)) {
            const ref = try map.bucketRef(bucket);
            if (ref != rel_ptr.none) return ref;
        }
        return map.table.map_head;
    }

    fn startForOrder(map: Map, order: u32) segment_.Corrupt!Ref {
        return map.startFor(@bitReverse(order & ~@as(u32, 1)));
    }

    fn bucketRef(map: Map, bucket: u32) segment_.Corrupt!Ref {
        const word = (try map.bucketWord(bucket)) orelse return rel_ptr.none;
        return word.load(.acquire); // pairs with the release in `bucketFor`
    }

    fn bucketWord(map: Map, bucket: u32) segment_.Corrupt!?*Word(u32) {
        const place = levelOf(bucket);
        if (place.level >= layout.bucket_levels_max) return error.SegmentCorrupt;
        const array = map.table.buckets[place.level].load(.acquire); // pairs with `ensureLevel`
        if (array == rel_ptr.none) return null;
        const words: [*]Word(u32) = @ptrCast(@alignCast((try map.segment.bytesAt(
            array,
            @as(u64, place.index + 1) * 4,
        )).ptr));
        return &words[place.index];
    }

    /// The bucket of a hash, made if it is not there.
    fn bucketFor(map: Map, session: *Session, hash: u32) Error!Ref {
        const bucket = hash & (map.table.bucket_count.load(.acquire) - 1);
        if (bucket == 0) return map.table.map_head;
        const word = (try map.bucketWord(bucket)) orelse return map.startFor(hash);
        const known = word.load(.acquire);
        if (known != rel_ptr.none) return known;

        const parent = try map.bucketFor(session, parentOf(bucket));
        const order = @bitReverse(bucket);
        const ref = arena.take(
            map.segment,
            session.index,
            classes.slot_class,
            &session.slot.held_bucket,
        ) catch |err| switch (err) {
            error.SegmentFull => return parent, // the map only gets slower
            error.SegmentCorrupt => return err,
        };
        const slot = try map.segment.at(layout.RowSlot, ref);
        const head = Link.of(slot.head.load(.monotonic)); // private
        slot.head.store(head.next(rel_ptr.none).raw(), .monotonic);
        slot.order.store(order, .monotonic); // published by the link
        while (true) { // each failure means that another linked or unlinked here
            const place = map.seek(parent, order, .bucket) catch |err| {
                try map.giveBucket(session, ref);
                return err;
            };
            if (place.same != rel_ptr.none) {
                const other = place.same;
                try map.giveBucket(session, ref);
                _ = word.cas(rel_ptr.none, other, .acq_rel);
                return other;
            }
            const old = Link.of(slot.next.load(.monotonic)); // private
            slot.next.store(old.next(place.link.ref).raw(), .monotonic);
            // Release: publishes the bucket; pairs with the acquires of walkers.
            if (place.word.cas(place.link.raw(), place.link.next(ref).raw(), .acq_rel)) break;
        }
        _ = word.cas(rel_ptr.none, ref, .acq_rel);
        session.slot.held_bucket.store(0, .release);
        return ref;
    }

    fn giveBucket(map: Map, session: *Session, ref: Ref) Error!void {
        try arena.give(map.segment, session.index, classes.slot_class, ref);
        session.slot.held_bucket.store(0, .release);
    }

    /// Doubles the number of buckets; they are filled as they are needed.
    fn grow(map: Map, session: *Session, buckets: u32) Error!void {
        const place = levelOf(buckets);
        if (place.level >= layout.bucket_levels_max - 1) return;
        map.ensureLevel(session, place.level) catch |err| switch (err) {
            error.SegmentFull => return, // the map only gets slower
            else => return err,
        };
        // Release: pairs with the acquire in `startFor`; the level is there.
        _ = map.table.bucket_count.cas(buckets, buckets * 2, .acq_rel);
    }

    pub fn ensureLevel(map: Map, session: *Session, level: u32) Error!void {
        const word = &map.table.buckets[level];
        if (word.load(.acquire) != rel_ptr.none) return;
        const buckets: u64 = if (level == 0) level_zero_buckets else @as(
            u64,
            level_zero_buckets,
        ) << @intCast(level - 1);
        const pages: u32 = @intCast(buckets * 4 / limits.page_size);
        const page = try arena.claimPages(map.segment, session.index, pages);
        const ref = Segment.pageRef(page);
        @memset(try map.segment.bytesAt(ref, @as(u64, pages) * limits.page_size), 0);
        if (word.cas(rel_ptr.none, ref, .acq_rel)) {
            arena.markUsed(map.segment, session.index, page, .bucket, pages, 0);
        } else {
            arena.freePages(map.segment, page, pages);
        }
    }

    /// All rows, in no order that means anything.
    pub const Walk = struct {
        map: Map,
        ref: Ref,
        order: u32 = 0,
        /// With this order.
        steps: u64 = 0,

        pub fn next(self: *Walk) segment_.Corrupt!?Found {
            while (self.ref != rel_ptr.none) {
                const ref = self.ref;
                const slot = try self.map.segment.at(layout.RowSlot, ref);
                const order = slot.order.load(.monotonic); // never changes while linked
                self.steps = if (order == self.order) self.steps + 1 else 0;
                if (order < self.order or self.steps > self.map.segment.chain_steps_max) {
                    return error.SegmentCorrupt; // or it would go around for ever
                }
                self.order = order;
                // pairs with the releases that link
                self.ref = Link.of(slot.next.load(.acquire)).ref;
                if (order & 1 == 1) return .{ .ref = ref, .slot = slot };
            }
            return null;
        }
    };

    pub fn walk(map: Map) Walk {
        return .{ .map = map, .ref = map.table.map_head };
    }
};

fn rowOrder(hash: u32) u32 {
    return @bitReverse(hash) | 1;
}

fn parentOf(bucket: u32) u32 {
    return bucket & ~(@as(u32, 1) << @intCast(31 - @clz(bucket)));
}

fn levelOf(bucket: u32) struct { level: u32, index: u32 } {
    if (bucket < level_zero_buckets) return .{ .level = 0, .index = bucket };
    const level: u32 = 32 - @clz(bucket / level_zero_buckets);
    return .{
        .level = level,
        .index = bucket - (@as(u32, level_zero_buckets) << @intCast(level - 1)),
    };
}

test "primary-key map: bucket levels cover every bucket once" {
    try std.testing.expectEqual(@as(u32, 0), levelOf(4095).level);
    try std.testing.expectEqual(@as(u32, 1), levelOf(4096).level);
    try std.testing.expectEqual(@as(u32, 0), levelOf(4096).index);
    try std.testing.expectEqual(@as(u32, 4095), levelOf(8191).index);
    try std.testing.expectEqual(@as(u32, 2), levelOf(8192).level);
    try std.testing.expectEqual(@as(u32, 1), parentOf(4097));
}
