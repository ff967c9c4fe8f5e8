//! The index entries of a commit's new versions (P22), linked in the order of keys: from one
//! entry of a batch to the next it is a few steps, not a descent.
//!
//! **Concurrency**: the session is pinned with a pin that cannot be revoked.
//!
//! **Who may die where**: as in `skiplist.zig`; which entries of a commit are linked already makes
//! no difference to its repair, because vacuum takes out those that no version needs.
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const segment_ = @import("../segment/segment.zig");
const mutant = @import("../instrument/mutant.zig");
const view_ = @import("../table/view.zig");
const Index = @import("../index/index.zig").Index;
const places_ = @import("radix_sort.zig");
const write_ = @import("write.zig");
const Skiplist = @import("../index/skiplist.zig").Skiplist;
const Context = @import("context.zig").Context;
const Session = @import("../segment/session.zig").Session;
const Version = layout.Version;
const Place = places_.Place;
const Write = write_.Write;

pub const Error = error{ SegmentFull, SegmentCorrupt };

/// Fewer are linked as they come: sorting them would cost more than it saves.
const ordered_min = if (@import("build_options").scheduler) 2 else 8;

/// Links the entries of the keys that the new versions have and their bases have not. The writes
/// are sorted by table.
pub fn link(context: *Context, writes: []Write) Error!void {
    if (writes.len < ordered_min) return linkAsTheyCome(&context.session, writes);
    const places = context.places.lend(context.allocator, 2 * writes.len) catch
        return linkAsTheyCome(&context.session, writes);
    defer context.places.release(context.allocator);

    var start: usize = 0;
    while (start < writes.len) {
        const table = writes[start].table;
        var end = start + 1;
        while (end < writes.len and writes[end].table == table) end += 1;
        for (table.indexes[0..table.index_count]) |*index| {
            try linkInOrder(&context.session, index, writes[start..end], places);
        }
        start = end;
    }
}

fn linkInOrder(
    session: *Session,
    index: *const Index,
    writes: []Write,
    places: []Place,
) Error!void {
    @setRuntimeSafety(false); // the trail is filled by the first step: no pattern is written first
    var count: usize = 0;
    for (writes, 0..) |*write, i| {
        const image = try imageToLink(session.segment, index, write) orelse continue;
        const words = index.encode(image, &session.words);
        places[count] = .{ .word = words[0], .number = @intCast(i) };
        count += 1;
    }
    var trail: Skiplist.Trail = undefined;
    trail.begin();
    for (places_.sort(places[0..count], places[count..])) |place| {
        const write = &writes[place.number];
        const version = try session.segment.at(Version, write.version);
        try index.linkAlong(session, version.image(), write.slot, &trail);
    }
}

fn linkAsTheyCome(session: *Session, writes: []Write) Error!void {
    for (writes) |*write| {
        for (write.table.indexes[0..write.table.index_count]) |*index| {
            const image = try imageToLink(session.segment, index, write) orelse continue;
            try index.link(session, image, write.slot);
        }
    }
}

/// The image that a write has installed, if its key in the index is another one than that of its
/// base.
fn imageToLink(
    segment: *const segment_.Segment,
    index: *const Index,
    write: *const Write,
) segment_.Corrupt!?[*]align(8) u8 {
    if (write.version == rel_ptr.none) return null;
    const version = try segment.at(Version, write.version);
    if (version.isTombstone()) return null;
    if (write.base_present) {
        const base = try segment.at(Version, write.base);
        if (index.hasSameKey(base.image(), version.image())) return null;
    }
    if (mutant.is(.entry_lost)) return null;
    return version.image();
}
