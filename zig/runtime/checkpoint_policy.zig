//! When checkpoints are written: at an interval, and when the log has grown to its limit, in bytes
//! or in files.
//!
//! **Concurrency**: looked at by the thread that holds the writer's lease, so by one process of
//! all; when that goes, the next writer goes on from `checkpointed_ms` and `log_size` in the
//! segment. The checkpoint itself has a thread of its own (`checkpoint.zig`).
//!
//! **Memory**: owns the checkpoint under way until `deinit`.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const ring = @import("../segment/ring.zig");
const registry = @import("registry.zig");
const Checkpointer = @import("checkpoint.zig").Checkpointer;
const LogWriter = @import("log_writer.zig").LogWriter;

const look_interval_ms = 1_000;
/// Each writer that was killed leaves a file, and all are looked at by the next.
const older_files_max = 32;
/// After a checkpoint that failed.
const pause_ms = 30_000;

pub const Schedule = struct {
    allocator: std.mem.Allocator,
    attached: *registry.Attached,
    running: ?*Checkpointer = null,
    looked_ms: u64 = 0,
    failed_ms: u64 = 0,

    /// Ends a checkpoint that is under way.
    pub fn deinit(schedule: *Schedule) void {
        if (schedule.running) |checkpointer| checkpointer.destroy();
    }

    /// Finishes what is done and starts what is due.
    pub fn look(schedule: *Schedule, log: *LogWriter, now_ms: u64) void {
        const header = schedule.attached.segment.header;
        if (now_ms - schedule.looked_ms < look_interval_ms) return;
        schedule.looked_ms = now_ms;
        log.measure(schedule.allocator, header);
        if (schedule.running) |checkpointer| {
            const state = checkpointer.stateOf();
            if (state == .running) return;
            // Busy: another one is being written, which is as good.
            if (state != .done and state != .busy) schedule.failed_ms = now_ms;
            checkpointer.destroy();
            schedule.running = null;
        }
        if (!schedule.isDue(header, log, now_ms)) return;
        schedule.running = Checkpointer.start(
            schedule.allocator,
            schedule.attached,
        ) catch blk: {
            schedule.failed_ms = now_ms;
            break :blk null;
        };
    }

    fn isDue(
        schedule: *const Schedule,
        header: *layout.Header,
        log: *const LogWriter,
        now_ms: u64,
    ) bool {
        const interval_secs = header.checkpoint_interval_secs.load(.monotonic); // a setting
        if (interval_secs == 0) return false;
        if (schedule.failed_ms != 0 and now_ms - schedule.failed_ms < pause_ms) return false;
        if (log.older_count >= older_files_max) return true;
        // A new writer begins to count where the one before did.
        const since = header.checkpointed_ms.load(.acquire);
        if (since == 0 or since > now_ms) {
            header.checkpointed_ms.store(now_ms, .release);
            return false;
        }
        const drained = ring.drainedOf(header.drained.load(.acquire));
        if (drained == header.checkpoint_csn.load(.acquire)) return false;
        const limit_mb: u64 = header.log_size_limit_mb.load(.monotonic); // a setting
        if (header.log_size.load(.monotonic) >= limit_mb << 20) return true; // a statistic
        return now_ms - since >= @as(u64, interval_secs) * 1_000;
    }
};
