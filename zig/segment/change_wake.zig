//! How those who sleep until something is committed are woken: a word that commits look at.
//!
//! **Concurrency**: a sleeper reads all there is, arms the word, looks again, and only then sleeps
//! on `durable_signal` (or, with the lease, on `writer_signal`). A committer decides its cell, then
//! looks at the word; the one that takes it from 1 to 0 wakes everybody. All of it sequentially
//! consistent: either the sleeper's second look sees the decided cell, or the committer sees the
//! word armed. So while nobody listens a commit pays one load of a line that nobody writes, and
//! while somebody does at most one wake for each time that it was armed.
//!
//! **Who may die where**: a committer after deciding, or after taking the word and before waking:
//! nobody is woken, and each maintenance thread looks by itself at its next turn, at most
//! `watch_interval_ms` later. A sleeper with the word armed: the next commit wakes for nothing.
const layout = @import("layout.zig");
const log_state = @import("log_state.zig");
const mutant = @import("../instrument/mutant.zig");
const Header = layout.Header;

/// After a commit was decided.
pub inline fn afterCommit(header: *Header) void {
    if (header.change_armed.load(.seq_cst) == 0) return;
    wakeOnce(header);
}

noinline fn wakeOnce(header: *Header) void {
    if (header.change_armed.swap(0, .seq_cst) == 0) return;
    if (mutant.is(.change_unwoken)) return;
    log_state.announce(header);
    // The thread that holds the lease sleeps on a word of its own.
    log_state.nudge(header);
}

/// The next commit wakes. The caller looks again before it sleeps.
pub fn arm(header: *Header) void {
    if (header.change_armed.load(.seq_cst) == 0) header.change_armed.store(1, .seq_cst);
}
