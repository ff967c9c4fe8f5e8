//! The root of the schedule campaigns, which take minutes: all interleavings of small cases, and
//! thousands
//! of seeds of larger ones, with deaths and repairs.
//!
//!   zig build test -Dtest-root=zig/schedules.zig -Doptimize=ReleaseSafe

comptime {
    _ = @import("testing/explore_test.zig");
    _ = @import("testing/schedule_test.zig");
}
