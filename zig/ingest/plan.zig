//! The ingest plan: which field of a line goes to which column, decoded once per stream.
//!
//! The bytes come from `src/ingest/plan.ts`; their layout is in `docs/internals/ingest.md`.
//!
//! **Invariants.** Every column that a decoded plan names exists in its schema; `names` and the
//! labels of each column are sorted and free of duplicates; the template is one write record of
//! the schema, with nothing named.
//!
//! **Concurrency.** Immutable after `decode`, but for `guesses`, which belong to the one parser.
//!
//! **Memory.** Everything is copied out of the caller's bytes into the allocator given; freed with
//! it, as a whole.

const std = @import("std");
const assert = std.debug.assert;
const record_head_size = @import("../row/record.zig").head_size;
const schema_module = @import("../row/schema.zig");
const Schema = schema_module.Schema;
const Kind = schema_module.Kind;

pub const magic: u32 = 0x474e_4941; // "AING"
pub const version: u16 = 2;
pub const line_size_limit = 1 << 20;
/// `named` and `missing` in front of the image.
pub const masks_size = record_head_size;
/// A position whose text is not wanted.
pub const position_ignored: u16 = 0xffff;

pub const Format = enum(u8) { tsv = 1, csv = 2, ndjson = 3 };

/// Decode backslash escapes in delimited text.
pub const flag_escapes: u8 = 1;
/// A JSON key that is no column is a reject instead of being ignored.
pub const flag_refuse_unknown: u8 = 2;
/// `parse` returns after each reject.
pub const flag_stop_at_reject: u8 = 4;
/// The decimal point of delimited text is a comma.
pub const flag_decimal_comma: u8 = 8;
/// Decimals that a column has no room for are rounded, half away from zero.
pub const flag_round: u8 = 16;
/// Fields of delimited text after the last position are ignored.
pub const flag_ignore_extra: u8 = 32;
/// An empty field without quotes is null where the column allows it.
pub const flag_empty_null: u8 = 64;
const flags_known: u8 = 127;
/// Words for null, at most.
const null_words_max = 64;
const comment_size_max = 16;

/// What a number stands for in a timestamp column.
pub const TimeUnit = enum(u8) {
    /// Milliseconds, of any size.
    exact = 0,
    s = 1,
    ms = 2,
    us = 3,
    ns = 4,
};

pub const PlanHeader = extern struct {
    magic: u32,
    version: u16,
    format: u8,
    flags: u8,
    /// Number of the first line that the parser will see.
    line_first: u64,
    line_size_max: u32,
    /// u16 columns, by field, for delimited text.
    position_count: u32,
    /// NameRecords, sorted by text, for JSON.
    name_count: u32,
    /// LabelRecords, sorted by column, then text.
    label_count: u32,
    positions_offset: u32,
    names_offset: u32,
    labels_offset: u32,
    text_offset: u32,
    text_size: u32,
    template_offset: u32,
    template_size: u32,
    /// Between the fields of delimited text.
    separator: u8,
    /// Around the fields of `csv`.
    quote: u8,
    time_unit: u8,
    reserved: u8,
    /// TextRecords: words that stand for null, beside what the format has for it.
    null_count: u32,
    nulls_offset: u32,
    /// In the text: a line that begins with it is no row. Nothing when its size is 0.
    comment_offset: u32,
    comment_size: u32,

    comptime {
        assert(@sizeOf(PlanHeader) == 80);
        assert(@offsetOf(PlanHeader, "line_size_max") == 16);
        assert(@offsetOf(PlanHeader, "template_size") == 56);
    }
};

pub const NameRecord = extern struct {
    column: u16,
    size: u16,
    /// From the start of the text.
    offset: u32,

    comptime {
        assert(@sizeOf(NameRecord) == 8);
    }
};

pub const LabelRecord = extern struct {
    column: u16,
    value: u16,
    size: u32,
    offset: u32,

    comptime {
        assert(@sizeOf(LabelRecord) == 12);
    }
};

pub const TextRecord = extern struct {
    size: u32,
    offset: u32,

    comptime {
        assert(@sizeOf(TextRecord) == 8);
    }
};

/// A word of a JSON line or of an enum, and what it stands for.
pub const Word = struct {
    text: []const u8,
    value: u16,

    /// Binary search in words sorted by text.
    pub fn find(words: []const Word, text: []const u8) ?u16 {
        var low: usize = 0;
        var high = words.len;
        while (low < high) {
            const middle = low + (high - low) / 2;
            switch (std.mem.order(u8, words[middle].text, text)) {
                .lt => low = middle + 1,
                .gt => high = middle,
                .eq => return @intCast(middle),
            }
        }
        return null;
    }
};

/// A schema column as the parser writes it.
pub const Field = struct {
    kind: Kind,
    scale: u8,
    nullable: bool,
    /// An insert without a value takes the template's.
    has_default: bool,
    /// The template has text here, so the bytes behind a shorter one must be cleared.
    has_template_text: bool,
    position: u16,
    /// From the start of the image.
    offset: u32,
    limit: u32,
    mask: u64,
    /// Round what is too precise.
    round: bool,
    time_unit: TimeUnit,
    /// Of an enum, sorted.
    labels: []const Word,
};

pub const Plan = struct {
    format: Format,
    flags: u8,
    line_first: u64,
    line_size_max: u32,
    separator: u8,
    quote: u8,
    time_unit: TimeUnit,
    null_words: []const []const u8,
    comment: []const u8,
    fields: []const Field,
    /// Column of each position of delimited text.
    positions: []const u16,
    names: []const Word,
    /// The name that followed each name the last time: keys of JSON lines keep their order.
    /// The last one is for the start of a line.
    guesses: []u16,
    template: []const u8,
    /// Columns without value, default or null in the template.
    missing: u64,
    /// Null mask of the template.
    nulls: u64,

    pub const DecodeError = error{
        /// The bytes are no plan of this version for this schema.
        InvalidPlan,
        OutOfMemory,
    };

    pub fn decode(
        arena: std.mem.Allocator,
        schema: *const Schema,
        input: []const u8,
    ) DecodeError!Plan {
        if (input.len < @sizeOf(PlanHeader)) return error.InvalidPlan;
        const bytes = try arena.dupe(u8, input);
        const header = std.mem.bytesToValue(PlanHeader, bytes[0..@sizeOf(PlanHeader)]);
        if (header.magic != magic or header.version != version) return error.InvalidPlan;
        if (header.flags & ~flags_known != 0 or header.reserved != 0) return error.InvalidPlan;
        const format = std.enums.fromInt(Format, header.format) orelse return error.InvalidPlan;
        const unit = std.enums.fromInt(TimeUnit, header.time_unit) orelse return error.InvalidPlan;
        if (!isMark(header.separator) or !isMark(header.quote)) return error.InvalidPlan;
        if (header.separator == header.quote) return error.InvalidPlan;
        if (header.comment_size > comment_size_max) return error.InvalidPlan;
        if (header.null_count > null_words_max) return error.InvalidPlan;
        if (header.line_size_max == 0 or header.line_size_max > line_size_limit) {
            return error.InvalidPlan;
        }
        const template = try slice(bytes, header.template_offset, header.template_size);
        if (template.len != masks_size + schema.image_size) return error.InvalidPlan;
        if (std.mem.readInt(u64, template[0..8], .little) != 0) return error.InvalidPlan;
        const text = try slice(bytes, header.text_offset, header.text_size);

        var plan: Plan = .{
            .format = format,
            .flags = header.flags,
            .line_first = header.line_first,
            .line_size_max = header.line_size_max,
            .separator = header.separator,
            .quote = header.quote,
            .time_unit = unit,
            .null_words = &.{},
            .comment = try slice(text, header.comment_offset, header.comment_size),
            .fields = &.{},
            .positions = &.{},
            .names = &.{},
            .guesses = &.{},
            .template = template,
            .missing = std.mem.readInt(u64, template[8..16], .little),
            .nulls = std.mem.readInt(u64, template[masks_size..][0..8], .little),
        };
        const nulls = try records(TextRecord, bytes, header.nulls_offset, header.null_count);
        const null_words = try arena.alloc([]const u8, nulls.len);
        for (nulls, null_words) |record, *word| {
            word.* = try slice(text, record.offset, record.size);
        }
        plan.null_words = null_words;
        const labels = try records(LabelRecord, bytes, header.labels_offset, header.label_count);
        plan.fields = try decodeFields(arena, schema, &plan, labels, text);
        switch (format) {
            .tsv, .csv => {
                const raw = try records(u16, bytes, header.positions_offset, header.position_count);
                plan.positions = try decodePositions(arena, schema, raw);
            },
            .ndjson => {
                const raw = try records(NameRecord, bytes, header.names_offset, header.name_count);
                plan.names = try decodeNames(arena, schema, raw, text);
                plan.guesses = try arena.alloc(u16, plan.names.len + 1);
                @memset(plan.guesses, 0);
            },
        }
        return plan;
    }

    /// Whether `text` is one of the words that stand for null.
    pub inline fn isNullWord(plan: *const Plan, text: []const u8) bool {
        for (plan.null_words) |word| {
            if (std.mem.eql(u8, word, text)) return true;
        }
        return false;
    }
};

/// What may separate or surround fields.
fn isMark(byte: u8) bool {
    return byte != 0 and byte != '\n' and byte != '\r' and byte < 0x80;
}

fn decodeFields(
    arena: std.mem.Allocator,
    schema: *const Schema,
    plan: *const Plan,
    labels: []align(1) const LabelRecord,
    text: []const u8,
) Plan.DecodeError![]Field {
    const fields = try arena.alloc(Field, schema.column_count);
    const words = try arena.alloc(Word, labels.len);
    for (labels, words) |label, *word| {
        word.* = .{ .text = try slice(text, label.offset, label.size), .value = label.value };
    }
    var label_next: usize = 0;
    for (schema.columns[0..schema.column_count], fields) |*column, *field| {
        const label_first = label_next;
        while (label_next < labels.len and labels[label_next].column == column.position) {
            if (column.kind != .@"enum") return error.InvalidPlan;
            if (labels[label_next].value >= column.limit) return error.InvalidPlan;
            label_next += 1;
        }
        const own = words[label_first..label_next];
        if (!isSorted(own)) return error.InvalidPlan;
        const mask = column.mask();
        field.* = .{
            .kind = column.kind,
            .scale = column.scale,
            .nullable = column.nullable,
            .has_default = mask != 0 and (plan.missing | plan.nulls) & mask == 0,
            .has_template_text = column.kind.isText() and
                column.text(plan.template[masks_size..].ptr).len > 0,
            .position = column.position,
            .offset = column.offset,
            .limit = column.limit,
            .mask = mask,
            .round = plan.flags & flag_round != 0,
            .time_unit = plan.time_unit,
            .labels = own,
        };
    }
    if (label_next != labels.len) return error.InvalidPlan;
    return fields;
}

fn decodePositions(
    arena: std.mem.Allocator,
    schema: *const Schema,
    raw: []align(1) const u16,
) Plan.DecodeError![]u16 {
    const positions = try arena.alloc(u16, raw.len);
    var seen: [schema_module.columns_max]bool = @splat(false);
    for (raw, positions) |column, *position| {
        position.* = column;
        if (column == position_ignored) continue;
        if (column >= schema.column_count or seen[column]) return error.InvalidPlan;
        seen[column] = true;
    }
    return positions;
}

fn decodeNames(
    arena: std.mem.Allocator,
    schema: *const Schema,
    raw: []align(1) const NameRecord,
    text: []const u8,
) Plan.DecodeError![]Word {
    if (raw.len >= std.math.maxInt(u16)) return error.InvalidPlan;
    const names = try arena.alloc(Word, raw.len);
    for (raw, names) |record, *name| {
        if (record.column >= schema.column_count) return error.InvalidPlan;
        name.* = .{ .text = try slice(text, record.offset, record.size), .value = record.column };
    }
    if (!isSorted(names)) return error.InvalidPlan;
    return names;
}

fn isSorted(words: []const Word) bool {
    if (words.len < 2) return true;
    for (words[0 .. words.len - 1], words[1..]) |a, b| {
        if (std.mem.order(u8, a.text, b.text) != .lt) return false;
    }
    return true;
}

fn slice(bytes: []const u8, offset: u32, size: u32) error{InvalidPlan}![]const u8 {
    if (offset > bytes.len or size > bytes.len - offset) return error.InvalidPlan;
    return bytes[offset..][0..size];
}

fn records(
    comptime Record: type,
    bytes: []const u8,
    offset: u32,
    count: u32,
) error{InvalidPlan}![]align(1) const Record {
    const size = std.math.mul(u32, count, @sizeOf(Record)) catch return error.InvalidPlan;
    return std.mem.bytesAsSlice(Record, try slice(bytes, offset, size));
}
