//! Runs a program over a source: one table at one snapshot, with the transaction's own writes.
//!
//! `Source` is a type with
//!   * `Error`, an error set; `Scan` and `Cursor`, each with `fill(*T, rows: []Row) Error!usize`,
//!     which gives the next rows, at most as many as there is room for, and none only at the end,
//!     and optionally `deinit(*T) void`;
//!   * `find(source, key_bytes) Error!?Row`: the row with this primary key, given as its column
//!     bytes in an image;
//!   * `scan(source) Scan`: every visible row once, in any order;
//!   * `split(source) ?Split`: the same in parts for several threads (`parallel.zig`), or null;
//!   * `seek(source, column, from, until, direction) Error!Cursor`: the visible rows in index order
//!     with keys from `from` up to `until` (forward) or down to it (backward), both included. After
//!     the words of its key `from` may have a tie: rows of that key before it are left out. The
//!     bounds are borrowed. A row comes at the key that its image has, and once. A cursor's `fill`
//!     has a third argument, `enough`: having that many rows, it stops where the group changes, and
//!     says so in `isAtChange()`. A group is what comes in any order: rows with equal keys, and
//!     equal ties if the direction has an order of them.
//! Scans and cursors stay usable between calls, and images in place, while the snapshot is pinned.
//!
//! **Invariants.** A row is returned once. Rows come in the program's order, if it has one, however
//! they were found. Rows are read no further than the window needs: where nothing is left to test
//! exactly as far, an ordered walk to the end of the group that completes it. Otherwise to the end
//! of the block in which that is; blocks begin no larger than the window and double. In the stage
//! `walk` the next row of the block is the first of its group: of those that the index does not put
//! in order.
//!
//! **Concurrency.** One execution belongs to one thread; it may take more for a large scan.
//!
//! **Memory.** In the allocator passed: rows of a sort (the window's, when there is a limit) or of
//! the largest group in a walk; nothing otherwise. Nothing per row examined.

const std = @import("std");
const assert = std.debug.assert;
const meter_module = @import("meter.zig");
const order_module = @import("order.zig");
const parallel = @import("parallel.zig");
const predicate = @import("predicate.zig");
const aggregate_module = @import("aggregate.zig");
const program_module = @import("program.zig");
const route = @import("route.zig");
const Allocator = std.mem.Allocator;
const Aggregate = aggregate_module.Aggregate;
const Aggregator = aggregate_module.Aggregator;
const Collector = order_module.Collector;

pub const Meter = meter_module.Meter;
pub const Program = program_module.Program;
pub const Row = predicate.Row;
/// The order in which a cursor gives rows: of keys, and of the ties of those with equal keys, where
/// the index has ties. Ties are `.backward` only if keys are.
pub const Direction = struct { backward: bool = false, ties: program_module.Ties = .forward };

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

/// Rows that are read and tested at a time.
pub const block_size = 128;
/// Rows of the first block, where the window does not ask for fewer.
const block_first = 16;

/// Room for a block and a small sort, which whoever opens an execution keeps for it.
pub const Room = struct {
    rows: [block_size]Row,
    collected: [Collector.room_size]Collector.Entry,
};

/// Both at multiples of 8, as long as an image. Short ones without a call.
fn copyImage(out: [*]u8, image: predicate.Image, size: u32) void {
    switch (size) {
        inline 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128 => |fixed| {
            out[0..fixed].* = image[0..fixed].*;
        },
        else => @memcpy(out[0..size], image[0..size]),
    }
}

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
        collector: Collector,
        /// The collector's next row to return.
        collected_index: usize,
        offset_left: u64,
        limit_left: u64,
        last: ?Row,
        /// Rows that were compared with the residual.
        examined: u64,
        returned: u64,
        meter: ?Meter,
        /// Of an aggregation, once its rows were read.
        aggregator: ?*Aggregator,
        /// Groups given.
        groups_given: usize,

        const Stage = enum { start, stream, walk, collected, end };

        /// Reads nothing yet. What is passed must outlive the execution.
        pub fn init(
            gpa: Allocator,
            source: *Source,
            program: *const Program,
            room: *Room,
        ) Execution {
            return .{
                .gpa = gpa,
                .source = source,
                .program = program,
                .reader = .{},
                .stage = .start,
                .block = .{ .rows = &room.rows, .want = firstBlock(program.windowEnd()) },
                .collector = .init(program.order, @intFromBool(program.walk), &room.collected),
                .collected_index = 0,
                .offset_left = program.offset,
                .limit_left = program.limit,
                .last = null,
                .examined = 0,
                .returned = 0,
                .meter = null,
                .aggregator = null,
                .groups_given = 0,
            };
        }

        inline fn lap(execution: *Execution, step: meter_module.Step) void {
            if (execution.meter) |*meter| meter.lap(step);
        }

        fn firstBlock(window: u64) usize {
            return @intCast(@min(@max(1, window), block_first));
        }

        pub fn deinit(execution: *Execution) void {
            execution.reader.close();
            execution.collector.deinit(execution.gpa);
            if (execution.aggregator) |aggregator| aggregator.destroy();
        }

        /// Copies the next images into `buffer`, one behind the other, as many as fit. A count-only
        /// program gives no rows: its count is in `returned`.
        pub fn next(
            execution: *Execution,
            buffer: []u8,
        ) (Error || error{BufferTooSmall})!Batch {
            const size = execution.program.schema.image_size;
            if (execution.meter) |*meter| meter.skip();
            defer execution.lap(.copy);
            if (execution.program.aggregate) |*aggregate| {
                return execution.nextGroups(aggregate, buffer);
            }
            if (execution.program.count_only) {
                _ = try execution.count();
                return .{ .rows = 0, .done = true };
            }
            if (buffer.len < size) return error.BufferTooSmall;
            const rows_max: u32 = @intCast(@min(buffer.len / size, std.math.maxInt(u32)));
            var rows: u32 = 0;
            while (rows < rows_max) {
                const at = @as(usize, rows) * size;
                const ahead = execution.copyAhead(buffer[at .. rows_max * @as(usize, size)]);
                if (ahead > 0) {
                    execution.lap(.copy);
                    rows += ahead;
                    continue;
                }
                const row = try execution.nextRow() orelse break;
                copyImage(buffer[at..].ptr, row.image, size);
                rows += 1;
            }
            return .{ .rows = rows, .done = execution.stage == .end };
        }

        /// Reads all rows at the first call; writes the records of the next groups.
        fn nextGroups(
            execution: *Execution,
            aggregate: *const Aggregate,
            buffer: []u8,
        ) (Error || error{BufferTooSmall})!Batch {
            const size = aggregate.record_size;
            if (buffer.len < size) return error.BufferTooSmall;
            if (execution.aggregator == null) {
                const made: *Aggregator = try .create(execution.gpa, aggregate);
                execution.aggregator = made;
                try execution.aggregateAll(made);
                try made.finish();
            }
            const aggregator = execution.aggregator.?;
            const left = aggregator.groupsCount() - execution.groups_given;
            const given = @min(left, buffer.len / size);
            for (0..given) |i| {
                const record = buffer[i * size ..][0..size];
                aggregator.writeRecord(execution.groups_given + i, record);
            }
            execution.groups_given += given;
            execution.returned += given;
            if (given == left) execution.end();
            return .{ .rows = @intCast(given), .done = given == left };
        }

        fn aggregateAll(execution: *Execution, aggregator: *Aggregator) Error!void {
            const program = execution.program;
            const is_scan = program.isScan();
            if (is_scan and program.acceptsAll()) {
                if (try aggregator.addEnds(Source, execution.source)) |examined| {
                    execution.examined += examined;
                    return;
                }
            }
            const parts = if (is_scan) execution.source.split() else null;
            if (parts) |split| {
                const examined = try parallel.aggregate(
                    Source,
                    execution.gpa,
                    program,
                    split,
                    aggregator,
                );
                execution.examined += examined;
            } else while (try execution.fillBlock(0)) {
                try aggregator.addAll(execution.block.takeAll());
                execution.lap(.sort);
            }
        }

        /// Copies the rows that are next in order and at hand: of the block as they stand, or
        /// collected. How many.
        fn copyAhead(execution: *Execution, buffer: []u8) u32 {
            if (execution.stage == .collected) return execution.copyCollected(buffer);
            const block = &execution.block;
            if (execution.offset_left > 0 or block.at == block.len) return 0;
            @setRuntimeSafety(false); // rows are of the block, and as many as there is room for
            const size = execution.program.schema.image_size;
            const rows = block.rows[block.at..][0..execution.roomFor(buffer, block.len - block.at)];
            const taken = switch (execution.stage) {
                .stream => rows.len,
                .walk => execution.groupsOfOne(rows.len),
                else => 0,
            };
            if (taken == 0) return 0;
            for (rows[0..taken], 0..) |row, i| copyImage(buffer[i * size ..].ptr, row.image, size);
            block.at += taken;
            execution.giveRows(taken, rows[taken - 1]);
            return @intCast(taken);
        }

        fn copyCollected(execution: *Execution, buffer: []u8) u32 {
            @setRuntimeSafety(false); // as many as there is room for
            const size = execution.program.schema.image_size;
            const left = execution.collector.entries.items[execution.collected_index..];
            const entries = left[0..execution.roomFor(buffer, left.len)];
            if (entries.len == 0) return 0;
            for (entries, 0..) |*entry, i| {
                copyImage(buffer[i * size ..].ptr, entry.row.image, size);
            }
            execution.collected_index += entries.len;
            execution.giveRows(entries.len, entries[entries.len - 1].row);
            return @intCast(entries.len);
        }

        /// How many of so many rows the buffer and the window have room for.
        fn roomFor(execution: *const Execution, buffer: []u8, count_max: usize) usize {
            const room = buffer.len / execution.program.schema.image_size;
            return @intCast(@min(count_max, room, execution.limit_left));
        }

        fn giveRows(execution: *Execution, rows_count: usize, last: Row) void {
            execution.last = last;
            execution.returned += rows_count;
            execution.limit_left -= rows_count;
            if (execution.limit_left == 0) execution.end();
        }

        /// How many of the next rows of a walk, up to `count_max`, are groups of their own.
        fn groupsOfOne(execution: *const Execution, count_max: usize) usize {
            const program = execution.program;
            if (program.is_walk_exact) return count_max;
            @setRuntimeSafety(false); // `groups` stays below `count_max`, and that is of the block
            const block = &execution.block;
            const rows = block.rows[block.at..block.len];
            var groups: usize = 0;
            while (groups < count_max) : (groups += 1) {
                if (groups + 1 == rows.len) {
                    return groups + @intFromBool(execution.reader.isAtChange());
                }
                if (program.isOneGroup(rows[groups].image, rows[groups + 1].image)) break;
            }
            return groups;
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
            execution.lap(.read);
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
            execution.giveRows(1, row);
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
                    } else if (execution.program.walk) {
                        execution.stage = .walk;
                    } else {
                        execution.stage = .collected;
                        try execution.collect();
                    },
                    .stream => {
                        const row = try execution.nextMatch() orelse return null;
                        if (execution.offset_left == 0) return row;
                        execution.offset_left -= 1;
                    },
                    .walk => {
                        const first = try execution.nextGroup() orelse return null;
                        if (execution.stage == .collected) continue;
                        if (execution.offset_left == 0) return first;
                        execution.offset_left -= 1;
                    },
                    .collected => {
                        const collector = &execution.collector;
                        if (execution.collected_index < collector.rowsCount()) {
                            defer execution.collected_index += 1;
                            return collector.rowAt(execution.collected_index);
                        }
                        if (!execution.program.walk) return null;
                        execution.stage = .walk;
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
                execution.lap(.read);
            } else while (try execution.fillBlock(0)) {
                try collector.addAll(execution.gpa, execution.block.takeAll());
                execution.lap(.sort);
            }
            execution.finishCollection();
        }

        /// The first row of the next group of a walk. When there are more, all of them are
        /// collected.
        fn nextGroup(execution: *Execution) Error!?Row {
            const first = try execution.nextMatch() orelse return null;
            if (execution.program.is_walk_exact) return first;
            const column = execution.program.arms[0].column;
            if (column.unique and !column.isNull(first.image)) return first;
            if (!try execution.goesOn(first, 1)) return first;
            const collector = &execution.collector;
            collector.reset(execution.windowLeft());
            try collector.addAll(execution.gpa, &.{first});
            const block = &execution.block;
            while (true) {
                const rows = block.rows[block.at..block.len];
                const same = execution.sameCount(first.image, rows);
                try collector.addAll(execution.gpa, rows[0..same]);
                block.at += same;
                if (same < rows.len) break;
                if (!try execution.goesOn(first, collector.rowsCount())) break;
            }
            execution.finishCollection();
            execution.stage = .collected;
            return first;
        }

        /// Whether the next match of a walk is of the group of `row`, too. It stays to be taken.
        /// `taken` rows of the group were taken so far.
        fn goesOn(execution: *Execution, row: Row, taken: usize) Error!bool {
            const block = &execution.block;
            if (block.at == block.len) {
                if (execution.reader.isAtChange()) return false;
                if (!try execution.fillBlock(taken)) return false;
            }
            return execution.program.isOneGroup(row.image, block.rows[block.at].image);
        }

        /// How many of the first rows are of the group of an image.
        fn sameCount(
            execution: *const Execution,
            image: predicate.Image,
            rows: []const Row,
        ) usize {
            for (rows, 0..) |row, i| {
                if (!execution.program.isOneGroup(image, row.image)) return i;
            }
            return rows.len;
        }

        fn finishCollection(execution: *Execution) void {
            execution.collector.finish();
            execution.lap(.sort);
            const skipped = @min(execution.offset_left, execution.collector.rowsCount());
            execution.offset_left -= skipped;
            execution.collected_index = @intCast(skipped);
        }

        /// The next row of the arms that the program accepts, once.
        inline fn nextMatch(execution: *Execution) Error!?Row {
            if (execution.block.take()) |row| return row;
            if (!try execution.fillBlock(0)) return null;
            return execution.block.take();
        }

        /// How many matches there are at hand; 0 at the end. They are passed over.
        fn skipMatches(execution: *Execution) Error!u64 {
            _ = try execution.nextMatch() orelse return 0;
            return 1 + execution.block.takeAll().len;
        }

        /// Rows of the window that were not given yet.
        fn windowLeft(execution: *const Execution) u64 {
            return execution.offset_left +| execution.limit_left;
        }

        /// Reads on until there is a match; false at the end. `taken` rows of the window were taken
        /// from earlier blocks, and not yet given.
        fn fillBlock(execution: *Execution, taken: usize) Error!bool {
            const program = execution.program;
            const block = &execution.block;
            const reader = &execution.reader;
            const is_collected = execution.stage == .collected and !program.walk;
            while (reader.arm_index < program.arms.len) {
                const arm = &program.arms[reader.arm_index];
                var enough: usize = block_size;
                if (program.acceptsAll()) {
                    const left = if (is_collected) block_size else execution.windowLeft() -| taken;
                    enough = @intCast(@min(@max(1, left), block_size));
                    // An index goes on with the rows of the last group.
                    const goes_on = arm.kind == .index and program.walk and !program.is_walk_exact;
                    block.want = if (goes_on) block_size else enough;
                }
                const filled = try reader.fill(execution, arm, block.rows[0..block.want], enough);
                execution.lap(.read);
                if (filled == 0) {
                    reader.nextArm();
                    continue;
                }
                block.want = @min(2 * block.want, block_size);
                execution.examined += filled;
                const matching = program.select(block.rows[0..filled]);
                block.at = 0;
                block.len = execution.withoutEarlier(block.rows[0..matching]);
                execution.lap(.test_rows);
                if (block.len > 0) return true;
            }
            return false;
        }

        /// Moves the rows that no earlier arm has delivered to the front; returns how many.
        fn withoutEarlier(execution: *const Execution, rows: []Row) usize {
            const arm_index = execution.reader.arm_index;
            if (arm_index == 0) return rows.len;
            var kept: usize = 0;
            for (rows) |row| {
                if (execution.program.isInArms(row.image, arm_index)) continue;
                rows[kept] = row;
                kept += 1;
            }
            return kept;
        }

        /// Matches that were read and not yet taken.
        const Block = struct {
            rows: *[block_size]Row,
            at: usize = 0,
            len: usize = 0,
            /// Rows to read next.
            want: usize,

            inline fn take(block: *Block) ?Row {
                if (block.at == block.len) return null;
                defer block.at += 1;
                return block.rows[block.at];
            }

            /// All that is left.
            fn takeAll(block: *Block) []const Row {
                defer block.at = block.len;
                return block.rows[block.at..block.len];
            }
        };

        /// Goes through the arms and their ranges.
        const Reader = struct {
            arm_index: usize = 0,
            /// Ranges of the arm that are finished.
            ranges_done: usize = 0,
            open: union(enum) { none, scan: Source.Scan, cursor: Source.Cursor } = .none,

            /// The next rows of an arm; none at its end.
            fn fill(
                reader: *Reader,
                execution: *Execution,
                arm: *const route.Arm,
                rows: []Row,
                enough: usize,
            ) Error!usize {
                return switch (arm.kind) {
                    .scan => reader.fillByScan(execution, rows),
                    .key => reader.fillByKey(execution, arm, rows),
                    .index => reader.fillByIndex(execution, arm, rows, enough),
                };
            }

            /// Whether all that follows is of other groups than what was read.
            fn isAtChange(reader: *const Reader) bool {
                return switch (reader.open) {
                    .none, .scan => false,
                    .cursor => |*cursor| cursor.isAtChange(),
                };
            }

            fn nextArm(reader: *Reader) void {
                reader.close();
                reader.arm_index += 1;
                reader.ranges_done = 0;
            }

            fn fillByScan(reader: *Reader, execution: *Execution, rows: []Row) Error!usize {
                if (reader.open == .none) reader.open = .{ .scan = execution.source.scan() };
                return reader.open.scan.fill(rows);
            }

            fn fillByKey(
                reader: *Reader,
                execution: *Execution,
                arm: *const route.Arm,
                rows: []Row,
            ) Error!usize {
                var filled: usize = 0;
                while (filled < rows.len and reader.ranges_done < arm.ranges.len) {
                    const range = reader.rangeAt(execution, arm);
                    reader.ranges_done += 1;
                    rows[filled] = try execution.source.find(range.key_bytes) orelse continue;
                    filled += 1;
                }
                return filled;
            }

            fn fillByIndex(
                reader: *Reader,
                execution: *Execution,
                arm: *const route.Arm,
                rows: []Row,
                enough: usize,
            ) Error!usize {
                while (reader.ranges_done < arm.ranges.len) {
                    if (reader.open == .none) {
                        const range = reader.rangeAt(execution, arm);
                        const direction = directionOf(execution);
                        const is_forward = !direction.backward;
                        const near = if (is_forward) range.low else range.high;
                        reader.open = .{ .cursor = try execution.source.seek(
                            arm.column.position,
                            execution.program.startIn(near),
                            if (is_forward) range.high else range.low,
                            direction,
                        ) };
                    }
                    const filled = try reader.open.cursor.fill(rows, enough);
                    if (filled > 0) return filled;
                    reader.close();
                    reader.ranges_done += 1;
                }
                return 0;
            }

            fn rangeAt(
                reader: *const Reader,
                execution: *const Execution,
                arm: *const route.Arm,
            ) *const route.Range {
                if (!directionOf(execution).backward) return &arm.ranges[reader.ranges_done];
                return &arm.ranges[arm.ranges.len - 1 - reader.ranges_done];
            }

            fn directionOf(execution: *const Execution) Direction {
                const program = execution.program;
                return .{
                    .backward = program.walk and program.order.columns[0].descending,
                    .ties = program.ties,
                };
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
