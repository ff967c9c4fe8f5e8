//! The maintenance thread of one process on one segment: WAL writer while it holds the lease, and
//! housekeeping:
//! repair of dead sessions, revocation of pins that are too old.
//!
//! **Concurrency**: a session of its own. The lease is the word `writer_session`; the epoch in
//! `drained` is what
//! keeps a stopped writer from doing harm when it wakes (P25).
//!
//! **Who may die where**: a writer that dies or stands still is replaced by the thread of any other
//! process, which
//! raises the epoch, makes a file of its own and goes on from `drained`.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const fault = @import("../testing/fault.zig");
const drain = @import("../txn/drain.zig");
const engine_ = @import("../txn/engine.zig");
const repair = @import("../txn/repair.zig");
const ring = @import("../segment/ring.zig");
const vacuum = @import("../txn/vacuum.zig");
const word = @import("../segment/word.zig");
const wal_file = @import("../wal/file.zig");
const storage_ = @import("../wal/storage.zig");
const registry = @import("registry.zig");

const batch_buffer_size = 512 * 1024;
const housekeeping_interval_ms = 100;
/// A writer whose beat stands still for so long, with work waiting, is replaced.
const takeover_after_ms = 250;

pub const Error = engine_.Error || os.Error || error{ThreadFailed};

pub const Maintenance = struct {
    allocator: std.mem.Allocator,
    attached: *registry.Attached,
    engine: engine_.Engine,
    lock_fd: os.Fd,
    thread: std.Thread,
    stopping: u32 = 0,
    /// Null while the log is kept nowhere.
    directory: ?storage_.Directory,
    log: ?Log = null,
    has_lease: bool = false,
    epoch: u16 = 0,
    seen_beat: u32 = 0,
    seen_beat_ms: u64 = 0,
    housekept_ms: u64 = 0,
    synced_ms: u64 = 0,

    pub fn start(
        allocator: std.mem.Allocator,
        attached: *registry.Attached,
        directory: ?[:0]const u8,
    ) Error!*Maintenance {
        const lock_fd = try os.open(attached.lock_path, .{ .create = true });
        errdefer os.close(lock_fd);
        const maintenance = try allocator.create(Maintenance);
        errdefer allocator.destroy(maintenance);
        maintenance.* = .{
            .allocator = allocator,
            .attached = attached,
            .engine = undefined,
            .lock_fd = lock_fd,
            .thread = undefined,
            .directory = null,
        };
        if (directory) |path| maintenance.directory =
            storage_.Directory.open(path) catch return error.IoError;
        errdefer if (maintenance.directory) |*d| d.close();
        try maintenance.engine.attach(allocator, &attached.segment, .{ .locks = lock_fd });
        errdefer maintenance.engine.detach();
        maintenance.thread = std.Thread.spawn(.{ .stack_size = 1 << 20 }, run, .{maintenance}) catch
            return error.ThreadFailed;
        return maintenance;
    }

    /// Drains and syncs what is there, gives the lease back, ends the thread and frees it.
    pub fn stop(maintenance: *Maintenance) void {
        @atomicStore(u32, &maintenance.stopping, 1, .seq_cst);
        maintenance.wake();
        maintenance.thread.join();
        if (maintenance.log) |*log| log.close(maintenance.allocator);
        if (maintenance.directory) |*directory| directory.close();
        maintenance.engine.detach();
        os.close(maintenance.lock_fd);
        maintenance.allocator.destroy(maintenance);
    }

    pub fn wake(maintenance: *Maintenance) void {
        const header = maintenance.attached.segment.header;
        _ = header.writer_signal.add(1, .release); // pairs with the acquire in `sleep`
        os.futexWake(&header.writer_signal.raw, 1 << 30);
    }

    fn run(maintenance: *Maintenance) void {
        const header = maintenance.attached.segment.header;
        while (true) {
            const signal = header.writer_signal.load(.acquire); // pairs with the release in `wake`
            const stopping = @atomicLoad(u32, &maintenance.stopping, .seq_cst) != 0;
            maintenance.housekeep();
            if (!maintenance.has_lease) maintenance.tryLease();
            if (maintenance.has_lease) maintenance.write(stopping);
            if (stopping) {
                maintenance.giveLease();
                return;
            }
            maintenance.sleep(signal);
        }
    }

    fn sleep(maintenance: *Maintenance, signal: u32) void {
        const header = maintenance.attached.segment.header;
        const flush_ms: u64 = @max(1, header.flush_interval_ms.load(.monotonic)); // a setting
        const wait_ms: u64 = if (maintenance.has_lease) @min(
            flush_ms,
            housekeeping_interval_ms,
        ) else 50;
        header.writer_sleeping.store(1, .seq_cst);
        os.futexWait(&header.writer_signal.raw, signal, wait_ms * 1_000_000);
        header.writer_sleeping.store(0, .seq_cst);
    }

    fn tryLease(maintenance: *Maintenance) void {
        const segment = &maintenance.attached.segment;
        const header = segment.header;
        const session = &maintenance.engine.context.session;
        const owner = header.writer_session.load(.acquire); // pairs with the compare-and-swap below
        if (owner != 0 and !maintenance.isStuck(owner)) return;
        if (!header.writer_session.cas(owner, session.index + 1, .acq_rel)) return;
        fault.point("lease.taken");
        // P25: the epoch first; from here on the old writer's next compare-and-swap fails.
        const epoch = header.log_epoch.add(1, .seq_cst) + 1;
        var first: u64 = 0;
        while (true) { // each failure is one step of the old writer
            const drained = header.drained.load(.seq_cst);
            first = ring.drainedOf(drained);
            const raised = (epoch & 0xFFFF) << 48 | first;
            if (header.drained.cas(drained, raised, .seq_cst)) break;
        }
        maintenance.epoch = @truncate(epoch);
        fault.point("lease.epoch");
        if (maintenance.directory) |*directory| {
            if (maintenance.log) |*log| log.close(maintenance.allocator);
            maintenance.log = null;
            maintenance.log = Log.open(
                maintenance.allocator,
                directory.storage(),
                header,
                epoch,
                first,
            ) catch |err| {
                // Another took over meanwhile: nothing is wrong with the log.
                if (err == error.Poisoned) header.log_poisoned.store(1, .release);
                if (err != error.Superseded) header.log_stalled.store(1, .release);
                _ = header.writer_session.cas(session.index + 1, 0, .acq_rel);
                return;
            };
            header.log_stalled.store(0, .release);
        }
        fault.point("lease.file");
        maintenance.has_lease = true;
    }

    /// True when the writer is gone, or stands still although there is work.
    fn isStuck(maintenance: *Maintenance, owner: u32) bool {
        const segment = &maintenance.attached.segment;
        const header = segment.header;
        const session = &maintenance.engine.context.session;
        if (owner > segment.session_count) return true;
        if (owner == session.index + 1 or !session.isAlive(owner - 1)) return true;
        const beat = header.writer_beat.load(.acquire); // pairs with the writer's add
        const now = os.monotonicNs() / 1_000_000;
        const idle = ring.drainedOf(header.drained.load(.acquire)) == header.tail.load(.acquire);
        if (beat != maintenance.seen_beat or idle or maintenance.seen_beat_ms == 0) {
            maintenance.seen_beat = beat;
            maintenance.seen_beat_ms = now;
            return false;
        }
        return now - maintenance.seen_beat_ms >= takeover_after_ms;
    }

    fn giveLease(maintenance: *Maintenance) void {
        if (!maintenance.has_lease) return;
        maintenance.has_lease = false;
        const header = maintenance.attached.segment.header;
        _ = header.writer_session.cas(maintenance.engine.context.session.index + 1, 0, .acq_rel);
        maintenance.wake(); // others may take it
    }

    fn loseLease(maintenance: *Maintenance) void {
        maintenance.has_lease = false;
        maintenance.seen_beat_ms = 0;
        const header = maintenance.attached.segment.header;
        _ = header.writer_session.cas(maintenance.engine.context.session.index + 1, 0, .acq_rel);
        if (maintenance.log) |*log| log.close(maintenance.allocator);
        maintenance.log = null;
    }

    /// Drains all there is, and syncs when it is time.
    fn write(maintenance: *Maintenance, stopping: bool) void {
        const header = maintenance.attached.segment.header;
        const session = &maintenance.engine.context.session;
        const writer = header.writer_session.load(.acquire);
        if (writer != session.index + 1) return maintenance.loseLease();
        if (maintenance.log) |*log| {
            const wanted = header.rotate_wanted.load(.acquire); // pairs with the checkpoint's add
            if (wanted != header.rotate_done.load(.acquire)) {
                log.sync(header) catch return;
                maintenance.loseLease();
                maintenance.tryLease();
                if (!maintenance.has_lease) return;
                header.rotate_done.store(wanted, .release);
            }
        }
        while (true) {
            _ = header.writer_beat.add(1, .acq_rel);
            const sink: ?drain.Sink = if (maintenance.log) |*log| log.sink() else null;
            const count = drain.run(session, maintenance.epoch, sink) catch |err| switch (err) {
                error.LostEpoch => return maintenance.loseLease(),
                error.SinkFailed => {
                    header.log_stalled.store(1, .release);
                    if (maintenance.log.?.isPoisoned()) maintenance.poison();
                    return;
                },
                error.SegmentCorrupt => {
                    header.log_stalled.store(1, .release);
                    return;
                },
            };
            if (count > 0) header.log_stalled.store(0, .release);
            const log = if (maintenance.log) |*log| log else {
                if (count == 0) return;
                continue;
            };
            const now = os.monotonicNs() / 1_000_000;
            // a setting
            const due = now - maintenance.synced_ms >= header.flush_interval_ms.load(.monotonic);
            if (stopping or due or header.durable_waiters.load(.seq_cst) != 0) {
                log.sync(header) catch return maintenance.poison();
                maintenance.synced_ms = now;
            }
            if (count == 0) return;
        }
    }

    /// A failed sync: what is on the disk is unknown, so nobody commits any more.
    fn poison(maintenance: *Maintenance) void {
        const header = maintenance.attached.segment.header;
        header.log_poisoned.store(1, .seq_cst);
        _ = header.durable_signal.add(1, .release); // pairs with the acquire of those who wait
        os.futexWake(&header.durable_signal.raw, 1 << 30);
    }

    fn housekeep(maintenance: *Maintenance) void {
        const now = os.monotonicNs() / 1_000_000;
        if (now - maintenance.housekept_ms < housekeeping_interval_ms) return;
        maintenance.housekept_ms = now;
        const engine = &maintenance.engine;
        // Corruption shows at the statements that meet it; the housekeeper only does what it can.
        _ = repair.sweep(&engine.context) catch 0;
        // Vacuum is not among this: a record that it took back would be in this session's free
        // lists, and this
        // session never takes one. A slot's next owner inherits its queue, and a full segment
        // empties them all.
        maintenance.revokeOldPins(now);
    }

    /// P29: a snapshot older than the limit stops holding memory back.
    fn revokeOldPins(maintenance: *Maintenance, now_ms: u64) void {
        const segment = &maintenance.attached.segment;
        const limit_ms = segment.header.snapshot_age_limit_ms.load(.monotonic); // a setting
        if (limit_ms == 0) return;
        const count = @min(segment.header.session_limit.load(.acquire), segment.session_count);
        for (segment.sessions[0..count]) |*slot| {
            const raw = slot.pin.load(.seq_cst);
            if (raw == layout.pin_none or raw == layout.pin_revoked) continue;
            if (layout.Pin.of(raw).committing) continue;
            const since = slot.pinned_ms.load(.acquire); // pairs with the release in `Pins.open`
            if (since == 0 or now_ms < since or now_ms - since < limit_ms) continue;
            _ = slot.pin.cas(raw, layout.pin_revoked, .seq_cst);
        }
    }
};

/// The log file of this writer's epoch, as a sink of the ring.
const Log = struct {
    batch: wal_file.Batch,
    writer: wal_file.Writer,
    large: ?struct { csn: u64, payload: []const u8 } = null,
    is_fresh: bool = true,

    fn open(
        allocator: std.mem.Allocator,
        storage: storage_.Storage,
        header: *layout.Header,
        epoch: u64,
        first_csn: u64,
    ) (wal_file.CreateError || error{OutOfMemory})!Log {
        const buffer = try allocator.alloc(u8, batch_buffer_size);
        errdefer allocator.free(buffer);
        return .{
            .batch = .init(buffer),
            .writer = try wal_file.Writer.create(storage, allocator, .{
                .database_id = header.database_id,
                .epoch = epoch,
                .first_csn = first_csn,
            }),
        };
    }

    fn close(log: *Log, allocator: std.mem.Allocator) void {
        log.writer.close();
        allocator.free(log.batch.buffer);
    }

    fn isPoisoned(log: *const Log) bool {
        return log.writer.poisoned;
    }

    fn sink(log: *Log) drain.Sink {
        log.batch.begin(log.writer.next_csn);
        log.large = null;
        return .{ .context = log, .add = add, .flush = flush };
    }

    fn add(context: *anyopaque, csn: u64, payload: []const u8) bool {
        const log: *Log = @ptrCast(@alignCast(context));
        if (log.large != null) return false;
        log.batch.add(csn, &.{payload}) catch {
            if (log.batch.transaction_count > 0) return false;
            log.large = .{ .csn = csn, .payload = payload };
        };
        return true;
    }

    fn flush(context: *anyopaque, first_csn: u64, end_csn: u64) error{SinkFailed}!void {
        const log: *Log = @ptrCast(@alignCast(context));
        _ = first_csn;
        if (log.large) |large| {
            log.writer.appendLarge(
                &log.batch,
                large.csn,
                &.{large.payload},
            ) catch return error.SinkFailed;
            // CSNs behind it that were aborted: told of before anybody may think them drained.
            log.batch.begin(log.writer.next_csn);
            if (end_csn == log.writer.next_csn) return;
        }
        log.batch.cover(end_csn) catch return error.SinkFailed;
        log.writer.append(&log.batch) catch return error.SinkFailed;
    }

    /// Group commit: one sync for everything appended, then everybody who waits is woken.
    fn sync(log: *Log, header: *layout.Header) error{Poisoned}!void {
        const end = log.writer.next_csn;
        if (header.durable.load(.monotonic) >= end) return; // only the writer moves it
        try log.writer.sync();
        fault.point("log.synced");
        header.durable.store(end, .seq_cst);
        _ = header.durable_signal.add(1, .release); // pairs with the acquire of those who wait
        os.futexWake(&header.durable_signal.raw, 1 << 30);
    }
};
