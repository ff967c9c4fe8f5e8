//! Where the regions of a segment lie.
//!
//! **Invariants**: regions lie in the order of the fields, aligned to the page, without overlap.
const std = @import("std");
const limits = @import("../limits.zig");
const depot = @import("depot.zig");
const layout = @import("layout.zig");

/// Bytes of one element of a region.
pub const cell_size = @sizeOf(u64);
pub const latch_size = @sizeOf(u64);
pub const catalog_slot_size = @sizeOf(layout.CatalogEntry);
pub const page_entry_size = @sizeOf(u64);
pub const extent_entry_size = @sizeOf(u32);
pub const depot_cell_size = @sizeOf(u64);

/// Where the regions lie; a pure function of the sizes asked for.
pub const Geometry = extern struct {
    size: u64,
    session_count: u32,
    cell_count: u32,
    latch_count: u32,
    outcome_count: u32,
    page_count: u32,
    extent_count: u32,
    /// Cells of the depot.
    depot_count: u32,
    /// Bytes of each session's log buffer.
    log_buffer_size: u32,
    sessions_offset: u64,
    cells_offset: u64,
    latches_offset: u64,
    outcomes_offset: u64,
    catalog_offset: u64,
    pages_offset: u64,
    extents_offset: u64,
    depot_offset: u64,
    arena_offset: u64,

    pub const Options = struct { size: u64, session_count: u32, cell_count: u32 };

    /// Under the scheduler a ring may be so small that a schedule goes around it, and latches are
    /// few, so that a repair is short.
    const is_small = @import("build_options").scheduler;
    const cell_count_min = if (is_small) 16 else limits.cell_count_min;

    pub fn init(options: Options) ?Geometry {
        if (options.size < limits.segment_size_min or
            options.size > limits.segment_size_max) return null;
        if (options.size % limits.extent_size != 0) return null;
        if (options.session_count < 2 or
            options.session_count > limits.session_count_max) return null;
        if (@popCount(options.cell_count) != 1) return null;
        if (options.cell_count < cell_count_min) return null;
        if (options.cell_count < options.session_count * limits.cells_per_session_min) return null;

        var geometry = std.mem.zeroes(Geometry);
        geometry.size = options.size;
        geometry.session_count = options.session_count;
        geometry.cell_count = options.cell_count;
        geometry.latch_count = if (is_small) 16 else 4096;
        geometry.outcome_count = std.math.floorPowerOfTwo(
            u32,
            @intCast(@min(options.size / limits.outcome_share, limits.outcome_count_max)),
        );
        geometry.extent_count = @intCast(options.size / limits.extent_size);
        geometry.page_count = @intCast(options.size / limits.page_size);
        geometry.depot_count = depot.cell_count;
        const share = @min(
            options.size / limits.log_buffer_share,
            // Those of all sessions leave room for rows.
            options.size / 2 / options.session_count,
        );
        geometry.log_buffer_size = std.math.floorPowerOfTwo(u32, @intCast(std.math.clamp(
            share,
            limits.log_buffer_size_min,
            limits.log_buffer_size_max,
        )));
        var end: u64 = limits.page_size;
        geometry.sessions_offset = region(
            &end,
            @as(u64, options.session_count) * @sizeOf(layout.SessionSlot),
        );
        geometry.cells_offset = region(&end, @as(u64, options.cell_count) * cell_size);
        geometry.latches_offset = region(&end, @as(u64, geometry.latch_count) * latch_size);
        geometry.outcomes_offset = region(
            &end,
            @as(u64, geometry.outcome_count) * @sizeOf(layout.Outcome),
        );
        geometry.catalog_offset = region(&end, limits.table_count_max * catalog_slot_size);
        geometry.pages_offset = region(&end, @as(u64, geometry.page_count) * page_entry_size);
        geometry.extents_offset = region(&end, @as(u64, geometry.extent_count) * extent_entry_size);
        geometry.depot_offset = region(&end, @as(u64, geometry.depot_count) * depot_cell_size);
        geometry.arena_offset = end;
        if (end + 16 * limits.page_size > options.size) return null;
        if (end / limits.offset_unit <= limits.session_count_max + 1) return null;
        return geometry;
    }

    fn region(end: *u64, size: u64) u64 {
        const start = end.*;
        end.* = std.mem.alignForward(u64, start + size, limits.page_size);
        return start;
    }
};
