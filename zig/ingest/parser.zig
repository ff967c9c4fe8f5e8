//! The ingest parser: lines of text in, write records out, over chunks of any size.
//!
//! One parser reads one stream. The caller hands it what it has; the parser consumes whole lines,
//! writes a record (law 7 of `docs/internals/row-image.md`) for each good one and a `Reject` for
//! each bad one, and leaves a partial last line for the next call. The laws are in
//! `docs/internals/ingest.md`.
//!
//! **Invariants.** The records and rejects of a stream do not depend on how it was cut into
//! chunks. Input is never trusted: every byte sequence gives records and rejects, never a fault.
//!
//! **Concurrency.** A parser belongs to one thread at a time.
//!
//! **Memory.** `create` takes what it needs from the allocator and copies the plan; `parse` takes
//! nothing. Input, records and rejects are borrowed for the call.

const std = @import("std");
const assert = std.debug.assert;
const Schema = @import("../row/schema.zig").Schema;
const plan_module = @import("plan.zig");
const Plan = plan_module.Plan;
const Target = @import("field.zig").Target;
const reject_module = @import("reject.zig");
pub const Reject = reject_module.Reject;
const Fault = reject_module.Fault;
const tsv = @import("tsv.zig");
const ndjson = @import("ndjson.zig");
const text = @import("text.zig");

/// A field that needs decoding may be this long: the hexadecimal of the longest bytes.
const scratch_size = 16 * 1024 + 8;

const input_size_max = 1 << 31;

pub const Stop = enum(u32) {
    /// More input is needed, or, of the final chunk, all is done.
    input = 0,
    /// The records are full: call again with the rest of the input.
    records = 1,
    /// The rejects are full, or the plan says to stop at each.
    rejects = 2,
};

pub const Result = extern struct {
    /// Bytes of the input that need not be given again.
    consumed: u64,
    /// JSON keys that were no columns, in this call.
    unknown_count: u64,
    /// Number of the next line.
    line_next: u64,
    record_count: u32,
    reject_count: u32,
    stop: u32,
    reserved: u32,

    comptime {
        assert(@sizeOf(Result) == 40);
    }
};

pub const Parser = struct {
    arena: std.heap.ArenaAllocator,
    plan: Plan,
    record_size: u32,
    line_next: u64,
    /// Inside a line over the limit, whose reject has been written.
    skipping: bool,
    scratch: [scratch_size]u8,

    pub const CreateError = Plan.DecodeError;

    pub fn create(
        gpa: std.mem.Allocator,
        schema: *const Schema,
        plan_bytes: []const u8,
    ) CreateError!*Parser {
        const parser = try gpa.create(Parser);
        errdefer gpa.destroy(parser);
        parser.arena = .init(gpa);
        errdefer parser.arena.deinit();
        parser.plan = try .decode(parser.arena.allocator(), schema, plan_bytes);
        parser.record_size = plan_module.masks_size + schema.image_size;
        parser.line_next = parser.plan.line_first;
        parser.skipping = false;
        return parser;
    }

    pub fn destroy(parser: *Parser) void {
        const gpa = parser.arena.child_allocator;
        parser.arena.deinit();
        gpa.destroy(parser);
    }

    /// Parses whole lines of `input` until it, `records` or `rejects` are used up. `records` takes
    /// `records.len / record_size` records, and `lines`, as far as it goes, the number of the line
    /// that each came from. `final`: nothing follows this input, so a last line without an end is
    /// whole.
    pub fn parse(
        parser: *Parser,
        input: []const u8,
        final: bool,
        records: []u8,
        lines: []u64,
        rejects: []Reject,
    ) Result {
        // Offsets of rejects have 32 bits; the caller comes back with what is left.
        const whole = input.len <= input_size_max;
        var run: Run = .{
            .parser = parser,
            .input = if (whole) input else input[0..input_size_max],
            .final = final and whole,
            .records = records,
            .record_limit = std.math.lossyCast(u32, records.len / parser.record_size),
            .line_numbers = lines,
            .rejects = rejects,
        };
        const stop = switch (parser.plan.format) {
            .tsv => run.lines(.tsv),
            .csv => run.lines(.csv),
            .ndjson => run.lines(.ndjson),
        };
        return .{
            .consumed = run.index,
            .unknown_count = run.unknown_count,
            .line_next = parser.line_next,
            .record_count = run.record_count,
            .reject_count = run.reject_count,
            .stop = @intFromEnum(stop),
            .reserved = 0,
        };
    }
};

/// A line found in the input.
const Line = struct {
    /// Without the line end.
    end: usize,
    /// Where the next one starts.
    next: usize,
    /// Lines of text that it covers: a quoted CSV row may have several.
    height: u64 = 1,
};

/// One call of `parse`.
const Run = struct {
    parser: *Parser,
    input: []const u8,
    final: bool,
    records: []u8,
    record_limit: u32,
    line_numbers: []u64,
    rejects: []Reject,
    index: usize = 0,
    record_count: u32 = 0,
    reject_count: u32 = 0,
    unknown_count: u64 = 0,

    fn lines(run: *Run, comptime format: plan_module.Format) Stop {
        const parser = run.parser;
        const limit = parser.plan.line_size_max;
        const stop_at_reject = parser.plan.flags & plan_module.flag_stop_at_reject != 0;
        if (parser.skipping and !run.skipRest()) return .input;
        while (run.index < run.input.len) {
            if (run.record_count == run.record_limit) return .records;
            if (run.reject_count == run.rejects.len) return .rejects;
            const first = run.index;
            run.skipMark();
            const start = run.index;
            const line = run.findLine(format) orelse {
                if (run.input.len - start <= limit) {
                    run.index = first;
                    return .input;
                }
                run.refuse(.{ .reason = .line_too_long, .column = 1 }, start, start + limit);
                parser.skipping = true;
                _ = run.skipRest();
                return if (stop_at_reject) .rejects else .input;
            };
            if (line.next - start > limit and line.end - start > limit) {
                run.refuse(.{ .reason = .line_too_long, .column = 1 }, start, start + limit);
            } else {
                var end = line.end;
                if (end > start and run.input[end - 1] == '\r') end -= 1;
                if (end > start and !run.isComment(start, end)) {
                    if (run.parseLine(format, start, end)) |fault| run.refuse(fault, start, end);
                }
            }
            run.index = line.next;
            parser.line_next += line.height;
            if (stop_at_reject and run.reject_count > 0) return .rejects;
        }
        return .input;
    }

    /// Passes over a byte order mark where a line begins: files that were joined have several.
    inline fn skipMark(run: *Run) void {
        const rest = run.input[run.index..];
        if (rest[0] != 0xef) return;
        if (rest.len >= 3 and rest[1] == 0xbb and rest[2] == 0xbf) run.index += 3;
    }

    inline fn isComment(run: *const Run, start: usize, end: usize) bool {
        const comment = run.parser.plan.comment;
        return comment.len > 0 and std.mem.startsWith(u8, run.input[start..end], comment);
    }

    /// The line at `index`; null when its end is not in the input and more is to come.
    inline fn findLine(run: *const Run, comptime format: plan_module.Format) ?Line {
        const input = run.input;
        const start = run.index;
        if (format == .csv) {
            const quote = run.parser.plan.quote;
            const stop = text.findEither(quote, '\n', input, start, input.len);
            if (stop < input.len and input[stop] == quote) return run.findQuotedRow();
        }
        return findPhysicalLine(input, start, run.final);
    }

    /// A CSV row with a quote in its first line. When it has no end within the limit, or text
    /// after a closing quote, the quote is taken for a mistake and the first line stands alone:
    /// one bad quote costs one line and not the rest of the stream.
    noinline fn findQuotedRow(run: *const Run) ?Line {
        const limit = run.parser.plan.line_size_max;
        const start = run.index;
        const rest = run.input[start..];
        // One byte over the limit decides the same whatever more the chunk holds.
        const window = rest[0..@min(rest.len, limit + 1)];
        switch (tsv.findRowEnd(&run.parser.plan, window, run.final and rest.len <= limit)) {
            .found => |end| return .{
                .end = start + end,
                .next = start + @min(end + 1, rest.len),
                .height = 1 + std.mem.count(u8, window[0..end], "\n"),
            },
            .partial => if (rest.len <= limit and !run.final) return null,
            .malformed => {},
        }
        return findPhysicalLine(run.input, start, run.final);
    }

    fn parseLine(
        run: *Run,
        comptime format: plan_module.Format,
        start: usize,
        end: usize,
    ) ?Fault {
        const parser = run.parser;
        const plan = &parser.plan;
        const offset = run.record_count * @as(usize, parser.record_size);
        const record = run.records[offset..][0..parser.record_size];
        @memcpy(record, plan.template);
        var target: Target = .{
            .image = record[plan_module.masks_size..].ptr,
            .named = 0,
            .nulls = plan.nulls,
            .has_key = false,
        };
        const scratch = &parser.scratch;
        const fault = switch (format) {
            .tsv => tsv.parseTsv(plan, run.input, start, end, &target, scratch),
            .csv => tsv.parseCsv(plan, run.input, start, end, &target, scratch),
            .ndjson => ndjson.parseLine(
                plan,
                run.input,
                start,
                end,
                &target,
                scratch,
                &run.unknown_count,
            ),
        };
        if (fault) |found| return found;
        if (!target.has_key) return .{ .reason = .missing_key, .column = 1, .field = 0 };
        std.mem.writeInt(u64, record[0..8], target.named, .little);
        std.mem.writeInt(u64, record[8..16], plan.missing & ~target.named, .little);
        std.mem.writeInt(u64, record[16..24], target.nulls, .little);
        if (run.record_count < run.line_numbers.len) {
            run.line_numbers[run.record_count] = parser.line_next;
        }
        run.record_count += 1;
        return null;
    }

    noinline fn refuse(run: *Run, fault: Fault, start: usize, end: usize) void {
        run.rejects[run.reject_count] = .{
            .line = run.parser.line_next,
            .offset = @intCast(start),
            .size = @intCast(end - start),
            .column = fault.column,
            .reason = @intFromEnum(fault.reason),
            .field = fault.field,
        };
        run.reject_count += 1;
    }

    /// Passes over the rest of a line whose reject is written. Whether its end was found.
    fn skipRest(run: *Run) bool {
        const parser = run.parser;
        const stop = text.findAny("\n", run.input, run.index, run.input.len);
        if (stop == run.input.len) {
            run.index = stop;
            return false;
        }
        run.index = stop + 1;
        parser.line_next += 1;
        parser.skipping = false;
        return true;
    }
};

inline fn findPhysicalLine(input: []const u8, start: usize, final: bool) ?Line {
    const stop = text.findAny("\n", input, start, input.len);
    if (stop < input.len) return .{ .end = stop, .next = stop + 1 };
    return if (final) .{ .end = stop, .next = stop } else null;
}
