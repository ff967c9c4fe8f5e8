//! What tests of the parser share: plans as bytes, and a stream read through a parser in chunks.

const std = @import("std");
const testing = std.testing;
const schema_module = @import("../row/schema.zig");
const Schema = schema_module.Schema;
const TestColumn = schema_module.TestColumn;
const plan_module = @import("plan.zig");
const reject = @import("reject.zig");
const Reason = reject.Reason;
const parser_module = @import("parser.zig");
const Parser = parser_module.Parser;

pub const TestWord = struct { text: []const u8, column: u16, value: u16 = 0 };

pub const TestPlan = struct {
    format: plan_module.Format = .tsv,
    flags: u8 = plan_module.flag_escapes,
    line_size_max: u32 = plan_module.line_size_limit,
    /// 0 is that of the format.
    separator: u8 = 0,
    quote: u8 = '"',
    time_unit: plan_module.TimeUnit = .exact,
    null_words: []const []const u8 = &.{},
    comment: []const u8 = "",
    positions: []const u16 = &.{},
    names: []const TestWord = &.{},
    labels: []const TestWord = &.{},
    /// The template: zeros, but for these masks and bytes.
    missing: u64 = 0,
    nulls: u64 = 0,
    patch_offset: usize = 0,
    patch: []const u8 = "",

    pub fn encode(plan: TestPlan, schema: *const Schema, buffer: []u8) []u8 {
        var writer: std.Io.Writer = .fixed(buffer);
        writer.end = @sizeOf(plan_module.PlanHeader);
        var header = std.mem.zeroes(plan_module.PlanHeader);
        header.magic = plan_module.magic;
        header.version = plan_module.version;
        header.format = @intFromEnum(plan.format);
        header.flags = plan.flags;
        header.line_first = 1;
        header.line_size_max = plan.line_size_max;
        const usual: u8 = if (plan.format == .tsv) '\t' else ',';
        header.separator = if (plan.separator == 0) usual else plan.separator;
        header.quote = plan.quote;
        header.time_unit = @intFromEnum(plan.time_unit);
        header.positions_offset = @intCast(writer.end);
        header.position_count = @intCast(plan.positions.len);
        for (plan.positions) |position| writer.writeInt(u16, position, .little) catch unreachable;
        var text_offset: u32 = 0;
        header.names_offset = @intCast(writer.end);
        header.name_count = @intCast(plan.names.len);
        for (plan.names) |name| {
            writer.writeStruct(plan_module.NameRecord{
                .column = name.column,
                .size = @intCast(name.text.len),
                .offset = text_offset,
            }, .little) catch unreachable;
            text_offset += @intCast(name.text.len);
        }
        header.labels_offset = @intCast(writer.end);
        header.label_count = @intCast(plan.labels.len);
        for (plan.labels) |label| {
            writer.writeStruct(plan_module.LabelRecord{
                .column = label.column,
                .value = label.value,
                .size = @intCast(label.text.len),
                .offset = text_offset,
            }, .little) catch unreachable;
            text_offset += @intCast(label.text.len);
        }
        header.nulls_offset = @intCast(writer.end);
        header.null_count = @intCast(plan.null_words.len);
        for (plan.null_words) |word| {
            writer.writeStruct(plan_module.TextRecord{
                .size = @intCast(word.len),
                .offset = text_offset,
            }, .little) catch unreachable;
            text_offset += @intCast(word.len);
        }
        header.comment_offset = text_offset;
        header.comment_size = @intCast(plan.comment.len);
        text_offset += header.comment_size;
        header.text_offset = @intCast(writer.end);
        header.text_size = text_offset;
        for (plan.names) |name| writer.writeAll(name.text) catch unreachable;
        for (plan.labels) |label| writer.writeAll(label.text) catch unreachable;
        for (plan.null_words) |word| writer.writeAll(word) catch unreachable;
        writer.writeAll(plan.comment) catch unreachable;
        header.template_offset = @intCast(writer.end);
        header.template_size = plan_module.masks_size + schema.image_size;
        writer.splatByteAll(0, header.template_size) catch unreachable;
        const template = buffer[header.template_offset..][0..header.template_size];
        std.mem.writeInt(u64, template[8..16], plan.missing, .little);
        std.mem.writeInt(u64, template[16..24], plan.nulls, .little);
        const patched = template[plan_module.masks_size + plan.patch_offset ..];
        @memcpy(patched[0..plan.patch.len], plan.patch);
        @memcpy(buffer[0..@sizeOf(plan_module.PlanHeader)], std.mem.asBytes(&header));
        return writer.buffered();
    }
};

/// A parser with its buffers, and what it gave for one stream.
pub const Fixture = struct {
    schema: Schema,
    parser: *Parser,
    plan_bytes: []u8,
    plan_buffer: [4096]u8,
    records: std.ArrayList(u8) = .empty,
    lines: std.ArrayList(u64) = .empty,
    rejects: std.ArrayList(reject.Reject) = .empty,
    unknown_count: u64 = 0,

    pub fn init(columns: []const TestColumn, plan: TestPlan) !*Fixture {
        const fixture = try testing.allocator.create(Fixture);
        errdefer testing.allocator.destroy(fixture);
        var schema_buffer: [2048]u8 = undefined;
        const schema_bytes = schema_module.encodeForTest(columns, &schema_buffer);
        fixture.* = .{
            .schema = try Schema.decode(schema_bytes),
            .parser = undefined,
            .plan_bytes = undefined,
            .plan_buffer = undefined,
        };
        fixture.plan_bytes = plan.encode(&fixture.schema, &fixture.plan_buffer);
        fixture.parser = try Parser.create(
            testing.allocator,
            &fixture.schema,
            fixture.plan_bytes,
        );
        return fixture;
    }

    pub fn deinit(fixture: *Fixture) void {
        fixture.parser.destroy();
        fixture.records.deinit(testing.allocator);
        fixture.lines.deinit(testing.allocator);
        fixture.rejects.deinit(testing.allocator);
        testing.allocator.destroy(fixture);
    }

    /// Starts over and reads a whole stream, `step` more bytes at a time.
    pub fn read(fixture: *Fixture, stream: []const u8, step: usize, record_room: usize) !void {
        fixture.parser.destroy();
        fixture.parser = try Parser.create(
            testing.allocator,
            &fixture.schema,
            fixture.plan_bytes,
        );
        fixture.records.clearRetainingCapacity();
        fixture.lines.clearRetainingCapacity();
        fixture.rejects.clearRetainingCapacity();
        fixture.unknown_count = 0;
        const parser = fixture.parser;
        const records = try testing.allocator.alloc(u8, record_room * parser.record_size);
        defer testing.allocator.free(records);
        const lines = try testing.allocator.alloc(u64, record_room);
        defer testing.allocator.free(lines);
        var rejects: [2]reject.Reject = undefined;
        var start: usize = 0;
        var end: usize = 0;
        while (true) {
            end = @min(stream.len, end + step);
            while (true) {
                // A copy of exact size, so that a read outside it is found.
                const input = try testing.allocator.dupe(u8, stream[start..end]);
                defer testing.allocator.free(input);
                const result = parser.parse(input, end == stream.len, records, lines, &rejects);
                const used = result.record_count * parser.record_size;
                try fixture.records.appendSlice(testing.allocator, records[0..used]);
                try fixture.lines.appendSlice(testing.allocator, lines[0..result.record_count]);
                for (rejects[0..result.reject_count]) |each| {
                    var moved = each;
                    moved.offset += @intCast(start);
                    try fixture.rejects.append(testing.allocator, moved);
                }
                fixture.unknown_count += result.unknown_count;
                start += result.consumed;
                if (result.stop == @intFromEnum(parser_module.Stop.input)) break;
            }
            if (end == stream.len) break;
        }
        try testing.expectEqual(stream.len, start);
    }

    pub fn record(fixture: *const Fixture, index: usize) []align(1) const u8 {
        const size = fixture.parser.record_size;
        return fixture.records.items[index * size ..][0..size];
    }

    pub fn named(fixture: *const Fixture, index: usize) u64 {
        return std.mem.readInt(u64, fixture.record(index)[0..8], .little);
    }

    pub fn missing(fixture: *const Fixture, index: usize) u64 {
        return std.mem.readInt(u64, fixture.record(index)[8..16], .little);
    }

    pub fn nulls(fixture: *const Fixture, index: usize) u64 {
        return std.mem.readInt(u64, fixture.record(index)[16..24], .little);
    }

    pub fn value(fixture: *const Fixture, comptime T: type, index: usize, column: usize) T {
        const offset = plan_module.masks_size + fixture.schema.columns[column].offset;
        return std.mem.bytesToValue(T, fixture.record(index)[offset..][0..@sizeOf(T)]);
    }

    pub fn string(fixture: *const Fixture, index: usize, column: usize) []const u8 {
        const image = fixture.record(index)[plan_module.masks_size..];
        const text = fixture.schema.columns[column].text(image.ptr);
        // The bytes after the text are zero.
        const offset = fixture.schema.columns[column].offset + 2;
        const limit = fixture.schema.columns[column].limit;
        std.debug.assert(std.mem.allEqual(u8, image[offset + text.len .. offset + limit], 0));
        return text;
    }

    pub fn count(fixture: *const Fixture) usize {
        return fixture.records.items.len / fixture.parser.record_size;
    }

    pub fn expectReject(
        fixture: *const Fixture,
        index: usize,
        line: u64,
        column: u32,
        reason: Reason,
    ) !void {
        const found = fixture.rejects.items[index];
        try testing.expectEqual(@intFromEnum(reason), found.reason);
        try testing.expectEqual(line, found.line);
        try testing.expectEqual(column, found.column);
    }
};
