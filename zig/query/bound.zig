//! The ends of a clause: what its operands say once their positions are resolved.
//!
//! A column of fixed size is compared in one ordered `u64` domain, that of its index key
//! (`row/key.zig`): there every comparison is an inclusive interval, because the next and the
//! previous value are one away. Text has no previous value, so its ends keep their edge.
//!
//! **Concurrency, memory.** Pure functions over a borrowed plan.

const std = @import("std");
const assert = std.debug.assert;
const key = @import("../row/key.zig");
const plan_module = @import("plan.zig");
const schema_module = @import("../row/schema.zig");
const Clause = plan_module.Clause;
const Column = schema_module.Column;
const DecodeError = plan_module.DecodeError;
const Kind = schema_module.Kind;
const Operand = plan_module.Operand;
const Plan = plan_module.Plan;
const Position = plan_module.Position;

pub const Edge = enum {
    /// No end on this side.
    open,
    inclusive,
    exclusive,
    /// No value satisfies this side.
    nothing,
};

pub const End = struct {
    edge: Edge,
    /// Set when the edge is inclusive or exclusive.
    operand: ?*const Operand,

    const open: End = .{ .edge = .open, .operand = null };
    const nothing: End = .{ .edge = .nothing, .operand = null };
};

pub const Ends = struct { low: End, high: End };

/// The ends of an `equal` or `between` clause.
pub fn ends(plan: *const Plan, clause: *const Clause) Ends {
    const operands = plan.operandsOf(clause);
    if (clause.operator == @intFromEnum(plan_module.Operator.equal)) return point(&operands[0]);
    assert(clause.operator == @intFromEnum(plan_module.Operator.between));
    const has_low = clause.flags & plan_module.clause_has_low != 0;
    const has_high = clause.flags & plan_module.clause_has_high != 0;
    const low_inclusive = clause.flags & plan_module.clause_low_inclusive != 0;
    const high_inclusive = clause.flags & plan_module.clause_high_inclusive != 0;
    return .{
        .low = if (has_low) lowEnd(&operands[0], low_inclusive) else .open,
        .high = if (has_high) highEnd(&operands[operands.len - 1], high_inclusive) else .open,
    };
}

/// Both ends at one value, which nothing has unless the column can hold it exactly.
pub fn point(operand: *const Operand) Ends {
    return switch (positionOf(operand)) {
        .at => .{ .low = lowEnd(operand, true), .high = highEnd(operand, true) },
        .above, .below_all => .{ .low = .nothing, .high = .nothing },
    };
}

fn lowEnd(operand: *const Operand, inclusive: bool) End {
    return switch (positionOf(operand)) {
        .at => .{ .edge = if (inclusive) .inclusive else .exclusive, .operand = operand },
        .above => .{ .edge = .exclusive, .operand = operand },
        .below_all => .open,
    };
}

fn highEnd(operand: *const Operand, inclusive: bool) End {
    return switch (positionOf(operand)) {
        .at => .{ .edge = if (inclusive) .inclusive else .exclusive, .operand = operand },
        .above => .{ .edge = .inclusive, .operand = operand },
        .below_all => .nothing,
    };
}

pub fn positionOf(operand: *const Operand) Position {
    return @enumFromInt(operand.position); // checked by Plan.decode
}

/// Both ends included; `low > high` is no value at all.
pub const Interval = struct {
    low: u64,
    high: u64,

    pub const empty: Interval = .{ .low = 1, .high = 0 };

    pub fn isEmpty(interval: Interval) bool {
        return interval.low > interval.high;
    }
};

/// The values that an `equal` or `between` clause selects on a column of fixed size.
pub fn intervalOf(column: *const Column, both: Ends) DecodeError!Interval {
    var interval: Interval = .{ .low = 0, .high = std.math.maxInt(u64) };
    switch (both.low.edge) {
        .open => {},
        .nothing => return .empty,
        .inclusive, .exclusive => {
            const value = try orderedValue(column, both.low.operand.?);
            const step = @intFromBool(both.low.edge == .exclusive);
            interval.low = std.math.add(u64, value, step) catch return .empty;
        },
    }
    switch (both.high.edge) {
        .open => {},
        .nothing => return .empty,
        .inclusive, .exclusive => {
            const value = try orderedValue(column, both.high.operand.?);
            const step = @intFromBool(both.high.edge == .exclusive);
            interval.high = std.math.sub(u64, value, step) catch return .empty;
        },
    }
    return interval;
}

/// The operand's value in the ordered domain of a column of fixed size, which must be able to hold
/// it. An f32 column takes any f64: its values are compared as f64.
pub fn orderedValue(column: *const Column, operand: *const Operand) DecodeError!u64 {
    if (operand.size != 0) return error.InvalidPlan;
    switch (column.kind) {
        .string, .bytes => return error.InvalidPlan,
        .bool => if (operand.value > 1) return error.InvalidPlan,
        .@"enum" => if (operand.value >= column.limit) return error.InvalidPlan,
        else => {},
    }
    switch (column.kind) {
        .string, .bytes => unreachable, // refused above
        .f32, .f64 => {
            const value: f64 = @bitCast(operand.value);
            if (std.math.isNan(value)) return error.InvalidPlan;
            return key.encodeFixed(.f64, value + 0.0); // -0 becomes 0
        },
        inline .i8, .i16, .i32, .i64, .decimal, .timestamp => |kind| {
            const wide: i64 = @bitCast(operand.value);
            const value = std.math.cast(Kind.Value(kind), wide) orelse return error.InvalidPlan;
            return key.encodeFixed(kind, value);
        },
        inline .bool, .@"enum", .u8, .u16, .u32, .u64 => |kind| {
            const value = std.math.cast(Kind.Value(kind), operand.value) orelse
                return error.InvalidPlan;
            return key.encodeFixed(kind, value);
        },
    }
}

const testing = std.testing;

fn testInterval(kind: Kind, low: ?Operand, high: ?Operand, flags: u8) !Interval {
    const column: Column = .{
        .kind = kind,
        .scale = 0,
        .nullable = false,
        .indexed = true,
        .unique = false,
        .position = 1,
        .offset = 8,
        .size = kind.fixedSize().?,
        .limit = 0,
    };
    return intervalOf(&column, .{
        .low = if (low) |*operand|
            lowEnd(operand, flags & plan_module.clause_low_inclusive != 0)
        else
            .open,
        .high = if (high) |*operand|
            highEnd(operand, flags & plan_module.clause_high_inclusive != 0)
        else
            .open,
    });
}

fn testOperand(position: Position, value: u64) Operand {
    return .{
        .position = @intFromEnum(position),
        .reserved = @splat(0),
        .size = 0,
        .value = value,
    };
}

test "bound: positions and edges become inclusive intervals" {
    const max = std.math.maxInt(u64);
    const one = testOperand(.at, 1);
    const above = testOperand(.above, 1);
    const below = testOperand(.below_all, 0);
    const last = testOperand(.at, max);
    const zero = testOperand(.at, 0);
    const inclusive = plan_module.clause_low_inclusive | plan_module.clause_high_inclusive;
    const expectEqual = testing.expectEqual;
    try expectEqual(Interval{ .low = 1, .high = max }, try testInterval(.u64, one, null, 4));
    try expectEqual(Interval{ .low = 2, .high = max }, try testInterval(.u64, one, null, 0));
    try expectEqual(Interval{ .low = 2, .high = max }, try testInterval(.u64, above, null, 4));
    try expectEqual(Interval{ .low = 0, .high = 1 }, try testInterval(.u64, null, above, 0));
    try expectEqual(Interval{ .low = 0, .high = 0 }, try testInterval(.u64, null, one, 0));
    try expectEqual(Interval{ .low = 0, .high = max }, try testInterval(.u64, below, null, 0));
    try testing.expect((try testInterval(.u64, null, below, inclusive)).isEmpty());
    try testing.expect((try testInterval(.u64, last, null, 0)).isEmpty());
    try testing.expect((try testInterval(.u64, null, zero, 0)).isEmpty());
    try testing.expect((try testInterval(.u64, above, one, inclusive)).isEmpty());
}

test "bound: an operand that the column cannot hold is refused" {
    const nan: u64 = @bitCast(std.math.nan(f64));
    const expectError = testing.expectError;
    try expectError(error.InvalidPlan, testInterval(.u8, testOperand(.at, 256), null, 0));
    try expectError(error.InvalidPlan, testInterval(.i8, testOperand(.at, 128), null, 0));
    try expectError(error.InvalidPlan, testInterval(.bool, testOperand(.at, 2), null, 0));
    try expectError(error.InvalidPlan, testInterval(.@"enum", testOperand(.at, 0), null, 0));
    try expectError(error.InvalidPlan, testInterval(.f64, testOperand(.at, nan), null, 0));
    _ = try testInterval(.i8, testOperand(.at, @bitCast(@as(i64, -128))), null, 0);
}
