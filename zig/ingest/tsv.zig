//! Delimited lines: tab-separated, plain or with backslash escapes, and RFC 4180 CSV.
//!
//! The plan says what separates and surrounds fields. With its escapes, `\N` is null, and
//! `\t \n \r \\` in text stand for one byte each and any other backslash for itself. CSV: a field
//! that starts with a quote ends at the next single one and may hold separators and line ends. An
//! empty field without quotes is null where the plan and the column say so. Any other empty field
//! is text, else an empty label, null, the default or a fault.
//!
//! **Invariants.** Nothing is read after the line's end but for the blocks of a search, and those
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
    const separator = plan.separator;
    var index = start;
    for (plan.positions, 1..) |position, column| {
        if (index > end) return faultAt(plan, .missing_column, column);
        const stop = text_module.findByte(separator, input, index, end);
        const text = input[index..stop];
        index = stop + 1;
        if (position == plan_module.position_ignored) continue;
        const field = &plan.fields[position];
        if (setPlain(plan, field, target, text, scratch)) |reason| {
            return .{ .reason = reason, .column = @intCast(column), .field = position };
        }
    }
    if (index <= end) return extraColumn(plan);
    return null;
}

/// Sets a column from a field without quotes.
inline fn setPlain(
    plan: *const Plan,
    field: *const Field,
    target: *Target,
    text: []const u8,
    scratch: []u8,
) ?Reason {
    const escapes = plan.flags & plan_module.flag_escapes != 0;
    if (escapes and text.len == 2 and text[0] == '\\' and text[1] == 'N') {
        return field_module.setNull(field, target);
    }
    if (plan.null_words.len > 0 and plan.isNullWord(text)) {
        return field_module.setNull(field, target);
    }
    if (text.len == 0) {
        const is_null = plan.flags & plan_module.flag_empty_null != 0 and field.nullable;
        if (is_null) return field_module.setNull(field, target);
    }
    return setField(plan, field, target, text, escapes, scratch);
}

/// Sets a column from the text between separators or quotes.
inline fn setField(
    plan: *const Plan,
    field: *const Field,
    target: *Target,
    text: []const u8,
    escapes: bool,
    scratch: []u8,
) ?Reason {
    switch (field.kind) {
        .string, .@"enum" => {
            if (text.len == 0 and field.kind == .@"enum") {
                return field_module.setEmpty(field, target);
            }
            if (!escapes or text_module.findAny("\\", text, 0, text.len) == text.len) {
                return field_module.set(field, target, text, .text);
            }
            const decoded = decodeEscapes(text, plan.quote, scratch) orelse return .too_long;
            return field_module.set(field, target, decoded, .text);
        },
        .bytes => {},
        .bool => if (text.len == 0) return field_module.setEmpty(field, target),
        else => {
            if (text.len == 0) return field_module.setEmpty(field, target);
            if (plan.flags & plan_module.flag_decimal_comma != 0) {
                return setCommaNumber(field, target, text, scratch);
            }
        },
    }
    return field_module.set(field, target, text, .text);
}

/// Sets a numeric column from text whose decimal point is a comma.
noinline fn setCommaNumber(
    field: *const Field,
    target: *Target,
    text: []const u8,
    scratch: []u8,
) ?Reason {
    if (text.len > scratch.len) return .not_a_number;
    // A point would separate thousands here, and those are not taken: 1.234 could be either.
    if (field.kind != .timestamp and std.mem.indexOfScalar(u8, text, '.') != null) {
        return .not_a_number;
    }
    const out = scratch[0..text.len];
    for (text, out) |byte, *to| to.* = if (byte == ',') '.' else byte;
    return field_module.set(field, target, out, .text);
}

fn decodeEscapes(text: []const u8, quote: u8, scratch: []u8) ?[]const u8 {
    if (text.len > scratch.len) return null;
    var size: usize = 0;
    var index: usize = 0;
    while (index < text.len) : (index += 1) {
        var byte = text[index];
        if (byte == '\\' and index + 1 < text.len) {
            const next = text[index + 1];
            const plain: ?u8 = switch (next) {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                else => if (next == quote) next else null,
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
    const escapes = plan.flags & plan_module.flag_escapes != 0;
    const separator = plan.separator;
    var index = start;
    for (plan.positions, 1..) |position, column| {
        if (index > end) return faultAt(plan, .missing_column, column);
        if (index < end and input[index] == plan.quote) {
            const close = findClosingQuote(plan.quote, escapes, input, index + 1, end);
            const after = close.index + 1;
            if (close.index == end or (after < end and input[after] != separator)) {
                return faultAt(plan, .malformed, column);
            }
            const inner = input[index + 1 .. close.index];
            index = after + 1;
            if (position == plan_module.position_ignored) continue;
            // Escapes are decoded in place after the quotes: the scratch holds one text.
            const text = if (!close.doubled) inner else decodeQuotes(
                plan.quote,
                escapes,
                inner,
                scratch,
            ) orelse return faultAt(plan, .too_long, column);
            const left = scratch[if (close.doubled) text.len else 0..];
            const field = &plan.fields[position];
            if (setField(plan, field, target, text, escapes and !close.doubled, left)) |reason| {
                return .{ .reason = reason, .column = @intCast(column), .field = position };
            }
        } else {
            const stop = text_module.findByte(separator, input, index, end);
            const text = input[index..stop];
            index = stop + 1;
            if (position == plan_module.position_ignored) continue;
            const field = &plan.fields[position];
            if (setPlain(plan, field, target, text, scratch)) |reason| {
                return .{ .reason = reason, .column = @intCast(column), .field = position };
            }
        }
    }
    if (index <= end) return extraColumn(plan);
    return null;
}

/// Fields are left after the last position.
fn extraColumn(plan: *const Plan) ?Fault {
    if (plan.flags & plan_module.flag_ignore_extra != 0) return null;
    return faultAt(plan, .extra_column, plan.positions.len + 1);
}

const Quote = struct {
    /// Of the closing quote, or the end.
    index: usize,
    /// There are doubled quotes inside.
    doubled: bool,
};

fn findClosingQuote(
    quote: u8,
    escapes: bool,
    input: []const u8,
    start: usize,
    end: usize,
) Quote {
    var index = start;
    var doubled = false;
    while (true) {
        if (escapes) {
            index = text_module.findEither(quote, '\\', input, index, end);
            if (index < end and input[index] == '\\') {
                index = @min(end, index + 2);
                continue;
            }
        } else {
            index = text_module.findByte(quote, input, index, end);
        }
        if (index + 1 >= end or input[index + 1] != quote) break;
        doubled = true;
        index += 2;
    }
    return .{ .index = index, .doubled = doubled };
}

fn decodeQuotes(quote: u8, escapes: bool, text: []const u8, scratch: []u8) ?[]const u8 {
    if (text.len > scratch.len) return null;
    var size: usize = 0;
    var index: usize = 0;
    while (index < text.len) : (index += 1) {
        var byte = text[index];
        if (escapes and byte == '\\' and index + 1 < text.len) {
            const next = text[index + 1];
            byte = switch (next) {
                't' => '\t',
                'n' => '\n',
                'r' => '\r',
                '\\' => '\\',
                else => if (next == quote) next else '\\',
            };
            if (byte != '\\' or next == '\\') index += 1;
        } else if (byte == quote) {
            index += 1;
        }
        scratch[size] = byte;
        size += 1;
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
pub fn findRowEnd(plan: *const Plan, input: []const u8, final: bool) RowEnd {
    const escapes = plan.flags & plan_module.flag_escapes != 0;
    const quote = plan.quote;
    const separator = plan.separator;
    var index: usize = 0;
    while (index < input.len) {
        if (input[index] == quote) {
            const close = findClosingQuote(quote, escapes, input, index + 1, input.len);
            if (close.index == input.len) return .partial;
            index = close.index + 1;
            if (index < input.len and input[index] == '\r') index += 1;
            if (index == input.len) break;
            if (input[index] != separator and input[index] != '\n') return .malformed;
        } else {
            index = text_module.findEither(separator, '\n', input, index, input.len);
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
