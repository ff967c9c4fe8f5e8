//! Row slots in the order in which they lie in memory: the scan of a large table, which the map's
//! order, that of
//! the hash, would send to a new cache line for every row.
//!
//! **Invariants**: every row that a pinned snapshot sees has a slot in a page that was marked used
//! before the row's
//! commit, so a scan that begins after the snapshot meets it. A slot that is in no map has no
//! version that anybody
//! sees: its head is none, closed, or pending.
//!
//! **Concurrency**: reads only, pinned. Slots of all tables share the pages; the caller looks at
//! the version.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const segment_ = @import("../segment/segment.zig");
const Segment = segment_.Segment;
const Link = rel_ptr.Link;
const Ref = rel_ptr.Ref;

const slot_units = @sizeOf(layout.RowSlot) / limits.offset_unit;
const slots_per_page = limits.page_size / @sizeOf(layout.RowSlot);
/// How many slots ahead the newest version is fetched.
const ahead_count = 8;

/// Tables smaller than this are walked through their map.
pub const rows_min = 4096;

pub const Found = struct { ref: Ref, slot: *layout.RowSlot };

pub const SlotScan = struct {
    segment: *const Segment,
    page: u32,
    page_end: u32,
    ref: Ref = 0,
    slots_left: u32 = 0,

    pub fn init(segment: *const Segment) SlotScan {
        return .{
            .segment = segment,
            .page = Segment.pageOf(segment.arena_ref),
            .page_end = Segment.pageOf(segment.limit_ref),
        };
    }

    pub inline fn next(scan: *SlotScan) segment_.Corrupt!?Found {
        while (true) {
            if (scan.slots_left == 0 and !scan.nextPage()) return null;
            const ref = scan.ref;
            scan.ref += slot_units;
            scan.slots_left -= 1;
            const slot = try scan.segment.at(layout.RowSlot, ref);
            if (scan.slots_left >= ahead_count) scan.fetch(ref + ahead_count * slot_units);
            // pairs with the release that installed
            const head = Link.of(slot.head.load(.acquire)).ref;
            if (head == rel_ptr.none or layout.isClosed(head)) continue;
            return .{ .ref = ref, .slot = slot };
        }
    }

    inline fn fetch(scan: *const SlotScan, ref: Ref) void {
        const slot = scan.segment.at(layout.RowSlot, ref) catch return;
        const head = Link.of(slot.head.load(.monotonic)).ref; // only fetched: stale is fine
        const version = scan.segment.at(u8, head) catch return;
        @prefetch(version, .{ .rw = .read, .locality = 1 });
    }

    fn nextPage(scan: *SlotScan) bool {
        while (scan.page < scan.page_end) {
            const page = scan.page;
            scan.page += 1;
            // Acquire: pairs with the release in `arena.markUsed`.
            const state = layout.PageState.of(scan.segment.pages[page].load(.acquire));
            if (state.state != .used or state.kind != .slot) continue;
            scan.ref = Segment.pageRef(page);
            scan.slots_left = slots_per_page;
            return true;
        }
        return false;
    }
};
