//! Fault points of the fault build: a process kills or stops itself at a chosen shared step or
//! named point, or its disk is full or fails.
//!
//! **Concurrency**: the counters are process-global on purpose: the process is what dies.
const std = @import("std");
const options = @import("build_options");
const os = @import("../os.zig");

var steps_left: u64 = 0;
var point_name: [64]u8 = undefined;
var point_size: usize = 0;
var point_hits_left: u64 = 0;
var point_stops = false;

const stop_prefix = "stop ";

/// Kills the process at the `count`-th shared step from now; 0 disarms.
pub fn armSteps(count: u64) void {
    @atomicStore(u64, &steps_left, count, .seq_cst);
}

/// Kills the process when the named point is passed for the `hits`-th time from now; 0 disarms.
/// Behind `stop ` and a name it is stopped, until somebody makes it go on.
pub fn armPoint(words: []const u8, hits: u64) void {
    point_stops = std.mem.startsWith(u8, words, stop_prefix);
    const name = if (point_stops) words[stop_prefix.len..] else words;
    const size = @min(name.len, point_name.len);
    @memcpy(point_name[0..size], name[0..size]);
    point_size = size;
    @atomicStore(u64, &point_hits_left, hits, .seq_cst);
}

pub inline fn step() void {
    if (@atomicLoad(u64, &steps_left, .monotonic) == 0) return;
    if (@atomicRmw(u64, &steps_left, .Sub, 1, .seq_cst) == 1) os.killSelf();
}

/// A named place between two shared stores; compiled to nothing outside the fault build.
pub inline fn point(comptime name: []const u8) void {
    if (!options.fault) return;
    if (@atomicLoad(u64, &point_hits_left, .monotonic) == 0) return;
    if (!std.mem.eql(u8, name, point_name[0..point_size])) return;
    if (@atomicRmw(u64, &point_hits_left, .Sub, 1, .seq_cst) != 1) return;
    if (point_stops) os.stopSelf() else os.killSelf();
}

/// What a disk can do to its users, and what its file system may lack: renaming that refuses an
/// existing name.
pub const Failure = enum { space, sync, noreplace };

var failing: [@typeInfo(Failure).@"enum".fields.len]u32 = @splat(0);

/// Makes each call of the kind fail, `count` times; all of them with the largest count.
pub fn armFailure(name: []const u8, count: u32) bool {
    const failure = std.meta.stringToEnum(Failure, name) orelse return false;
    @atomicStore(u32, &failing[@intFromEnum(failure)], count, .seq_cst);
    return true;
}

/// Whether a call of this kind has to fail. Compiled to nothing outside the fault build.
pub inline fn fails(comptime failure: Failure) bool {
    if (!options.fault) return false;
    const left = &failing[@intFromEnum(failure)];
    const before = @atomicLoad(u32, left, .seq_cst);
    if (before == 0) return false;
    if (before != std.math.maxInt(u32)) _ = @atomicRmw(u32, left, .Sub, 1, .seq_cst);
    return true;
}
