//! Which history of a database a CSN belongs to.
//!
//! **Concurrency** and **Memory.** A value.
const std = @import("std");

/// One history of a database. A boot that could not recover everything that the segment before it
/// may have shown begins a new one, so that a CSN alone does not say which commit is meant.
pub const Timeline = extern struct {
    /// The CSN at which this timeline begins and the one before it ended.
    start_csn: u64 align(4) = 1,
    /// From 1.
    number: u32 = 1,

    comptime {
        std.debug.assert(@sizeOf(Timeline) == 12);
    }
};
