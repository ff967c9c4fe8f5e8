//! Deliberate breakages of the engine, one at a time, in the fault build only: a checker that does
//! not notice one proves nothing. Each stands where the law is kept that it breaks.
//!
//! **Concurrency**: chosen before anybody attaches, and never changed then.
const std = @import("std");
const options = @import("build_options");
const os = @import("../os.zig");

pub const Mutant = enum {
    none,
    /// Rows, absent keys and searches that were read are not validated (P12, P16).
    rows_unvalidated,
    absent_unvalidated,
    searches_unvalidated,
    /// The snapshot is brought forward without looking (P12).
    forwarded_blindly,
    /// Nothing is validated between the snapshot brought forward and the own CSN (P16).
    rest_unvalidated,
    /// The cell is decided before the rest is validated (P16).
    decided_early,
    /// Earlier cells are left undecided (P15).
    earlier_undecided,
    /// A write over another base than the one it was built upon (P13).
    base_unchecked,
    /// A row that a write left as it was does not count as read.
    unchanged_unread,
    /// A transaction that was aborted by another commits all the same (P14).
    wound_ignored,
    /// The state is numbered before the CSN stands in the descriptor (P14).
    numbered_early,
    /// A snapshot is as old as the last one (P7, P9).
    snapshot_stale,
    /// A snapshot includes what is not decided yet (P7).
    snapshot_ahead,
    /// A snapshot is computed before the pin is set (P8).
    pinned_late,
    /// The horizon passes readers (P6).
    pins_ignored,
    /// New keys have no index entry, or rely on an entry that is about to go (P22).
    entry_lost,
    entry_untouched,
    /// Vacuum closes entries that a version still needs (P23).
    needed_closed,
    /// Versions of one commit carry different CSNs, or none (P19).
    stamped_twice,
    unstamped,
    /// An abort leaves its versions on top of their rows, or lets them be reused at once (P18).
    abort_left,
    abort_reused,
    /// A table is seen before its creation is decided, stays after it was aborted, or is created
    /// without a look at the names of others (txn/catalog.zig).
    table_early,
    table_left,
    names_unchecked,
    /// The repair leaves the commit of the dead as it is (P26).
    repair_idle,
    /// The repair leaves what the dead was about to share, or share in (P27).
    depot_unrepaired,
    /// A commit that was overtaken goes on, or what it has in hand is reused (P32).
    era_unchecked,
    taken_late,
    held_reused,
    /// A failed sync of one process means nothing to the others.
    poison_forgotten,
    /// The log file is not looked for before commits are acknowledged.
    removal_unseen,
    /// A rollback leaves the newest write, or forgets what was read.
    rollback_short,
    rollback_unread,
    /// A latch moves the snapshot although something was read.
    snapshot_moved,
};

var chosen: Mutant = .none;

pub fn choose(name: []const u8) error{UnknownMutant}!void {
    chosen = std.meta.stringToEnum(Mutant, name) orelse return error.UnknownMutant;
}

/// For libraries: `AEROSTORE_MUTANT`. A name that is none breaks nothing.
pub fn chooseByEnvironment() void {
    if (!options.fault) return;
    const name = os.environment("AEROSTORE_MUTANT") orelse return;
    choose(name) catch {};
}

pub inline fn is(comptime mutant: Mutant) bool {
    return options.fault and chosen == mutant;
}
