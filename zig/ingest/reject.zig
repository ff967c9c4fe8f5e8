//! What is said about a line that could not be read.
//!
//! **Invariants.** Reason codes are append-only: `src/ingest/rejects.ts` holds their texts, and a
//! test compares the two lists.
//!
//! **Concurrency.** Values.
//!
//! **Memory.** None.

const std = @import("std");
const assert = std.debug.assert;

pub const Reason = enum(u16) {
    missing_column = 1,
    extra_column = 2,
    empty_value = 3,
    not_nullable = 4,
    not_a_number = 5,
    out_of_range = 6,
    too_precise = 7,
    too_long = 8,
    invalid_utf8 = 9,
    not_a_bool = 10,
    unknown_label = 11,
    not_hex = 12,
    wrong_kind = 13,
    malformed = 14,
    line_too_long = 15,
    missing_key = 16,
    empty_key = 17,
    duplicate_field = 18,
    unknown_field = 19,
    is_nan = 20,
    not_a_time = 21,
};

/// No schema column is meant.
pub const field_none: u16 = 0xffff;

/// What is wrong inside one line.
pub const Fault = struct {
    reason: Reason,
    /// From 1: the field in delimited text, the byte in JSON.
    column: u32,
    /// Position of the schema column, or `field_none`.
    field: u16 = field_none,
};

/// A fault with the place of its line, as it is handed to TypeScript.
pub const Reject = extern struct {
    /// From 1, over the whole stream. A quoted CSV row counts from its first line.
    line: u64,
    /// The raw line, without its end, in the input of the call that reported it. A line over the
    /// limit is cut there.
    offset: u32,
    size: u32,
    column: u32,
    reason: u16,
    field: u16,

    comptime {
        assert(@sizeOf(Reject) == 24);
        assert(@offsetOf(Reject, "column") == 16);
        assert(@offsetOf(Reject, "field") == 22);
    }
};
