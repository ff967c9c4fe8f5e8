//! Arms: where the rows of a plan come from, as sorted ranges of index keys.
//!
//! **Invariants.** `ranges` of an arm are not empty, sorted, and disjoint, so an arm delivers a row
//! once and, walked in either direction, in the order of its column. All bounds are inclusive key
//! words: the key after text "AB" is its words plus one, because the size is in the last bytes
//! (law 8 of the row image), and no key lies between. A range never reaches from values into null.
//!
//! **Concurrency.** Immutable after `compile`.
//!
//! **Memory.** Everything lives in the arena that it was compiled with.

const std = @import("std");
const assert = std.debug.assert;
const bound = @import("bound.zig");
const key = @import("../row/key.zig");
const plan_module = @import("plan.zig");
const predicate = @import("predicate.zig");
const schema_module = @import("../row/schema.zig");
const sort_ = @import("sort.zig");
const Allocator = std.mem.Allocator;
const Clause = plan_module.Clause;
const Column = schema_module.Column;
const Error = predicate.Error;
const Image = predicate.Image;
const Kind = schema_module.Kind;
const Plan = plan_module.Plan;
const Schema = schema_module.Schema;

pub const ArmKind = plan_module.ArmKind;

pub const Range = struct {
    low: []u64,
    high: []u64,
    /// The primary key's column bytes, for an arm by key; else empty.
    key_bytes: []const u8,
};

pub const Arm = struct {
    kind: ArmKind,
    column: *const Column,
    ranges: []const Range,

    pub fn compile(
        arena: Allocator,
        schema: *const Schema,
        plan: *const Plan,
        arm: plan_module.Arm,
        clauses: []const Clause,
    ) Error!Arm {
        const column = schema.column(arm.column) orelse return error.InvalidPlan;
        const kind: ArmKind = @enumFromInt(arm.kind); // checked by Plan.decode
        switch (kind) {
            .scan => if (clauses.len != 0 or arm.column != 0) return error.InvalidPlan,
            .key => if (arm.column != 0) return error.InvalidPlan,
            .index => if (!column.indexed) return error.InvalidPlan,
        }
        var builder: Builder = .{
            .arena = arena,
            .plan = plan,
            .column = column,
            .words_count = key.keyWordsCount(column),
            .ranges = try .initCapacity(arena, rangesCount(clauses)),
        };
        for (clauses) |*clause| {
            if (clause.column != arm.column) return error.InvalidPlan;
            try builder.append(clause, kind);
        }
        return .{ .kind = kind, .column = column, .ranges = builder.finish() };
    }

    /// Whether the arm delivers this row.
    pub fn contains(arm: *const Arm, image: Image) bool {
        if (arm.kind == .scan) return true;
        var buffer: [key.words_max]u64 = undefined;
        const words = buffer[0..key.keyWordsCount(arm.column)];
        key.encodeKey(arm.column, image, words);
        const index = std.sort.lowerBound(Range, arm.ranges, @as([]const u64, words), orderHigh);
        if (index == arm.ranges.len) return false;
        return key.order(arm.ranges[index].low, words) != .gt;
    }
};

fn orderHigh(words: []const u64, range: Range) std.math.Order {
    return key.order(words, range.high);
}

fn rangesCount(clauses: []const Clause) usize {
    var count: usize = 0;
    for (clauses) |*clause| {
        count += if (predicate.operatorOf(clause) == .member) clause.operand_count else 1;
    }
    return count;
}

const Builder = struct {
    arena: Allocator,
    plan: *const Plan,
    column: *const Column,
    words_count: u32,
    ranges: std.ArrayList(Range),

    fn append(builder: *Builder, clause: *const Clause, kind: ArmKind) Error!void {
        switch (predicate.operatorOf(clause)) {
            .equal => try builder.appendPoint(&builder.plan.operandsOf(clause)[0], kind),
            .member => for (builder.plan.operandsOf(clause)) |*operand| {
                try builder.appendPoint(operand, kind);
            },
            .between => {
                if (kind != .index) return error.InvalidPlan;
                try builder.appendEnds(bound.ends(builder.plan, clause), "");
            },
            .not_null => {
                if (kind != .index) return error.InvalidPlan;
                const open: bound.End = .{ .edge = .open, .operand = null };
                try builder.appendEnds(.{ .low = open, .high = open }, "");
            },
            .null => {
                if (kind != .index) return error.InvalidPlan;
                if (!builder.column.nullable) return;
                const range = try builder.allocate();
                key.encodeNull(builder.column, range.low);
                key.encodeNull(builder.column, range.high);
                builder.ranges.appendAssumeCapacity(range);
            },
            .differ, .like, .unlike => return error.InvalidPlan,
        }
    }

    fn appendPoint(
        builder: *Builder,
        operand: *const plan_module.Operand,
        kind: ArmKind,
    ) Error!void {
        const both = bound.point(operand);
        if (both.low.edge == .nothing) return;
        try builder.appendEnds(both, if (kind == .key) try builder.keyBytes(operand) else "");
    }

    fn appendEnds(builder: *Builder, both: bound.Ends, key_bytes: []const u8) Error!void {
        var range = try builder.allocate();
        range.key_bytes = key_bytes;
        const filled = if (builder.column.kind.isText())
            try builder.fillText(range, both)
        else
            try builder.fillFixed(range, both);
        if (filled and key.order(range.low, range.high) != .gt) {
            builder.ranges.appendAssumeCapacity(range);
        }
    }

    fn allocate(builder: *Builder) Error!Range {
        const words = try builder.arena.alloc(u64, 2 * builder.words_count);
        return .{
            .low = words[0..builder.words_count],
            .high = words[builder.words_count..],
            .key_bytes = "",
        };
    }

    fn fillFixed(builder: *Builder, range: Range, both: bound.Ends) Error!bool {
        const interval = try bound.intervalOf(builder.column, both);
        if (interval.isEmpty()) return false;
        // All ones in one word is null, where null is allowed; no value is encoded so.
        const null_in_word = builder.column.nullable and builder.words_count == 1;
        const last = std.math.maxInt(u64) - @as(u64, @intFromBool(null_in_word));
        @memset(range.low, 0);
        @memset(range.high, 0);
        range.low[builder.words_count - 1] = interval.low;
        range.high[builder.words_count - 1] = @min(interval.high, last);
        return true;
    }

    fn fillText(builder: *Builder, range: Range, both: bound.Ends) Error!bool {
        const limit = builder.column.limit;
        switch (both.low.edge) {
            .open => @memset(range.low, 0),
            .nothing => return false,
            .inclusive, .exclusive => {
                const text = try builder.plan.textOf(both.low.operand.?, limit);
                key.encodeText(text, range.low);
                if (both.low.edge == .exclusive) increment(range.low);
            },
        }
        switch (both.high.edge) {
            .open => {
                @memset(range.high, std.math.maxInt(u64)); // null
                decrement(range.high);
            },
            .nothing => return false,
            .inclusive, .exclusive => {
                const text = try builder.plan.textOf(both.high.operand.?, limit);
                key.encodeText(text, range.high);
                if (both.high.edge == .exclusive) {
                    if (text.len == 0) return false; // nothing is below the empty text
                    decrement(range.high);
                }
            },
        }
        return true;
    }

    /// The primary key as it lies in an image.
    fn keyBytes(builder: *Builder, operand: *const plan_module.Operand) Error![]const u8 {
        const column = builder.column;
        const bytes = try builder.arena.alloc(u8, column.size);
        if (column.kind.isText()) {
            const text = try builder.plan.textOf(operand, column.limit);
            @memset(bytes, 0);
            std.mem.writeInt(u16, bytes[0..2], @intCast(text.len), .little);
            @memcpy(bytes[2..][0..text.len], text);
        } else {
            // Two's complement: the low bytes of the wide value are the narrow one.
            _ = try bound.orderedValue(column, operand);
            @memcpy(bytes, std.mem.asBytes(&operand.value)[0..column.size]);
        }
        return bytes;
    }

    /// Sorts, and joins what overlaps: a repeated value of `in` is one range.
    fn finish(builder: *Builder) []const Range {
        const ranges = builder.ranges.items;
        if (ranges.len < 2) return ranges;
        sort_.sort(Range, ranges, {}, lessLow);
        var count: usize = 1;
        for (ranges[1..]) |range| {
            const last = &ranges[count - 1];
            if (key.order(range.low, last.high) == .gt) {
                ranges[count] = range;
                count += 1;
            } else if (key.order(range.high, last.high) == .gt) {
                last.high = range.high;
            }
        }
        return ranges[0..count];
    }
};

fn lessLow(_: void, a: Range, b: Range) bool {
    return key.order(a.low, b.low) == .lt;
}

fn increment(words: []u64) void {
    var index = words.len;
    while (index > 0) {
        index -= 1;
        words[index] +%= 1;
        if (words[index] != 0) return;
    }
}

/// The words directly before these.
pub fn decrement(words: []u64) void {
    var index = words.len;
    while (index > 0) {
        index -= 1;
        words[index] -%= 1;
        if (words[index] != std.math.maxInt(u64)) return;
    }
}
