//! Whether a position, which names a timeline and a CSN, is still one of this database's history.
//!
//! With asynchronous commit a consumer may have seen CSN 100 when the power fails, recovery ends at
//! 90, and 91 to 100 are given to other commits. So each cold boot begins a timeline, at the CSN
//! that recovery ended at; what an older timeline had from there on never was.
//!
//! **Concurrency** and **Memory**: values; reads the epoch file.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const epochs = @import("../wal/epoch.zig");
const storage_ = @import("../wal/storage.zig");

pub const Reason = enum(u32) {
    none = 0,
    /// Its timeline ended before it.
    diverged = 1,
    /// So many timelines ago that their ends are not known any more.
    forgotten = 2,
};

pub const Verdict = struct {
    reason: Reason,
    /// Up to here the position's timeline and this one are the same.
    common_csn: u64,
};

/// `csn`: everything below was seen. `visible`: the first CSN that is not decided yet.
pub fn check(
    header: *const layout.Header,
    storage: ?storage_.Storage,
    timeline: u32,
    csn: u64,
    visible: u64,
) storage_.Error!Verdict {
    const current = header.timeline.number;
    if (timeline == current) {
        const is_ahead = csn > visible;
        return .{ .reason = if (is_ahead) .diverged else .none, .common_csn = visible };
    }
    if (timeline > current) return .{ .reason = .diverged, .common_csn = 0 };
    var common = header.timeline.start_csn;
    const back = current - timeline; // 1: the one before
    if (back > 1) {
        const record = (try epochs.load(storage orelse return forgotten)) orelse return forgotten;
        if (record.timeline.number != current) return forgotten;
        if (back > record.end_count) return forgotten;
        for (record.ends[0..back]) |end| common = @min(common, end);
    }
    const reason: Reason = if (csn > common) .diverged else .none;
    return .{ .reason = reason, .common_csn = common };
}

const forgotten: Verdict = .{ .reason = .forgotten, .common_csn = 0 };
