//! Groups of an aggregation: the key of a row, and a table of the keys met so far.
//!
//! **Invariants.** A key is whole words: first one of null bits, then the value of each part. Equal
//! words are equal keys, so text is followed by zeros.
//!
//! **Concurrency.** Private to one thread.
//!
//! **Memory.** In the allocator passed: `words_count` words and one slot of the table a group.

const std = @import("std");
const plan_module = @import("plan.zig");
const predicate = @import("predicate.zig");
const schema_module = @import("../row/schema.zig");
const Allocator = std.mem.Allocator;
const Column = schema_module.Column;
const Error = predicate.Error;
const Image = predicate.Image;
const Schema = schema_module.Schema;

/// A part of the key.
pub const Part = struct {
    kind: plan_module.GroupKeyKind,
    column: *const Column,
    /// Of a cell the longitude.
    second: *const Column,
    /// An i64 for buckets of integers, an f64 for those of floats, and for cells, in degrees.
    size: u64,
    /// The first of its words.
    at: u32,
    words_count: u32,

    pub fn compile(schema: *const Schema, key: *const plan_module.GroupKey, at: u32) Error!Part {
        const column = schema.column(key.column) orelse return error.InvalidPlan;
        const second = schema.column(key.second) orelse return error.InvalidPlan;
        const kind = std.enums.fromInt(plan_module.GroupKeyKind, key.kind) orelse
            return error.InvalidPlan;
        const float: f64 = @bitCast(key.size);
        const is_right = switch (kind) {
            .column => key.size == 0,
            .bucket => if (column.kind.isFloat()) float > 0 else isInteger(column) and
                @as(i64, @bitCast(key.size)) > 0,
            .cell => float > 0 and column.kind.isDegrees() and second.kind.isDegrees(),
        };
        if (!is_right) return error.InvalidPlan;
        const words_count = switch (kind) {
            .column => (column.size + 7) / 8,
            .bucket => 1,
            .cell => 2,
        };
        return .{
            .kind = kind,
            .column = column,
            .second = second,
            .size = key.size,
            .at = at,
            .words_count = words_count,
        };
    }

    fn isInteger(column: *const Column) bool {
        return switch (column.kind) {
            .i8, .i16, .i32, .i64, .u8, .u16, .u32, .u64, .decimal, .timestamp => true,
            else => false,
        };
    }

    /// Writes its words; false where it is null.
    inline fn write(part: *const Part, image: Image, words: []u64) bool {
        const column = part.column;
        if (column.isNull(image)) return false;
        switch (part.kind) {
            .column => if (column.kind.isText()) {
                const text = column.text(image);
                const out = std.mem.sliceAsBytes(words);
                std.mem.writeInt(u16, out[0..2], @intCast(text.len), .little);
                @memcpy(out[2..][0..text.len], text);
            } else {
                const out = std.mem.sliceAsBytes(words);
                @memcpy(out[0..column.size], column.bytesIn(image));
            },
            .bucket => words[0] = part.bucketOf(image),
            .cell => {
                if (part.second.isNull(image)) return false;
                const size: f64 = @bitCast(part.size);
                words[0] = cellOf(degreesOf(column, image), size);
                words[1] = cellOf(degreesOf(part.second, image), size);
            },
        }
        return true;
    }

    /// The lower end of the bucket: in units of the column, or an f64.
    fn bucketOf(part: *const Part, image: Image) u64 {
        const column = part.column;
        switch (column.kind) {
            inline .f32, .f64 => |kind| {
                const size: f64 = @bitCast(part.size);
                const low = @floor(@as(f64, column.value(kind, image)) / size) * size;
                return @bitCast(low + 0.0); // -0 becomes 0
            },
            .u64 => {
                const value = column.value(.u64, image);
                return value - value % part.size;
            },
            inline .i8, .i16, .i32, .i64, .u8, .u16, .u32, .decimal, .timestamp => |kind| {
                const value: i64 = column.value(kind, image);
                const size: i64 = @bitCast(part.size);
                return @bitCast(value -| @mod(value, size));
            },
            else => unreachable, // refused by compile
        }
    }

    fn degreesOf(column: *const Column, image: Image) f64 {
        return switch (column.kind) {
            inline .f32, .f64 => |kind| column.value(kind, image),
            else => blk: {
                const scaled: f64 = @floatFromInt(column.value(.decimal, image));
                break :blk scaled / std.math.pow(f64, 10, @floatFromInt(column.scale));
            },
        };
    }

    /// The number of the cell, counted from 0 degrees.
    fn cellOf(degrees: f64, size: f64) u64 {
        const number = std.math.clamp(@floor(degrees / size), -9.0e15, 9.0e15);
        return @bitCast(@as(i64, @intFromFloat(number)));
    }
};

pub const Groups = struct {
    parts: []const Part,
    /// Of a key, the one of null bits included.
    words_count: u32,
    keys: std.ArrayList(u64) = .empty,
    count: u32 = 0,
    /// Group numbers plus one by hash; 0 is free.
    slots: []u32 = &.{},
    /// The key at hand.
    scratch: []u64 = &.{},

    const slots_min = 64;
    pub const words_max = 512;

    pub fn deinit(groups: *Groups, gpa: Allocator) void {
        groups.keys.deinit(gpa);
        gpa.free(groups.slots);
        gpa.free(groups.scratch);
    }

    pub fn keyOf(groups: *const Groups, group: usize) []const u64 {
        return groups.keys.items[group * groups.words_count ..][0..groups.words_count];
    }

    /// The group of a row, a new one where its key was not met before.
    pub inline fn of(groups: *Groups, gpa: Allocator, image: Image) Allocator.Error!u32 {
        if (groups.scratch.len == 0) groups.scratch = try gpa.alloc(u64, groups.words_count);
        const words = groups.scratch;
        @memset(words, 0);
        for (groups.parts, 0..) |*part, i| {
            const out = words[part.at..][0..part.words_count];
            if (!part.write(image, out)) words[0] |= @as(u64, 1) << @intCast(i);
        }
        return groups.find(gpa, words);
    }

    pub inline fn find(groups: *Groups, gpa: Allocator, words: []const u64) Allocator.Error!u32 {
        if (groups.count * 2 >= groups.slots.len) try groups.grow(gpa);
        const mask = groups.slots.len - 1;
        var at = hashOf(words) & mask;
        while (true) : (at = (at + 1) & mask) {
            const slot = groups.slots[at];
            if (slot == 0) break;
            if (std.mem.eql(u64, groups.keyOf(slot - 1), words)) return slot - 1;
        }
        try groups.keys.appendSlice(gpa, words);
        groups.count += 1;
        groups.slots[at] = groups.count;
        return groups.count - 1;
    }

    fn grow(groups: *Groups, gpa: Allocator) Allocator.Error!void {
        const slots = try gpa.alloc(u32, @max(slots_min, groups.slots.len * 2));
        @memset(slots, 0);
        const mask = slots.len - 1;
        for (0..groups.count) |group| {
            var at = hashOf(groups.keyOf(group)) & mask;
            while (slots[at] != 0) at = (at + 1) & mask;
            slots[at] = @intCast(group + 1);
        }
        gpa.free(groups.slots);
        groups.slots = slots;
    }

    inline fn hashOf(words: []const u64) usize {
        var hash: u64 = 0x9E37_79B9_7F4A_7C15;
        for (words) |word| {
            hash = (hash ^ word) *% 0xFF51_AFD7_ED55_8CCD;
            hash ^= hash >> 32;
        }
        return @truncate(hash);
    }
};
