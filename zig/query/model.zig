//! For tests: a table in arrays that serves as a source, a builder of plan bytes, and the meaning
//! of clauses spelled out the slow way, sharing nothing with the compiled predicates but globs.

const std = @import("std");
const key = @import("../row/key.zig");
const executor = @import("executor.zig");
const plan_module = @import("plan.zig");
const schema_module = @import("../row/schema.zig");
const Allocator = std.mem.Allocator;
const Column = schema_module.Column;
const Glob = @import("glob.zig").Glob;
const Image = [*]align(8) const u8;
const Operand = plan_module.Operand;
const Operator = plan_module.Operator;
const Position = plan_module.Position;
const Row = executor.Row;
const Schema = schema_module.Schema;

pub const Model = struct {
    arena: Allocator,
    schema: *const Schema,
    rows: std.ArrayList(Row) = .empty,
    /// Orders equal index keys arbitrarily.
    random: std.Random,
    reads: u64 = 0,
    /// Scans are made by several threads where they can be.
    is_split: bool = false,

    pub const Error = error{OutOfMemory};

    pub const Scan = struct {
        model: *Model,
        at: usize = 0,

        pub fn fill(open: *Scan, rows: []Row) Error!usize {
            const rest = open.model.rows.items[open.at..];
            const count = @min(rest.len, rows.len);
            @memcpy(rows[0..count], rest[0..count]);
            open.at += count;
            open.model.reads += count;
            return count;
        }
    };

    /// Parts of a few rows.
    pub const Split = struct {
        model: *Model,
        taken: std.atomic.Value(usize) = .init(0),

        const size = 5;

        pub fn threadsCount(_: *Split) usize {
            return 2;
        }

        pub fn take(parts: *Split) ?Part {
            const start = parts.taken.fetchAdd(1, .monotonic) * size; // a ticket
            const rows = parts.model.rows.items;
            if (start >= rows.len) return null;
            return .{ .rows = rows[start..@min(start + size, rows.len)] };
        }

        pub const Part = struct {
            rows: []const Row,

            pub fn fill(part: *Part, out: []Row) Error!usize {
                const count = @min(part.rows.len, out.len);
                @memcpy(out[0..count], part.rows[0..count]);
                part.rows = part.rows[count..];
                return count;
            }
        };
    };

    pub fn split(model: *Model) ?Split {
        return if (model.is_split) .{ .model = model } else null;
    }

    pub const Cursor = struct {
        model: *Model,
        column: *const Column,
        direction: executor.Direction,
        rows: []const Row,
        at: usize = 0,

        pub fn fill(cursor: *Cursor, rows: []Row, enough: usize) Error!usize {
            const rest = cursor.rows[cursor.at..];
            const most = @min(rest.len, rows.len);
            var count = @min(most, enough);
            while (count < most and !cursor.isChange(cursor.at + count)) count += 1;
            @memcpy(rows[0..count], rest[0..count]);
            cursor.at += count;
            cursor.model.reads += count;
            return count;
        }

        /// Does not always say so.
        pub fn isAtChange(cursor: *const Cursor) bool {
            return cursor.at % 4 > 0 and cursor.isChange(cursor.at);
        }

        fn isChange(cursor: *const Cursor, at: usize) bool {
            if (at == cursor.rows.len) return true;
            if (at == 0) return true;
            const before = cursor.rows[at - 1].image;
            const image = cursor.rows[at].image;
            if (!cursor.column.isEqual(before, image)) return true;
            const primary = cursor.model.schema.primaryKey();
            const is_tied = key.hasTie(cursor.column, primary);
            if (!is_tied or cursor.direction.ties == .any) return false;
            return key.tieOf(primary, before) != key.tieOf(primary, image);
        }
    };

    pub fn scan(model: *Model) Scan {
        return .{ .model = model };
    }

    pub fn find(model: *Model, key_bytes: []const u8) Error!?Row {
        const column = model.schema.primaryKey();
        for (model.rows.items) |row| {
            if (std.mem.eql(u8, column.bytesIn(row.image), key_bytes)) {
                model.reads += 1;
                return row;
            }
        }
        return null;
    }

    const Keyed = struct { words: []u64, tie: [2]u64, row: Row };

    pub fn seek(
        model: *Model,
        position: u32,
        from: []const u64,
        until: []const u64,
        direction: executor.Direction,
    ) Error!Cursor {
        const column = &model.schema.columns[position];
        std.debug.assert(column.indexed and from.len == key.keyWordsCount(column));
        const primary = model.schema.primaryKey();
        const is_tied = key.hasTie(column, primary) and direction.ties != .any;
        const low = if (direction.backward) until else from;
        const high = if (direction.backward) from else until;
        var keyed: std.ArrayList(Keyed) = .empty;
        for (model.rows.items) |row| {
            const words = try model.arena.alloc(u64, from.len);
            key.encodeKey(column, row.image, words);
            if (key.order(words, low) == .lt or key.order(words, high) == .gt) continue;
            const noise = model.random.int(u32); // what has equal ties comes in any order
            const tie = if (is_tied) key.tieOf(primary, row.image) else 0;
            try keyed.append(model.arena, .{
                .words = words,
                .tie = .{ tie, noise },
                .row = row,
            });
        }
        std.mem.sortUnstable(Keyed, keyed.items, direction, lessKeyed);
        const rows = try model.arena.alloc(Row, keyed.items.len);
        for (keyed.items, rows) |each, *row| row.* = each.row;
        return .{ .model = model, .column = column, .direction = direction, .rows = rows };
    }

    fn lessKeyed(direction: executor.Direction, a: Keyed, b: Keyed) bool {
        return switch (key.order(a.words, b.words)) {
            .eq => key.order(&a.tie, &b.tie) == if (direction.ties == .backward)
                std.math.Order.gt
            else
                .lt,
            .lt => !direction.backward,
            .gt => direction.backward,
        };
    }
};

/// A clause before it is bytes.
pub const TestClause = struct {
    operator: Operator,
    column: u16,
    flags: u8 = 0,
    operands: []const TestOperand = &.{},
};

pub const TestOperand = struct {
    position: Position = .at,
    /// Of text.
    text: []const u8 = "",
    /// Of all other kinds: an integer, or the bits of an f64.
    bits: u64 = 0,
};

pub const TestArm = struct {
    kind: plan_module.ArmKind,
    column: u16 = 0,
    clauses: []const TestClause = &.{},
};

pub const TestPlan = struct {
    arms: []const TestArm = &.{.{ .kind = .scan }},
    residual: []const TestClause = &.{},
    groups: []const []const TestClause = &.{},
    sorts: []const plan_module.Sort = &.{},
    flags: u16 = 0,
    offset: u64 = 0,
    limit: u64 = 0,

    pub fn encode(
        plan: *const TestPlan,
        arena: Allocator,
        schema: *const Schema,
    ) ![]align(8) u8 {
        var writer: Writer = .{ .arena = arena, .schema = schema };
        for (plan.arms) |arm| {
            try writer.appendTo(&writer.head, plan_module.Arm{
                .kind = @intFromEnum(arm.kind),
                .reserved = 0,
                .column = arm.column,
                .clause_count = @intCast(arm.clauses.len),
            });
            for (arm.clauses) |clause| try writer.append(clause);
        }
        for (plan.residual) |clause| try writer.append(clause);
        for (plan.groups) |group| {
            try writer.appendTo(&writer.head, plan_module.Group{
                .clause_count = @intCast(group.len),
                .reserved = 0,
            });
            for (group) |clause| try writer.append(clause);
        }
        for (plan.sorts) |sort| try writer.appendTo(&writer.head, sort);
        const header: plan_module.Header = .{
            .magic = plan_module.magic,
            .version = plan_module.version,
            .flags = plan.flags,
            .size = @intCast(@sizeOf(plan_module.Header) + writer.head.items.len +
                writer.clauses.items.len + writer.operands.items.len + writer.text.items.len),
            .image_size = schema.image_size,
            .column_count = schema.column_count,
            .arm_count = @intCast(plan.arms.len),
            .group_count = @intCast(plan.groups.len),
            .sort_count = @intCast(plan.sorts.len),
            .clause_count = @intCast(writer.clauses.items.len / @sizeOf(plan_module.Clause)),
            .residual_count = @intCast(plan.residual.len),
            .operand_count = @intCast(writer.operands.items.len / @sizeOf(Operand)),
            .text_size = @intCast(writer.text.items.len),
            .offset = plan.offset,
            .limit = plan.limit,
            .projection = 0,
        };
        const bytes = try arena.alignedAlloc(u8, .@"8", header.size);
        @memcpy(bytes[0..@sizeOf(plan_module.Header)], std.mem.asBytes(&header));
        var at: usize = @sizeOf(plan_module.Header);
        for ([_][]const u8{
            writer.head.items,
            writer.clauses.items,
            writer.operands.items,
            writer.text.items,
        }) |section| {
            @memcpy(bytes[at..][0..section.len], section);
            at += section.len;
        }
        return bytes;
    }

    const Writer = struct {
        arena: Allocator,
        schema: *const Schema,
        /// Arms, then groups, then sorts.
        head: std.ArrayList(u8) = .empty,
        clauses: std.ArrayList(u8) = .empty,
        operands: std.ArrayList(u8) = .empty,
        text: std.ArrayList(u8) = .empty,

        fn appendTo(writer: *Writer, section: *std.ArrayList(u8), record: anytype) !void {
            try section.appendSlice(writer.arena, std.mem.asBytes(&record));
        }

        fn append(writer: *Writer, clause: TestClause) !void {
            try writer.appendTo(&writer.clauses, plan_module.Clause{
                .operator = @intFromEnum(clause.operator),
                .flags = clause.flags,
                .column = clause.column,
                .operand_first = @intCast(writer.operands.items.len / @sizeOf(Operand)),
                .operand_count = @intCast(clause.operands.len),
                .reserved = 0,
            });
            const is_text = writer.schema.columns[clause.column].kind.isText();
            for (clause.operands) |operand| {
                try writer.appendTo(&writer.operands, Operand{
                    .position = @intFromEnum(operand.position),
                    .reserved = @splat(0),
                    .size = @intCast(operand.text.len),
                    .value = if (is_text) writer.text.items.len else operand.bits,
                });
                try writer.text.appendSlice(writer.arena, operand.text);
            }
        }
    };
};

/// Whether a row is in the result, apart from the window.
pub fn holds(
    plan: *const TestPlan,
    schema: *const Schema,
    arena: Allocator,
    image: Image,
) error{OutOfMemory}!bool {
    for (plan.residual) |clause| {
        if (!try clauseHolds(clause, schema, arena, image)) return false;
    }
    var in_group = plan.groups.len == 0;
    for (plan.groups) |group| {
        const all = for (group) |clause| {
            if (!try clauseHolds(clause, schema, arena, image)) break false;
        } else true;
        in_group = in_group or all;
    }
    if (!in_group) return false;
    for (plan.arms) |arm| {
        if (arm.kind == .scan) return true;
        for (arm.clauses) |clause| {
            if (try clauseHolds(clause, schema, arena, image)) return true;
        }
    }
    return false;
}

fn clauseHolds(
    clause: TestClause,
    schema: *const Schema,
    arena: Allocator,
    image: Image,
) error{OutOfMemory}!bool {
    const column = &schema.columns[clause.column];
    const is_null = column.isNull(image);
    switch (clause.operator) {
        .null => return is_null,
        .not_null => return !is_null,
        else => if (is_null) return false,
    }
    const operands = clause.operands;
    switch (clause.operator) {
        .null, .not_null => unreachable, // answered above
        .equal => return orderOf(column, image, operands[0]) == .eq,
        .differ => return orderOf(column, image, operands[0]) != .eq,
        .member => for (operands) |operand| {
            if (orderOf(column, image, operand) == .eq) return true;
        } else return false,
        .between => {
            if (clause.flags & plan_module.clause_has_low != 0) {
                const order = orderOf(column, image, operands[0]);
                const inclusive = clause.flags & plan_module.clause_low_inclusive != 0;
                if (order == .lt or (order == .eq and !inclusive)) return false;
            }
            if (clause.flags & plan_module.clause_has_high != 0) {
                const order = orderOf(column, image, operands[operands.len - 1]);
                const inclusive = clause.flags & plan_module.clause_high_inclusive != 0;
                if (order == .gt or (order == .eq and !inclusive)) return false;
            }
            return true;
        },
        .like, .unlike => {
            const fold = clause.flags & plan_module.clause_fold != 0;
            const glob = try Glob.compile(arena, operands[0].text, fold);
            return glob.matches(column.text(image)) == (clause.operator == .like);
        },
    }
}

/// The order of the row's value and the operand, by mathematical value.
fn orderOf(column: *const Column, image: Image, operand: TestOperand) std.math.Order {
    if (operand.position == .below_all) return .gt;
    const order = switch (column.kind) {
        .string, .bytes => std.mem.order(u8, column.text(image), operand.text),
        .f32 => std.math.order(
            @as(f64, column.value(.f32, image)),
            @as(f64, @bitCast(operand.bits)),
        ),
        .f64 => std.math.order(column.value(.f64, image), @as(f64, @bitCast(operand.bits))),
        inline .i8, .i16, .i32, .i64, .decimal, .timestamp => |kind| std.math.order(
            @as(i64, column.value(kind, image)),
            @as(i64, @bitCast(operand.bits)),
        ),
        inline else => |kind| std.math.order(@as(u64, column.value(kind, image)), operand.bits),
    };
    if (operand.position == .above and order == .eq) return .lt;
    return order;
}

/// The order of two rows by the plan's sort columns, then by primary key.
pub fn compareRows(
    plan: *const TestPlan,
    schema: *const Schema,
    a: Image,
    b: Image,
) std.math.Order {
    for (plan.sorts) |sort| {
        const order = compareColumn(&schema.columns[sort.column], a, b);
        if (order == .eq) continue;
        return if (sort.flags & plan_module.sort_descending != 0) order.invert() else order;
    }
    const order = compareColumn(schema.primaryKey(), a, b);
    const descending = plan.flags & plan_module.flag_key_descending != 0;
    return if (descending) order.invert() else order;
}

fn compareColumn(column: *const Column, a: Image, b: Image) std.math.Order {
    var a_words: [key.words_max]u64 = undefined;
    var b_words: [key.words_max]u64 = undefined;
    const count = key.keyWordsCount(column);
    key.encodeKey(column, a, &a_words);
    key.encodeKey(column, b, &b_words);
    return key.order(a_words[0..count], b_words[0..count]);
}
