//! Aggregation: values of groups of rows, taken from blocks of images; no row is made.
//!
//! **Invariants.** What a group has depends on its rows alone, not on their order nor on the number
//! of threads: integers are summed in 128 bits, floats exactly (`exact_sum.zig`), distinct values
//! are a set, quantiles are taken from all values in order.
//!
//! **Concurrency.** An aggregator is private to one thread; `merge` joins those of several, after
//! they have ended.
//!
//! **Memory.** In the allocator passed: a state for each group and value to give, 24 bytes for each
//! distinct value, 16 for each value of a quantile. Texts stay in their images, which the snapshot
//! keeps in place.

const std = @import("std");
const assert = std.debug.assert;
const exact_sum = @import("exact_sum.zig");
const group_module = @import("group.zig");
const key = @import("../row/key.zig");
const plan_module = @import("plan.zig");
const predicate = @import("predicate.zig");
const schema_module = @import("../row/schema.zig");
const route = @import("route.zig");
const Allocator = std.mem.Allocator;
const Column = schema_module.Column;
const Error = predicate.Error;
const ExactSum = exact_sum.ExactSum;
const Function = plan_module.Function;
const Groups = group_module.Groups;
const Image = predicate.Image;
const Kind = schema_module.Kind;
const Part = group_module.Part;
const Plan = plan_module.Plan;
const Row = predicate.Row;
const Schema = schema_module.Schema;

/// A value to give of each group.
pub const Select = struct {
    function: Function,
    column: *const Column,
    fraction: f64,
    /// Its bytes in a record.
    offset: u32,
    size: u32,
    /// Among the sums of floats, where it is one.
    float_index: u32,

    fn isFloatSum(select: *const Select) bool {
        return select.function == .sum and select.column.kind.isFloat();
    }

    /// How a value compares that takes the place of another.
    fn better(select: *const Select) std.math.Order {
        return if (select.function == .min) .lt else .gt;
    }

    /// Whether an end of an index says it.
    fn isEnd(select: *const Select) bool {
        return select.function == .min or select.function == .max;
    }
};

/// What a plan asks for instead of rows.
pub const Aggregate = struct {
    parts: []const Part,
    selects: []const Select,
    key_words: u32,
    float_count: u32,
    /// Bytes of what is given of a group: the words of its key, then of each value how many there
    /// were (u64), then the value: a sum of 16 bytes, or as it lies in an image, with zeros behind.
    record_size: u32,

    pub fn compile(arena: Allocator, schema: *const Schema, plan: *const Plan) Error!?Aggregate {
        if (plan.keys.len == 0 and plan.selects.len == 0) return null;
        const parts = try arena.alloc(Part, plan.keys.len);
        var words: u32 = 1;
        for (plan.keys, parts) |*each, *out| {
            out.* = try Part.compile(schema, each, words);
            words += out.words_count;
        }
        if (words > Groups.words_max) return error.InvalidPlan;
        const selects = try arena.alloc(Select, plan.selects.len);
        var floats: u32 = 0;
        var at: u32 = words * @sizeOf(u64);
        for (plan.selects, selects) |*each, *out| {
            out.* = try compileSelect(schema, each);
            out.offset = at;
            out.float_index = floats;
            floats += @intFromBool(out.isFloatSum());
            at += out.size;
        }
        return .{
            .parts = parts,
            .selects = selects,
            .key_words = words,
            .float_count = floats,
            .record_size = at,
        };
    }

    fn compileSelect(schema: *const Schema, select: *const plan_module.Select) Error!Select {
        const column = schema.column(select.column) orelse return error.InvalidPlan;
        const function = std.enums.fromInt(Function, select.function) orelse
            return error.InvalidPlan;
        const fraction: f64 = @bitCast(select.parameter);
        const is_right = switch (function) {
            .rows, .count, .min, .max, .distinct => true,
            .sum => isNumber(column),
            .quantile => isNumber(column) and fraction >= 0 and fraction <= 1,
        };
        if (!is_right) return error.InvalidPlan;
        const value_size: u32 = switch (function) {
            .rows, .count, .distinct => 0,
            .sum => 16,
            .min, .max, .quantile => std.mem.alignForward(u32, column.size, 8),
        };
        return .{
            .function = function,
            .column = column,
            .fraction = fraction,
            .offset = 0,
            .size = @sizeOf(u64) + value_size,
            .float_index = 0,
        };
    }

    fn isNumber(column: *const Column) bool {
        return switch (column.kind) {
            .bool, .@"enum", .string, .bytes => false,
            else => true,
        };
    }
};

const State = struct {
    count: u64 = 0,
    sum: i128 = 0,
    /// Where the smallest or the largest value is.
    best: ?Image = null,
};

const Member = struct {
    group: u32,
    /// Of a column of fixed size.
    word: u64,
    text: []const u8,

    const Context = struct {
        pub fn hash(_: Context, member: Member) u64 {
            const seed = (member.word +% member.group) *% 0x9E37_79B9_7F4A_7C15;
            if (member.text.len > 0) return std.hash.Wyhash.hash(seed, member.text);
            return seed ^ seed >> 29;
        }

        pub fn eql(_: Context, a: Member, b: Member) bool {
            return a.group == b.group and a.word == b.word and std.mem.eql(u8, a.text, b.text);
        }
    };

    const Set = std.HashMapUnmanaged(Member, void, Context, 70);
};

/// A value of a quantile, in the order of index keys.
const Ranked = struct {
    group: u32,
    word: u64,

    fn less(_: void, a: Ranked, b: Ranked) bool {
        return if (a.group != b.group) a.group < b.group else a.word < b.word;
    }
};

pub const Aggregator = struct {
    gpa: Allocator,
    aggregate: *const Aggregate,
    groups: Groups,
    /// Of each group in turn, one for each select.
    states: std.ArrayList(State) = .empty,
    floats: std.ArrayList(ExactSum) = .empty,
    /// One for each select that needs it.
    sets: [plan_module.selects_max]Member.Set = @splat(.empty),
    ranked: [plan_module.selects_max]std.ArrayList(Ranked) = @splat(.empty),

    const block_max = 128;

    /// Kilobytes, so that what rarely needs one holds a pointer. The caller owns it: `destroy`.
    pub fn create(gpa: Allocator, aggregate: *const Aggregate) Allocator.Error!*Aggregator {
        const aggregator = try gpa.create(Aggregator);
        aggregator.* = .{
            .gpa = gpa,
            .aggregate = aggregate,
            .groups = .{ .parts = aggregate.parts, .words_count = aggregate.key_words },
        };
        return aggregator;
    }

    pub fn destroy(aggregator: *Aggregator) void {
        const gpa = aggregator.gpa;
        defer gpa.destroy(aggregator);
        aggregator.groups.deinit(gpa);
        aggregator.states.deinit(gpa);
        aggregator.floats.deinit(gpa);
        for (&aggregator.sets) |*set| set.deinit(gpa);
        for (&aggregator.ranked) |*list| list.deinit(gpa);
    }

    pub fn groupsCount(aggregator: *const Aggregator) usize {
        return aggregator.groups.count;
    }

    /// Rows of a block, at most 128.
    pub fn addAll(aggregator: *Aggregator, rows: []const Row) Allocator.Error!void {
        assert(rows.len <= block_max);
        var numbers: [block_max]u32 = undefined;
        const groups = numbers[0..rows.len];
        if (aggregator.aggregate.parts.len == 0) {
            try aggregator.beginWhole();
            @memset(groups, 0);
        } else {
            for (rows, groups) |row, *group| {
                group.* = try aggregator.groups.of(aggregator.gpa, row.image);
            }
            try aggregator.makeStates();
        }
        for (aggregator.aggregate.selects, 0..) |*select, i| {
            switch (select.column.kind) {
                .string, .bytes => try aggregator.addTexts(select, i, rows, groups),
                inline else => |kind| try aggregator.addValues(kind, select, i, rows, groups),
            }
        }
    }

    /// The only group, where rows are not grouped.
    fn beginWhole(aggregator: *Aggregator) Allocator.Error!void {
        if (aggregator.groups.count > 0) return;
        _ = try aggregator.groups.find(aggregator.gpa, &.{0});
        try aggregator.makeStates();
    }

    fn makeStates(aggregator: *Aggregator) Allocator.Error!void {
        const aggregate = aggregator.aggregate;
        const gpa = aggregator.gpa;
        const states = aggregator.groups.count * aggregate.selects.len;
        if (states > aggregator.states.items.len) {
            try aggregator.states.appendNTimes(gpa, .{}, states - aggregator.states.items.len);
        }
        const floats = @as(usize, aggregator.groups.count) * aggregate.float_count;
        if (floats > aggregator.floats.items.len) {
            try aggregator.floats.appendNTimes(gpa, .zero, floats - aggregator.floats.items.len);
        }
    }

    inline fn stateOf(aggregator: *Aggregator, group: usize, index: usize) *State {
        return &aggregator.states.items[group * aggregator.aggregate.selects.len + index];
    }

    inline fn floatOf(aggregator: *Aggregator, group: usize, select: *const Select) *ExactSum {
        const first = group * aggregator.aggregate.float_count;
        return &aggregator.floats.items[first + select.float_index];
    }

    fn addValues(
        aggregator: *Aggregator,
        comptime kind: Kind,
        select: *const Select,
        index: usize,
        rows: []const Row,
        groups: []const u32,
    ) Allocator.Error!void {
        const column = select.column;
        const nullable = column.nullable;
        switch (select.function) {
            .rows => for (groups) |group| {
                aggregator.stateOf(group, index).count += 1;
            },
            .count => for (rows, groups) |row, group| {
                if (nullable and column.isNull(row.image)) continue;
                aggregator.stateOf(group, index).count += 1;
            },
            .sum => if (comptime kind.isFloat()) {
                for (rows, groups) |row, group| {
                    if (nullable and column.isNull(row.image)) continue;
                    aggregator.stateOf(group, index).count += 1;
                    aggregator.floatOf(group, select).add(column.value(kind, row.image));
                }
            } else if (aggregator.aggregate.parts.len == 0) {
                const Sum = if (@bitSizeOf(Kind.Value(kind)) < 64) i64 else i128;
                var sum: Sum = 0;
                var count: u64 = 0;
                for (rows) |row| {
                    if (nullable and column.isNull(row.image)) continue;
                    sum += column.value(kind, row.image);
                    count += 1;
                }
                const state = aggregator.stateOf(0, index);
                state.sum += sum;
                state.count += count;
            } else for (rows, groups) |row, group| {
                if (nullable and column.isNull(row.image)) continue;
                const state = aggregator.stateOf(group, index);
                state.sum += column.value(kind, row.image);
                state.count += 1;
            },
            .min, .max => {
                const is_min = select.function == .min;
                for (rows, groups) |row, group| {
                    if (nullable and column.isNull(row.image)) continue;
                    const state = aggregator.stateOf(group, index);
                    state.count += 1;
                    const value = column.value(kind, row.image);
                    if (state.best) |best| {
                        const known = column.value(kind, best);
                        if (if (is_min) value >= known else value <= known) continue;
                    }
                    state.best = row.image;
                }
            },
            .distinct => for (rows, groups) |row, group| {
                if (nullable and column.isNull(row.image)) continue;
                const word = key.encodeFixed(kind, column.value(kind, row.image));
                const member: Member = .{ .group = group, .word = word, .text = "" };
                const found = try aggregator.sets[index].getOrPut(aggregator.gpa, member);
                if (!found.found_existing) aggregator.stateOf(group, index).count += 1;
            },
            .quantile => for (rows, groups) |row, group| {
                if (nullable and column.isNull(row.image)) continue;
                const word = key.encodeFixed(kind, column.value(kind, row.image));
                const ranked: Ranked = .{ .group = group, .word = word };
                try aggregator.ranked[index].append(aggregator.gpa, ranked);
                aggregator.stateOf(group, index).count += 1;
            },
        }
    }

    fn addTexts(
        aggregator: *Aggregator,
        select: *const Select,
        index: usize,
        rows: []const Row,
        groups: []const u32,
    ) Allocator.Error!void {
        const column = select.column;
        for (rows, groups) |row, group| {
            const state = aggregator.stateOf(group, index);
            if (select.function != .rows and column.isNull(row.image)) continue;
            switch (select.function) {
                .rows, .count => state.count += 1,
                .min, .max => {
                    state.count += 1;
                    if (state.best) |best| {
                        const order = std.mem.order(u8, column.text(row.image), column.text(best));
                        if (order != select.better()) continue;
                    }
                    state.best = row.image;
                },
                .distinct => {
                    // The word tells the empty text from others with no text at all.
                    const text = column.text(row.image);
                    const member: Member = .{ .group = group, .word = text.len, .text = text };
                    const found = try aggregator.sets[index].getOrPut(aggregator.gpa, member);
                    if (!found.found_existing) state.count += 1;
                },
                .sum, .quantile => unreachable, // refused by compile
            }
        }
    }

    /// Takes the smallest and largest values of a whole table from the ends of its indexes, where
    /// nothing else is asked for; the number of rows read. Null: they have to be looked for.
    pub fn addEnds(
        aggregator: *Aggregator,
        comptime Source: type,
        source: *Source,
    ) (Source.Error || Allocator.Error)!?u64 {
        const aggregate = aggregator.aggregate;
        if (aggregate.parts.len > 0 or aggregate.selects.len == 0) return null;
        for (aggregate.selects) |*select| {
            if (!select.isEnd() or !select.column.indexed) return null;
        }
        try aggregator.beginWhole();
        var examined: u64 = 0;
        for (aggregate.selects, 0..) |*select, i| {
            const column = select.column;
            var low: [key.words_max]u64 = @splat(0);
            var high: [key.words_max]u64 = @splat(std.math.maxInt(u64));
            const count = key.keyWordsCount(column);
            if (column.nullable) {
                key.encodeNull(column, high[0..count]);
                route.decrement(high[0..count]);
            }
            const backward = select.function == .max;
            var cursor = try source.seek(
                column.position,
                if (backward) high[0..count] else low[0..count],
                if (backward) low[0..count] else high[0..count],
                .{ .backward = backward, .ties = .any },
            );
            defer if (@hasDecl(Source.Cursor, "deinit")) cursor.deinit();
            var rows: [1]Row = undefined;
            if (try cursor.fill(&rows, 1) == 0) continue;
            examined += 1;
            const state = aggregator.stateOf(0, i);
            state.best = rows[0].image;
            state.count = 1;
        }
        return examined;
    }

    /// Takes over what another one of the same aggregation has.
    pub fn merge(aggregator: *Aggregator, other: *Aggregator) Allocator.Error!void {
        const gpa = aggregator.gpa;
        const aggregate = aggregator.aggregate;
        const numbers = try gpa.alloc(u32, other.groups.count);
        defer gpa.free(numbers);
        for (numbers, 0..) |*number, group| {
            number.* = try aggregator.groups.find(gpa, other.groups.keyOf(group));
        }
        try aggregator.makeStates();
        for (numbers, 0..) |number, group| {
            for (aggregate.selects, 0..) |*select, i| {
                const own = aggregator.stateOf(number, i);
                const state = other.stateOf(group, i);
                if (select.function != .distinct) own.count += state.count;
                own.sum += state.sum;
                if (state.best) |image| mergeBest(select, own, image);
                if (select.isFloatSum()) {
                    aggregator.floatOf(number, select).merge(other.floatOf(group, select));
                }
            }
        }
        for (aggregate.selects, 0..) |_, i| {
            var members = other.sets[i].keyIterator();
            while (members.next()) |each| {
                var member = each.*;
                member.group = numbers[member.group];
                const found = try aggregator.sets[i].getOrPut(gpa, member);
                if (!found.found_existing) aggregator.stateOf(member.group, i).count += 1;
            }
            for (other.ranked[i].items) |each| {
                const ranked: Ranked = .{ .group = numbers[each.group], .word = each.word };
                try aggregator.ranked[i].append(gpa, ranked);
            }
        }
    }

    fn mergeBest(select: *const Select, own: *State, image: Image) void {
        if (own.best) |best| {
            const order = switch (select.column.kind) {
                .string, .bytes => std.mem.order(
                    u8,
                    select.column.text(image),
                    select.column.text(best),
                ),
                inline else => |kind| std.math.order(
                    select.column.value(kind, image),
                    select.column.value(kind, best),
                ),
            };
            if (order != select.better()) return;
        }
        own.best = image;
    }

    /// After the last row: sorts what quantiles are taken from, and makes the only group of an
    /// aggregation that has none, if no row did.
    pub fn finish(aggregator: *Aggregator) Allocator.Error!void {
        if (aggregator.aggregate.parts.len == 0) try aggregator.beginWhole();
        for (aggregator.aggregate.selects, 0..) |*select, i| {
            if (select.function != .quantile) continue;
            std.sort.pdq(Ranked, aggregator.ranked[i].items, {}, Ranked.less);
        }
    }

    /// Writes what is given of a group.
    pub fn writeRecord(aggregator: *Aggregator, group: usize, out: []u8) void {
        const aggregate = aggregator.aggregate;
        @memset(out, 0);
        const words = aggregator.groups.keyOf(group);
        @memcpy(out[0 .. words.len * @sizeOf(u64)], std.mem.sliceAsBytes(words));
        for (aggregate.selects, 0..) |*select, i| {
            const state = aggregator.stateOf(group, i);
            const bytes = out[select.offset..][0..select.size];
            std.mem.writeInt(u64, bytes[0..8], state.count, .little);
            const value = bytes[8..];
            switch (select.function) {
                .rows, .count, .distinct => {},
                .sum => if (select.isFloatSum()) {
                    const sum = aggregator.floatOf(group, select).round();
                    std.mem.writeInt(u64, value[0..8], @bitCast(sum), .little);
                } else std.mem.writeInt(i128, value[0..16], state.sum, .little),
                .min, .max => if (state.best) |image| {
                    const column = select.column;
                    if (column.kind.isText()) {
                        const text = column.text(image);
                        std.mem.writeInt(u16, value[0..2], @intCast(text.len), .little);
                        @memcpy(value[2..][0..text.len], text);
                    } else @memcpy(value[0..column.size], column.bytesIn(image));
                },
                .quantile => if (state.count > 0) {
                    const word = aggregator.quantileOf(select, i, group, state.count);
                    switch (select.column.kind) {
                        .string, .bytes => unreachable, // refused by compile
                        inline else => |kind| {
                            const plain = key.decodeFixed(kind, word);
                            @memcpy(value[0..@sizeOf(@TypeOf(plain))], std.mem.asBytes(&plain));
                        },
                    }
                },
            }
        }
    }

    /// The smallest value that is not below the fraction of all.
    fn quantileOf(
        aggregator: *const Aggregator,
        select: *const Select,
        index: usize,
        group: usize,
        count: u64,
    ) u64 {
        const items = aggregator.ranked[index].items;
        const first = std.sort.lowerBound(Ranked, items, @as(u32, @intCast(group)), orderGroup);
        const exact = select.fraction * @as(f64, @floatFromInt(count));
        const rank: u64 = @intFromFloat(@max(1, @ceil(exact)));
        return items[first + @min(rank, count) - 1].word;
    }

    fn orderGroup(group: u32, item: Ranked) std.math.Order {
        return std.math.order(group, item.group);
    }
};
