//! The bytes of a plan: the form in which TypeScript hands a search to the engine. The byte format
//! is specified in `docs/internals/query.md`; this file is its Zig side and nothing more.
//!
//! **Invariants.** A `Plan` from `decode` has sections that fill its bytes exactly, clause counts
//! that add up, no unknown flag or code, and zero in every reserved byte. What the columns mean is
//! checked where clauses are compiled (`program.zig`), which knows the schema.
//!
//! **Concurrency.** A view, immutable.
//!
//! **Memory.** A `Plan` borrows the bytes that it was decoded from.

const std = @import("std");
const assert = std.debug.assert;

pub const magic: u32 = 0x5051_4541;
pub const version: u16 = 2;
pub const size_max = 64 * 1024 * 1024;
pub const arms_max = 64;
pub const guards_max = 8;
pub const groups_max = std.math.maxInt(@FieldType(Header, "group_count"));
pub const pattern_size_max = 4_096;

pub const flag_count_only: u16 = 1;
/// The only arm delivers rows in the order of the first sort column.
pub const flag_walk: u16 = 2;
/// Rows that are equal in all sort columns come in descending order of the primary key.
pub const flag_key_descending: u16 = 4;
/// The projection includes the primary key, which has no bit in `projection`.
pub const flag_project_key: u16 = 8;
/// The caller wants to know where the time goes.
pub const flag_measured: u16 = 16;

pub const Header = extern struct {
    magic: u32,
    version: u16,
    flags: u16,
    /// Bytes of the whole plan.
    size: u32,
    /// Must be those of the schema that the plan is executed with.
    image_size: u32,
    column_count: u16,
    arm_count: u16,
    group_count: u16,
    sort_count: u16,
    /// All clauses: of the arms in order, then `residual_count`, then of the groups in order.
    clause_count: u32,
    residual_count: u32,
    operand_count: u32,
    text_size: u32,
    offset: u64,
    /// 0 is no limit.
    limit: u64,
    /// Columns that the caller will look at; the engine does not read it.
    projection: u64,
    guard_count: u16 = 0,
    after_count: u16 = 0,
    /// Of an aggregation: parts of the key of a group, and values to give of each group.
    key_count: u16 = 0,
    select_count: u16 = 0,
    reserved: [8]u8 = @splat(0),

    comptime {
        assert(@sizeOf(Header) == 80);
        assert(@offsetOf(Header, "clause_count") == 24);
        assert(@offsetOf(Header, "offset") == 40);
        assert(std.mem.eql(u8, std.mem.asBytes(&magic), "AEQP"));
    }
};

pub const ArmKind = enum(u8) {
    /// Every row; no clause.
    scan = 1,
    /// Rows by primary key; clauses are points.
    key = 2,
    /// Ranges of the column's index.
    index = 3,
};

/// One source of rows. Its rows are the union of what its clauses select.
pub const Arm = extern struct {
    kind: u8,
    reserved: u8,
    column: u16,
    clause_count: u32,
};

/// One alternative of `-or`: the AND of its clauses.
pub const Group = extern struct {
    clause_count: u32,
    reserved: u32,
};

pub const Sort = extern struct {
    column: u16,
    flags: u16,
    reserved: u32,
};

pub const sort_descending: u16 = 1;

pub const GroupKeyKind = enum(u8) {
    column = 1,
    /// Values from a multiple of `size` up to the next.
    bucket = 2,
    /// Squares of `size` degrees of two columns.
    cell = 3,
};

pub const GroupKey = extern struct {
    kind: u8,
    reserved: u8,
    column: u16,
    second: u16,
    reserved_second: u16,
    /// An i64 in units of the column, or an f64.
    size: u64,
};

pub const Function = enum(u8) {
    /// Rows.
    rows = 1,
    /// Values that are not null; likewise all others.
    count = 2,
    sum = 3,
    min = 4,
    max = 5,
    distinct = 6,
    quantile = 7,
};

pub const Select = extern struct {
    function: u8,
    reserved: u8,
    column: u16,
    reserved_second: u32,
    /// Of a quantile, from 0 to 1: an f64.
    parameter: u64,
};

pub const group_keys_max = 16;
pub const selects_max = 64;

/// A column of the order, and its value in the row after which the page begins. The last one is the
/// primary key.
pub const After = extern struct {
    column: u16,
    flags: u16,
    operand: u32,
};

pub const after_descending: u16 = 1;
/// The row has null here; the operand is not read.
pub const after_null: u16 = 2;

/// For how many rows of a clause the plan was chosen: with another number, another plan may be
/// better, and this one is not run.
pub const Guard = extern struct {
    /// Index in all clauses; the clause is one that an index can answer.
    clause: u32,
    reserved: u32,
    /// Rows, both included.
    low: u64,
    high: u64,
};

pub const Operator = enum(u8) {
    equal = 1,
    differ = 2,
    /// Between two operands, low then high; `has_low` and `has_high` say which are there.
    between = 3,
    member = 4,
    null = 5,
    not_null = 6,
    like = 7,
    unlike = 8,
};

pub const clause_has_low: u8 = 1;
pub const clause_has_high: u8 = 2;
pub const clause_low_inclusive: u8 = 4;
pub const clause_high_inclusive: u8 = 8;
/// The pattern is compared with ASCII letters folded.
pub const clause_fold: u8 = 16;

pub const Clause = extern struct {
    operator: u8,
    flags: u8,
    column: u16,
    operand_first: u32,
    operand_count: u32,
    reserved: u32,
};

/// Where a value lies in the order of a column's possible values.
pub const Position = enum(u8) {
    /// Exactly at the operand.
    at = 0,
    /// Between the operand and the next possible value of the column, equal to neither.
    above = 1,
    /// Below every possible value of the column; the operand's value is not read.
    below_all = 2,
};

pub const Operand = extern struct {
    position: u8,
    reserved: [3]u8,
    /// Bytes of text; 0 for other kinds.
    size: u32,
    /// The value's bits: i64 for signed kinds, u64 for unsigned ones, bool and enum, f64 for
    /// floats; for text the offset of its bytes in the text section.
    value: u64,
};

comptime {
    assert(@sizeOf(Arm) == 8);
    assert(@sizeOf(Group) == 8);
    assert(@sizeOf(Sort) == 8);
    assert(@sizeOf(Guard) == 24);
    assert(@sizeOf(After) == 8);
    assert(@sizeOf(GroupKey) == 16);
    assert(@sizeOf(Select) == 16);
    assert(@sizeOf(Clause) == 16);
    assert(@sizeOf(Operand) == 16);
    assert(@offsetOf(Operand, "value") == 8);
}

pub const DecodeError = error{
    /// The bytes are not a plan of this version, or do not fit the schema.
    InvalidPlan,
};

pub const Plan = struct {
    header: *const Header,
    arms: []const Arm,
    groups: []const Group,
    sorts: []const Sort,
    guards: []const Guard,
    afters: []const After,
    keys: []const GroupKey,
    selects: []const Select,
    clauses: []const Clause,
    operands: []const Operand,
    text: []const u8,

    /// Checks the frame; `bytes` are input.
    pub fn decode(bytes: []align(8) const u8) DecodeError!Plan {
        if (bytes.len < @sizeOf(Header) or bytes.len > size_max) return error.InvalidPlan;
        const header: *const Header = @ptrCast(bytes);
        if (header.magic != magic or header.version != version) return error.InvalidPlan;
        if (header.size != bytes.len) return error.InvalidPlan;
        const flags_known = flag_count_only | flag_walk | flag_key_descending |
            flag_project_key | flag_measured;
        if (header.flags & ~flags_known != 0) return error.InvalidPlan;
        if (header.arm_count > arms_max) return error.InvalidPlan;
        if (header.guard_count > guards_max) return error.InvalidPlan;
        if (!std.mem.allEqual(u8, &header.reserved, 0)) return error.InvalidPlan;

        var sections: Sections = .{ .bytes = bytes, .at = @sizeOf(Header) };
        const plan: Plan = .{
            .header = header,
            .arms = try sections.take(Arm, header.arm_count),
            .groups = try sections.take(Group, header.group_count),
            .sorts = try sections.take(Sort, header.sort_count),
            .guards = try sections.take(Guard, header.guard_count),
            .afters = try sections.take(After, header.after_count),
            .keys = try sections.take(GroupKey, header.key_count),
            .selects = try sections.take(Select, header.select_count),
            .clauses = try sections.take(Clause, header.clause_count),
            .operands = try sections.take(Operand, header.operand_count),
            .text = try sections.take(u8, header.text_size),
        };
        if (sections.at != bytes.len) return error.InvalidPlan;
        try plan.check();
        return plan;
    }

    fn check(plan: *const Plan) DecodeError!void {
        var clause_count: u64 = plan.header.residual_count;
        for (plan.arms) |arm| {
            _ = std.enums.fromInt(ArmKind, arm.kind) orelse return error.InvalidPlan;
            if (arm.reserved != 0) return error.InvalidPlan;
            clause_count += arm.clause_count;
        }
        for (plan.groups) |group| {
            if (group.reserved != 0) return error.InvalidPlan;
            clause_count += group.clause_count;
        }
        if (clause_count != plan.clauses.len) return error.InvalidPlan;
        for (plan.sorts) |sort| {
            if (sort.flags & ~sort_descending != 0) return error.InvalidPlan;
            if (sort.reserved != 0) return error.InvalidPlan;
        }
        for (plan.guards) |guard| {
            if (guard.reserved != 0) return error.InvalidPlan;
            if (guard.clause >= plan.clauses.len) return error.InvalidPlan;
        }
        for (plan.afters) |after| {
            if (after.flags & ~(after_descending | after_null) != 0) return error.InvalidPlan;
            if (after.operand >= plan.operands.len) return error.InvalidPlan;
        }
        if (plan.keys.len > group_keys_max or plan.selects.len > selects_max) {
            return error.InvalidPlan;
        }
        for (plan.keys) |key| {
            if (key.reserved != 0 or key.reserved_second != 0) return error.InvalidPlan;
        }
        for (plan.selects) |select| {
            if (select.reserved != 0 or select.reserved_second != 0) return error.InvalidPlan;
        }
        for (plan.clauses) |*clause| try plan.checkClause(clause);
        for (plan.operands) |operand| {
            _ = std.enums.fromInt(Position, operand.position) orelse return error.InvalidPlan;
            if (!std.mem.allEqual(u8, &operand.reserved, 0)) return error.InvalidPlan;
        }
    }

    fn checkClause(plan: *const Plan, clause: *const Clause) DecodeError!void {
        const operator = std.enums.fromInt(Operator, clause.operator) orelse
            return error.InvalidPlan;
        if (clause.reserved != 0) return error.InvalidPlan;
        if (clause.operand_first > plan.operands.len) return error.InvalidPlan;
        if (clause.operand_count > plan.operands.len - clause.operand_first) {
            return error.InvalidPlan;
        }
        const has_both = clause_has_low | clause_has_high;
        const inclusive_both = clause_low_inclusive | clause_high_inclusive;
        const flags_known: u8 = switch (operator) {
            .between => has_both | inclusive_both,
            .like, .unlike => clause_fold,
            .equal, .differ, .member, .null, .not_null => 0,
        };
        if (clause.flags & ~flags_known != 0) return error.InvalidPlan;
        const count: u32 = switch (operator) {
            .equal, .differ, .like, .unlike => 1,
            .between => @popCount(clause.flags & has_both),
            .null, .not_null => 0,
            .member => clause.operand_count,
        };
        if (clause.operand_count != count) return error.InvalidPlan;
    }

    pub fn operandsOf(plan: *const Plan, clause: *const Clause) []const Operand {
        return plan.operands[clause.operand_first..][0..clause.operand_count];
    }

    /// The bytes of a text operand, at most `size_limit` of them.
    pub fn textOf(
        plan: *const Plan,
        operand: *const Operand,
        size_limit: u32,
    ) DecodeError![]const u8 {
        if (operand.size > size_limit) return error.InvalidPlan;
        if (operand.value > plan.text.len) return error.InvalidPlan;
        if (operand.size > plan.text.len - operand.value) return error.InvalidPlan;
        return plan.text[@intCast(operand.value)..][0..operand.size];
    }
};

/// Cuts the bytes behind the header into sections, each a multiple of 8 except the last.
const Sections = struct {
    bytes: []align(8) const u8,
    at: usize,

    fn take(sections: *Sections, comptime T: type, count: u32) DecodeError![]const T {
        const size = @as(usize, count) * @sizeOf(T);
        if (size > sections.bytes.len - sections.at) return error.InvalidPlan;
        const section: []align(@alignOf(T)) const u8 =
            @alignCast(sections.bytes[sections.at..][0..size]);
        sections.at += size;
        return std.mem.bytesAsSlice(T, section);
    }
};

const testing = std.testing;

test "plan: a frame that does not add up is refused" {
    const Smallest = extern struct { header: Header, arm: Arm };
    const smallest: Smallest align(8) = .{
        .header = std.mem.zeroInit(Header, .{
            .magic = magic,
            .version = version,
            .size = @sizeOf(Smallest),
            .image_size = 64,
            .column_count = 3,
            .arm_count = 1,
        }),
        .arm = std.mem.zeroInit(Arm, .{ .kind = @intFromEnum(ArmKind.scan) }),
    };
    const bytes = std.mem.asBytes(&smallest);
    _ = try Plan.decode(bytes);
    for (0..bytes.len) |size| {
        try testing.expectError(error.InvalidPlan, Plan.decode(bytes[0..size]));
    }
    const significant = [_]usize{
        0,  4,  7,  8,  18, 19, 20, 22, 24, 28, 32, 36,
        64, 66, 68, 70, 72, 80, 81, 84,
    };
    for (significant) |at| {
        var broken: [bytes.len]u8 align(8) = bytes.*;
        broken[at] +%= 17;
        try testing.expectError(error.InvalidPlan, Plan.decode(&broken));
    }
}
