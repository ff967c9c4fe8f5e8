//! The maintenance thread of one process on one segment: WAL writer, and master of the checkpoints,
//! while it holds the lease; and housekeeping: repair of dead sessions, revocation of pins that are
//! too old, going on without processes that stand still, telling who waits for the disk without
//! blocking.
//!
//! **Concurrency**: a session of its own. The lease is the word `writer_session`; the epoch in
//! `drained` is what keeps a stopped writer from doing harm when it wakes (P25).
//!
//! **Who may die where**: a writer that dies or stands still is replaced by the thread of any other
//! process, which raises the epoch, makes a file of its own and goes on from `drained`. Not once
//! the log is poisoned: a new file would begin at a CSN that the older ones, whose bytes the kernel
//! has dropped, do not reach after a power loss.
const std = @import("std");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const log_state = @import("../segment/log_state.zig");
const ring = @import("../segment/ring.zig");
const fault = @import("../instrument/fault.zig");
const mutant = @import("../instrument/mutant.zig");
const drain = @import("../txn/drain.zig");
const engine_ = @import("../txn/engine.zig");
const repair = @import("../txn/repair.zig");
const storage_ = @import("../wal/storage.zig");
const log_writer = @import("log_writer.zig");
const registry = @import("registry.zig");
const LogWriter = log_writer.LogWriter;
const Patience = @import("lease_timeout.zig").Patience;
const Schedule = @import("checkpoint_policy.zig").Schedule;
const Standstill = @import("stall_detector.zig").Standstill;
const Syncer = @import("syncer.zig").Syncer;

/// Between two looks of a thread that does not write.
const watch_interval_ms = 50;
const housekeeping_interval_ms = 100;
/// Sessions that one look at the dead looks at.
const swept_count = 64;

pub const Error = engine_.Error || os.Error;

pub const Maintenance = struct {
    allocator: std.mem.Allocator,
    attached: *registry.Attached,
    engine: engine_.Engine,
    thread: std.Thread,
    stopping: u32 = 0,
    /// Of the data directory; null while the log is kept nowhere.
    storage: ?storage_.Storage,
    schedule: ?Schedule = null,
    log: ?LogWriter = null,
    syncer: Syncer,
    has_lease: bool = false,
    epoch: ring.EpochBits = 0,
    patience: Patience = .{},
    hole: drain.Hole = .{},
    housekept_ms: u64 = 0,
    sweep_cursor: u32 = 0,
    standstill: Standstill = .{},
    synced_ms: u64 = 0,

    pub fn start(
        allocator: std.mem.Allocator,
        attached: *registry.Attached,
        is_logged: bool,
    ) Error!*Maintenance {
        const maintenance = try allocator.create(Maintenance);
        errdefer allocator.destroy(maintenance);
        maintenance.* = .{
            .allocator = allocator,
            .attached = attached,
            .engine = undefined,
            .thread = undefined,
            .storage = if (is_logged) attached.directory.storage() else null,
            .syncer = .{ .header = attached.segment.header },
        };
        if (is_logged) {
            maintenance.schedule = .{ .allocator = allocator, .attached = attached };
        }
        try maintenance.engine.attach(allocator, &attached.segment, attached.liveness());
        errdefer maintenance.engine.detach();
        maintenance.thread = std.Thread.spawn(.{ .stack_size = 1 << 20 }, run, .{maintenance}) catch
            return error.IoError; // the system has no thread to give
        return maintenance;
    }

    /// Drains and syncs what is there, gives the lease back, ends the thread and frees it.
    pub fn stop(maintenance: *Maintenance) void {
        @atomicStore(u32, &maintenance.stopping, 1, .seq_cst);
        maintenance.wake();
        maintenance.thread.join();
        maintenance.syncer.stop();
        if (maintenance.schedule) |*schedule| schedule.deinit();
        if (maintenance.log) |*log| log.close(maintenance.allocator);
        maintenance.engine.detach();
        maintenance.allocator.destroy(maintenance);
    }

    /// Wakes the thread wherever it sleeps, and others with it.
    fn wake(maintenance: *Maintenance) void {
        const header = maintenance.attached.segment.header;
        log_state.nudge(header);
        log_state.wake(header, maintenance.idleBit());
    }

    fn idleBit(maintenance: *const Maintenance) u32 {
        return log_state.idleBit(maintenance.engine.context.session.index);
    }

    /// Makes the thread hear of every change of the log, once somebody is armed.
    pub fn hear(maintenance: *Maintenance) void {
        const listeners = &maintenance.attached.listeners;
        if (@atomicLoad(u32, &listeners.is_hearing, .seq_cst) != 0) return;
        log_state.wake(maintenance.attached.segment.header, maintenance.idleBit());
    }

    /// What the signals were before the thread looked for work.
    const Seen = struct { writer: u32, durable: u32 };

    fn run(maintenance: *Maintenance) void {
        const header = maintenance.attached.segment.header;
        while (true) {
            const seen: Seen = .{
                .writer = header.writer_signal.load(.seq_cst),
                .durable = header.durable_signal.load(.seq_cst),
            };
            const stopping = @atomicLoad(u32, &maintenance.stopping, .seq_cst) != 0;
            maintenance.housekeep();
            if (!maintenance.has_lease) maintenance.tryLease();
            if (maintenance.has_lease) maintenance.write(stopping);
            maintenance.attached.listeners.tell(&maintenance.attached.segment);
            if (stopping) {
                maintenance.giveLease();
                return;
            }
            maintenance.sleep(seen);
        }
    }

    fn sleep(maintenance: *Maintenance, seen: Seen) void {
        const header = maintenance.attached.segment.header;
        const listeners = &maintenance.attached.listeners;
        // Without a writer, the next one must be as quick as one.
        if (maintenance.has_lease or header.writer_session.load(.acquire) == 0) {
            const flush_ms: u64 = header.flush_interval_ms.load(.monotonic); // a setting
            const since_ms = os.monotonicNs() / 1_000_000 - maintenance.synced_ms;
            const left_ms = if (maintenance.syncer.isBusy()) flush_ms else flush_ms -| since_ms;
            const wait_ms: u64 = @max(1, @min(left_ms, housekeeping_interval_ms));
            @atomicStore(u32, &listeners.is_hearing, 1, .seq_cst);
            log_state.sleepAsWriter(header, seen.writer, wait_ms * 1_000_000);
            return;
        }
        const is_hearing = listeners.isArmed();
        @atomicStore(u32, &listeners.is_hearing, @intFromBool(is_hearing), .seq_cst);
        const bits = maintenance.idleBit() | if (is_hearing) log_state.heard else 0;
        log_state.sleep(header, seen.durable, watch_interval_ms * 1_000_000, bits);
    }

    /// Whether a writer is needed. A process that only reads takes no lease, since each writer
    /// makes a log file.
    fn hasWork(header: *layout.Header) bool {
        // What the log has, is for recovery to find out: no session writes, syncs or begins an
        // epoch.
        if (isOver(header)) return false;
        const drained = ring.drainedOf(header.drained.load(.seq_cst));
        const tail = header.tail.load(.seq_cst);
        if (drained != tail or header.log_stalled.load(.acquire) != 0) return true;
        if (header.log_enabled.load(.acquire) == 0) return false;
        return header.durable.load(.acquire) < tail or
            header.rotate_wanted.load(.acquire) != header.rotate_done.load(.acquire);
    }

    fn isOver(header: *const layout.Header) bool {
        return log_state.isPoisoned(header) and !mutant.is(.poison_forgotten);
    }

    fn tryLease(maintenance: *Maintenance) void {
        const segment = &maintenance.attached.segment;
        const header = segment.header;
        const session = &maintenance.engine.context.session;
        if (!hasWork(header)) return;
        const owner = header.writer_session.load(.acquire); // pairs with the compare-and-swap below
        if (owner != 0 and !maintenance.isStuck(owner)) return;
        if (!header.writer_session.cas(owner, session.index + 1, .acq_rel)) return;
        _ = header.writer_beat.add(1, .acq_rel); // the others' wait begins anew
        fault.point("lease.taken");
        // Poisoned since the look above, by the writer that this one takes the place of.
        if (isOver(header)) {
            _ = header.writer_session.cas(session.index + 1, 0, .acq_rel);
            return;
        }
        if (owner == 0 and maintenance.goOn()) return;
        // P25: the epoch first; from here on the old writer's next compare-and-swap fails.
        const epoch = header.log_epoch.add(1, .seq_cst) +% 1; // a damaged word is no reason to die
        var first: u64 = 0;
        while (true) { // each failure is one step of the old writer
            const drained = header.drained.load(.seq_cst);
            first = ring.drainedOf(drained);
            const raised = ring.drainedWord(epoch, first);
            if (header.drained.cas(drained, raised, .seq_cst)) break;
        }
        maintenance.epoch = @truncate(epoch);
        fault.point("lease.epoch");
        if (maintenance.storage) |storage| {
            maintenance.closeLog();
            maintenance.log = LogWriter.open(
                maintenance.allocator,
                storage,
                header,
                epoch,
                first,
            ) catch |err| {
                maintenance.fail(err);
                _ = header.writer_session.cas(session.index + 1, 0, .acq_rel);
                return;
            };
            header.log_stalled.store(0, .release);
        }
        fault.point("lease.file");
        maintenance.has_lease = true;
    }

    /// Goes on in the file that the writer before has left, and in its epoch: that writer will not
    /// write any more, so nothing has to be told apart.
    fn goOn(maintenance: *Maintenance) bool {
        const header = maintenance.attached.segment.header;
        const storage = maintenance.storage orelse return false;
        const drained = header.drained.load(.seq_cst);
        const next = LogWriter.goOn(
            maintenance.allocator,
            storage,
            header,
            drained,
        ) orelse return false;
        maintenance.closeLog();
        maintenance.log = next;
        maintenance.epoch = ring.epochOf(drained);
        maintenance.has_lease = true;
        return true;
    }

    /// True when the writer is gone, or stands still although there is work.
    fn isStuck(maintenance: *Maintenance, owner: u32) bool {
        const segment = &maintenance.attached.segment;
        const header = segment.header;
        const session = &maintenance.engine.context.session;
        if (owner > segment.session_count) return true;
        if (owner == session.index + 1 or !session.isAlive(owner - 1)) return true;
        const beat = header.writer_beat.load(.acquire); // pairs with the writer's add
        const drained = ring.drainedOf(header.drained.load(.acquire));
        // One that stands still between writing and syncing is waited for, too.
        const idle = drained == header.tail.load(.acquire) and
            header.durable_wanted.load(.acquire) <= header.durable.load(.acquire);
        return maintenance.patience.isOver(os.monotonicNs() / 1_000_000, .{
            .owner = owner,
            .beat = beat,
            .drained = drained,
            .is_idle = idle,
        });
    }

    fn giveLease(maintenance: *Maintenance) void {
        if (!maintenance.has_lease) return;
        maintenance.has_lease = false;
        const header = maintenance.attached.segment.header;
        const own = maintenance.engine.context.session.index + 1;
        if (header.writer_session.load(.acquire) == own) {
            if (maintenance.log) |*log| if (!isOver(header)) log.leave(header);
        }
        _ = header.writer_session.cas(own, 0, .acq_rel);
        log_state.wake(header, os.futex_bits_all); // others may take it
    }

    fn loseLease(maintenance: *Maintenance) void {
        maintenance.has_lease = false;
        maintenance.patience.restart();
        const header = maintenance.attached.segment.header;
        _ = header.writer_session.cas(maintenance.engine.context.session.index + 1, 0, .acq_rel);
        maintenance.closeLog();
    }

    fn closeLog(maintenance: *Maintenance) void {
        const log = if (maintenance.log) |*log| log else return;
        maintenance.settle(log);
        log.close(maintenance.allocator);
        maintenance.log = null;
    }

    /// Returns when nothing is synced beside, and notes what came of it.
    fn settle(maintenance: *Maintenance, log: *LogWriter) void {
        maintenance.syncer.settle();
        log.collect(&maintenance.syncer);
    }

    /// Drains what is there and syncs it when it is time, or when somebody waits for it. Commits
    /// that come meanwhile are gathered until the next look: taken one by one, each would cost its
    /// committer a line of memory that two processors pull at, and a write of its own.
    fn write(maintenance: *Maintenance, stopping: bool) void {
        const header = maintenance.attached.segment.header;
        const session = &maintenance.engine.context.session;
        const writer = header.writer_session.load(.acquire);
        if (writer != session.index + 1 or isOver(header)) return maintenance.loseLease();
        if (maintenance.log) |*log| log.collect(&maintenance.syncer);
        maintenance.rotate();
        const goal = header.tail.load(.seq_cst);
        while (maintenance.has_lease) {
            _ = header.writer_beat.add(1, .acq_rel);
            const sink: ?drain.Sink = if (maintenance.log) |*log| log.sink() else null;
            const hole = if (stopping) null else &maintenance.hole;
            const taken = drain.run(session, maintenance.epoch, sink, hole);
            const count = taken catch |err| switch (err) {
                error.LostEpoch => return maintenance.loseLease(),
                error.SinkFailed => return maintenance.fail(maintenance.log.?.failure),
                error.SegmentCorrupt => return maintenance.stall(.io_error),
            };
            // Also where nothing was left to write: a writer before this one may have said it late.
            if (header.log_stalled.load(.acquire) != 0) header.log_stalled.store(0, .release);
            const drained = ring.drainedOf(header.drained.load(.acquire));
            const is_done = count == 0 or (drained >= goal and !stopping);
            if (!is_done) continue;
            return if (maintenance.log) |*log| maintenance.syncIfDue(log, stopping);
        }
    }

    fn syncIfDue(maintenance: *Maintenance, log: *LogWriter, stopping: bool) void {
        const header = maintenance.attached.segment.header;
        const now = os.monotonicNs() / 1_000_000;
        // a setting
        const due = now - maintenance.synced_ms >= header.flush_interval_ms.load(.monotonic);
        const wanted = header.durable_wanted.load(.seq_cst) > header.durable.load(.monotonic);
        if (!stopping and !due and !wanted) return;
        // It wakes this thread when it is done.
        if (!stopping and maintenance.syncer.isBusy()) return;
        if (!stopping and !wanted and log.syncBeside(&maintenance.syncer, header)) {
            maintenance.synced_ms = now;
            return;
        }
        maintenance.settle(log);
        log.sync(header) catch |err| return maintenance.fail(err);
        maintenance.synced_ms = now;
        maintenance.attached.listeners.tell(&maintenance.attached.segment);
    }

    /// Goes on in a new file if a checkpoint asks for one. If that cannot be made, the old one
    /// still can be written, and the next look tries again.
    fn rotate(maintenance: *Maintenance) void {
        const header = maintenance.attached.segment.header;
        const log = if (maintenance.log) |*log| log else return;
        const wanted = header.rotate_wanted.load(.acquire); // pairs with the checkpoint's add
        if (wanted == header.rotate_done.load(.acquire)) return;
        maintenance.settle(log);
        log.sync(header) catch |err| return maintenance.fail(err);
        const epoch = header.log_epoch.add(1, .seq_cst) +% 1; // a damaged word is no reason to die
        const before = header.drained.load(.seq_cst);
        if (ring.epochOf(before) != maintenance.epoch) return maintenance.loseLease();
        const first = ring.drainedOf(before);
        var next = LogWriter.open(
            maintenance.allocator,
            maintenance.storage.?,
            header,
            epoch,
            first,
        ) catch |err| {
            if (err == error.Poisoned) maintenance.fail(err);
            return;
        };
        fault.point("rotate.opened");
        // P25: from here on the file before cannot be drained to, by whomever.
        if (!header.drained.cas(before, ring.drainedWord(epoch, first), .seq_cst)) {
            next.close(maintenance.allocator);
            return maintenance.loseLease();
        }
        log.close(maintenance.allocator);
        maintenance.log = next;
        maintenance.epoch = @truncate(epoch);
        header.rotate_done.store(wanted, .release);
    }

    /// The log could not be written. Another writer that took over meanwhile is no failure of it.
    fn fail(maintenance: *Maintenance, err: log_writer.Error) void {
        switch (err) {
            error.Superseded => {},
            error.Poisoned => maintenance.poison(.sync),
            error.Removed => maintenance.poison(.removed),
            else => maintenance.stall(log_writer.stallOf(err)),
        }
    }

    /// Nothing can be logged for now: commits fail until it can be again.
    fn stall(maintenance: *Maintenance, why: log_state.Stall) void {
        const header = maintenance.attached.segment.header;
        if (header.log_stalled.swap(@intFromEnum(why), .seq_cst) == @intFromEnum(why)) return;
        log_state.announce(header);
    }

    /// What is on the disk is unknown, so no session commits any more.
    fn poison(maintenance: *Maintenance, why: log_state.Poison) void {
        log_state.poison(maintenance.attached.segment.header, why);
    }

    fn housekeep(maintenance: *Maintenance) void {
        const now = os.monotonicNs() / 1_000_000;
        if (now - maintenance.housekept_ms < housekeeping_interval_ms) return;
        maintenance.housekept_ms = now;
        const engine = &maintenance.engine;
        // Corruption shows at the statements that meet it; the housekeeper only does what it can.
        repair.sweepSome(&engine.context, &maintenance.sweep_cursor, swept_count) catch {};
        // Vacuum is not among this: a record that it took back would be in this session's free
        // lists, and this session never takes one. A slot's next owner inherits its queue, and a
        // full segment empties them all.
        maintenance.revokeOldPins(now);
        maintenance.standstill.look(&maintenance.attached.segment, now);
        if (!maintenance.has_lease) return;
        if (maintenance.schedule) |*schedule| if (maintenance.log) |*log| schedule.look(log, now);
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
