//! The program of the schedule campaigns: all interleavings of small cases, and thousands of seeds
//! of larger ones, with participants that die or stall at any step. `zig build schedules`, then:
//!
//!   zig-out/bin/schedules --list                       names of cases and of mutants
//!   zig-out/bin/schedules                              all of them
//!   zig-out/bin/schedules --only ring --seeds 20000    those with `ring` in their name
//!
//! A failure prints how the schedule is run again, which gives the same steps. The exit status is 1
//! then.
const std = @import("std");
const campaign = @import("testing/campaign.zig");
const explore = @import("testing/explore.zig");
const mutant = @import("instrument/mutant.zig");
const random_play = @import("testing/random_play.zig");

const Options = struct {
    only: []const u8 = "",
    /// First seed of the random cases, and how many of each.
    seed: u64 = 1,
    seeds: u64 = 20_000,
    /// Preemptions of the explored cases, beyond their own.
    deeper: u32 = 0,
    replay: ?campaign.Replay = null,
    lists: bool = false,

    fn parse(arguments: *std.process.Args.Iterator, allocator: std.mem.Allocator) !Options {
        var options: Options = .{};
        while (arguments.next()) |name| {
            if (std.mem.eql(u8, name, "--list")) {
                options.lists = true;
                continue;
            }
            const value = arguments.next() orelse return error.MissingValue;
            if (std.mem.eql(u8, name, "--only")) {
                options.only = value;
            } else if (std.mem.eql(u8, name, "--seed")) {
                options.seed = try std.fmt.parseInt(u64, value, 10);
            } else if (std.mem.eql(u8, name, "--seeds")) {
                options.seeds = try std.fmt.parseInt(u64, value, 10);
            } else if (std.mem.eql(u8, name, "--deeper")) {
                options.deeper = try std.fmt.parseInt(u32, value, 10);
            } else if (std.mem.eql(u8, name, "--replay")) {
                options.replay = try campaign.Replay.parse(value, allocator);
            } else if (std.mem.eql(u8, name, "--mutant")) {
                mutant.choose(value) catch return error.UnknownMutant;
            } else return error.UnknownOption;
        }
        return options;
    }

    fn has(options: *const Options, name: []const u8) bool {
        return std.mem.indexOf(u8, name, options.only) != null;
    }
};

pub fn main(init: std.process.Init.Minimal) !u8 {
    var arena: std.heap.ArenaAllocator = .init(std.heap.c_allocator);
    defer arena.deinit();

    var arguments = init.args.iterate();
    _ = arguments.next();
    const options = try Options.parse(&arguments, arena.allocator());
    if (options.lists) {
        printNames();
        return 0;
    }
    var failures: u8 = 0;
    for (&explore.cases) |*case| {
        if (!options.has(case.name)) continue;
        var report: campaign.Report = .{ .name = case.name };
        const result = explore.run(case, options.deeper, options.replay, &report);
        failures += report.print(result);
    }
    for (&random_play.cases) |*case| {
        if (!options.has(case.name) or options.replay != null) continue;
        var report: campaign.Report = .{ .name = case.name };
        const result = random_play.run(case, options.seed, options.seeds, &report);
        failures += report.print(result);
    }
    return @min(failures, 1);
}

/// Whether the campaigns are to find a mutant. Others fail tests of their own: those of the catalog
/// `zig/testing/catalog_test.zig`, those of the log `test/crash/disk.test.ts` and its like.
fn isOfCampaigns(each: mutant.Mutant) bool {
    return switch (each) {
        .none, .table_early, .table_left, .names_unchecked => false,
        .poison_forgotten, .removal_unseen => false,
        else => true,
    };
}

/// A line each: its kind, a tab, its name.
fn printNames() void {
    for (&explore.cases) |*case| std.debug.print("explore\t{s}\n", .{case.name});
    for (&random_play.cases) |*case| std.debug.print("random\t{s}\n", .{case.name});
    for (std.enums.values(mutant.Mutant)) |each| {
        if (isOfCampaigns(each)) std.debug.print("mutant\t{t}\n", .{each});
    }
}
