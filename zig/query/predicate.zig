//! Clauses compiled to predicates over row images, and lists of them.
//!
//! **Invariants.** A predicate is a pair of functions chosen by kind and operator when the plan is
//! bound: one tests a row, the other a block of rows, so that a scan costs one indirect call for
//! each clause and block. Predicates do not look at nulls: a `Conjunction` tests those of all its
//! clauses at once, with one mask.
//!
//! **Concurrency.** Immutable after `compile`.
//!
//! **Memory.** Predicates live in the arena that they were compiled with and borrow the plan's
//! text.

const std = @import("std");
const assert = std.debug.assert;
const bound = @import("bound.zig");
const key = @import("../row/key.zig");
const plan_module = @import("plan.zig");
const schema_module = @import("../row/schema.zig");
const sort_ = @import("sort.zig");
const Allocator = std.mem.Allocator;
const Clause = plan_module.Clause;
const Column = schema_module.Column;
const Glob = @import("glob.zig").Glob;
const Kind = schema_module.Kind;
const Operand = plan_module.Operand;
const Plan = plan_module.Plan;
const Schema = schema_module.Schema;

pub const Error = plan_module.DecodeError || Allocator.Error;
pub const Image = [*]align(8) const u8;

/// A row as a source delivers it.
pub const Row = struct {
    slot: u32,
    /// Valid and immutable as long as the execution's snapshot is pinned.
    image: Image,
};

/// Of functions that are one short loop: otherwise any change of the code before them moves the
/// loop across lines of the instruction cache, and costs or gains a fifth.
const loop_alignment = 64;

pub const Predicate = struct {
    run: *const fn (predicate: *const Predicate, image: Image) bool,
    /// Moves the rows that satisfy it to the front, in their order; returns how many.
    select: *const fn (predicate: *const Predicate, rows: []Row) usize,
    offset: u32,
    /// Most bytes of the text, whatever its size word says.
    limit: u32,
    payload: Payload,

    const Payload = union {
        /// `span` is the high end minus the low one.
        interval: struct { low: u64, span: u64 },
        values: []const u64,
        text: []const u8,
        text_interval: TextInterval,
        texts: []const []const u8,
        glob: Glob,
    };

    inline fn textIn(predicate: *const Predicate, image: Image) []const u8 {
        return textAt(image, predicate.offset, predicate.limit);
    }
};

inline fn textAt(image: Image, offset: u32, limit: u32) []const u8 {
    const size = std.mem.readInt(u16, image[offset..][0..2], .little);
    return image[offset + 2 ..][0..@min(size, limit)];
}

const TextInterval = struct {
    low: ?[]const u8,
    high: ?[]const u8,
    low_inclusive: bool,
    high_inclusive: bool,

    fn contains(interval: *const TextInterval, text: []const u8) bool {
        if (interval.low) |low| {
            const order = std.mem.order(u8, text, low);
            if (order == .lt or (order == .eq and !interval.low_inclusive)) return false;
        }
        if (interval.high) |high| {
            const order = std.mem.order(u8, text, high);
            if (order == .gt or (order == .eq and !interval.high_inclusive)) return false;
        }
        return true;
    }
};

/// The AND of clauses. Without any it holds for every row.
pub const Conjunction = struct {
    /// Columns whose null bit matters, and what it must be.
    null_care: u64,
    null_expected: u64,
    predicates: []const Predicate,
    /// Some clause holds for no row: `holds` must not be asked.
    never: bool,

    pub const empty: Conjunction = .{
        .null_care = 0,
        .null_expected = 0,
        .predicates = &.{},
        .never = false,
    };

    pub fn compile(
        arena: Allocator,
        schema: *const Schema,
        plan: *const Plan,
        clauses: []const Clause,
    ) Error!Conjunction {
        var conjunction: Conjunction = .empty;
        const predicates = try arena.alloc(Predicate, clauses.len);
        var count: usize = 0;
        for (clauses) |*clause| {
            const column = schema.column(clause.column) orelse return error.InvalidPlan;
            const is_null = operatorOf(clause) == .null;
            const expected = if (is_null) column.mask() else 0;
            const care = if (column.nullable) column.mask() else 0;
            const overlap = conjunction.null_care & care;
            if (conjunction.null_expected & overlap != expected & overlap) conjunction.never = true;
            conjunction.null_care |= care;
            conjunction.null_expected |= expected;
            if (is_null and !column.nullable) conjunction.never = true;
            switch (try compileClause(arena, schema, plan, clause, column)) {
                .always => {},
                .never => conjunction.never = true,
                .predicate => |predicate| {
                    predicates[count] = predicate;
                    count += 1;
                },
            }
        }
        conjunction.predicates = predicates[0..count];
        return conjunction;
    }

    pub inline fn holds(conjunction: *const Conjunction, image: Image) bool {
        assert(!conjunction.never);
        const nulls = schema_module.nullMask(image);
        if (nulls & conjunction.null_care != conjunction.null_expected) return false;
        for (conjunction.predicates) |*predicate| {
            if (!predicate.run(predicate, image)) return false;
        }
        return true;
    }

    /// Moves the rows for which it holds to the front, in their order; returns how many.
    pub fn select(conjunction: *const Conjunction, rows: []Row) usize {
        assert(!conjunction.never);
        var count = rows.len;
        if (conjunction.null_care != 0) count = conjunction.selectNulls(rows);
        for (conjunction.predicates) |*predicate| {
            if (count == 0) return 0;
            count = predicate.select(predicate, rows[0..count]);
        }
        return count;
    }

    fn selectNulls(conjunction: *const Conjunction, rows: []Row) usize {
        const care = conjunction.null_care;
        const expected = conjunction.null_expected;
        var kept: usize = 0;
        for (rows) |row| {
            rows[kept] = row;
            kept += @intFromBool(schema_module.nullMask(row.image) & care == expected);
        }
        return kept;
    }
};

pub fn operatorOf(clause: *const Clause) plan_module.Operator {
    return @enumFromInt(clause.operator); // checked by Plan.decode
}

const Compiled = union(enum) { always, never, predicate: Predicate };

fn compileClause(
    arena: Allocator,
    schema: *const Schema,
    plan: *const Plan,
    clause: *const Clause,
    column: *const Column,
) Error!Compiled {
    return switch (operatorOf(clause)) {
        .null, .not_null => .always, // by the mask
        .like, .unlike => compileGlob(arena, schema, plan, clause, column),
        .equal, .between => if (column.kind.isText())
            compileTextInterval(plan, clause, column)
        else
            compileInterval(plan, clause, column),
        .differ => compileDiffer(plan, clause, column),
        .member => if (column.kind.isText())
            compileTexts(arena, plan, clause, column)
        else
            compileValues(arena, plan, clause, column),
    };
}

fn predicateOf(
    column: *const Column,
    comptime run: fn (*const Predicate, Image) bool,
    payload: Predicate.Payload,
) Compiled {
    return .{ .predicate = .{
        .run = run,
        .select = Selecting(run).select,
        .offset = column.offset,
        .limit = column.limit,
        .payload = payload,
    } };
}

/// The test of one row, over a block.
fn Selecting(comptime run: fn (*const Predicate, Image) bool) type {
    return struct {
        fn select(predicate: *const Predicate, rows: []Row) usize {
            var kept: usize = 0;
            for (rows) |row| {
                if (!run(predicate, row.image)) continue;
                rows[kept] = row;
                kept += 1;
            }
            return kept;
        }
    };
}

fn compileInterval(plan: *const Plan, clause: *const Clause, column: *const Column) Error!Compiled {
    const interval = try bound.intervalOf(column, bound.ends(plan, clause));
    if (interval.isEmpty()) return .never;
    return fixedPredicate(column, .inside, .{
        .interval = .{ .low = interval.low, .span = interval.high - interval.low },
    });
}

fn compileDiffer(plan: *const Plan, clause: *const Clause, column: *const Column) Error!Compiled {
    const both = bound.point(&plan.operandsOf(clause)[0]);
    if (column.kind.isText()) {
        const text = try textOf(plan, &plan.operandsOf(clause)[0], column);
        if (both.low.edge == .nothing) return .always;
        return predicateOf(column, runTextDiffers, .{ .text = text });
    }
    const interval = try bound.intervalOf(column, both);
    if (interval.isEmpty()) return .always;
    return fixedPredicate(column, .outside, .{ .interval = .{ .low = interval.low, .span = 0 } });
}

fn compileValues(
    arena: Allocator,
    plan: *const Plan,
    clause: *const Clause,
    column: *const Column,
) Error!Compiled {
    const values = try arena.alloc(u64, clause.operand_count);
    var count: usize = 0;
    for (plan.operandsOf(clause)) |*operand| {
        const interval = try bound.intervalOf(column, bound.point(operand));
        if (interval.isEmpty()) continue;
        values[count] = interval.low;
        count += 1;
    }
    if (count == 0) return .never;
    sort_.sort(u64, values[0..count], {}, std.sort.asc(u64));
    if (values[0] == values[count - 1]) {
        return fixedPredicate(column, .inside, .{ .interval = .{ .low = values[0], .span = 0 } });
    }
    return fixedPredicate(column, .member, .{ .values = values[0..count] });
}

const Shape = enum { inside, outside, member };

fn fixedPredicate(column: *const Column, shape: Shape, payload: Predicate.Payload) Compiled {
    switch (column.kind) {
        .string, .bytes => unreachable, // the callers compile text apart
        inline else => |kind| switch (shape) {
            inline else => |each| {
                var compiled = predicateOf(column, Fixed(kind, each).run, payload);
                compiled.predicate.select = Fixed(kind, each).select;
                return compiled;
            },
        },
    }
}

fn Fixed(comptime kind: Kind, comptime shape: Shape) type {
    return struct {
        const Value = Kind.Value(kind);

        fn run(predicate: *const Predicate, image: Image) bool {
            const value = valueIn(image, predicate.offset);
            const payload = &predicate.payload;
            return switch (shape) {
                .inside => value -% payload.interval.low <= payload.interval.span,
                .outside => value -% payload.interval.low > payload.interval.span,
                .member => containsValue(payload.values, value),
            };
        }

        /// Without branches on what a row holds, and what stays the same in registers.
        fn select(predicate: *const Predicate, rows: []Row) align(loop_alignment) usize {
            if (shape == .member) return Selecting(run).select(predicate, rows);
            const offset = predicate.offset;
            const low = predicate.payload.interval.low;
            const span = predicate.payload.interval.span;
            @setRuntimeSafety(false); // `kept` never passes the row at hand
            var kept: usize = 0;
            for (rows) |row| {
                const inside = valueIn(row.image, offset) -% low <= span;
                rows.ptr[kept] = row;
                kept += @intFromBool(inside == (shape == .inside));
            }
            return kept;
        }

        inline fn valueIn(image: Image, offset: u32) u64 {
            const bytes = image[offset..][0..@sizeOf(Value)];
            return key.encodeFixed(kind, std.mem.bytesToValue(Value, bytes));
        }
    };
}

fn containsValue(values: []const u64, value: u64) bool {
    if (values.len <= 8) return std.mem.indexOfScalar(u64, values, value) != null;
    return std.sort.binarySearch(u64, values, value, orderValues) != null;
}

fn orderValues(a: u64, b: u64) std.math.Order {
    return std.math.order(a, b);
}

fn compileTextInterval(
    plan: *const Plan,
    clause: *const Clause,
    column: *const Column,
) Error!Compiled {
    const both = bound.ends(plan, clause);
    var interval: TextInterval = .{
        .low = null,
        .high = null,
        .low_inclusive = both.low.edge == .inclusive,
        .high_inclusive = both.high.edge == .inclusive,
    };
    // Every operand is checked, also where the other end already decides.
    if (both.low.operand) |operand| interval.low = try textOf(plan, operand, column);
    if (both.high.operand) |operand| interval.high = try textOf(plan, operand, column);
    if (both.low.edge == .nothing or both.high.edge == .nothing) return .never;
    if (interval.low == null and interval.high == null) return .always;
    if (operatorOf(clause) == .equal) {
        return predicateOf(column, runTextEqual, .{ .text = interval.low.? });
    }
    return predicateOf(column, runTextInside, .{ .text_interval = interval });
}

fn compileTexts(
    arena: Allocator,
    plan: *const Plan,
    clause: *const Clause,
    column: *const Column,
) Error!Compiled {
    const texts = try arena.alloc([]const u8, clause.operand_count);
    var count: usize = 0;
    for (plan.operandsOf(clause)) |*operand| {
        const text = try textOf(plan, operand, column);
        if (bound.positionOf(operand) != .at) continue;
        texts[count] = text;
        count += 1;
    }
    if (count == 0) return .never;
    sort_.sort([]const u8, texts[0..count], {}, lessText);
    return predicateOf(column, runTextMember, .{ .texts = texts[0..count] });
}

fn lessText(_: void, a: []const u8, b: []const u8) bool {
    return std.mem.order(u8, a, b) == .lt;
}

fn orderText(a: []const u8, b: []const u8) std.math.Order {
    return std.mem.order(u8, a, b);
}

fn textOf(plan: *const Plan, operand: *const Operand, column: *const Column) Error![]const u8 {
    assert(column.kind.isText());
    return plan.textOf(operand, column.limit);
}

fn compileGlob(
    arena: Allocator,
    schema: *const Schema,
    plan: *const Plan,
    clause: *const Clause,
    column: *const Column,
) Error!Compiled {
    if (column.kind != .string) return error.InvalidPlan;
    const operand = &plan.operandsOf(clause)[0];
    if (bound.positionOf(operand) != .at) return error.InvalidPlan;
    const pattern = try plan.textOf(operand, plan_module.pattern_size_max);
    const glob = try Glob.compile(arena, pattern, clause.flags & plan_module.clause_fold != 0);
    const like = operatorOf(clause) == .like;
    if (glob.class == .everything) return if (like) .always else .never;
    if (like) {
        var compiled = predicateOf(column, runLike, .{ .glob = glob });
        const text_end = column.offset + 2 + column.limit;
        if (glob.class == .contains and text_end + Glob.read_beyond <= schema.image_size) {
            compiled.predicate.select = selectContaining;
        }
        return compiled;
    }
    return predicateOf(column, runUnlike, .{ .glob = glob });
}

fn runTextEqual(predicate: *const Predicate, image: Image) bool {
    return std.mem.eql(u8, predicate.textIn(image), predicate.payload.text);
}

fn runTextDiffers(predicate: *const Predicate, image: Image) bool {
    return !std.mem.eql(u8, predicate.textIn(image), predicate.payload.text);
}

fn runTextInside(predicate: *const Predicate, image: Image) bool {
    return predicate.payload.text_interval.contains(predicate.textIn(image));
}

fn runTextMember(predicate: *const Predicate, image: Image) bool {
    const text = predicate.textIn(image);
    return std.sort.binarySearch([]const u8, predicate.payload.texts, text, orderText) != null;
}

fn runLike(predicate: *const Predicate, image: Image) bool {
    return predicate.payload.glob.matches(predicate.textIn(image));
}

/// Where what is behind the text belongs to the image.
fn selectContaining(predicate: *const Predicate, rows: []Row) align(loop_alignment) usize {
    @setRuntimeSafety(false); // `kept` never passes the row at hand
    const finder: Glob.Finder = .of(&predicate.payload.glob);
    const offset = predicate.offset;
    const limit = predicate.limit;
    var kept: usize = 0;
    for (rows) |row| {
        rows.ptr[kept] = row;
        kept += @intFromBool(finder.isIn(textAt(row.image, offset, limit)));
    }
    return kept;
}

fn runUnlike(predicate: *const Predicate, image: Image) bool {
    return !predicate.payload.glob.matches(predicate.textIn(image));
}
