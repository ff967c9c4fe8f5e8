//! The program of the crafted mutants: files and segments whose structures an adversary has changed
//! and whose checksums are right. `zig build crafted`, then:
//!
//!   zig-out/bin/crafted files FIRST COUNT       log, checkpoint and epoch files, recovered
//!   zig-out/bin/crafted segments FIRST COUNT    segments, attached and used
//!
//! Prints how many mutants opened and how many were refused. One that aborts, or leaves a database
//! whose structures disagree, is named on stderr, and the exit status is not 0. A mutant is told by
//! its number alone.
const std = @import("std");
const files = @import("testing/crafted/files.zig");
const recovery = @import("testing/crafted/recovery.zig");
const segment = @import("testing/crafted/segment.zig");

var mutant: u64 = 0;

pub const panic = std.debug.FullPanic(struct {
    fn tell(message: []const u8, address: ?usize) noreturn {
        std.debug.print("mutant {d} aborts\n", .{mutant});
        std.debug.defaultPanic(message, address);
    }
}.tell);

/// Files of so many mutants are of one history.
const history_size = 1_000;

pub fn main(init: std.process.Init.Minimal) !u8 {
    var arguments = init.args.iterate();
    _ = arguments.next();
    const kind = arguments.next() orelse return error.MissingKind;
    const first = try std.fmt.parseInt(u64, arguments.next() orelse "1", 10);
    const count = try std.fmt.parseInt(u64, arguments.next() orelse "1", 10);
    const is_files = std.mem.eql(u8, kind, "files");
    const allocator = std.heap.c_allocator;
    var kept: std.heap.ArenaAllocator = .init(allocator);
    defer kept.deinit();
    var arena: std.heap.ArenaAllocator = .init(allocator);
    defer arena.deinit();
    var target: segment.Target = try .init(allocator);
    defer target.deinit();
    var base: files.Files = .{};
    var history: ?u64 = null;
    var tally: recovery.Tally = .{};
    var failures: u64 = 0;
    for (first..first + count) |number| {
        mutant = number;
        if (is_files and history != number / history_size) {
            history = number / history_size;
            _ = kept.reset(.retain_capacity);
            base = try files.make(kept.allocator(), history.? + 1);
        }
        _ = arena.reset(.retain_capacity);
        const outcome = if (is_files)
            recovery.run(allocator, arena.allocator(), &base, number)
        else
            target.run(number);
        tally.add(outcome catch |err| {
            std.debug.print("mutant {d}: {t}\n", .{ number, err });
            failures += 1;
            continue;
        });
    }
    std.debug.print("{d} opened, {d} used up, {d} refused, {d} failed\n", .{
        tally.opened,
        tally.used_up,
        tally.refused,
        failures,
    });
    return @intFromBool(failures > 0);
}
