//! Whether the log file that was synced is still where recovery looks for it.
//!
//! **Concurrency**: asked after a sync and before `durable` rises. A writer that takes over raises
//! the epoch in `drained` before it renames anything (P25), so a file that is not in place while
//! the epoch stands was removed, renamed or replaced by something that is no writer.
const layout = @import("../segment/layout.zig");
const ring = @import("../segment/ring.zig");
const mutant = @import("../instrument/mutant.zig");
const formats = @import("../wal/format.zig");
const storage_ = @import("../wal/storage.zig");

pub const Error = storage_.Error || error{
    /// A newer writer has renamed the file.
    Superseded,
    /// What was acknowledged is in a file that no recovery finds.
    Removed,
};

pub fn confirm(
    storage: storage_.Storage,
    file: storage_.File,
    epoch: u64,
    header: *const layout.Header,
) Error!void {
    if (mutant.is(.removal_unseen)) return;
    if (try storage.isNamed(file, formats.current_name)) return;
    const raised = ring.epochOf(header.drained.load(.seq_cst));
    return if (raised != @as(ring.EpochBits, @truncate(epoch))) error.Superseded else error.Removed;
}
