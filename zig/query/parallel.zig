//! A scan by several threads: each takes parts of the table until none is left.
//!
//! A source's `Split` has `threadsCount(*Split) usize`, the threads worth starting besides the
//! caller's; `take(*Split) ?Part`, from any thread, each part once; and a `Part` has `fill(*Part,
//! []Row)` like a `Scan`. Threads live as long as the scan: starting one takes some 30
//! microseconds, and a source splits only what takes a thousand.
//!
//! **Concurrency.** Workers read shared memory under the pin of the caller, who waits for all.
//! Where no thread can be had the caller does everything.
//!
//! **Memory.** A block and, for a sort, a collector for each thread, in the allocator passed, which
//! must be safe for threads.

const std = @import("std");
const executor = @import("executor.zig");
const aggregate_module = @import("aggregate.zig");
const order_module = @import("order.zig");
const Allocator = std.mem.Allocator;
const Aggregate = aggregate_module.Aggregate;
const Aggregator = aggregate_module.Aggregator;
const Collector = order_module.Collector;
const Program = executor.Program;
const Row = executor.Row;

const threads_max = 15;

pub const Total = struct { matching: u64 = 0, examined: u64 = 0 };

/// Rows that match, without a window.
pub fn count(
    comptime Source: type,
    gpa: Allocator,
    program: *const Program,
    split: Source.Split,
) (Source.Error || Allocator.Error)!Total {
    var team: Team(Source) = .{ .gpa = gpa, .program = program, .split = split, .capacity = null };
    defer team.deinit();
    return team.run();
}

/// Adds the rows that match to `collector`; gives the number of rows examined.
pub fn collect(
    comptime Source: type,
    gpa: Allocator,
    program: *const Program,
    split: Source.Split,
    collector: *Collector,
) (Source.Error || Allocator.Error)!u64 {
    var team: Team(Source) = .{
        .gpa = gpa,
        .program = program,
        .split = split,
        .capacity = collector.capacity,
    };
    defer team.deinit();
    const total = try team.run();
    for (team.workers[0..team.workers_count]) |*worker| {
        for (worker.collector.entries.items) |entry| try collector.add(gpa, entry);
    }
    return total.examined;
}

/// Adds the rows that match to `aggregator`; gives the number of rows examined.
pub fn aggregate(
    comptime Source: type,
    gpa: Allocator,
    program: *const Program,
    split: Source.Split,
    aggregator: *Aggregator,
) (Source.Error || Allocator.Error)!u64 {
    var team: Team(Source) = .{
        .gpa = gpa,
        .program = program,
        .split = split,
        .capacity = null,
        .aggregate = aggregator.aggregate,
    };
    defer team.deinit();
    const total = try team.run();
    for (team.workers[0..team.workers_count]) |*worker| {
        if (worker.aggregator) |part| try aggregator.merge(part);
    }
    return total.examined;
}

fn Team(comptime Source: type) type {
    return struct {
        const Self = @This();
        const Error = Source.Error || Allocator.Error;

        gpa: Allocator,
        program: *const Program,
        split: Source.Split,
        /// Rows that a worker keeps; null where they are only counted.
        capacity: ?u64,
        aggregate: ?*const Aggregate = null,
        workers: [threads_max + 1]Worker = @splat(.{}),
        workers_count: usize = 0,

        const Worker = struct {
            total: Total = .{},
            failure: ?Error = null,
            collector: Collector = .init(.{ .columns = &.{} }, 0, &.{}),
            aggregator: ?*Aggregator = null,
        };

        fn deinit(team: *Self) void {
            for (team.workers[0..team.workers_count]) |*worker| {
                worker.collector.deinit(team.gpa);
                if (worker.aggregator) |aggregator| aggregator.destroy();
            }
        }

        fn run(team: *Self) Error!Total {
            const wanted = @min(team.split.threadsCount(), threads_max);
            team.workers_count = wanted + 1;
            for (team.workers[0..team.workers_count]) |*worker| {
                worker.collector = .init(team.program.order, 0, &.{});
                if (team.capacity) |capacity| worker.collector.reset(capacity);
            }
            var threads: [threads_max]std.Thread = undefined;
            var started: usize = 0;
            while (started < wanted) : (started += 1) {
                const worker = &team.workers[started];
                const options: std.Thread.SpawnConfig = .{ .stack_size = 1 << 20 };
                threads[started] = std.Thread.spawn(options, work, .{ team, worker }) catch break;
            }
            team.work(&team.workers[wanted]);
            for (threads[0..started]) |thread| thread.join();
            var total: Total = .{};
            for (team.workers[0..team.workers_count]) |*worker| {
                if (worker.failure) |failure| return failure;
                total.matching += worker.total.matching;
                total.examined += worker.total.examined;
            }
            return total;
        }

        fn work(team: *Self, worker: *Worker) void {
            team.scan(worker) catch |failure| {
                worker.failure = failure;
            };
        }

        fn scan(team: *Self, worker: *Worker) Error!void {
            if (team.aggregate) |each| worker.aggregator = try .create(team.gpa, each);
            const block = try team.gpa.alloc(Row, executor.block_size);
            defer team.gpa.free(block);
            while (team.split.take()) |taken| {
                var part = taken;
                while (true) {
                    const filled = try part.fill(block);
                    if (filled == 0) break;
                    worker.total.examined += filled;
                    const matching = team.program.select(block[0..filled]);
                    worker.total.matching += matching;
                    if (worker.aggregator) |aggregator| try aggregator.addAll(block[0..matching]);
                    if (team.capacity == null) continue;
                    try worker.collector.addAll(team.gpa, block[0..matching]);
                }
            }
        }
    };
}
