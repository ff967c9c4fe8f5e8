//! Differential tests of execution: random schemas, rows and plans over the model source, every
//! route, against the meaning spelled out in `model.zig`. A failure prints the seed to run again.

const std = @import("std");
const executor = @import("executor.zig");
const model_module = @import("model.zig");
const plan_module = @import("plan.zig");
const schema_module = @import("../row/schema.zig");
const Allocator = std.mem.Allocator;
const Column = schema_module.Column;
const Image = [*]align(8) const u8;
const Kind = schema_module.Kind;
const Model = model_module.Model;
const Program = executor.Program;
const Row = executor.Row;
const Schema = schema_module.Schema;
const TestArm = model_module.TestArm;
const TestClause = model_module.TestClause;
const TestOperand = model_module.TestOperand;
const TestPlan = model_module.TestPlan;
const Execution = executor.Executor(Model);
const testing = std.testing;

/// Draws schemas, rows and plans from small domains, so that values collide.
const Generator = struct {
    arena: Allocator,
    random: std.Random,

    fn schema(generator: Generator) !*const Schema {
        const random = generator.random;
        var columns: [6]schema_module.TestColumn = undefined;
        const count = random.intRangeAtMost(usize, 1, columns.len);
        for (columns[0..count], 0..) |*column, position| {
            var kind = random.enumValue(Kind);
            while (position == 0 and (kind.isFloat() or kind == .bool)) {
                kind = random.enumValue(Kind);
            }
            column.* = .{
                .kind = kind,
                .nullable = position > 0 and random.boolean(),
                .indexed = random.uintLessThan(u8, 3) > 0,
                .limit = if (kind.isText())
                    random.intRangeAtMost(u32, 1, if (random.boolean()) 9 else 14)
                else if (kind == .@"enum") 5 else 0,
            };
        }
        var buffer: [512]u8 = undefined;
        const out = try generator.arena.create(Schema);
        out.* = try Schema.decode(schema_module.encodeForTest(columns[0..count], &buffer));
        return out;
    }

    /// An operand that the column can hold; also the bits of the values in rows.
    fn operand(generator: Generator, column: *const Column) !TestOperand {
        const random = generator.random;
        const small = random.uintLessThan(u64, 5);
        return switch (column.kind) {
            .string, .bytes => text: {
                // Where there is room, some are longer than the tie of an index.
                const start: u32 = if (column.limit > 10 and random.boolean()) 7 else 0;
                const size = random.uintAtMost(u32, @min(3, column.limit));
                const text = try generator.arena.alloc(u8, start + size);
                @memset(text[0..start], 'a');
                for (text[start..]) |*byte| byte.* = "aAb\x00"[random.uintLessThan(usize, 4)];
                break :text .{ .text = text };
            },
            .bool => .{ .bits = small & 1 },
            .@"enum" => .{ .bits = small },
            .f32, .f64 => .{ .bits = @bitCast(@as(f64, switch (small) {
                0 => -std.math.inf(f64),
                1 => std.math.inf(f64),
                else => @as(f64, @floatFromInt(small)) - 3.5,
            })) },
            inline else => |kind| integer: {
                const Value = Kind.Value(kind);
                const value: Value = switch (small) {
                    0 => std.math.minInt(Value),
                    1 => std.math.maxInt(Value),
                    else => @intCast(small),
                };
                const wide = if (@typeInfo(Value).int.signedness == .signed)
                    @as(u64, @bitCast(@as(i64, value)))
                else
                    @as(u64, value);
                break :integer .{ .bits = wide };
            },
        };
    }

    fn image(generator: Generator, of: *const Schema) !Image {
        const bytes = try generator.arena.alignedAlloc(u8, .@"8", of.image_size);
        @memset(bytes, 0);
        var nulls: u64 = 0;
        for (of.columns[0..of.column_count]) |*column| {
            if (column.nullable and generator.random.uintLessThan(u8, 4) == 0) {
                nulls |= column.mask();
                continue;
            }
            const value = try generator.operand(column);
            const out = bytes[column.offset..][0..column.size];
            if (column.kind.isText()) {
                out[0] = @intCast(value.text.len);
                @memcpy(out[2..][0..value.text.len], value.text);
            } else if (column.kind == .f32) {
                const narrow: f32 = @floatCast(@as(f64, @bitCast(value.bits)));
                @memcpy(out, std.mem.asBytes(&narrow));
            } else {
                @memcpy(out, std.mem.asBytes(&value.bits)[0..column.size]);
            }
        }
        std.mem.writeInt(u64, bytes[0..8], nulls, .little);
        return bytes.ptr;
    }

    /// Adds rows with primary keys not yet there.
    fn fill(generator: Generator, model: *Model, count_max: u32) !void {
        for (0..generator.random.uintAtMost(u32, count_max)) |_| {
            const drawn = try generator.image(model.schema);
            const key_bytes = model.schema.primaryKey().bytesIn(drawn);
            if (try model.find(key_bytes) != null) continue;
            const slot: u32 = @intCast(model.rows.items.len);
            try model.rows.append(model.arena, .{ .slot = slot, .image = drawn });
        }
    }

    fn clause(generator: Generator, of: *const Schema, position: u16) !TestClause {
        const random = generator.random;
        const column = &of.columns[position];
        var operator = random.enumValue(plan_module.Operator);
        while (column.kind != .string and (operator == .like or operator == .unlike)) {
            operator = random.enumValue(plan_module.Operator);
        }
        var flags: u8 = 0;
        if (operator == .between) flags = random.int(u4);
        if (operator == .like or operator == .unlike) {
            flags = if (random.boolean()) plan_module.clause_fold else 0;
        }
        const ends_both = plan_module.clause_has_low | plan_module.clause_has_high;
        const count: usize = switch (operator) {
            .equal, .differ, .like, .unlike => 1,
            .between => @popCount(flags & ends_both),
            .null, .not_null => 0,
            .member => random.uintAtMost(usize, 12),
        };
        const operands = try generator.arena.alloc(TestOperand, count);
        for (operands) |*each| {
            each.* = try generator.operand(column);
            if (operator == .like or operator == .unlike) {
                const patterns = [_][]const u8{ "", "*", "a*", "*a", "*a*", "?b*", "[ab]*", "a" };
                each.text = patterns[random.uintLessThan(usize, patterns.len)];
            } else if (random.uintLessThan(u8, 6) == 0) {
                each.position = random.enumValue(plan_module.Position);
            }
        }
        return .{ .operator = operator, .column = position, .flags = flags, .operands = operands };
    }

    fn clauses(generator: Generator, of: *const Schema, count_max: u32) ![]const TestClause {
        const random = generator.random;
        const out = try generator.arena.alloc(TestClause, random.uintAtMost(u32, count_max));
        for (out) |*each| {
            each.* = try generator.clause(of, random.uintLessThan(u16, of.column_count));
        }
        return out;
    }

    fn arm(generator: Generator, of: *const Schema) !TestArm {
        const random = generator.random;
        const position = random.uintLessThan(u16, of.column_count);
        const by_key = position == 0 and random.boolean();
        if (!by_key and !of.columns[position].indexed) return .{ .kind = .scan };
        const out = try generator.arena.alloc(TestClause, random.uintAtMost(u32, 3));
        for (out) |*each| {
            while (true) {
                each.* = try generator.clause(of, position);
                switch (each.operator) {
                    .differ, .like, .unlike => continue,
                    .between, .null, .not_null => if (by_key) continue,
                    .equal, .member => {},
                }
                break;
            }
        }
        return .{ .kind = if (by_key) .key else .index, .column = position, .clauses = out };
    }

    fn plan(generator: Generator, of: *const Schema) !TestPlan {
        const random = generator.random;
        const arms = try generator.arena.alloc(TestArm, random.intRangeAtMost(usize, 1, 3));
        for (arms) |*each| each.* = try generator.arm(of);
        const groups = try generator.arena.alloc([]const TestClause, random.uintAtMost(usize, 2));
        for (groups) |*each| each.* = try generator.clauses(of, 2);
        const sorts = try generator.arena.alloc(plan_module.Sort, random.uintAtMost(usize, 2));
        for (sorts) |*each| each.* = .{
            .column = random.uintLessThan(u16, of.column_count),
            .flags = random.int(u1),
            .reserved = 0,
        };
        var out: TestPlan = .{
            .arms = arms,
            .residual = try generator.clauses(of, 2),
            .groups = groups,
            .sorts = sorts,
            .offset = if (random.boolean()) random.uintAtMost(u64, 4) else 0,
            .limit = if (random.boolean()) random.uintAtMost(u64, 6) else 0,
        };
        if (random.boolean()) out.flags |= plan_module.flag_key_descending;
        if (random.boolean() and sorts.len > 0 and arms[0].kind != .scan) {
            out.arms = arms[0..1];
            sorts[0].column = arms[0].column;
            out.flags |= plan_module.flag_walk;
        }
        return out;
    }
};

const Expected = struct {
    plan: *const TestPlan,
    schema: *const Schema,

    fn less(expected: Expected, a: Row, b: Row) bool {
        return model_module.compareRows(expected.plan, expected.schema, a.image, b.image) == .lt;
    }
};

/// All rows that the search finds, in order, before the window.
fn expectedRows(arena: Allocator, model: *Model, plan: *const TestPlan) ![]Row {
    var rows: std.ArrayList(Row) = .empty;
    for (model.rows.items) |row| {
        if (try model_module.holds(plan, model.schema, arena, row.image)) {
            try rows.append(arena, row);
        }
    }
    const context: Expected = .{ .plan = plan, .schema = model.schema };
    std.mem.sortUnstable(Row, rows.items, context, Expected.less);
    return rows.items;
}

fn windowOf(plan: *const TestPlan, rows: []Row) []Row {
    const start = @min(plan.offset, rows.len);
    const rest = rows[@intCast(start)..];
    return if (plan.limit == 0) rest else rest[0..@intCast(@min(plan.limit, rest.len))];
}

/// Runs in batches of random size; gives the rows' images, copied.
fn run(generator: Generator, execution: *Execution, image_size: u32) ![]const []const u8 {
    var images: std.ArrayList([]const u8) = .empty;
    while (true) {
        const rows_max = generator.random.intRangeAtMost(usize, 1, 5);
        const buffer = try generator.arena.alloc(u8, rows_max * image_size + 3);
        const batch = try execution.next(buffer);
        for (0..batch.rows) |index| {
            try images.append(generator.arena, buffer[index * image_size ..][0..image_size]);
        }
        if (batch.done) return images.items;
        try testing.expect(batch.rows == rows_max);
    }
}

fn expectImages(expected: []const Row, found: []const []const u8, image_size: u32) !void {
    try testing.expectEqual(expected.len, found.len);
    for (expected, found) |row, image| {
        try testing.expectEqualSlices(u8, row.image[0..image_size], image);
    }
}

/// Without an order any rows may be in the window: they must match and be distinct.
fn expectSomeOf(all: []const Row, count: usize, found: []const []const u8, size: u32) !void {
    try testing.expectEqual(count, found.len);
    for (found, 0..) |image, index| {
        for (found[0..index]) |other| try testing.expect(!std.mem.eql(u8, image, other));
        const known = for (all) |row| {
            if (std.mem.eql(u8, row.image[0..size], image)) break true;
        } else false;
        try testing.expect(known);
    }
}

fn checkSeed(seed: u64) !void {
    var arena_state: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena_state.deinit();
    var random_state = std.Random.DefaultPrng.init(seed);
    const generator: Generator = .{
        .arena = arena_state.allocator(),
        .random = random_state.random(),
    };
    const arena = generator.arena;
    const schema = try generator.schema();
    const size = schema.image_size;
    var model: Model = .{ .arena = arena, .schema = schema, .random = generator.random };
    try generator.fill(&model, 40);
    model.is_split = seed % 8 == 0;

    var plan = try generator.plan(schema);
    const all = try expectedRows(arena, &model, &plan);
    const expected = windowOf(&plan, all);
    var program = try Program.init(testing.allocator, schema, try plan.encode(arena, schema));
    defer program.deinit();
    var room: executor.Room = undefined;
    var execution: Execution = .init(testing.allocator, &model, &program, &room);
    defer execution.deinit();
    const found = try run(generator, &execution, size);
    try testing.expectEqual(found.len, execution.returned);
    if (plan.sorts.len > 0) {
        try expectImages(expected, found, size);
    } else {
        try expectSomeOf(all, expected.len, found, size);
    }
    for (model.rows.items) |row| {
        const held = try model_module.holds(&plan, schema, arena, row.image);
        try testing.expectEqual(held, program.matches(row.image));
    }

    plan.flags |= plan_module.flag_count_only;
    var counting = try Program.init(testing.allocator, schema, try plan.encode(arena, schema));
    defer counting.deinit();
    var counter_room: executor.Room = undefined;
    var counter: Execution = .init(testing.allocator, &model, &counting, &counter_room);
    defer counter.deinit();
    const batch = try counter.next(&.{});
    try testing.expect(batch.done and batch.rows == 0);
    try testing.expectEqual(expected.len, counter.returned);

    try checkBoundary(generator, &model, &program, &execution, found);
}

/// What the boundary leaves out does not change the result.
fn checkBoundary(
    generator: Generator,
    model: *Model,
    program: *const Program,
    execution: *const Execution,
    found: []const []const u8,
) !void {
    const boundary = execution.boundary();
    if (program.order.columns.len == 0) return;
    var grown: Model = model.*;
    grown.rows = try model.rows.clone(model.arena);
    for (0..8) |_| {
        const image = try generator.image(model.schema);
        const key_bytes = model.schema.primaryKey().bytesIn(image);
        if (try grown.find(key_bytes) != null) continue;
        const matters = program.matches(image) and switch (boundary) {
            .everything => true,
            .through => |last| program.isThrough(image, last.image),
            .returned => false,
        };
        if (matters) continue;
        const slot: u32 = @intCast(grown.rows.items.len);
        try grown.rows.append(grown.arena, .{ .slot = slot, .image = image });
    }
    var room: executor.Room = undefined;
    var again: Execution = .init(testing.allocator, &grown, program, &room);
    defer again.deinit();
    const repeated = try run(generator, &again, model.schema.image_size);
    try testing.expectEqual(found.len, repeated.len);
    for (found, repeated) |a, b| try testing.expectEqualSlices(u8, a, b);
}

test "executor: random plans over every route agree with the model" {
    for (0..6_000) |seed| {
        checkSeed(seed) catch |failure| {
            std.debug.print("seed {d}\n", .{seed});
            return failure;
        };
    }
}

test "executor: damaged plan bytes are refused or run, never trusted" {
    for (0..6_000) |seed| {
        var arena_state: std.heap.ArenaAllocator = .init(testing.allocator);
        defer arena_state.deinit();
        var random_state = std.Random.DefaultPrng.init(seed);
        const random = random_state.random();
        const generator: Generator = .{ .arena = arena_state.allocator(), .random = random };
        const schema = try generator.schema();
        var model: Model = .{ .arena = generator.arena, .schema = schema, .random = random };
        try generator.fill(&model, 10);
        const bytes = try (try generator.plan(schema)).encode(generator.arena, schema);
        for (0..random.intRangeAtMost(u32, 1, 3)) |_| {
            bytes[random.uintLessThan(usize, bytes.len)] = switch (random.uintLessThan(u8, 3)) {
                0 => random.int(u8),
                1 => random.uintLessThan(u8, 6),
                else => 0xff,
            };
        }
        var program = Program.init(testing.allocator, schema, bytes) catch |failure| {
            switch (failure) {
                error.InvalidPlan => continue,
                error.OutOfMemory => return failure,
            }
        };
        defer program.deinit();
        var room: executor.Room = undefined;
        var execution: Execution = .init(testing.allocator, &model, &program, &room);
        defer execution.deinit();
        if (!program.count_only) _ = try run(generator, &execution, schema.image_size);
        for (model.rows.items) |row| _ = program.matches(row.image);
    }
}

/// A table of `rows_count` rows: key u32, unique u32 the same, and u8 with 10 rows a value.
fn countingModel(arena: Allocator, random: std.Random, rows_count: u32) !Model {
    var buffer: [256]u8 = undefined;
    const schema = try arena.create(Schema);
    schema.* = try Schema.decode(schema_module.encodeForTest(&.{
        .{ .kind = .u32 },
        .{ .kind = .u32, .indexed = true, .unique = true },
        .{ .kind = .u8, .indexed = true },
    }, &buffer));
    var model: Model = .{ .arena = arena, .schema = schema, .random = random };
    for (0..rows_count) |index| {
        const bytes = try arena.alignedAlloc(u8, .@"8", schema.image_size);
        @memset(bytes, 0);
        std.mem.writeInt(u32, bytes[schema.columns[0].offset..][0..4], @intCast(index), .little);
        std.mem.writeInt(u32, bytes[schema.columns[1].offset..][0..4], @intCast(index), .little);
        bytes[schema.columns[2].offset] = @intCast(index / 10);
        try model.rows.append(arena, .{ .slot = @intCast(index), .image = bytes.ptr });
    }
    return model;
}

test "executor: a limited walk reads what its window needs and no more" {
    var arena_state: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena_state.deinit();
    const arena = arena_state.allocator();
    var random_state = std.Random.DefaultPrng.init(1);
    const Case = struct {
        column: u16,
        descending: bool,
        turned: bool = false,
        offset: u64,
        limit: u64,
        reads: u64,
    };
    for ([_]Case{
        .{ .column = 1, .descending = false, .offset = 0, .limit = 1, .reads = 1 },
        .{ .column = 1, .descending = true, .offset = 0, .limit = 7, .reads = 7 },
        .{ .column = 1, .descending = false, .offset = 5, .limit = 2, .reads = 7 },
        .{ .column = 2, .descending = false, .offset = 0, .limit = 1, .reads = 1 },
        .{ .column = 2, .descending = true, .offset = 8, .limit = 3, .reads = 11 },
        // The primary key the other way around: whole groups are put in order.
        .{ .column = 2, .descending = false, .turned = true, .offset = 0, .limit = 1, .reads = 10 },
        .{ .column = 2, .descending = false, .turned = true, .offset = 8, .limit = 3, .reads = 20 },
    }) |case| {
        var model = try countingModel(arena, random_state.random(), 200);
        const plan: TestPlan = .{
            .arms = &.{.{
                .kind = .index,
                .column = case.column,
                .clauses = &.{.{ .operator = .not_null, .column = case.column }},
            }},
            .sorts = &.{.{
                .column = case.column,
                .flags = @intFromBool(case.descending),
                .reserved = 0,
            }},
            .flags = plan_module.flag_walk |
                if (case.turned) plan_module.flag_key_descending else @as(u16, 0),
            .offset = case.offset,
            .limit = case.limit,
        };
        var program = try Program.init(arena, model.schema, try plan.encode(arena, model.schema));
        defer program.deinit();
        var room: executor.Room = undefined;
        var execution: Execution = .init(arena, &model, &program, &room);
        defer execution.deinit();
        var rows: u64 = 0;
        while (try execution.nextRow()) |_| rows += 1;
        try testing.expectEqual(case.limit, rows);
        // Where the cursor does not say that its key changes, one more group is begun.
        const spare: u64 = if (case.turned) 10 else 0;
        try testing.expect(model.reads == case.reads or model.reads == case.reads + spare);
        try testing.expectEqual(model.reads, execution.examined);
    }
}

test "executor: a sort with a limit keeps the window's rows only" {
    var arena_state: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena_state.deinit();
    const arena = arena_state.allocator();
    var random_state = std.Random.DefaultPrng.init(1);
    var model = try countingModel(arena, random_state.random(), 2_000);
    const plan: TestPlan = .{
        .sorts = &.{.{ .column = 0, .flags = plan_module.sort_descending, .reserved = 0 }},
        .offset = 3,
        .limit = 4,
    };
    var program = try Program.init(arena, model.schema, try plan.encode(arena, model.schema));
    defer program.deinit();
    var room: executor.Room = undefined;
    var execution: Execution = .init(testing.allocator, &model, &program, &room);
    defer execution.deinit();
    const first = (try execution.nextRow()).?;
    try testing.expectEqual(1_996, model.schema.columns[0].value(.u32, first.image));
    try testing.expectEqual(7, execution.collector.rowsCount());
    try testing.expectEqual(&room.collected, execution.collector.entries.items.ptr);
}

test "executor: the window's end does not read on, and a small buffer is refused" {
    var arena_state: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena_state.deinit();
    const arena = arena_state.allocator();
    var random_state = std.Random.DefaultPrng.init(1);
    var model = try countingModel(arena, random_state.random(), 20);
    const plan: TestPlan = .{ .limit = 2 };
    var program = try Program.init(arena, model.schema, try plan.encode(arena, model.schema));
    defer program.deinit();
    var room: executor.Room = undefined;
    var execution: Execution = .init(testing.allocator, &model, &program, &room);
    defer execution.deinit();
    var buffer: [256]u8 = undefined;
    const size = model.schema.image_size;
    try testing.expectError(error.BufferTooSmall, execution.next(buffer[0 .. size - 1]));
    const batch = try execution.next(buffer[0 .. 2 * size]);
    try testing.expect(batch.done and batch.rows == 2);
    try testing.expectEqual(2, model.reads);
    try testing.expectEqual(.returned, std.meta.activeTag(execution.boundary()));
}
