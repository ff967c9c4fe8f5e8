//! Memory of the segment: pages claimed from the page table, records taken from the session's own
//! free lists and, where they are empty, from the depot.
//!
//! **Invariants**: a page belongs to nobody (`free`), to a session that is setting it up
//! (`claimed`) or to the kind that its word names (`used`). A record is in exactly one free list or
//! cell of the depot, or held by one session (`held_*`, `reclaim_held`), or reachable, or in one
//! retire queue.
//!
//! **Concurrency**: the page table is changed by compare-and-swap. Free lists are private to the
//! session that owns the slot, so they need no tags; what it has too much of goes to the depot, and
//! all of it when it leaves.
//!
//! **Who may die where**: a page claimed by a dead session is freed by its repair. A record that
//! left a free list is named in a `held` word before; the repair compares that word with the list's
//! head to know whether it left (`repair.zig`).
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const classes = @import("classes.zig");
const depot = @import("depot.zig");
const layout = @import("layout.zig");
const rel_ptr = @import("rel_ptr.zig");
const Segment = @import("segment.zig").Segment;
const Word = @import("word.zig").Word;
const Ref = rel_ptr.Ref;
const Chain = layout.Chain;

pub const Error = error{ SegmentFull, SegmentCorrupt };

/// Takes a record of `class` and names it in `held`. The record's old contents are still in it.
pub fn take(
    segment: *const Segment,
    slot_index: u32,
    class: u32,
    held: *Word(u64),
) Error!Ref {
    const list = &segment.sessions[slot_index].free[class];
    // Monotonic: only the owner of the slot writes its lists.
    const loaded = Chain.of(list.loaded.load(.monotonic));
    if (loaded.ref != rel_ptr.none) return takeLoaded(segment, list, loaded, class, held);
    const chain = try depot.refill(segment, slot_index, class);
    if (chain.ref != rel_ptr.none) return takeLoaded(segment, list, chain, class, held);
    return carve(segment, slot_index, class, held) catch |err| {
        if (err != error.SegmentFull) return err;
        // Others may have been at the chains that there are.
        const last = try depot.refill(segment, slot_index, class);
        if (last.ref == rel_ptr.none) return err;
        return takeLoaded(segment, list, last, class, held);
    };
}

inline fn takeLoaded(
    segment: *const Segment,
    list: *layout.FreeList,
    chain: Chain,
    class: u32,
    held: *Word(u64),
) Error!Ref {
    const next = (try linkOf(segment, class, chain.ref)).load(.monotonic); // the owner's own
    segment.fetch(next); // the one that is taken next time
    // Pairs with the acquire of the repairer.
    held.store((layout.Held{ .ref = chain.ref, .class = class }).raw(), .release);
    const rest: Chain = .{ .ref = next, .count = chain.count -| 1 };
    list.loaded.store(if (next == rel_ptr.none) 0 else rest.raw(), .release);
    return chain.ref;
}

/// Takes the next record of a span, of a new one where the last is used up.
fn carve(segment: *const Segment, slot_index: u32, class: u32, held: *Word(u64)) Error!Ref {
    const list = &segment.sessions[slot_index].free[class];
    const units = classes.sizeOf(class) / limits.offset_unit;
    var bump = list.bump.load(.monotonic);
    if (bump == rel_ptr.none or bump +| units > list.bump_end.load(.monotonic)) {
        const pages = classes.spanPages(class);
        const era = eraNow(segment);
        const page = try claimPages(segment, slot_index, pages);
        const ref = Segment.pageRef(page);
        const bytes = try segment.bytesAt(ref, @as(u64, pages) * limits.page_size);
        @memset(bytes, 0);
        // The old rest is too small for a record of this class; nothing is lost.
        list.bump.store(rel_ptr.none, .release);
        list.bump_end.store(ref + @as(u32, @intCast(bytes.len / limits.offset_unit)), .release);
        list.bump.store(ref, .release);
        markUsed(segment, slot_index, page, classes.kindOf(class), pages, era);
        bump = ref;
    }
    // The words may be damaged: no record ends outside the segment.
    _ = try segment.bytesAt(bump, classes.sizeOf(class));
    // Pairs with the acquire of the repairer.
    held.store((layout.Held{ .ref = bump, .class = class }).raw(), .release);
    list.bump.store(bump + units, .release);
    return bump;
}

/// Puts a record, which the caller holds in a `held` word, back; the caller clears the word
/// afterwards.
pub fn give(segment: *const Segment, slot_index: u32, class: u32, ref: Ref) Error!void {
    if (class >= classes.count) return error.SegmentCorrupt; // a damaged `held` word
    const list = &segment.sessions[slot_index].free[class];
    const loaded = Chain.of(list.loaded.load(.monotonic)); // the owner's own
    (try linkOf(segment, class, ref)).store(loaded.ref, .monotonic); // published by the list
    const chain: Chain = .{ .ref = ref, .count = loaded.count +| 1 };
    list.loaded.store(chain.raw(), .release);
}

/// After something was given: no more is kept than `depot.chain_size` says, the rest is for others.
/// **Precondition**: no `held` word names what was given.
pub inline fn settle(segment: *const Segment, slot_index: u32, class: u32) void {
    // Monotonic: the owner's own.
    const loaded = Chain.of(segment.sessions[slot_index].free[class].loaded.load(.monotonic));
    if (loaded.count >= depot.chain_size and loaded.count % depot.chain_size == 0) {
        depot.share(segment, slot_index, class);
    }
}

/// Where a free record names the next one.
pub fn linkOf(segment: *const Segment, class: u32, ref: Ref) Error!*Word(Ref) {
    const record = try segment.at(u8, ref);
    return @ptrCast(@alignCast(@as([*]u8, @ptrCast(record)) + classes.linkOffset(class)));
}

/// Claims `count` adjacent pages, reserved on the file system, for a session that is setting them
/// up.
pub fn claimPages(segment: *const Segment, slot_index: u32, count: u32) Error!u32 {
    const header = segment.header;
    const first: u32 = Segment.pageOf(segment.arena_ref);
    const may_use_reserve = segment.sessions[slot_index].may_use_reserve.load(.monotonic) != 0;
    const end = if (may_use_reserve) Segment.pageOf(segment.limit_ref) else segment.reservePage();
    if (count > end - first) return error.SegmentFull;

    // Monotonic: a stale hint only costs a longer search.
    const hint = std.math.clamp(header.page_hint.load(.monotonic), first, end);
    if (claimIn(segment, slot_index, count, hint, end)) |page| return page;
    if (claimIn(segment, slot_index, count, first, end)) |page| return page;
    // The file system has them, also when it is full before the segment is.
    const reserved = segment.reservePage();
    if (may_use_reserve) if (claimIn(segment, slot_index, count, reserved, end)) |page| return page;
    return error.SegmentFull;
}

/// Goes no further than to where the file system is full.
fn claimIn(segment: *const Segment, slot_index: u32, count: u32, from: u32, end: u32) ?u32 {
    var start = from;
    search: while (start + count <= end) {
        var i: u32 = 0;
        while (i < count) : (i += 1) {
            if (layout.PageState.of(segment.pages[start + i].raw).state != .free) {
                start += i + 1;
                continue :search;
            }
        }
        i = 0;
        while (i < count) : (i += 1) {
            const claimed: layout.PageState = .{
                .state = .claimed,
                .kind = .none,
                .session = @intCast(slot_index),
                .span = 1,
                .era = 0,
            };
            // Acquire-release: pairs with the release in `freePages`.
            if (!segment.pages[start + i].cas(0, claimed.raw(), .acq_rel)) {
                freePages(segment, start, i);
                start += i + 1;
                continue :search;
            }
        }
        reserve(segment, start, count) catch {
            freePages(segment, start, count);
            return null;
        };
        _ = segment.header.pages_used.add(count, .monotonic);
        // Monotonic: a hint.
        segment.header.page_hint.store(start + count, .monotonic);
        return start;
    }
    return null;
}

/// Reserves the extents under a run of pages; done twice does no harm.
fn reserve(segment: *const Segment, page: u32, count: u32) os.Error!void {
    if (segment.fd < 0) return;
    var extent: u64 = @as(u64, page) * limits.page_size / limits.extent_size;
    const last = (@as(u64, page + count) * limits.page_size - 1) / limits.extent_size;
    while (extent <= last) : (extent += 1) {
        // Acquire: pairs with the release below.
        if (segment.extents[extent].load(.acquire) == 1) continue;
        try os.reserve(segment.fd, extent * limits.extent_size, limits.extent_size);
        // Release: pairs with the acquire above; whoever sees 1 may touch the extent.
        segment.extents[extent].store(1, .release);
    }
}

/// What is published from here on is seen in this era or a later one.
pub fn eraNow(segment: *const Segment) u16 {
    // Acquire: pairs with the compare-and-swap in `Segment.overtake`.
    return @intCast(@min(segment.header.era.load(.acquire), layout.era_max));
}

/// Gives a claimed run its kind; from here on it belongs to what refers to it. `era`: one read
/// before it was claimed, or 0 where nobody asks (P32).
pub fn markUsed(
    segment: *const Segment,
    slot_index: u32,
    page: u32,
    kind: classes.PageKind,
    count: u32,
    era: u16,
) void {
    var i: u32 = count;
    while (i > 0) {
        i -= 1;
        const state: layout.PageState = .{
            .state = if (i == 0) .used else .tail,
            .kind = kind,
            .session = @intCast(slot_index),
            .span = if (i == 0) @intCast(count) else 0,
            .era = era,
        };
        // Release: pairs with the acquire of whoever walks the page table (stats, check).
        segment.pages[page + i].store(state.raw(), .release);
    }
}

/// Makes pages free again. The caller is the only one who refers to them.
pub fn freePages(segment: *const Segment, page: u32, count: u32) void {
    var i: u32 = 0;
    while (i < count) : (i += 1) {
        // Release: pairs with the compare-and-swap in `claimIn`.
        segment.pages[page + i].store(0, .release);
    }
    if (count > 0) segment.header.page_hint.store(page, .monotonic); // Monotonic: a hint.
}

/// Claims a run for one purpose and zeroes it.
pub fn allocatePages(
    segment: *const Segment,
    slot_index: u32,
    kind: classes.PageKind,
    count: u32,
) Error!Ref {
    const page = try claimPages(segment, slot_index, count);
    const ref = Segment.pageRef(page);
    @memset(try segment.bytesAt(ref, @as(u64, count) * limits.page_size), 0);
    markUsed(segment, slot_index, page, kind, count, 0);
    return ref;
}
