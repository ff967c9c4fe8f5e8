//! How many entries a range of an index has, for the planner.
//!
//! **Concurrency**: reads only, pinned.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const segment_ = @import("../segment/segment.zig");
const skiplist = @import("skiplist.zig");
const Entry = layout.Entry;
const Link = rel_ptr.Link;
const Position = skiplist.Position;
const Ref = rel_ptr.Ref;
const Skiplist = skiplist.Skiplist;

const height_max = limits.skiplist_height_max;

/// Ranges of a list that are looked at; the others are taken to be alike.
pub const ranges_max = 16;

/// The number of entries with keys in `[low, high]`, exact when small, estimated from the
/// towers otherwise.
pub fn countBetween(
    list: Skiplist,
    low: []const u64,
    high: []const u64,
) segment_.Corrupt!u64 {
    const start: Position = .{ .words = low, .slot = 0 };
    const end: Position = .{ .words = high, .slot = std.math.maxInt(Ref) };
    var level: u32 = height_max;
    var steps: u64 = 0;
    var before = try list.segment.at(Entry, list.index.head);
    while (level > 0) {
        level -= 1;
        // Descend to the last entry of this level before the range.
        var ref = Link.of(before.links()[level].load(.acquire)).ref;
        while (ref != rel_ptr.none) : (steps += 1) {
            if (steps > list.segment.chain_steps_max) return error.SegmentCorrupt;
            const entry = try list.segment.at(Entry, ref);
            if (!list.isBefore(entry, start)) break;
            before = entry;
            ref = Link.of(entry.links()[level].load(.acquire)).ref;
        }
        var count: u64 = 0;
        while (ref != rel_ptr.none and count <= 64) {
            const entry = try list.segment.at(Entry, ref);
            if (!list.isBefore(entry, end)) break;
            count += 1;
            ref = Link.of(entry.links()[level].load(.acquire)).ref;
        }
        if (count > 16 or level == 0) return count << @intCast(2 * level);
    }
    return 0;
}
