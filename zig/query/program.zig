//! A plan bound to a schema: everything that an execution needs, checked and compiled.
//!
//! **Invariants.** What a program selects depends on its bytes and the schema alone. `matches` is
//! the meaning of the search without its window: the executor finds exactly the rows for which it
//! holds, whatever the route. With `walk` there is at most one arm, and the first sort column is
//! the arm's.
//!
//! **Concurrency.** Immutable once compiled; may be used by several threads at once.
//!
//! **Memory.** Owns a copy of the plan's bytes and all that was compiled from them, in one arena.
//! The schema must outlive it.

const std = @import("std");
const assert = std.debug.assert;
const key = @import("../row/key.zig");
const order_module = @import("order.zig");
const plan_module = @import("plan.zig");
const predicate = @import("predicate.zig");
const route = @import("route.zig");
const Allocator = std.mem.Allocator;
const After = @import("page.zig").After;
const Aggregate = @import("aggregate.zig").Aggregate;
const Conjunction = predicate.Conjunction;
const Image = predicate.Image;
const Order = order_module.Order;
const Plan = plan_module.Plan;
const Schema = @import("../row/schema.zig").Schema;

/// Memory that a program keeps for the next plan.
const retained_max = 64 * 1024;

pub const Ties = enum { any, forward, backward };

/// What the plan supposes of one of its clauses.
pub const Guard = struct {
    /// The clause as a way to its rows.
    arm: route.Arm,
    /// Rows, both included.
    low: u64,
    high: u64,
};

pub const Program = struct {
    arena: std.heap.ArenaAllocator,
    /// The plan.
    bytes: []const u8,
    schema: *const Schema,
    arms: []const route.Arm,
    guards: []const Guard,
    residual: Conjunction,
    /// A row must satisfy one of them, if there are any.
    groups: []const Conjunction,
    order: Order,
    /// Where the page begins; null at the first row.
    after: ?After,
    /// What is given instead of rows; null for rows.
    aggregate: ?Aggregate,
    /// Where the walk of its index begins, key and tie.
    walk_start: ?[]const u64,
    /// Rows come from the arm in the order of the first sort column.
    walk: bool,
    /// The order in which the walk takes rows with equal keys: that of the primary key or its
    /// reverse, if results have that.
    ties: Ties,
    /// The walk takes no row before one that should be first.
    is_walk_exact: bool,
    count_only: bool,
    measured: bool,
    offset: u64,
    /// `maxInt` when there is no limit.
    limit: u64,

    pub const Error = predicate.Error;

    /// Checks and compiles; `bytes` are input, of any alignment, and not kept.
    pub fn init(gpa: Allocator, schema: *const Schema, bytes: []const u8) Error!Program {
        var program: Program = .empty(gpa, schema);
        errdefer program.deinit();
        try program.compile(schema, bytes);
        return program;
    }

    /// A program that finds nothing, to be compiled.
    pub fn empty(gpa: Allocator, schema: *const Schema) Program {
        return .{
            .arena = .init(gpa),
            .bytes = "",
            .schema = schema,
            .arms = &.{},
            .guards = &.{},
            .residual = .empty,
            .groups = &.{},
            .order = .{ .columns = &.{} },
            .after = null,
            .aggregate = null,
            .walk_start = null,
            .walk = false,
            .ties = .any,
            .is_walk_exact = false,
            .count_only = false,
            .measured = false,
            .offset = 0,
            .limit = 0,
        };
    }

    /// Makes it the program of other bytes, in the memory that it has. After an error it can only
    /// be compiled again.
    pub fn compile(program: *Program, schema: *const Schema, bytes: []const u8) Error!void {
        if (bytes.len > plan_module.size_max) return error.InvalidPlan;
        _ = program.arena.reset(.{ .retain_with_limit = retained_max });
        const allocator = program.arena.allocator();
        const copy = try allocator.alignedAlloc(u8, .@"8", bytes.len);
        @memcpy(copy, bytes);
        const plan = try Plan.decode(copy);
        const header = plan.header;
        if (header.image_size != schema.image_size) return error.InvalidPlan;
        if (header.column_count != schema.column_count) return error.InvalidPlan;

        var clauses: Clauses = .{ .rest = plan.clauses };
        const arms = try allocator.alloc(route.Arm, plan.arms.len);
        for (plan.arms, arms) |arm, *out| {
            const own = clauses.take(arm.clause_count);
            out.* = try route.Arm.compile(allocator, schema, &plan, arm, own);
        }
        const own = clauses.take(header.residual_count);
        const residual = try Conjunction.compile(allocator, schema, &plan, own);
        const guards = try allocator.alloc(Guard, plan.guards.len);
        for (plan.guards, guards) |guard, *out| {
            const clause = plan.clauses[guard.clause..][0..1];
            const arm: plan_module.Arm = .{
                .kind = @intFromEnum(route.ArmKind.index),
                .reserved = 0,
                .column = clause[0].column,
                .clause_count = 1,
            };
            out.* = .{
                .arm = try route.Arm.compile(allocator, schema, &plan, arm, clause),
                .low = guard.low,
                .high = guard.high,
            };
        }
        var groups: std.ArrayList(Conjunction) = try .initCapacity(allocator, plan.groups.len);
        for (plan.groups) |group| {
            const members = clauses.take(group.clause_count);
            const compiled = try Conjunction.compile(allocator, schema, &plan, members);
            if (!compiled.never) groups.appendAssumeCapacity(compiled);
        }
        assert(clauses.rest.len == 0);
        // Parameters may have made it impossible: then nothing is read, and nothing tested.
        const is_never = residual.never or (plan.groups.len > 0 and groups.items.len == 0);

        program.bytes = copy;
        program.schema = schema;
        program.arms = if (is_never) &.{} else arms;
        program.guards = if (is_never) &.{} else guards;
        program.residual = if (is_never) .empty else residual;
        program.groups = groups.items;
        program.order = try Order.compile(allocator, schema, &plan);
        program.walk = header.flags & plan_module.flag_walk != 0;
        program.count_only = header.flags & plan_module.flag_count_only != 0;
        program.measured = header.flags & plan_module.flag_measured != 0;
        program.offset = header.offset;
        program.limit = if (header.limit == 0) std.math.maxInt(u64) else header.limit;
        program.after = try After.compile(allocator, schema, &plan);
        program.walk_start = null;
        program.aggregate = try Aggregate.compile(allocator, schema, &plan);
        if (program.walk) try program.checkWalk();
        program.ties = if (program.walk) program.tiesOfWalk() else .any;
        program.is_walk_exact = program.walk and program.isOrderOfIndex();
        const after = if (program.after) |*after| after else return;
        if (program.walk and !is_never) {
            try after.cut(allocator, &arms[0]);
            if (program.ties != .any) program.walk_start = try after.start(allocator, schema);
        }
    }

    pub fn deinit(program: *Program) void {
        program.arena.deinit();
    }

    fn checkWalk(program: *const Program) Error!void {
        if (program.arms.len > 1 or program.order.columns.len == 0) return error.InvalidPlan;
        for (program.arms) |arm| {
            if (arm.kind == .scan) return error.InvalidPlan;
            if (arm.column != program.order.columns[0].column) return error.InvalidPlan;
        }
    }

    fn tiesOfWalk(program: *const Program) Ties {
        const columns = program.order.columns;
        if (columns.len != 2) return .any;
        if (!columns[1].descending) return .forward;
        return if (columns[0].descending) .backward else .any;
    }

    fn isOrderOfIndex(program: *const Program) bool {
        const column = program.order.columns[0].column;
        const primary = program.schema.primaryKey();
        if (column == primary) return true;
        if (program.ties == .any or !key.hasTie(column, primary)) return false;
        return key.isTieWhole(primary);
    }

    /// Whether a walk may take one of two rows first when it should be the other: they have equal
    /// keys, and equal ties where those are in order.
    pub inline fn isOneGroup(program: *const Program, a: Image, b: Image) bool {
        if (program.is_walk_exact) return false;
        const column = program.order.columns[0].column;
        if (!column.isEqual(a, b)) return false;
        const primary = program.schema.primaryKey();
        if (program.ties == .any or !key.hasTie(column, primary)) return true;
        return key.tieOf(primary, a) == key.tieOf(primary, b);
    }

    /// Whether a row that came from an arm belongs to the result.
    pub inline fn accepts(program: *const Program, image: Image) bool {
        if (!program.residual.holds(image)) return false;
        if (program.after) |*after| if (!after.isBefore(image)) return false;
        if (program.groups.len == 0) return true;
        for (program.groups) |*group| {
            if (group.holds(image)) return true;
        }
        return false;
    }

    /// Whether every row that comes from an arm belongs to the result.
    pub fn acceptsAll(program: *const Program) bool {
        const residual = &program.residual;
        return program.arms.len == 1 and program.groups.len == 0 and program.after == null and
            residual.predicates.len == 0 and residual.null_care == 0;
    }

    /// Moves the rows that `accepts` to the front, in their order; returns how many.
    pub fn select(program: *const Program, rows: []predicate.Row) usize {
        var count = program.residual.select(rows);
        if (program.after) |*after| count = after.select(rows[0..count]);
        if (program.groups.len == 0) return count;
        var kept: usize = 0;
        for (rows[0..count]) |row| {
            const accepted = for (program.groups) |*group| {
                if (group.holds(row.image)) break true;
            } else false;
            if (!accepted) continue;
            rows[kept] = row;
            kept += 1;
        }
        return kept;
    }

    /// Whether the search, without offset and limit, finds a row with this image.
    pub fn matches(program: *const Program, image: Image) bool {
        return program.isInArms(image, program.arms.len) and program.accepts(image);
    }

    /// Whether one of the first `count` arms delivers the row.
    pub fn isInArms(program: *const Program, image: Image, count: usize) bool {
        for (program.arms[0..count]) |*arm| {
            if (arm.contains(image)) return true;
        }
        return false;
    }

    /// Whether the image is at `last` or before it in the order of the results.
    pub fn isThrough(program: *const Program, image: Image, last: Image) bool {
        assert(program.order.columns.len > 0);
        return program.order.compare(0, image, last) != .gt;
    }

    /// Where to begin in a range of the walk: behind its end, where the page begins with its key.
    pub fn startIn(program: *const Program, near: []const u64) []const u64 {
        const start = program.walk_start orelse return near;
        return if (key.equal(start[0..near.len], near)) start else near;
    }

    /// Bytes of what is given for a row, or for a group.
    pub fn recordSize(program: *const Program) u32 {
        const aggregate = program.aggregate orelse return program.schema.image_size;
        return aggregate.record_size;
    }

    /// Whether it is one scan of the table.
    pub fn isScan(program: *const Program) bool {
        return program.arms.len == 1 and program.arms[0].kind == .scan;
    }

    /// Rows to find before the window is complete.
    pub fn windowEnd(program: *const Program) u64 {
        return program.offset +| program.limit;
    }
};

const Clauses = struct {
    rest: []const plan_module.Clause,

    /// `Plan.decode` has checked that the counts add up.
    fn take(clauses: *Clauses, count: u32) []const plan_module.Clause {
        defer clauses.rest = clauses.rest[count..];
        return clauses.rest[0..count];
    }
};
