//! Runs a program over a source: one table at one snapshot, with the transaction's own writes.
//!
//! `Source` is a type with
//!   * `Error`, an error set; `Scan` with `fill(*Scan, rows: []Row) Error!usize`, which gives the
//!     next rows, at most as many as there is room for, and none only at the end; `Cursor` with
//!     `next(*Cursor) Error!?Row` and optionally `deinit(*Cursor) void`;
//!   * `find(source, key_bytes) Error!?Row`: the row with this primary key, given as its column
//!     bytes in an image;
//!   * `scan(source) Scan`: every visible row once, in any order;
//!   * `split(source) ?Split`: the same in parts for several threads (`parallel.zig`), or null;
//!   * `seek(source, column, bound, direction) Error!Cursor`: the visible rows in index order, from
//!     the first entry at or after `bound` (forward), or the last one at or before it (backward).
//!     A row comes at the key that its image has, and once. Equal keys come in any order.
//! Scans and cursors stay usable between calls, and images in place, while the snapshot is pinned.
//!
//! **Invariants.** A row is returned once. Rows come in the program's order, if it has one, however
//! they were found. Rows are read no further than the window needs: an ordered walk stops with the
//! group of equal index keys that completes it, a scan with the block of rows that does.
//!
//! **Concurrency.** One execution belongs to one thread; it may take more for a large scan.
//!
//! **Memory.** In the allocator passed: rows of a sort (the window's, when there is a limit) or of
//! the largest group of equal index keys in a walk; a block of rows for a scan. Nothing per row
//! examined.

const std = @import("std");
const assert = std.debug.assert;
const key = @import("../index/key.zig");
const order_module = @import("order.zig");
const parallel = @import("parallel.zig");
const predicate = @import("predicate.zig");
const route = @import("route.zig");
const Allocator = std.mem.Allocator;

pub const Program = @import("program.zig").Program;
pub const Row = predicate.Row;
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

/// Rows that a scan reads at a time.
pub const block_size = 128;

pub fn Executor(comptime Source: type) type {
    return struct {
        const Execution = @This();
        pub const Error = Source.Error || Allocator.Error;

        gpa: Allocator,
        source: *Source,
        program: *const Program,
        reader: Reader,
        stage: Stage,
        block: Block,
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
                .block = .{},
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
            execution.gpa.free(execution.block.rows);
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
            if (execution.stage == .start) try execution.countParts();
            while (execution.limit_left > 0 and execution.stage != .end) {
                const found = try execution.skipMatches();
                if (found == 0) break;
                execution.countWindow(found);
            }
            execution.end();
            return execution.returned;
        }

        fn countWindow(execution: *Execution, found: u64) void {
            const skipped = @min(execution.offset_left, found);
            execution.offset_left -= skipped;
            const taken = @min(execution.limit_left, found - skipped);
            execution.limit_left -= taken;
            execution.returned += taken;
        }

        /// Counts with several threads, where the source thinks it worth it.
        fn countParts(execution: *Execution) Error!void {
            const program = execution.program;
            if (!program.isScan() or program.limit != std.math.maxInt(u64)) return;
            const split = execution.source.split() orelse return;
            const total = try parallel.count(Source, execution.gpa, program, split);
            execution.examined += total.examined;
            execution.countWindow(total.matching);
            execution.end();
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
            const program = execution.program;
            const collector = &execution.collector;
            collector.reset(program.windowEnd());
            const parts = if (program.isScan()) execution.source.split() else null;
            if (parts) |split| {
                const gpa = execution.gpa;
                execution.examined += try parallel.collect(Source, gpa, program, split, collector);
            } else while (try execution.nextMatch()) |row| {
                try collector.add(execution.gpa, row);
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
                if (execution.block.take()) |row| return row;
                const arm = execution.reader.arm(program) orelse return null;
                if (arm.kind == .scan) {
                    if (!try execution.fillBlock()) execution.reader.nextArm();
                    continue;
                }
                const row = try execution.reader.next(execution, arm) orelse {
                    execution.reader.nextArm();
                    continue;
                };
                execution.examined += 1;
                if (program.accepts(row.image) and execution.isFirst(row)) return row;
            }
        }

        /// How many matches there are at hand; 0 at the end. They are passed over.
        fn skipMatches(execution: *Execution) Error!u64 {
            _ = try execution.nextMatch() orelse return 0;
            return 1 + execution.block.drop();
        }

        /// Reads the next rows of a scan and keeps those that match; false at its end.
        fn fillBlock(execution: *Execution) Error!bool {
            const block = &execution.block;
            if (execution.reader.open == .none) {
                execution.reader.open = .{ .scan = execution.source.scan() };
                try block.open(execution.gpa, execution.offset_left +| execution.limit_left);
            }
            const rows = block.rows[0..block.want];
            const filled = try execution.reader.open.scan.fill(rows);
            execution.examined += filled;
            const matching = execution.program.select(rows[0..filled]);
            block.at = 0;
            block.len = if (execution.reader.arm_index == 0) matching else others: {
                var kept: usize = 0;
                for (rows[0..matching]) |row| {
                    if (!execution.isFirst(row)) continue;
                    rows[kept] = row;
                    kept += 1;
                }
                break :others kept;
            };
            block.want = @min(2 * block.want, block_size);
            return filled > 0;
        }

        /// Whether no earlier arm has delivered the row already.
        inline fn isFirst(execution: *const Execution, row: Row) bool {
            const arm_index = execution.reader.arm_index;
            return arm_index == 0 or !execution.program.isInArms(row.image, arm_index);
        }

        /// Matches of a scan that were read and not yet taken.
        const Block = struct {
            rows: []Row = &.{},
            at: usize = 0,
            len: usize = 0,
            /// Rows to read next: few where a small window may end the scan soon.
            want: usize = 0,

            fn open(block: *Block, gpa: Allocator, window: u64) Allocator.Error!void {
                if (block.rows.len == 0) block.rows = try gpa.alloc(Row, block_size);
                block.want = @intCast(@max(1, @min(window, block_size)));
            }

            inline fn take(block: *Block) ?Row {
                if (block.at == block.len) return null;
                defer block.at += 1;
                return block.rows[block.at];
            }

            /// Passes over what is left.
            fn drop(block: *Block) u64 {
                defer block.at = block.len;
                return block.len - block.at;
            }
        };

        /// Goes through the arms and their ranges.
        const Reader = struct {
            arm_index: usize = 0,
            /// Ranges of the arm that are finished.
            ranges_done: usize = 0,
            open: union(enum) { none, scan: Source.Scan, cursor: Source.Cursor } = .none,
            /// The index key of the row that was read last, in an arm by index.
            words: []u64 = &.{},

            fn arm(reader: *const Reader, program: *const Program) ?*const route.Arm {
                if (reader.arm_index == program.arms.len) return null;
                return &program.arms[reader.arm_index];
            }

            /// The next row of an arm by key or index.
            fn next(reader: *Reader, execution: *Execution, of: *const route.Arm) Error!?Row {
                return switch (of.kind) {
                    .scan => unreachable, // read by blocks
                    .key => reader.nextByKey(execution, of),
                    .index => reader.nextByIndex(execution, of),
                };
            }

            fn nextArm(reader: *Reader) void {
                reader.close();
                reader.arm_index += 1;
                reader.ranges_done = 0;
            }

            fn nextByKey(
                reader: *Reader,
                execution: *Execution,
                of: *const route.Arm,
            ) Error!?Row {
                while (reader.ranges_done < of.ranges.len) {
                    const range = reader.rangeAt(execution, of);
                    reader.ranges_done += 1;
                    if (try execution.source.find(range.key_bytes)) |row| return row;
                }
                return null;
            }

            fn nextByIndex(
                reader: *Reader,
                execution: *Execution,
                of: *const route.Arm,
            ) Error!?Row {
                const words_count = key.keyWordsCount(of.column);
                if (reader.words.len != words_count) {
                    reader.words = try execution.gpa.realloc(reader.words, words_count);
                }
                const direction = directionOf(execution);
                while (reader.ranges_done < of.ranges.len) {
                    const range = reader.rangeAt(execution, of);
                    if (reader.open == .none) {
                        const bound = if (direction == .forward) range.low else range.high;
                        reader.open = .{ .cursor = try execution.source.seek(
                            of.column.position,
                            bound,
                            direction,
                        ) };
                    }
                    if (try reader.open.cursor.next()) |row| {
                        key.encodeKey(of.column, row.image, reader.words);
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
                of: *const route.Arm,
            ) *const route.Range {
                return switch (directionOf(execution)) {
                    .forward => &of.ranges[reader.ranges_done],
                    .backward => &of.ranges[of.ranges.len - 1 - reader.ranges_done],
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
