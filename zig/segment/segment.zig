//! One mapped segment: creation, attachment, and the only way from an offset to a pointer.
//!
//! **Invariants**: the mapping never grows or shrinks; `refs` in `[arena_ref, limit_ref)` may be
//! looked at: the last two pages of the file are never handed out, so the largest record at the
//! last such ref lies inside the mapping.
//!
//! **Concurrency**: `create` works on a file that nobody else knows yet; publishing it is a rename.
//!
//! **Memory**: a `Segment` owns its mapping and its descriptor.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const classes = @import("classes.zig");
const layout = @import("layout.zig");
const mutant = @import("../instrument/mutant.zig");
const rel_ptr = @import("rel_ptr.zig");
const ring = @import("ring.zig");
const Word = @import("word.zig").Word;
const Ref = rel_ptr.Ref;

pub const Corrupt = error{SegmentCorrupt};
pub const AttachError = os.Error || error{ LayoutMismatch, SegmentCorrupt };

pub const CreateOptions = struct {
    size: u64,
    session_count: u32 = limits.session_count_default,
    cell_count: u32 = limits.cell_count_default,
    database_id: [16]u8 = @splat(0),
    boot_id: [16]u8 = @splat(0),
    first_csn: u64 = 1,
    lock_file: u64 = 0,
    fingerprint: u64 = 0,
};

/// Bytes of the lock file.
pub const lock_byte_boot = 0;
pub const lock_byte_sessions = 64;

pub const Segment = struct {
    memory: []align(4096) u8,
    fd: os.Fd,
    header: *layout.Header,
    sessions: [*]layout.SessionSlot,
    session_count: u32,
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    cells: [*]Word(u64),
    cell_count: u64,
    /// Acquire-release when taken, release when given back: the two pair.
    latches: [*]Word(u64),
    outcomes: [*]layout.Outcome,
    catalog: [*]layout.CatalogEntry,
    /// Release when it changes; pairs with the acquire of whoever looks.
    pages: [*]Word(u64),
    /// Release when it changes; pairs with the acquire of whoever looks.
    extents: [*]Word(u32),
    /// Release publishes what it leads to; pairs with the acquire of whoever follows it.
    depot: []Word(u64),
    arena_ref: Ref,
    limit_ref: Ref,
    /// A walk over a chain that takes more steps goes around in a ring: there is no room for so
    /// many records, at all levels together.
    chain_steps_max: u64,
    /// Bytes of each session's log buffer.
    log_buffer_size: u64,
    /// The era that the session which has this view of the segment has entered for its commit; 0
    /// while it makes none.
    era: u32 = 0,

    /// Fills a new file. **Memory**: takes `fd` over on success only.
    pub fn create(fd: os.Fd, options: CreateOptions) (os.Error || error{InvalidArgument})!Segment {
        const geometry = layout.Geometry.init(.{
            .size = options.size,
            .session_count = options.session_count,
            .cell_count = options.cell_count,
        }) orelse return error.InvalidArgument;
        try os.setSize(fd, options.size);
        try os.reserve(fd, 0, geometry.arena_offset);
        const last = options.size - limits.extent_size;
        try os.reserve(fd, last, limits.extent_size);
        const memory = try os.mapShared(fd, options.size);
        const segment = build(memory, fd, geometry, options);
        segment.extents[last / limits.extent_size].raw = 1;
        return segment;
    }

    /// A segment in private memory, for tests.
    pub fn createInMemory(memory: []align(4096) u8, options: CreateOptions) ?Segment {
        const geometry = layout.Geometry.init(.{
            .size = options.size,
            .session_count = options.session_count,
            .cell_count = options.cell_count,
        }) orelse return null;
        return build(memory, -1, geometry, options);
    }

    fn build(
        memory: []align(4096) u8,
        fd: os.Fd,
        geometry: layout.Geometry,
        options: CreateOptions,
    ) Segment {
        const header: *layout.Header = @ptrCast(memory.ptr);
        header.magic = layout.magic;
        header.format_version = layout.format_version;
        header.fingerprint = options.fingerprint;
        header.database_id = options.database_id;
        header.boot_id = options.boot_id;
        header.lock_file = options.lock_file;
        header.created_ms = os.realtimeMs();
        header.first_csn = options.first_csn;
        header.timeline = .{};
        header.geometry = geometry;
        header.checksum = header.computeChecksum();
        header.tail.raw = options.first_csn;
        header.drained.raw = options.first_csn;
        header.durable.raw = options.first_csn;
        header.horizon.raw = options.first_csn;
        header.era.raw = 1;
        header.flush_interval_ms.raw = 10;
        header.checkpoint_interval_secs.raw = 300;
        header.snapshot_age_limit_ms.raw = 60_000;
        header.log_size_limit_mb.raw = 1024;
        header.log_retention_mb.raw = 256;
        var segment = view(memory, fd, geometry);
        var index: u32 = 0;
        while (index < geometry.session_count) : (index += 1) {
            segment.sessions[index].pin.raw = layout.pin_none;
        }
        return segment;
    }

    /// The first of the pages that are kept for deletes and vacuum.
    pub fn reservePage(segment: *const Segment) u32 {
        const end = pageOf(segment.limit_ref);
        return end - @min(limits.reserve_page_count, (end - pageOf(segment.arena_ref)) / 8);
    }

    /// Maps an existing segment after checking its header. **Memory**: takes `fd` over on success
    /// only.
    pub fn attach(fd: os.Fd, fingerprint: u64) AttachError!Segment {
        const st = try os.stat(fd);
        if (!st.regular) return error.NotRegular;
        if (st.uid != os.effectiveUser() or st.mode & 0o077 != 0) return error.Permission;
        if (st.size < limits.segment_size_min or
            st.size > limits.segment_size_max) return error.LayoutMismatch;
        const memory = try os.mapShared(fd, st.size);
        errdefer os.unmap(memory);
        return attachMemory(memory, fd, fingerprint);
    }

    /// The same of what is mapped already.
    pub fn attachMemory(
        memory: []align(4096) u8,
        fd: os.Fd,
        fingerprint: u64,
    ) error{ LayoutMismatch, SegmentCorrupt }!Segment {
        const header: *const layout.Header = @ptrCast(memory.ptr);
        if (header.magic != layout.magic) return error.LayoutMismatch;
        if (header.format_version != layout.format_version) return error.LayoutMismatch;
        if (header.fingerprint != fingerprint) return error.LayoutMismatch;
        if (header.checksum != header.computeChecksum()) return error.SegmentCorrupt;
        const geometry = layout.Geometry.init(.{
            .size = memory.len,
            .session_count = header.geometry.session_count,
            .cell_count = header.geometry.cell_count,
        }) orelse return error.LayoutMismatch;
        if (!std.mem.eql(u8, std.mem.asBytes(&geometry), std.mem.asBytes(&header.geometry))) {
            return error.LayoutMismatch;
        }
        try checkNumbers(header, geometry.cell_count);
        return view(memory, fd, geometry);
    }

    /// P5, in this order because commits go on. A tail that is wild would be walked for ever.
    fn checkNumbers(header: *const layout.Header, cell_count: u64) Corrupt!void {
        const horizon = header.horizon.load(.seq_cst);
        const drained = ring.drainedOf(header.drained.load(.seq_cst));
        const tail = header.tail.load(.seq_cst);
        const drained_later = ring.drainedOf(header.drained.load(.seq_cst));
        const is_in_order = header.first_csn > 0 and header.first_csn <= drained and
            drained <= tail and horizon <= tail and tail <= limits.csn_limit;
        if (!is_in_order or tail -| drained_later > cell_count) return error.SegmentCorrupt;
        if (header.era.load(.seq_cst) > layout.era_max) return error.SegmentCorrupt;
    }

    fn chainStepsMax(geometry: layout.Geometry) u64 {
        // A reader whose pin was revoked may go around in a ring, and every step of it counts.
        if (@import("build_options").scheduler) return limits.chain_steps_scheduled;
        const records_max = (geometry.size - geometry.arena_offset) / classes.size_min;
        return limits.chain_steps_repeated + 2 * records_max;
    }

    fn view(memory: []align(4096) u8, fd: os.Fd, geometry: layout.Geometry) Segment {
        const base = memory.ptr;
        return .{
            .memory = memory,
            .fd = fd,
            .header = @ptrCast(base),
            .sessions = @ptrCast(@alignCast(base + geometry.sessions_offset)),
            .session_count = geometry.session_count,
            .cells = @ptrCast(@alignCast(base + geometry.cells_offset)),
            .cell_count = geometry.cell_count,
            .latches = @ptrCast(@alignCast(base + geometry.latches_offset)),
            .outcomes = @ptrCast(@alignCast(base + geometry.outcomes_offset)),
            .catalog = @ptrCast(@alignCast(base + geometry.catalog_offset)),
            .pages = @ptrCast(@alignCast(base + geometry.pages_offset)),
            .extents = @ptrCast(@alignCast(base + geometry.extents_offset)),
            .depot = @as(
                [*]Word(u64),
                @ptrCast(@alignCast(base + geometry.depot_offset)),
            )[0..geometry.depot_count],
            .arena_ref = rel_ptr.fromBytes(geometry.arena_offset),
            .limit_ref = rel_ptr.fromBytes(geometry.size - 2 * limits.page_size),
            .chain_steps_max = chainStepsMax(geometry),
            .log_buffer_size = geometry.log_buffer_size,
        };
    }

    /// Behind the attaching of a session: the segment is no longer one that everybody has closed.
    pub fn noteOpened(segment: *const Segment) void {
        const clean = &segment.header.clean_shutdown;
        var seen = clean.load(.acquire); // pairs with the release of whoever wrote it
        while (!clean.cas(seen, (seen | 1) +% 1, .acq_rel)) seen = clean.load(.acquire); // the same
    }

    /// Behind the closing of a process's last session. Who opens meanwhile is either seen attached
    /// here, or has raised the word, so that it stays as it is.
    pub fn noteClosed(segment: *const Segment) void {
        const clean = &segment.header.clean_shutdown;
        const seen = clean.load(.seq_cst);
        const limit = @min(segment.header.session_limit.load(.seq_cst), segment.session_count);
        for (segment.sessions[0..limit]) |*slot| {
            if (slot.attached.load(.seq_cst) != 0) return;
        }
        _ = clean.cas(seen, seen | 1, .acq_rel); // release: pairs with the acquire in `noteOpened`
    }

    pub fn detach(segment: *Segment) void {
        os.unmap(segment.memory);
        if (segment.fd >= 0) os.close(segment.fd);
        segment.* = undefined;
    }

    /// The record at `ref`. Any ref read from shared memory is checked here.
    pub inline fn at(segment: *const Segment, comptime T: type, ref: Ref) Corrupt!*T {
        @setRuntimeSafety(false); // a multiple of eight bytes from a page: aligned
        if (ref < segment.arena_ref or ref >= segment.limit_ref) return error.SegmentCorrupt;
        return @ptrCast(@alignCast(segment.memory.ptr + rel_ptr.toBytes(ref)));
    }

    /// True when others no longer wait for the commit of the session that has this view: what it
    /// has read since means nothing, be it an error, and no link that it has read leads to a record
    /// that it may change. Asked after the last link is read and before anything is changed or
    /// concluded (P32).
    pub inline fn isOvertaken(segment: *const Segment) bool {
        if (mutant.is(.era_unchecked)) return false;
        if (segment.era == 0) return false; // pins of readers are waited for, or revoked
        // No switch point: what matters lies between it and the steps before and behind it.
        // Acquire: pairs with the compare-and-swap in `overtake`.
        return @atomicLoad(u32, &segment.header.era.raw, .acquire) != segment.era;
    }

    /// In the place of a walk's result, or of its error.
    pub inline fn checkEra(segment: *const Segment) Corrupt!void {
        if (segment.isOvertaken()) return error.SegmentCorrupt;
    }

    /// P32: no longer waits for the commits of an era. Returns false when that was done already.
    pub fn overtake(segment: *const Segment, era: u32) bool {
        if (era >= layout.era_max) return false; // pages have no more room for it
        return segment.header.era.cas(era, era + 1, .seq_cst);
    }

    /// The era of the page that a record lies in.
    pub fn eraOf(segment: *const Segment, ref: Ref) Corrupt!u32 {
        _ = try segment.at(u8, ref);
        // Monotonic: the page was marked before the record was published.
        return layout.PageState.of(segment.pages[pageOf(ref)].load(.monotonic)).era;
    }

    /// Begins to fetch the record of a ref, which may be any word: nothing depends on it.
    pub inline fn fetch(segment: *const Segment, ref: Ref) void {
        const record = @intFromPtr(segment.memory.ptr) +% rel_ptr.toBytes(ref);
        fetchToWrite(@ptrFromInt(record));
    }

    /// Bytes that one fetch brings.
    pub const line_size = 64;

    /// Begins to fetch the line of an address, which may be any, for this processor alone.
    pub inline fn fetchToWrite(address: *const anyopaque) void {
        @prefetch(@as([*]const u8, @ptrCast(address)), .{ .rw = .write, .locality = 3 });
    }

    /// Bytes of a run that lies wholly inside the arena.
    pub fn bytesAt(segment: *const Segment, ref: Ref, size: u64) Corrupt![]u8 {
        const start = rel_ptr.toBytes(ref);
        if (ref < segment.arena_ref) return error.SegmentCorrupt;
        if (start > segment.memory.len or
            segment.memory.len - start < size) return error.SegmentCorrupt;
        return segment.memory[start..][0..size];
    }

    pub fn refOf(segment: *const Segment, pointer: *const anyopaque) Ref {
        return rel_ptr.fromBytes(@intFromPtr(pointer) - @intFromPtr(segment.memory.ptr));
    }

    pub fn pageRef(page: u32) Ref {
        return rel_ptr.fromBytes(@as(u64, page) * limits.page_size);
    }

    pub fn pageOf(ref: Ref) u32 {
        return @intCast(rel_ptr.toBytes(ref) / limits.page_size);
    }
};
