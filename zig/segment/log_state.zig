//! The log as committers see it: what of it is on the disk, whether it can be written, and how
//! those who wait and the WAL writer wake each other.
//!
//! **Invariants**: `durable` and `durable_wanted` only rise. Whoever waits has raised
//! `durable_wanted` first, so the writer syncs as soon as it sees that; nothing counts waiters,
//! which may die.
//!
//! **Concurrency**: on `writer_signal` sleeps the writer alone. On `durable_signal` sleep those who
//! wait for the disk, with the bit `heard`, and the maintenance threads that do not write, with a
//! bit by which they are woken one by one. Signals and what they are about are sequentially
//! consistent: either a sleeper sees the new signal, or its waker sees it sleep.
const std = @import("std");
const os = @import("../os.zig");
const layout = @import("layout.zig");
const mutant = @import("../instrument/mutant.zig");
const Header = layout.Header;

/// Why the log cannot be written for now. It is tried again all the time.
pub const Stall = enum(u32) {
    none = 0,
    no_space = 1,
    io_error = 2,
    /// No epoch is left for a new file.
    used_up = 3,
    _,
};

pub const Error = error{ LogPoisoned, LogRemoved, NoSpace, IoError, NumbersUsedUp };

/// Why the log cannot be written any more, until the database is opened from the disk again.
pub const Poison = enum(u32) {
    none = 0,
    /// A sync failed: the kernel forgets what it could not write, and says so once.
    sync = 1,
    /// The log file was removed, renamed or replaced under its writer.
    removed = 2,
    _,
};

pub fn poisonOf(header: *const Header) Poison {
    // Pairs with the compare-and-swap in `poison`.
    return @enumFromInt(header.log_poisoned.load(.seq_cst));
}

pub fn isPoisoned(header: *const Header) bool {
    return poisonOf(header) != .none;
}

/// From here on no process commits, takes the lease, begins an epoch or raises `durable`. The first
/// reason stays.
pub fn poison(header: *Header, why: Poison) void {
    _ = header.log_poisoned.cas(0, @intFromEnum(why), .seq_cst);
    announce(header);
}

/// An error while nothing can be logged: commits fail then, before anybody sees them.
pub inline fn check(header: *const Header) Error!void {
    switch (@as(Poison, @enumFromInt(header.log_poisoned.load(.acquire)))) {
        .none => {},
        .removed => return error.LogRemoved,
        .sync, _ => return error.LogPoisoned,
    }
    return switch (@as(Stall, @enumFromInt(header.log_stalled.load(.acquire)))) {
        .none => {},
        .no_space => error.NoSpace,
        .used_up => error.NumbersUsedUp,
        .io_error, _ => error.IoError,
    };
}

/// Whether `csn` is on the disk, or nothing ever will be.
pub fn isDurable(header: *const Header, csn: u64) bool {
    return header.log_enabled.load(.acquire) == 0 or header.durable.load(.seq_cst) > csn;
}

/// Everything below `end` is on the disk. A writer that stood still may say it after its follower
/// has said more. Not after a failed sync, in whatever process: one that succeeds afterwards says
/// nothing about the bytes that the kernel has dropped.
pub fn raiseDurable(header: *Header, end: u64) void {
    while (true) { // each failure means that another has raised it
        if (isPoisoned(header) and !mutant.is(.poison_forgotten)) return;
        const durable = header.durable.load(.seq_cst);
        if (durable >= end or header.durable.cas(durable, end, .seq_cst)) return;
    }
}

/// Asks the writer to sync up to `csn`, it included.
pub fn want(header: *Header, csn: u64) void {
    while (true) { // each failure means that another has raised it
        const wanted = header.durable_wanted.load(.seq_cst);
        if (wanted > csn or header.durable_wanted.cas(wanted, csn + 1, .seq_cst)) break;
    }
    nudge(header);
}

/// Makes the writer run now.
pub fn nudge(header: *Header) void {
    _ = header.writer_signal.add(1, .seq_cst);
    if (header.writer_sleeping.load(.seq_cst) == 0) return;
    os.futexWakeBits(&header.writer_signal.raw, os.futex_bits_all);
}

/// Sleeps until `nudge`, at most `timeout_ns`. `seen`: the signal before the writer looked for
/// work.
pub fn sleepAsWriter(header: *Header, seen: u32, timeout_ns: u64) void {
    header.writer_sleeping.store(1, .seq_cst);
    os.futexWaitBits(&header.writer_signal.raw, seen, timeout_ns, os.futex_bits_all);
    header.writer_sleeping.store(0, .seq_cst);
}

/// Sleepers on `durable_signal` that wait for the disk.
pub const heard: u32 = 1;

/// Those of one session that wait for nothing in particular.
pub fn idleBit(session_index: u32) u32 {
    return @as(u32, 2) << @intCast(session_index % 31);
}

/// Tells everybody who waits for the disk that something has changed.
pub fn announce(header: *Header) void {
    wake(header, heard);
}

pub fn wake(header: *Header, bits: u32) void {
    _ = header.durable_signal.add(1, .seq_cst);
    os.futexWakeBits(&header.durable_signal.raw, bits);
}

/// Sleeps until woken with one of `bits`, at most `timeout_ns`. `seen`: the signal before the
/// caller looked.
pub fn sleep(header: *Header, seen: u32, timeout_ns: u64, bits: u32) void {
    os.futexWaitBits(&header.durable_signal.raw, seen, timeout_ns, bits);
}

/// Blocks until `csn` is on the disk; `Busy` after `timeout_ns`.
pub fn wait(header: *Header, csn: u64, timeout_ns: u64) (Error || error{Busy})!void {
    const deadline = os.monotonicNs() + timeout_ns;
    while (true) {
        const seen = header.durable_signal.load(.seq_cst);
        if (isDurable(header, csn)) return;
        try check(header);
        const now = os.monotonicNs();
        if (now >= deadline) return error.Busy;
        want(header, csn);
        sleep(header, seen, deadline - now, heard);
    }
}
