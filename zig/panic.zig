//! What a failed assertion does inside somebody's Bun process: one line on stderr, then SIGABRT.
//!
//! Short on purpose: the standard handler brings a symbolizer and an unwinder, which make the
//! library fifty times larger and forty times slower to build. Nothing that comes from the boundary
//! or from shared memory may end here: that gets a `Status`.
const std = @import("std");

/// `pub const panic` of the library's root file.
pub const handler = std.debug.FullPanic(panic);

fn panic(message: []const u8, first_trace_address: ?usize) noreturn {
    @branchHint(.cold);
    _ = first_trace_address;
    for ([_][]const u8{ "aerostore: internal error: ", message, "\n" }) |part| {
        _ = std.os.linux.write(2, part.ptr, part.len);
    }
    std.process.abort();
}
