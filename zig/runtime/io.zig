//! The block of memory through which a session's statements cross the boundary: result, input,
//! output.
//!
//! **Memory**: allocated natively once per handle and reused by later handles, so that a view which
//! JavaScript keeps never dangles.
const std = @import("std");
const limits = @import("../limits.zig");

/// What the last call of a session had to say. Doubles hold integers up to 2^53.
pub const Result = extern struct {
    inserted: u32,
    updated: u32,
    unchanged: u32,
    stale: u32,
    found: u32,
    transaction: u32,
    cursor: u32,
    rows: u32,
    done: u32,
    savepoint: u32,
    size: u32,
    table: u32,
    count: f64,
    csn: f64,
    durable_csn: f64,
    token_low: u32,
    token_high: u32,
    outcome: u32,
    cause: u32,
    examined: f64,
    error_table: u32,
    error_column: u32,
    error_size: u32,
    /// `synchronous_commit` as the last statement or commit found it.
    synchronous: u32,
    /// Of a search that is measured: nanoseconds, by step.
    read_ns: f64,
    test_ns: f64,
    sort_ns: f64,
    copy_ns: f64,
    error_bytes: [limits.io_result_size - 144]u8,
};

pub const Block = extern struct {
    result: Result,
    input: [limits.io_input_size]u8,
    output: [limits.io_output_size]u8,
};

comptime {
    std.debug.assert(@sizeOf(Result) == limits.io_result_size);
    std.debug.assert(@offsetOf(Result, "error_bytes") == 144);
    std.debug.assert(@sizeOf(Block) == limits.io_size);
}
