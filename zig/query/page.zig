//! Where a page begins: after a row, of which the columns of the order are known. The row need not
//! exist.
//!
//! **Invariants.** A page that ends at a row and the page that begins after it have no row in
//! common, whatever was written between them, unless a row moved in the order.
//!
//! **Concurrency.** Immutable after `compile`.
//!
//! **Memory.** Everything lives in the arena that it was compiled with.

const std = @import("std");
const key = @import("../row/key.zig");
const bound = @import("bound.zig");
const order_module = @import("order.zig");
const plan_module = @import("plan.zig");
const predicate = @import("predicate.zig");
const route = @import("route.zig");
const schema_module = @import("../row/schema.zig");
const Allocator = std.mem.Allocator;
const Column = schema_module.Column;
const Error = predicate.Error;
const Image = predicate.Image;
const Order = order_module.Order;
const Plan = plan_module.Plan;
const Schema = schema_module.Schema;

pub const After = struct {
    /// Ends with the primary key.
    order: Order,
    /// Has the columns of the order.
    image: Image,

    pub fn compile(arena: Allocator, schema: *const Schema, plan: *const Plan) Error!?After {
        if (plan.afters.len == 0) return null;
        const columns = try arena.alloc(order_module.SortColumn, plan.afters.len);
        const image = try arena.alignedAlloc(u8, .@"8", schema.image_size);
        @memset(image, 0);
        for (plan.afters, columns, 0..) |after, *out, i| {
            const column = schema.column(after.column) orelse return error.InvalidPlan;
            const is_key = column.position == 0;
            if (is_key != (i + 1 == plan.afters.len)) return error.InvalidPlan;
            out.* = .{
                .column = column,
                .descending = after.flags & plan_module.after_descending != 0,
            };
            if (after.flags & plan_module.after_null != 0) {
                if (!column.nullable) return error.InvalidPlan;
                const nulls = std.mem.readInt(u64, image[0..8], .little) | column.mask();
                std.mem.writeInt(u64, image[0..8], nulls, .little);
                continue;
            }
            try setValue(column, plan, &plan.operands[after.operand], image);
        }
        return .{ .order = .{ .columns = columns }, .image = image.ptr };
    }

    /// Whether a row comes after the one at which the page before ended.
    pub inline fn isBefore(after: *const After, image: Image) bool {
        return after.order.compare(0, image, after.image) == .gt;
    }

    /// Moves such rows to the front, in their order; returns how many.
    pub fn select(after: *const After, rows: []predicate.Row) usize {
        var kept: usize = 0;
        for (rows) |row| {
            rows[kept] = row;
            kept += @intFromBool(after.isBefore(row.image));
        }
        return kept;
    }

    /// Leaves out the ranges of an arm on the first column of the order that the page has no row
    /// of, and cuts the one in which it begins.
    pub fn cut(after: *const After, arena: Allocator, arm: *route.Arm) Allocator.Error!void {
        const first = after.order.columns[0];
        if (arm.kind != .index or arm.column != first.column) return;
        const words = try arena.alloc(u64, key.keyWordsCount(first.column));
        key.encodeKey(first.column, after.image, words);
        const ranges = try arena.alloc(route.Range, arm.ranges.len);
        var count: usize = 0;
        for (arm.ranges) |range| {
            const far = if (first.descending) range.low else range.high;
            const near = if (first.descending) range.high else range.low;
            const toward: std.math.Order = if (first.descending) .gt else .lt;
            if (key.order(far, words) == toward) continue;
            ranges[count] = range;
            if (key.order(near, words) == toward) {
                if (first.descending) ranges[count].high = words else ranges[count].low = words;
            }
            count += 1;
        }
        arm.ranges = ranges[0..count];
    }

    /// Where a walk begins that takes rows with equal keys in the order of their ties: the words of
    /// the key, then the tie. Null where the index has none.
    pub fn start(
        after: *const After,
        arena: Allocator,
        schema: *const Schema,
    ) Allocator.Error!?[]const u64 {
        const column = after.order.columns[0].column;
        const primary = schema.primaryKey();
        if (after.order.columns.len != 2 or !key.hasTie(column, primary)) return null;
        const count = key.keyWordsCount(column);
        const words = try arena.alloc(u64, count + 1);
        key.encodeKey(column, after.image, words);
        words[count] = key.tieOf(primary, after.image);
        return words;
    }
};

/// Writes a value into an image of zeros.
fn setValue(
    column: *const Column,
    plan: *const Plan,
    operand: *const plan_module.Operand,
    image: []align(8) u8,
) Error!void {
    if (bound.positionOf(operand) != .at) return error.InvalidPlan;
    const out = image[column.offset..][0..column.size];
    if (column.kind.isText()) {
        const text = try plan.textOf(operand, column.limit);
        std.mem.writeInt(u16, out[0..2], @intCast(text.len), .little);
        @memcpy(out[2..][0..text.len], text);
        return;
    }
    _ = try bound.orderedValue(column, operand);
    if (column.kind == .f32) {
        const value: f64 = @bitCast(operand.value);
        const narrow: f32 = @floatCast(value);
        @memcpy(out, std.mem.asBytes(&narrow));
        return;
    }
    // Two's complement: the low bytes of the wide value are the narrow one.
    @memcpy(out, std.mem.asBytes(&operand.value)[0..column.size]);
}
