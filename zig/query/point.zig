//! Searches for one row by its primary key, `= key value` and nothing else: the most frequent ones.
//! They need no program, and outside a transaction no snapshot.
//!
//! **Concurrency, memory.** Pure functions over a borrowed plan.

const std = @import("std");
const bound = @import("bound.zig");
const plan_module = @import("plan.zig");
const schema_module = @import("../row/schema.zig");
const Schema = schema_module.Schema;

/// Bytes of the longest primary key in an image.
pub const key_size_max = schema_module.key_limit_max + 2;

pub const Point = struct {
    count_only: bool,
    /// Bytes of the key, which are in the caller's buffer.
    key_size: u32,
};

const Bytes = extern struct {
    header: plan_module.Header,
    arm: plan_module.Arm,
    clause: plan_module.Clause,
    operand: plan_module.Operand,
};

const flags_allowed = plan_module.flag_count_only | plan_module.flag_project_key;

/// Fills `buffer` with the key as it lies in an image. Null for every other plan, and for one that
/// breaks a rule: whoever executes plans decides about those.
pub fn of(schema: *const Schema, bytes: []const u8, buffer: *[key_size_max]u8) ?Point {
    if (bytes.len < @sizeOf(Bytes)) return null;
    const plan: *align(1) const Bytes = @ptrCast(bytes.ptr);
    const header = &plan.header;
    if (header.arm_count != 1 or header.clause_count != 1 or header.operand_count != 1) return null;
    if (header.residual_count != 0 or header.group_count != 0) return null;
    if (header.sort_count != 0 or header.guard_count != 0) return null;
    if (header.after_count != 0) return null;
    if (header.key_count != 0 or header.select_count != 0) return null;
    if (!std.mem.allEqual(u8, &header.reserved, 0)) return null;
    if (header.offset != 0 or header.flags & ~flags_allowed != 0) return null;
    if (header.magic != plan_module.magic or header.version != plan_module.version) return null;
    if (header.size != bytes.len or header.text_size != bytes.len - @sizeOf(Bytes)) return null;
    if (header.image_size != schema.image_size) return null;
    if (header.column_count != schema.column_count) return null;

    const arm = &plan.arm;
    if (arm.kind != @intFromEnum(plan_module.ArmKind.key) or arm.reserved != 0) return null;
    if (arm.column != 0 or arm.clause_count != 1) return null;
    const clause = &plan.clause;
    if (clause.operator != @intFromEnum(plan_module.Operator.equal)) return null;
    if (clause.flags != 0 or clause.column != 0 or clause.reserved != 0) return null;
    if (clause.operand_first != 0 or clause.operand_count != 1) return null;
    const operand = plan.operand;
    if (operand.position != @intFromEnum(plan_module.Position.at)) return null;
    if (!std.mem.allEqual(u8, &operand.reserved, 0)) return null;

    const column = schema.primaryKey();
    const out = buffer[0..column.size];
    if (column.kind.isText()) {
        const text = bytes[@sizeOf(Bytes)..];
        if (operand.size > column.limit or operand.value > text.len) return null;
        const start: usize = @intCast(operand.value);
        if (operand.size > text.len - start) return null;
        @memset(out, 0);
        std.mem.writeInt(u16, out[0..2], @intCast(operand.size), .little);
        @memcpy(out[2..][0..operand.size], text[start..][0..operand.size]);
    } else {
        _ = bound.orderedValue(column, &operand) catch return null;
        // Two's complement: the low bytes of the wide value are the narrow one.
        @memcpy(out, std.mem.asBytes(&operand.value)[0..column.size]);
    }
    return .{
        .count_only = header.flags & plan_module.flag_count_only != 0,
        .key_size = column.size,
    };
}
