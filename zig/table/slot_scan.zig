//! Row slots in the order in which they lie in memory: the scan of a large table, which the map's
//! order, that of the hash, would send to a new cache line for every row.
//!
//! **Invariants**: every row that a pinned snapshot sees has a slot in a page that was marked used
//! before the row's commit, so a scan that begins after the snapshot meets it. A slot that is in no
//! map has no version that anybody sees: its head is none, closed, or pending.
//!
//! **Concurrency**: reads only, pinned. Slots of all tables share the pages; the caller looks at
//! the version.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const rel_ptr = @import("../segment/rel_ptr.zig");
const segment_ = @import("../segment/segment.zig");
const Segment = segment_.Segment;
const Ref = rel_ptr.Ref;

const slot_units = @sizeOf(layout.RowSlot) / limits.offset_unit;
const pages_per_extent = limits.extent_size / limits.page_size;
const slots_per_page = limits.page_size / @sizeOf(layout.RowSlot);
/// How many slots ahead the newest version is fetched.
pub const ahead_count = 16;

/// Tables smaller than this are walked through their map.
pub const rows_min = 4096;

/// Slots that lie together.
pub const Run = struct {
    slots: [*]layout.RowSlot,
    first: Ref,
    count: usize,
    /// How many may be looked at: those to the end of the page.
    readable: usize,

    pub inline fn refOf(run: Run, index: usize) Ref {
        return run.first +% @as(Ref, @truncate(index)) *% slot_units;
    }
};

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

    /// The next slots of one page, at most `count_max`; null at the end. A slot that is in use has
    /// a head that is a version.
    pub fn nextRun(scan: *SlotScan, count_max: usize) ?Run {
        if (scan.slots_left == 0 and !scan.nextPage()) return null;
        const count: u32 = @intCast(@min(count_max, scan.slots_left));
        defer {
            scan.ref += count * slot_units;
            scan.slots_left -= count;
        }
        // `nextPage` gives pages of the arena only.
        const start = scan.segment.memory.ptr + rel_ptr.toBytes(scan.ref);
        return .{
            .slots = @ptrCast(@alignCast(start)),
            .first = scan.ref,
            .count = count,
            .readable = scan.slots_left,
        };
    }

    fn nextPage(scan: *SlotScan) bool {
        while (scan.page < scan.page_end) {
            if (scan.page % pages_per_extent == 0 and scan.segment.fd >= 0) {
                // Acquire: pairs with the release in `arena.reserve`. Untouched: no page is used.
                const extent = scan.page / pages_per_extent;
                if (scan.segment.extents[extent].load(.acquire) == 0) {
                    scan.page += pages_per_extent;
                    continue;
                }
            }
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
