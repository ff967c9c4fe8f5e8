//! Runs a program over a source: one table at one snapshot, with the transaction's own writes.
//!
//! `Source` is a type with
//!   * `Error`, an error set; `Scan` and `Cursor`, each with `next(*T) Error!?Row`, and optionally
//!     `deinit(*T) void`;
//!   * `find(source, key_bytes) Error!?Row`: the row with this primary key, given as its column
//!     bytes in an image;
//!   * `scan(source) Error!Scan` (or without error): every visible row once, in any order;
//!   * `seek(source, column, bound, direction) Error!Cursor`: the visible rows in index order, from
//!     the first entry at or after `bound` (forward), or the last one at or before it (backward).
//!     A row comes at the key that its image has, and once. Equal keys come in any order.
//! Scans and cursors stay usable between calls, and images in place, while the snapshot is pinned.
//!
//! **Invariants.** A row is returned once. Rows come in the program's order, if it has one, however
//! they were found. Rows are read no further than the window needs: an ordered walk stops with the
//! group of equal index keys that completes it.
//!
//! **Concurrency.** One execution belongs to one thread.
//!
//! **Memory.** In the allocator passed: rows of a sort (the window's, when there is a limit) or of
//! the largest group of equal index keys in a walk; nothing otherwise. Nothing per row examined.

const std = @import("std");
const assert = std.debug.assert;
const key = @import("../index/key.zig");
const order_module = @import("order.zig");
const route = @import("route.zig");
const Allocator = std.mem.Allocator;
const Image = @import("predicate.zig").Image;

pub const Program = @import("program.zig").Program;
pub const Row = order_module.Row;
pub const Direction = enum { forward, backward };

pub const Batch = struct {
    rows: u32,
    /// Nothing follows.
    done: bool,
};

/// What of the order an execution has read so far, for the validation of its transaction.
pub const Boundary = union(enum) {
    /// Any row that the program matches would change the result.
    everything,
    /// Only rows at this row or before it in the program's order would.
    through: Row,
    /// Only a change of the returned rows would: the order is unspecified, so others are no matter.
    returned,
};

pub fn Executor(comptime Source: type) type {
    return struct {
        const Execution = @This();
        pub const Error = Source.Error || Allocator.Error;

        gpa: Allocator,
        source: *Source,
        program: *const Program,
        reader: Reader,
        stage: Stage,
        collector: order_module.Collector,
        /// The collector's next row to return.
        collected_index: usize,
        /// In a walk, the row that was read behind the collected group.
        pending: ?Row,
        /// The index key of the collected group.
        group_words: []u64,
        offset_left: u64,
        limit_left: u64,
        last: ?Row,
        /// Rows that were compared with the residual.
        examined: u64,
        returned: u64,

        const Stage = enum { start, stream, collected, end };

        /// Reads nothing yet. `source` and `program` must outlive the execution.
        pub fn init(gpa: Allocator, source: *Source, program: *const Program) Execution {
            return .{
                .gpa = gpa,
                .source = source,
                .program = program,
                .reader = .{},
                .stage = .start,
                .collector = .init(program.order, @intFromBool(program.walk)),
                .collected_index = 0,
                .pending = null,
                .group_words = &.{},
                .offset_left = program.offset,
                .limit_left = program.limit,
                .last = null,
                .examined = 0,
                .returned = 0,
            };
        }

        pub fn deinit(execution: *Execution) void {
            execution.reader.close();
            execution.collector.deinit(execution.gpa);
            execution.gpa.free(execution.group_words);
            execution.gpa.free(execution.reader.words);
            execution.* = undefined;
        }

        /// Copies the next images into `buffer`, one behind the other, as many as fit. A count-only
        /// program gives no rows: its count is in `returned`.
        pub fn next(
            execution: *Execution,
            buffer: []u8,
        ) (Error || error{BufferTooSmall})!Batch {
            const size = execution.program.schema.image_size;
            if (execution.program.count_only) {
                _ = try execution.count();
                return .{ .rows = 0, .done = true };
            }
            if (buffer.len < size) return error.BufferTooSmall;
            const rows_max: u32 = @intCast(@min(buffer.len / size, std.math.maxInt(u32)));
            var rows: u32 = 0;
            while (rows < rows_max) : (rows += 1) {
                const row = try execution.nextRow() orelse break;
                @memcpy(buffer[@as(usize, rows) * size ..][0..size], row.image[0..size]);
            }
            return .{ .rows = rows, .done = execution.stage == .end };
        }

        /// Runs to the end without order and gives the number of rows in the window.
        pub fn count(execution: *Execution) Error!u64 {
            while (execution.limit_left > 0 and execution.stage != .end) {
                _ = try execution.nextMatch() orelse break;
                if (execution.offset_left > 0) {
                    execution.offset_left -= 1;
                } else {
                    execution.limit_left -= 1;
                    execution.returned += 1;
                }
            }
            execution.end();
            return execution.returned;
        }

        /// The next row of the result, in order. After an error the execution is only closed.
        pub fn nextRow(execution: *Execution) Error!?Row {
            const row = try execution.nextInWindow() orelse {
                execution.end();
                return null;
            };
            execution.last = row;
            execution.returned += 1;
            execution.limit_left -= 1;
            if (execution.limit_left == 0) execution.end();
            return row;
        }

        /// What the rows returned so far depend on.
        pub fn boundary(execution: *const Execution) Boundary {
            const program = execution.program;
            const cut_short = execution.limit_left == 0 or execution.stage != .end;
            if (!cut_short or program.count_only) return .everything;
            if (program.order.columns.len == 0) {
                return if (program.offset == 0) .returned else .everything;
            }
            return if (execution.last) |row| .{ .through = row } else .everything;
        }

        fn end(execution: *Execution) void {
            execution.stage = .end;
            execution.reader.close();
        }

        fn nextInWindow(execution: *Execution) Error!?Row {
            while (true) {
                switch (execution.stage) {
                    .start => if (execution.program.order.columns.len == 0) {
                        execution.stage = .stream;
                    } else {
                        execution.stage = .collected;
                        if (!execution.program.walk) try execution.collect();
                    },
                    .stream => {
                        const row = try execution.nextMatch() orelse return null;
                        if (execution.offset_left == 0) return row;
                        execution.offset_left -= 1;
                    },
                    .collected => {
                        const collector = &execution.collector;
                        if (execution.collected_index < collector.rowsCount()) {
                            defer execution.collected_index += 1;
                            return collector.rowAt(execution.collected_index);
                        }
                        if (!execution.program.walk) return null;
                        if (!try execution.collectGroup()) return null;
                    },
                    .end => return null,
                }
            }
        }

        /// Collects the window's rows of a sort.
        fn collect(execution: *Execution) Error!void {
            execution.collector.reset(execution.program.windowEnd());
            while (try execution.nextMatch()) |row| {
                try execution.collector.add(execution.gpa, row);
            }
            execution.finishCollection();
        }

        /// Collects the rows with the next index key of a walk; false when there are none. Reading
        /// the row behind the group, which ends it, is saved where the key cannot come twice.
        fn collectGroup(execution: *Execution) Error!bool {
            const first = execution.pending orelse try execution.nextMatch() orelse return false;
            execution.pending = null;
            execution.collector.reset(execution.offset_left +| execution.limit_left);
            try execution.collector.add(execution.gpa, first);

            const column = execution.program.arms[0].column;
            const alone = column.position == 0 or (column.unique and !column.isNull(first.image));
            if (!alone) {
                if (execution.group_words.len == 0) {
                    const words_count = execution.reader.words.len;
                    execution.group_words = try execution.gpa.alloc(u64, words_count);
                }
                @memcpy(execution.group_words, execution.reader.words);
                while (try execution.nextMatch()) |row| {
                    if (!key.equal(execution.reader.words, execution.group_words)) {
                        execution.pending = row;
                        break;
                    }
                    try execution.collector.add(execution.gpa, row);
                }
            }
            execution.finishCollection();
            return true;
        }

        fn finishCollection(execution: *Execution) void {
            execution.collector.finish();
            const skipped = @min(execution.offset_left, execution.collector.rowsCount());
            execution.offset_left -= skipped;
            execution.collected_index = @intCast(skipped);
        }

        /// The next row of the arms that the program accepts, once.
        fn nextMatch(execution: *Execution) Error!?Row {
            const program = execution.program;
            while (true) {
                if (execution.reader.open == .scan) {
                    if (try execution.nextScanned(&execution.reader.open.scan)) |row| return row;
                    execution.reader.nextArm();
                }
                const row = try execution.reader.next(execution) orelse return null;
                execution.examined += 1;
                if (program.accepts(row.image) and execution.isFirst(row)) return row;
            }
        }

        /// What a scan costs is here: nothing but the next row and its test.
        fn nextScanned(execution: *Execution, scan: *Source.Scan) Error!?Row {
            const program = execution.program;
            var examined: u64 = 0;
            defer execution.examined += examined;
            while (try scan.next()) |row| {
                examined += 1;
                if (program.accepts(row.image) and execution.isFirst(row)) return row;
            }
            return null;
        }

        /// Whether no earlier arm has delivered the row already.
        inline fn isFirst(execution: *const Execution, row: Row) bool {
            const arm_index = execution.reader.arm_index;
            return arm_index == 0 or !execution.program.isInArms(row.image, arm_index);
        }

        /// Goes through the arms and their ranges.
        const Reader = struct {
            arm_index: usize = 0,
            /// Ranges of the arm that are finished.
            ranges_done: usize = 0,
            open: union(enum) { none, scan: Source.Scan, cursor: Source.Cursor } = .none,
            /// The index key of the row that was read last, in an arm by index.
            words: []u64 = &.{},

            fn next(reader: *Reader, execution: *Execution) Error!?Row {
                const arms = execution.program.arms;
                while (reader.arm_index < arms.len) {
                    const arm = &arms[reader.arm_index];
                    const row = switch (arm.kind) {
                        .scan => try reader.nextOfScan(execution),
                        .key => try reader.nextByKey(execution, arm),
                        .index => try reader.nextByIndex(execution, arm),
                    };
                    if (row) |found| return found;
                    reader.nextArm();
                }
                return null;
            }

            fn nextArm(reader: *Reader) void {
                reader.close();
                reader.arm_index += 1;
                reader.ranges_done = 0;
            }

            fn nextOfScan(reader: *Reader, execution: *Execution) Error!?Row {
                if (reader.open == .none) {
                    const scan = execution.source.scan();
                    const opened = if (@typeInfo(@TypeOf(scan)) == .error_union) try scan else scan;
                    reader.open = .{ .scan = opened };
                }
                return reader.open.scan.next();
            }

            fn nextByKey(
                reader: *Reader,
                execution: *Execution,
                arm: *const route.Arm,
            ) Error!?Row {
                while (reader.ranges_done < arm.ranges.len) {
                    const range = reader.rangeAt(execution, arm);
                    reader.ranges_done += 1;
                    if (try execution.source.find(range.key_bytes)) |row| return row;
                }
                return null;
            }

            fn nextByIndex(
                reader: *Reader,
                execution: *Execution,
                arm: *const route.Arm,
            ) Error!?Row {
                const words_count = key.keyWordsCount(arm.column);
                if (reader.words.len != words_count) {
                    reader.words = try execution.gpa.realloc(reader.words, words_count);
                }
                const direction = directionOf(execution);
                while (reader.ranges_done < arm.ranges.len) {
                    const range = reader.rangeAt(execution, arm);
                    if (reader.open == .none) {
                        const bound = if (direction == .forward) range.low else range.high;
                        reader.open = .{ .cursor = try execution.source.seek(
                            arm.column.position,
                            bound,
                            direction,
                        ) };
                    }
                    if (try reader.open.cursor.next()) |row| {
                        key.encodeKey(arm.column, row.image, reader.words);
                        const inside = switch (direction) {
                            .forward => key.order(reader.words, range.high) != .gt,
                            .backward => key.order(reader.words, range.low) != .lt,
                        };
                        if (inside) return row;
                    }
                    reader.close();
                    reader.ranges_done += 1;
                }
                return null;
            }

            fn rangeAt(
                reader: *const Reader,
                execution: *const Execution,
                arm: *const route.Arm,
            ) *const route.Range {
                return switch (directionOf(execution)) {
                    .forward => &arm.ranges[reader.ranges_done],
                    .backward => &arm.ranges[arm.ranges.len - 1 - reader.ranges_done],
                };
            }

            fn directionOf(execution: *const Execution) Direction {
                const program = execution.program;
                const backward = program.walk and program.order.columns[0].descending;
                return if (backward) .backward else .forward;
            }

            fn close(reader: *Reader) void {
                switch (reader.open) {
                    .none => {},
                    inline else => |*each| {
                        if (@hasDecl(@TypeOf(each.*), "deinit")) each.deinit();
                    },
                }
                reader.open = .none;
            }
        };
    };
}
