//! How those who sleep until something is committed are woken: a word that commits look at.
//!
//! **Concurrency**: a sleeper reads all there is, arms the word, looks again, and only then sleeps
//! on `durable_signal` (or, with the lease, on `writer_signal`). A committer decides its cell, then
//! looks at the word; the one that takes it from 1 to 0 wakes all sleepers. All of it sequentially
//! consistent: either the sleeper's second look sees the decided cell, or the committer sees the
//! word armed. So while no session listens a commit pays one load of a line that is not written,
//! and while one does at most one wake for each time that it was armed.
//!
//! **Who may die where**: a committer after deciding, or after taking the word and before waking:
//! no thread is woken, and each maintenance thread looks by itself at its next turn, at most
//! `watch_interval_ms` later. A sleeper with the word armed: the next commit wakes for nothing.
const layout = @import("layout.zig");
const log_state = @import("log_state.zig");
const Header = layout.Header;

/// After a commit was decided.
pub inline fn afterCommit(header: *Header) void {
    if (header.change_armed.load(.seq_cst) == 0) return;
    wakeOnce(header);
}

noinline fn wakeOnce(header: *Header) void {
    if (header.change_armed.swap(0, .seq_cst) == 0) return;
    log_state.announce(header);
    // The thread that holds the lease sleeps on a word of its own.
    log_state.nudge(header);
}

/// The next commit wakes. The caller looks again before it sleeps.
pub fn arm(header: *Header) void {
    if (header.change_armed.load(.seq_cst) == 0) header.change_armed.store(1, .seq_cst);
}

test "change wake: a commit wakes once for each time that the word was armed" {
    const std = @import("std");
    const header = try std.testing.allocator.create(Header);
    defer std.testing.allocator.destroy(header);
    header.* = std.mem.zeroes(Header);

    afterCommit(header);
    try std.testing.expectEqual(0, header.durable_signal.raw);
    for (1..3) |round| {
        arm(header);
        arm(header);
        for (0..3) |_| afterCommit(header);
        try std.testing.expectEqual(round, header.durable_signal.raw);
        try std.testing.expectEqual(round, header.writer_signal.raw);
        try std.testing.expectEqual(0, header.change_armed.raw);
    }
}
