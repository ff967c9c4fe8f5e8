//! Fetching the entries of an index before a walk needs them. Each entry leads to the next, so that
//! a walk waits for one after the other; towers lead past some, and what lies behind each of them
//! is fetched side by side, with the row slots.
//!
//! **Concurrency**: reads only, pinned. Nothing depends on what is found here, so that all of it
//! may be old; refs are compared with the arena's bounds before they are followed.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const Segment = @import("../segment/segment.zig").Segment;
const Entry = layout.Entry;
const EntryState = layout.EntryState;
const Link = rel_ptr.Link;

/// The most entries that are worth being fetched at a time, with rows and row slots.
pub const entries_max = 64;
/// Towers that have some `entries_max` entries behind them.
pub const towers_max = 5;
/// Steps along a level between two towers of the next: four on the average.
const steps_max = 8;
const sides_max = steps_max + towers_max * 5;

/// The level whose towers are as far apart as is best for so many entries.
pub fn levelFor(count: usize) u32 {
    return if (count <= entries_max / 4) 1 else 2;
}

/// How many of its towers so many entries are behind.
pub fn towersFor(count: usize) usize {
    const between = @as(usize, 1) << @intCast(2 * levelFor(count));
    return @min(count / between + 1, towers_max);
}

/// Entries from each of which a way goes on.
const Sides = struct {
    entries: [sides_max]*Entry = undefined,
    count: usize = 0,

    inline fn add(sides: *Sides, entry: *Entry) void {
        if (sides.count == sides_max) return;
        sides.entries[sides.count] = entry;
        sides.count += 1;
    }
};

/// Fetches some `count` entries behind one.
pub fn fetchAfter(segment: *const Segment, start: *Entry, count: usize) void {
    @setRuntimeSafety(false); // counts stay below those of the arrays
    const top = levelFor(count);
    var sides: Sides = .{};
    var entry = start;
    for (0..top) |level| {
        var steps: usize = 0;
        while (heightOf(entry) < level + 2) : (steps += 1) {
            if (steps == steps_max) return;
            if (level > 0) sides.add(entry); // the walk itself goes along level 0
            entry = nextAt(segment, entry, level) orelse return;
        }
    }
    var towers: [towers_max]*Entry = undefined;
    var towers_count: usize = 0;
    const most = towersFor(count);
    while (true) {
        towers[towers_count] = entry;
        towers_count += 1;
        if (towers_count == most) break;
        fetchNext(segment, entry, top - 1);
        entry = nextAt(segment, entry, top) orelse break;
    }
    fetchFrom(segment, towers[0..towers_count], top, &sides);
}

/// Fetches what lies behind towers of a level, up to the next of each.
pub fn fetchBehind(segment: *const Segment, towers: []const *Entry, level: u32) void {
    @setRuntimeSafety(false); // only what is added is read
    var sides: Sides = .{};
    fetchFrom(segment, towers, level, &sides);
}

fn fetchFrom(
    segment: *const Segment,
    towers: []const *Entry,
    top: u32,
    sides: *Sides,
) void {
    @setRuntimeSafety(false); // at most `towers_max`
    var ways: [towers_max]*Entry = undefined;
    for (towers, 0..) |tower, i| {
        ways[i] = tower;
        sides.add(tower);
    }
    if (top > 1) for (0..4) |_| for (ways[0..towers.len]) |*way| {
        const next = nextAt(segment, way.*, 1) orelse continue;
        if (heightOf(next) > 2) continue; // the next tower
        fetchNext(segment, next, 1);
        sides.add(next);
        way.* = next;
    };
    for (sides.entries[0..sides.count]) |side| fetchNext(segment, side, 0);
    for (0..4) |_| for (sides.entries[0..sides.count]) |*side| {
        const next = nextAt(segment, side.*, 0) orelse continue;
        if (heightOf(next) > 1) continue; // the next side
        fetch(segment, next.slot.load(.monotonic)); // never changes while linked
        fetchNext(segment, next, 0);
        side.* = next;
    };
}

inline fn heightOf(entry: *Entry) u32 {
    return EntryState.of(entry.state.load(.monotonic)).height; // only fetched by
}

inline fn nextAt(segment: *const Segment, entry: *Entry, level: usize) ?*Entry {
    const ref = Link.of(entry.links()[level].load(.monotonic)).ref; // only fetched
    return segment.at(Entry, ref) catch null;
}

inline fn fetchNext(segment: *const Segment, entry: *Entry, level: usize) void {
    const ref = Link.of(entry.links()[level].load(.monotonic)).ref; // only fetched
    fetch(segment, ref);
}

inline fn fetch(segment: *const Segment, ref: rel_ptr.Ref) void {
    const record = segment.at(u64, ref) catch return;
    @prefetch(record, .{ .rw = .read, .locality = 3 });
}
