//! A thread that syncs the log beside the writer, while nobody waits for the disk: the writer goes
//! on draining meanwhile, or log buffers would be full before a slow disk has answered.
//!
//! **Invariants**: one order at a time; what it says to be on the disk was written before it.
//!
//! **Concurrency**: orders come from the writer's thread, which changes the fields below only while
//! `state` is idle. After a failure it takes no more orders, and the log is poisoned.
//!
//! **Who may die where**: with its process; what it was about is synced by the next writer.
//!
//! **Memory**: the log file of an order stays open until `settle` has returned.
const std = @import("std");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const log_state = @import("../segment/log_state.zig");
const fault = @import("../instrument/fault.zig");
const log_place = @import("log_place.zig");
const storage_ = @import("../wal/storage.zig");

pub const Order = struct {
    storage: storage_.Storage,
    file: storage_.File,
    epoch: u64,
    /// Bytes of the file and CSNs that are on the disk when it is done.
    position: u64,
    end_csn: u64,
};

pub const Syncer = struct {
    header: *layout.Header,
    thread: ?std.Thread = null,
    /// Futex: `State`.
    state: u32 = @intFromEnum(State.idle),
    order: ?Order = null,

    const State = enum(u32) { idle, ordered, failed, over };
    const look_interval_ns = 1_000_000_000;

    fn stateOf(syncer: *const Syncer) State {
        // Pairs with the release in `enter`.
        return @enumFromInt(@atomicLoad(u32, &syncer.state, .acquire));
    }

    fn enter(syncer: *Syncer, state: State) void {
        // Pairs with the acquire in `stateOf`.
        @atomicStore(u32, &syncer.state, @intFromEnum(state), .release);
        os.futexWake(&syncer.state, std.math.maxInt(i32));
    }

    pub fn isBusy(syncer: *const Syncer) bool {
        return syncer.stateOf() == .ordered;
    }

    /// Begins to sync. False where that is not possible: the caller does it then.
    pub fn begin(syncer: *Syncer, order: Order) bool {
        if (syncer.stateOf() != .idle) return false;
        if (syncer.thread == null) {
            const options: std.Thread.SpawnConfig = .{ .stack_size = 1 << 18 };
            syncer.thread = std.Thread.spawn(options, run, .{syncer}) catch return false;
        }
        syncer.order = order;
        syncer.enter(.ordered);
        return true;
    }

    pub const Done = union(enum) { none, position: u64, poisoned };

    /// What came of the last order, once.
    pub fn take(syncer: *Syncer) Done {
        switch (syncer.stateOf()) {
            .ordered, .over => return .none,
            .failed => return .poisoned,
            .idle => {},
        }
        const order = syncer.order orelse return .none;
        syncer.order = null;
        return .{ .position = order.position };
    }

    /// Returns when no order is under way.
    pub fn settle(syncer: *Syncer) void {
        while (syncer.isBusy()) {
            os.futexWait(&syncer.state, @intFromEnum(State.ordered), look_interval_ns);
        }
    }

    /// Ends the thread, behind an order that is under way.
    pub fn stop(syncer: *Syncer) void {
        const thread = syncer.thread orelse return;
        syncer.settle();
        syncer.enter(.over);
        thread.join();
        syncer.thread = null;
    }

    fn run(syncer: *Syncer) void {
        while (true) {
            const state = syncer.stateOf();
            switch (state) {
                .over => return,
                .ordered => syncer.sync(),
                .idle, .failed => os.futexWait(
                    &syncer.state,
                    @intFromEnum(state),
                    look_interval_ns,
                ),
            }
        }
    }

    fn sync(syncer: *Syncer) void {
        const order = syncer.order orelse return syncer.enter(.idle);
        const header = syncer.header;
        if (order.storage.sync(order.file)) |_| {
            fault.point("log.synced");
            if (log_place.confirm(order.storage, order.file, order.epoch, header)) |_| {
                log_state.raiseDurable(header, order.end_csn);
            } else |err| switch (err) {
                error.Removed => log_state.poison(header, .removed),
                // The writer looks by itself before it says more.
                else => {},
            }
            syncer.enter(.idle);
        } else |_| {
            // What is on the disk is unknown, so no session commits any more.
            log_state.poison(header, .sync);
            syncer.enter(.failed);
        }
        log_state.announce(header);
        // The writer waits for this before it syncs for somebody, and tells its listeners.
        log_state.nudge(header);
    }
};
