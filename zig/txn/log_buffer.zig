//! A session's log buffer: where its commits leave their log records until the WAL writer takes
//! them (P4, P25).
//!
//! **Invariants**: positions count bytes for ever; bytes `[log_taken, log_head)` belong to records
//! that may still be read; a record never wraps around the end of the buffer. A record that is too
//! large for the buffer lies in a run of pages of its own, named by its header. The owner frees
//! what the WAL writer has drained.
//!
//! **Concurrency**: only the owner writes; the WAL writer reads records that are not drained;
//! validating commits read any and look at `csn` again afterwards, since a drained record may be
//! overwritten at any time.
const std = @import("std");
const limits = @import("../limits.zig");
const layout = @import("../segment/layout.zig");
const arena = @import("../segment/arena.zig");
const segment_ = @import("../segment/segment.zig");
const log_state = @import("../segment/log_state.zig");
const ring = @import("../segment/ring.zig");
const Segment = segment_.Segment;
const Session = @import("../segment/session.zig").Session;
const Word = @import("../segment/word.zig").Word;
const Ref = @import("../segment/rel_ptr.zig").Ref;

pub const Written = extern struct { slot: Ref, version: Ref };

pub const Header = extern struct {
    /// The commit, or 0 while the record is being written.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    csn: Word(u64),
    /// Bytes in the buffer, header included.
    size: u32,
    write_count: u32,
    payload_size: u32,
    /// The run that holds writes and payload, or none.
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    overflow: Word(u32),
    overflow_pages: u32,
    reserved: u32,
};

/// Positions that a cell tells apart: 22 bits, of eight bytes each.
const positions_in_cell = 1 << 25;
/// `Header.csn` of the unused rest before the buffer's end.
const csn_gap = std.math.maxInt(u64);
/// Records above this share of the buffer go to a run of their own.
const inline_share = 4;
/// Most writes take less.
const write_size_usual = 512;

comptime {
    std.debug.assert(@sizeOf(Header) == 32);
}

pub const Error = error{ SegmentFull, SegmentCorrupt, LogFull };

/// Where a position lies in a buffer, whose size is a power of two (`Geometry.init`).
inline fn offsetOf(capacity: u64, position: u64) u64 {
    return position & (capacity - 1);
}

/// False when the record of so many writes will hardly fit: then a commit waits before it installs
/// anything, since versions of a commit that is undone cannot be reused before another has a CSN.
pub fn hasRoom(session: *Session, write_count: usize) Error!bool {
    const capacity = session.segment.log_buffer_size;
    const slot = session.slot;
    if (slot.log_buffer.load(.monotonic) == 0) return true; // the owner's own
    const body_size = @min(capacity / inline_share, @as(u64, write_count) * write_size_usual);
    const size = std.mem.alignForward(u64, @sizeOf(Header) + body_size, 8);
    const position = slot.log_head.load(.monotonic); // the owner's own
    const to_end = capacity - offsetOf(capacity, position);
    const end = position + size + if (to_end < size) to_end else 0;
    if (end -| slot.log_taken.load(.monotonic) <= capacity) return true;
    return end -| try freeDrained(session.segment, slot) <= capacity;
}

/// Writes a record for the commit in progress. Returns its position; `publish` makes it readable.
pub fn append(
    session: *Session,
    writes: []const Written,
    payload: []const u8,
) Error!u64 {
    const capacity = session.segment.log_buffer_size;
    const segment = session.segment;
    const slot = session.slot;
    if (slot.log_buffer.load(.monotonic) == 0) {
        const pages: u32 = @intCast(capacity / limits.page_size);
        const page = try arena.claimPages(segment, session.index, pages);
        slot.log_buffer.store(Segment.pageRef(page), .release);
        arena.markUsed(segment, session.index, page, .log, pages, 0);
    }
    const body_size = writes.len * @sizeOf(Written) + payload.len;
    const is_inline = @sizeOf(Header) + body_size <= capacity / inline_share;
    const size = std.mem.alignForward(u64, @sizeOf(Header) + if (is_inline) body_size else 0, 8);

    var position = slot.log_head.load(.monotonic); // the owner's own
    const to_end = capacity - offsetOf(capacity, position);
    const gap: u64 = if (to_end < size) to_end else 0;
    var taken = slot.log_taken.load(.monotonic);
    if (taken > position or position > limits.log_position_max) return error.SegmentCorrupt;
    if (position + gap + size - taken > capacity) {
        taken = try freeDrained(segment, slot);
        if (position + gap + size - taken > capacity) return error.LogFull;
    }
    slot.log_previous.store(position, .release);
    if (gap >= @sizeOf(Header)) {
        const filler = try headerAt(segment, slot, position);
        filler.csn.store(0, .release);
        filler.size = @intCast(gap);
        filler.overflow.store(0, .release);
        filler.csn.store(csn_gap, .release);
    }
    position += gap;
    const header: *Header = try headerAt(segment, slot, position);
    header.csn.store(0, .release); // before the contents change: readers of the old record see it
    header.size = @intCast(size);
    header.write_count = @intCast(writes.len);
    header.payload_size = @intCast(payload.len);
    header.overflow_pages = 0;
    header.overflow.store(0, .release);
    var body: []u8 = undefined;
    if (is_inline) {
        const bytes: [*]u8 = @ptrCast(header);
        body = bytes[@sizeOf(Header)..][0..body_size];
    } else {
        // Runs of pages go back as soon as they can: the buffer itself has room for thousands.
        _ = try freeDrained(segment, slot);
        const pages: u32 = @intCast(
            std.math.divCeil(u64, body_size, limits.page_size) catch unreachable,
        );
        const page = try arena.claimPages(segment, session.index, pages);
        header.overflow_pages = pages;
        header.overflow.store(Segment.pageRef(page), .release);
        arena.markUsed(segment, session.index, page, .overflow, pages, 0);
        body = try segment.bytesAt(Segment.pageRef(page), body_size);
    }
    const list = std.mem.sliceAsBytes(writes);
    @memcpy(body[0..list.len], list);
    @memcpy(body[list.len..], payload);
    slot.log_head.store(position + size, .release);
    // The log writer's processor has read the lines of the next record when it came around last: a
    // commit that takes them back only then waits for them when it takes its CSN.
    const end: [*]const u8 = @as([*]const u8, @ptrCast(header)) + size;
    Segment.fetchToWrite(end + Segment.line_size);
    Segment.fetchToWrite(end + 2 * Segment.line_size);
    // Half full: the writer is asked in time, so that nobody has to wait for it.
    const half = capacity / 2;
    if ((position ^ (position + size)) & half != 0) log_state.nudge(segment.header);
    return position;
}

/// Frees the space of records that the WAL writer has taken. Returns the new `log_taken`.
fn freeDrained(segment: *const Segment, slot: *layout.SessionSlot) segment_.Corrupt!u64 {
    const capacity = segment.log_buffer_size;
    // Acquire: pairs with the WAL writer's compare-and-swap; what is below is in the file.
    const drained = ring.drainedOf(segment.header.drained.load(.acquire));
    const head = slot.log_head.load(.monotonic);
    var taken = slot.log_taken.load(.monotonic);
    while (taken < head) {
        const to_end = capacity - offsetOf(capacity, taken);
        if (to_end < @sizeOf(Header)) {
            taken += to_end;
            continue;
        }
        const header = try headerAt(segment, slot, taken);
        const csn = header.csn.load(.monotonic); // the owner's own
        if (csn != csn_gap and csn >= drained) break;
        if (header.size < @sizeOf(Header) and csn != csn_gap) return error.SegmentCorrupt;
        if (header.size == 0 or header.size > to_end) return error.SegmentCorrupt;
        try freeOverflow(segment, header);
        taken += header.size;
    }
    slot.log_taken.store(taken, .release);
    return taken;
}

/// Gives the record the CSN that was taken for it.
pub fn publish(session: *Session, position: u64, csn: u64) segment_.Corrupt!void {
    const header = try headerAt(session.segment, session.slot, position);
    header.csn.store(csn, .release); // pairs with the acquire in `read`
}

/// Takes back the record of a commit that was aborted.
pub fn withdraw(session: *Session, slot: *layout.SessionSlot, position: u64) segment_.Corrupt!void {
    const header = try headerAt(session.segment, slot, position);
    freeOverflow(session.segment, header) catch {};
    slot.log_head.store(slot.log_previous.load(.monotonic), .release);
}

pub fn freeOverflow(segment: *const Segment, header: *Header) segment_.Corrupt!void {
    const ref = header.overflow.load(.acquire);
    if (ref == 0) return;
    _ = try segment.at(u8, ref);
    header.overflow.store(0, .release);
    arena.freePages(segment, Segment.pageOf(ref), header.overflow_pages);
}

fn headerAt(
    segment: *const Segment,
    slot: *layout.SessionSlot,
    position: u64,
) segment_.Corrupt!*Header {
    const capacity = segment.log_buffer_size;
    const bytes = try segment.bytesAt(slot.log_buffer.load(.acquire), capacity);
    const offset = offsetOf(capacity, position);
    if (offset % 8 != 0 or offset + @sizeOf(Header) > capacity) return error.SegmentCorrupt;
    return @ptrCast(@alignCast(bytes.ptr + offset));
}

pub const Record = struct {
    header: *Header,
    /// As it was when the record was found.
    overflow: Ref,
    writes: []align(4) const Written,
    payload: []const u8,

    /// False when the record may have been overwritten while it was read.
    pub fn isStill(record: Record, csn: u64) bool {
        return record.header.csn.load(.acquire) == csn;
    }

    /// Likewise, for who has copied it and holds nothing up. Asked after the copy. The owner frees
    /// the pages of a large record after it has taken them out of the header, and writes over the
    /// buffer after it has raised `log_taken` past the record, be that at its middle.
    pub fn isIntact(record: Record, segment: *const Segment, csn: u64, cell: ring.Cell) bool {
        if (!record.isStill(csn) or record.header.overflow.load(.acquire) != record.overflow) {
            return false;
        }
        const slot = &segment.sessions[cell.session];
        const taken = slot.log_taken.load(.acquire); // pairs with the release in `freeDrained`
        // A cell has the low bits of the position.
        const distance = (@as(u64, cell.position) * 8 -% taken) & (positions_in_cell - 1);
        return distance < segment.log_buffer_size;
    }
};

/// The record that the committed cell of `csn` names; null when it is gone already.
pub fn read(segment: *const Segment, csn: u64, cell: ring.Cell) segment_.Corrupt!?Record {
    const capacity = segment.log_buffer_size;
    if (cell.session >= segment.session_count) return error.SegmentCorrupt;
    const slot = &segment.sessions[cell.session];
    const header = try headerAt(segment, slot, @as(u64, cell.position) * 8);
    if (header.csn.load(.acquire) != csn) return null; // pairs with the release in `publish`
    // Each once: what is written over the record meanwhile must not pass the checks below.
    const write_count = @atomicLoad(u32, &header.write_count, .monotonic);
    const payload_size = @atomicLoad(u32, &header.payload_size, .monotonic);
    const list_size = @as(u64, write_count) * @sizeOf(Written);
    const body_size = list_size + payload_size;
    const overflow = header.overflow.load(.acquire);
    const offset = offsetOf(capacity, @as(u64, cell.position) * 8);
    if (overflow == 0 and offset + @sizeOf(Header) + body_size > capacity) {
        return if (header.csn.load(.acquire) != csn) null else error.SegmentCorrupt;
    }
    const body: [*]const u8 = if (overflow == 0)
        @as([*]const u8, @ptrCast(header)) + @sizeOf(Header)
    else
        (segment.bytesAt(overflow, body_size) catch |err| {
            return if (header.csn.load(.acquire) != csn) null else err;
        }).ptr;
    const writes: [*]align(4) const Written = @ptrCast(@alignCast(body));
    return .{
        .header = header,
        .overflow = overflow,
        .writes = writes[0..write_count],
        .payload = body[list_size..body_size],
    };
}
