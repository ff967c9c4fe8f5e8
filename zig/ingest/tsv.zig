//! Delimited lines: tab-separated, plain or with backslash escapes, and RFC 4180 CSV.
//!
//! TSV: `\N` is null; with the escapes of a plan, `\t \n \r \\` in text stand for one byte each
//! and any other backslash for itself. CSV: a field that starts with a quote ends at the next
//! single one and may hold delimiters and line ends; an unquoted empty one is null where the column
//! allows it. Any other empty field is text, else an empty label, null, the default or a fault.
//!
//! **Invariants.** Nothing is read behind the line's end but for the blocks of a search, and those
//! stay inside the input.
//!
//! **Concurrency.** Pure but for the target and the scratch.
//!
//! **Memory.** Fields are slices of the input, or of the scratch when they need decoding.

const std = @import("std");
const assert = std.debug.assert;
const text_module = @import("text.zig");
const field_module = @import("field.zig");
const plan_module = @import("plan.zig");
const Plan = plan_module.Plan;
const Field = plan_module.Field;
const Target = field_module.Target;
const reject = @import("reject.zig");
const Fault = reject.Fault;
const Reason = reject.Reason;

/// Fills `target` from the line `input[start..end]`, which is not empty.
pub fn parseTsv(
    plan: *const Plan,
    input: []const u8,
    start: usize,
    end: usize,
    target: *Target,
    scratch: []u8,
) ?Fault {
    assert(start < end and end <= input.len);
    const escapes = plan.flags & plan_module.flag_escapes != 0;
    var index = start;
    for (plan.positions, 1..) |position, column| {
        if (index > end) return faultAt(plan, .missing_column, column);
        const stop = text_module.findAny("\t", input, index, end);
        const text = input[index..stop];
        index = stop + 1;
        if (position == plan_module.position_ignored) continue;
        const field = &plan.fields[position];
        if (setTsv(field, target, text, escapes, scratch)) |reason| {
            return .{ .reason = reason, .column = @intCast(column), .field = position };
        }
    }
    if (index <= end) return faultAt(plan, .extra_column, plan.positions.len + 1);
    return null;
}

inline fn setTsv(
    field: *const Field,
    target: *Target,
    text: []const u8,
    escapes: bool,
    scratch: []u8,
) ?Reason {
    if (text.len == 2 and text[0] == '\\' and text[1] == 'N') {
        return field_module.setNull(field, target);
    }
    switch (field.kind) {
        .string, .@"enum" => {
            if (text.len == 0 and field.kind == .@"enum") {
                return field_module.setEmpty(field, target);
            }
            if (!escapes or text_module.findAny("\\", text, 0, text.len) == text.len) {
                return field_module.set(field, target, text, .text);
            }
            const decoded = decodeEscapes(text, scratch) orelse return .too_long;
            return field_module.set(field, target, decoded, .text);
        },
        .bytes => {},
        else => if (text.len == 0) return field_module.setEmpty(field, target),
    }
    return field_module.set(field, target, text, .text);
}

fn decodeEscapes(text: []const u8, scratch: []u8) ?[]const u8 {
    if (text.len > scratch.len) return null;
    var size: usize = 0;
    var index: usize = 0;
    while (index < text.len) : (index += 1) {
        var byte = text[index];
        if (byte == '\\' and index + 1 < text.len) {
            const plain: ?u8 = switch (text[index + 1]) {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                else => null,
            };
            if (plain) |known| {
                byte = known;
                index += 1;
            }
        }
        scratch[size] = byte;
        size += 1;
    }
    return scratch[0..size];
}

/// Fills `target` from the row `input[start..end]`, which is not empty and may span lines.
pub fn parseCsv(
    plan: *const Plan,
    input: []const u8,
    start: usize,
    end: usize,
    target: *Target,
    scratch: []u8,
) ?Fault {
    assert(start < end and end <= input.len);
    var index = start;
    for (plan.positions, 1..) |position, column| {
        if (index > end) return faultAt(plan, .missing_column, column);
        var quoted = false;
        const text = if (index < end and input[index] == '"') text: {
            quoted = true;
            const close = findClosingQuote(input, index + 1, end);
            const after = close.index + 1;
            if (close.index == end or (after < end and input[after] != ',')) {
                return faultAt(plan, .malformed, column);
            }
            const inner = input[index + 1 .. close.index];
            index = after + 1;
            if (!close.doubled) break :text inner;
            break :text decodeQuotes(inner, scratch) orelse {
                return faultAt(plan, .too_long, column);
            };
        } else text: {
            const stop = text_module.findAny(",", input, index, end);
            defer index = stop + 1;
            break :text input[index..stop];
        };
        if (position == plan_module.position_ignored) continue;
        const field = &plan.fields[position];
        if (setCsv(field, target, text, quoted)) |reason| {
            return .{ .reason = reason, .column = @intCast(column), .field = position };
        }
    }
    if (index <= end) return faultAt(plan, .extra_column, plan.positions.len + 1);
    return null;
}

inline fn setCsv(field: *const Field, target: *Target, text: []const u8, quoted: bool) ?Reason {
    if (text.len > 0) return field_module.set(field, target, text, .text);
    if (!quoted and field.nullable) return field_module.setNull(field, target);
    if (!field.kind.isText()) return field_module.setEmpty(field, target);
    return field_module.set(field, target, text, .text);
}

const Quote = struct {
    /// Of the closing quote, or the end.
    index: usize,
    /// There are doubled quotes inside.
    doubled: bool,
};

fn findClosingQuote(input: []const u8, start: usize, end: usize) Quote {
    var index = start;
    var doubled = false;
    while (true) {
        index = text_module.findAny("\"", input, index, end);
        if (index + 1 >= end or input[index + 1] != '"') break;
        doubled = true;
        index += 2;
    }
    return .{ .index = index, .doubled = doubled };
}

fn decodeQuotes(text: []const u8, scratch: []u8) ?[]const u8 {
    if (text.len > scratch.len) return null;
    var size: usize = 0;
    var index: usize = 0;
    while (index < text.len) : (index += 1) {
        scratch[size] = text[index];
        size += 1;
        if (text[index] == '"') index += 1;
    }
    return scratch[0..size];
}

pub const RowEnd = union(enum) {
    /// Position of the line end that closes the row, or of the end of the input.
    found: usize,
    /// The input ends inside the row.
    partial,
    /// Something other than a delimiter follows a closing quote.
    malformed,
};

/// Where the CSV row at the start of `input` ends: at the first line end outside quotes, or, when
/// nothing follows the input (`final`), at its end.
pub fn findRowEnd(input: []const u8, final: bool) RowEnd {
    var index: usize = 0;
    while (index < input.len) {
        if (input[index] == '"') {
            const close = findClosingQuote(input, index + 1, input.len);
            if (close.index == input.len) return .partial;
            index = close.index + 1;
            if (index < input.len and input[index] == '\r') index += 1;
            if (index == input.len) break;
            if (input[index] != ',' and input[index] != '\n') return .malformed;
        } else {
            index = text_module.findAny(",\n", input, index, input.len);
            if (index == input.len) break;
        }
        if (input[index] == '\n') return .{ .found = index };
        index += 1;
    }
    return if (final) .{ .found = input.len } else .partial;
}

/// `column` counts from 1.
fn faultAt(plan: *const Plan, reason: Reason, column: usize) Fault {
    var field = reject.field_none;
    if (column <= plan.positions.len) {
        const position = plan.positions[column - 1];
        if (position != plan_module.position_ignored) field = position;
    }
    return .{ .reason = reason, .column = @intCast(column), .field = field };
}
