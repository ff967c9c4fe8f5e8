//! Sorting in the path of a search, where most lists are short.
//!
//! **Memory.** In place. `std.sort.pdq` keeps 64 ranges on its stack, which a safe build fills
//! with a pattern at every call: 2,000 instructions, so only long lists go there.

const std = @import("std");

const short_max = 16;

/// Unstable, O(n log n).
pub fn sort(
    comptime T: type,
    items: []T,
    context: anytype,
    comptime less: fn (@TypeOf(context), T, T) bool,
) void {
    if (items.len < 2) return;
    if (items.len <= short_max) return std.sort.insertion(T, items, context, less);
    std.sort.pdq(T, items, context, less);
}
