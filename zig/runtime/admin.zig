//! The work behind the exports for administration: settings, statistics, recovery, log repair,
//! checkpoints, verification.
//!
//! **Concurrency**: as the handle that is passed.
const std = @import("std");
const limits = @import("../limits.zig");
const stats = @import("stats.zig");
const check_ = @import("check.zig");
const settings = @import("settings.zig");
const log_cut = @import("log_cut.zig");
const recovery_ = @import("recovery.zig");
const storage_ = @import("../wal/storage.zig");
const Check = check_.Check;
const Checkpointer = @import("checkpoint.zig").Checkpointer;
const Handle = @import("connection.zig").Handle;
const Recovery = recovery_.Recovery;

fn settingOf(number: u32) !settings.Setting {
    return std.enums.fromInt(settings.Setting, number) orelse error.InvalidArgument;
}

pub fn setConfig(handle: *Handle, number: u32, value: u32) !void {
    try settings.write(&handle.attached.segment, try settingOf(number), value);
}

pub fn getConfig(handle: *Handle, number: u32) !void {
    const value = settings.read(&handle.attached.segment, try settingOf(number));
    handle.io.result.count = @floatFromInt(value);
}

pub fn readStats(handle: *Handle, out: *stats.Stats) !void {
    stats.fill(&handle.engine.context.session, out);
}

pub fn readSessions(handle: *Handle, out: []u8) !void {
    handle.io.result.size = @intCast(stats.sessions(&handle.engine.context.session, out));
}

pub fn openRecovery(handle: *Handle, flags: u32) !void {
    if (handle.recovery != null) return error.InvalidArgument;
    const storage = handle.attached.directory.storage();
    const distrust = flags & recovery_.flag_distrust_cache != 0;
    handle.recovery = try Recovery.create(handle.allocator, &handle.engine, storage, distrust);
}

pub fn stepRecovery(handle: *Handle, budget_ms: u32, report: *recovery_.Report) !void {
    const recovery = handle.recovery orelse return error.InvalidArgument;
    recovery.step(@min(budget_ms, limits.wait_ms_max)) catch |err| {
        report.* = recovery.report;
        return err;
    };
    report.* = recovery.report;
    if (recovery.phase != .done) return;
    handle.recovery = null;
    recovery.destroy();
}

pub fn cutLog(directory: u32, name: []const u8, offset: f64, report: *log_cut.Report) !void {
    if (!(offset >= 0 and offset < 1 << 53)) return error.InvalidArgument;
    var borrowed: storage_.Directory = .{ .descriptor = @intCast(directory) };
    const storage = borrowed.storage();
    try log_cut.run(std.heap.c_allocator, storage, name, @intFromFloat(offset), report);
}

pub fn startCheckpoint(handle: *Handle) !void {
    if (handle.checkpointer) |old| {
        if (old.stateOf() == .running) return error.Busy;
        old.destroy();
        handle.checkpointer = null;
    }
    handle.checkpointer = try Checkpointer.start(handle.allocator, handle.attached);
}

pub fn pollCheckpoint(handle: *Handle) !void {
    const checkpointer = handle.checkpointer orelse return error.InvalidArgument;
    const result = &handle.io.result;
    const state = checkpointer.stateOf();
    result.done = @intFromBool(state != .running);
    result.count = @floatFromInt(@atomicLoad(u64, &checkpointer.rows, .monotonic)); // progress
    result.csn = @floatFromInt(checkpointer.snapshot_csn);
    result.examined = @floatFromInt(checkpointer.size);
    return switch (state) {
        .idle, .running, .done => {},
        .failed => error.IoError,
        .busy => error.Busy,
        .poisoned => error.LogPoisoned,
        .removed => error.LogRemoved,
        .no_space => error.NoSpace,
    };
}

pub fn openCheck(handle: *Handle, with_files: u32) !void {
    if (handle.check) |old| old.destroy();
    handle.check = null;
    const storage = if (with_files != 0) handle.attached.directory.storage() else null;
    handle.check = try Check.create(handle.allocator, &handle.engine, storage);
}

pub fn stepCheck(handle: *Handle, budget_ms: u32, report: *check_.Report) !void {
    const check = handle.check orelse return error.InvalidArgument;
    const outcome_of_step = check.step(@min(budget_ms, limits.wait_ms_max));
    report.* = check.report;
    if (check.phase == .done or std.meta.isError(outcome_of_step)) {
        handle.check = null;
        check.destroy();
    }
    return outcome_of_step;
}
