//! A checkpoint: the rows visible at one snapshot, written by a thread of its own while writers go
//! on (P28).
//!
//! **Concurrency**: one at a time for a database, by a byte of the lock file. The snapshot is
//! pinned until its last row is read, and cannot be revoked, so memory grows by what is written
//! meanwhile: a table that is read soon is read at full speed. Overtaken, it begins again (P32).
//!
//! **Who may die where**: before the rename the old checkpoint stands; after it both it and the log
//! that is not yet dropped give the same rows.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const log_state = @import("../segment/log_state.zig");
const checkpoint_write = @import("../checkpoint/write.zig");
const engine_ = @import("../txn/engine.zig");
const catalog = @import("../txn/catalog.zig");
const fate = @import("../txn/status.zig");
const table_catalog = @import("../table/catalog.zig");
const ring = @import("../segment/ring.zig");
const fault = @import("../instrument/fault.zig");
const wal_file = @import("../wal/file.zig");
const registry = @import("registry.zig");
const Link = @import("../segment/rel_ptr.zig").Link;

const lock_byte_checkpoint = 2;
const wait_slice_ns = 20_000_000;
/// It begins again so often because another process was stopped in the middle of a commit.
const overtaken_max = 8;
/// Rows that take less time than commits notice; past them commits go first.
const prompt_rows_max = 1 << 18;

pub const State = enum(u32) {
    idle = 0,
    running = 1,
    done = 2,
    failed = 3,
    busy = 4,
    poisoned = 5,
    no_space = 6,
    removed = 7,
};

pub const Checkpointer = struct {
    allocator: std.mem.Allocator,
    attached: *registry.Attached,
    thread: std.Thread,
    state: u32 = @intFromEnum(State.running),
    rows: u64 = 0,
    size: u64 = 0,
    snapshot_csn: u64 = 0,
    dropped_size: u64 = 0,
    stopping: u32 = 0,

    pub fn start(
        allocator: std.mem.Allocator,
        attached: *registry.Attached,
    ) !*Checkpointer {
        const checkpointer = try allocator.create(Checkpointer);
        errdefer allocator.destroy(checkpointer);
        checkpointer.* = .{
            .allocator = allocator,
            .attached = attached,
            .thread = undefined,
        };
        checkpointer.thread = std.Thread.spawn(
            .{ .stack_size = 1 << 20 },
            run,
            .{checkpointer},
        ) catch return error.IoError;
        return checkpointer;
    }

    pub fn stateOf(checkpointer: *const Checkpointer) State {
        // pairs with the release in `run`
        return @enumFromInt(@atomicLoad(u32, &checkpointer.state, .acquire));
    }

    /// Ends the thread, which gives up at its next row if it is not done.
    pub fn destroy(checkpointer: *Checkpointer) void {
        // pairs with the acquire in `isStopping`
        @atomicStore(u32, &checkpointer.stopping, 1, .release);
        checkpointer.thread.join();
        checkpointer.allocator.destroy(checkpointer);
    }

    fn isStopping(checkpointer: *const Checkpointer) bool {
        // Pairs with the release in `destroy`.
        return @atomicLoad(u32, &checkpointer.stopping, .acquire) != 0;
    }

    fn run(checkpointer: *Checkpointer) void {
        const state: State = if (checkpointer.write()) .done else |err| switch (err) {
            error.Busy => .busy,
            error.LogPoisoned => .poisoned,
            error.LogRemoved => .removed,
            error.NoSpace => .no_space,
            else => .failed,
        };
        const header = checkpointer.attached.segment.header;
        if (state != .done and state != .busy) _ = header.checkpoint_failures.add(1, .monotonic);
        // Pairs with the acquire in `stateOf`.
        @atomicStore(u32, &checkpointer.state, @intFromEnum(state), .release);
    }

    fn write(checkpointer: *Checkpointer) !void {
        const attached = checkpointer.attached;
        const lock_fd = try attached.openLock();
        defer os.close(lock_fd);

        if (!try os.lockByte(lock_fd, lock_byte_checkpoint)) return error.Busy;
        var engine: engine_.Engine = undefined;
        try engine.attach(checkpointer.allocator, &attached.segment, attached.liveness());
        defer engine.detach();

        try log_state.check(attached.segment.header);
        try checkpointer.rotate();
        const session = &engine.context.session;
        const buffer = try checkpointer.allocator.alloc(u8, checkpoint_write.buffer_size);
        defer checkpointer.allocator.free(buffer);

        for (0..overtaken_max) |_| {
            return checkpointer.writeAt(&engine, buffer) catch |err| {
                // P32: what was read means nothing, be it an error.
                if (err == error.Stopped or !session.wasOvertaken()) return err;
                session.unpin();
                checkpointer.rows = 0;
                continue;
            };
        }
        return error.Overtaken;
    }

    /// The same of a snapshot of now. While it fails for being overtaken, its pin stands.
    fn writeAt(checkpointer: *Checkpointer, engine: *engine_.Engine, buffer: []u8) !void {
        const attached = checkpointer.attached;
        const header = attached.segment.header;
        const session = &engine.context.session;
        const storage = attached.directory.storage();
        const snapshot = session.openSnapshot(true);

        fault.point("checkpoint.reading");
        checkpointer.snapshot_csn = snapshot;
        var writer = try checkpoint_write.Writer.begin(storage, buffer, .{
            .database_id = header.database_id,
            .snapshot_csn = snapshot,
            .timeline = header.timeline,
        });
        {
            errdefer writer.abandon();
            for (0..limits.table_count_max) |id| {
                // One that is undecided has a CSN from the snapshot on, or none yet.
                const stored = try catalog.committed(&attached.segment, id) orelse continue;
                if (stored.csn >= snapshot) continue;
                const table = try engine.context.table(@intCast(id));
                const bytes = try table_catalog.schemaBytes(&attached.segment, stored.ref);
                try writer.beginTable(@intCast(id), bytes, &table.codec);
                var walk = table.map().walk();
                while (try walk.next()) |found| {
                    const head = Link.of(found.slot.head.load(.seq_cst)).ref;
                    const version = (try fate.visible(
                        &attached.segment,
                        head,
                        snapshot,
                    )) orelse continue;
                    if (version.table() != table.id) continue;
                    try writer.addRow(table.imageSlice(version));
                    checkpointer.rows += 1;
                    if (checkpointer.rows % 4096 != 0) continue;
                    if (checkpointer.rows == prompt_rows_max) os.yieldPriority();
                    checkpointer.size = writer.position;
                    if (checkpointer.isStopping()) return error.Stopped;
                    if (session.wasOvertaken()) return error.Overtaken;
                }
            }
            if (session.wasOvertaken()) return error.Overtaken;
            // Nothing of the segment's rows is read any more.
            session.unpin();
            os.yieldPriority();
            // What the checkpoint shows must not be ahead of what the log has on the disk.
            try checkpointer.waitDurable(snapshot);
        }
        const report = try writer.finish();
        checkpointer.size = report.size;
        header.checkpoint_csn.store(snapshot, .seq_cst);
        header.checkpoint_rows.store(checkpointer.rows, .monotonic); // a statistic
        _ = header.checkpoint_count.add(1, .monotonic);
        header.checkpointed_ms.store(os.monotonicNs() / 1_000_000, .release);
        const retained = header.retained_csn.load(.seq_cst);
        const retention_mb: u64 = header.log_retention_mb.load(.monotonic); // a setting
        const dropped = try wal_file.dropBut(
            storage,
            checkpointer.allocator,
            header.database_id,
            snapshot,
            if (retained == 0) .{} else .{ .csn = retained, .size_max = retention_mb << 20 },
        );
        checkpointer.dropped_size = dropped.dropped_size;
    }

    /// A new log file begins before the snapshot, so that the older ones can go. Without a writer
    /// to ask, the older ones stay until the next time.
    fn rotate(checkpointer: *Checkpointer) !void {
        const header = checkpointer.attached.segment.header;
        const wanted = header.rotate_wanted.add(1, .acq_rel) + 1;
        const deadline = os.monotonicNs() + 2_000_000_000;
        // pairs with the writer's store
        while (header.rotate_done.load(.acquire) -% wanted > 1 << 31) {
            if (checkpointer.isStopping()) return error.Stopped;
            try log_state.check(header);
            if (os.monotonicNs() >= deadline) return;
            log_state.nudge(header);
            os.sleepNs(500_000);
        }
    }

    fn waitDurable(checkpointer: *Checkpointer, csn: u64) !void {
        const header = checkpointer.attached.segment.header;
        while (true) {
            if (checkpointer.isStopping()) return error.Stopped;
            return log_state.wait(header, csn - 1, wait_slice_ns) catch |err| switch (err) {
                error.Busy => continue,
                else => |other| other,
            };
        }
    }
};
