//! The work behind the exports about files before a session exists: creating and probing a
//! segment, the boot lock of a data directory, small files.
//!
//! **Concurrency**: the boot lock is one per directory; everything else is the caller's alone.
const std = @import("std");
const limits = @import("../limits.zig");
const os = @import("../os.zig");
const layout = @import("../segment/layout.zig");
const segment_ = @import("../segment/segment.zig");
const bulk = @import("../table/bulk.zig");

/// What a new segment is to be.
pub const CreateOptions = extern struct {
    size: u64,
    lock_file: u64,
    database_id: [16]u8,
    boot_id: [16]u8,
    session_count: u32,
    cell_count: u32,
    /// Path of the data directory, for lists of segments: zeros after it, nothing if it is longer.
    directory: [layout.directory_size]u8,
};

pub fn createSegment(path: [:0]const u8, options: CreateOptions, fingerprint: u64) !void {
    const fd = try os.open(path, .{ .create = true, .exclusive = true });
    errdefer {
        os.close(fd);
        os.unlink(path) catch {};
    }
    var segment = try segment_.Segment.create(fd, .{
        .size = options.size,
        .session_count = options.session_count,
        .cell_count = options.cell_count,
        .database_id = options.database_id,
        .boot_id = options.boot_id,
        .first_csn = bulk.csn_recovered + 1,
        .lock_file = options.lock_file,
        .fingerprint = fingerprint,
    });
    segment.header.directory = options.directory;
    // Tokens of an earlier segment must mean nothing in this one.
    var start: [8]u8 = undefined;
    os.randomBytes(&start);
    segment.header.outcome_next.raw = std.mem.readInt(u64, &start, .little) >> 8;
    segment.detach();
}

/// Copies the header; returns the size of the file.
pub fn probeSegment(path: [:0]const u8, out: []u8) !f64 {
    const fd = try os.open(path, .{});
    defer os.close(fd);

    const st = try os.stat(fd);
    if (!st.regular) return error.NotRegular;
    if (st.uid != os.effectiveUser() or st.mode & 0o077 != 0) return error.Permission;
    @memset(out, 0);
    _ = try os.readAt(fd, 0, out);
    // Commits may go on: the tail is read last, so that nothing seems to be ahead of it.
    const tail_offset = @offsetOf(layout.Header, "tail");
    const tail_end = tail_offset + @sizeOf(u64);
    if (out.len >= tail_end) _ = try os.readAt(fd, tail_offset, out[tail_offset..tail_end]);
    return @floatFromInt(st.size);
}

/// Name of the lock file in a data directory.
pub const lock_name = "aerostore.lock";

pub const BootLock = struct {
    descriptor: u32,
    /// Of the data directory: what is read and written there later is relative to it, so that
    /// renaming it, and putting another in its place, changes nothing.
    directory: u32,
    path_size: u32,
    file: u64,
};

/// Takes the boot lock of a directory, whose real path goes into `real`.
pub fn takeBootLock(path: [:0]const u8, real: []u8) !BootLock {
    const directory = try os.openDirectory(path);
    errdefer os.close(directory);
    // What is made there belongs to the one who makes it: a command of root's would lock out the
    // user whose directory it is.
    if ((try os.stat(directory)).uid != os.effectiveUser()) return error.Permission;
    const real_path = try os.pathOf(directory, real);
    const fd = try os.openAt(directory, lock_name, .{ .create = true });
    errdefer os.close(fd);
    if (!try os.lockByte(fd, segment_.lock_byte_boot)) return error.Busy;
    const st = try os.stat(fd);
    // A copy of the directory has another lock file, a directory that was renamed the same.
    const file = std.hash.Wyhash.hash(0, std.mem.asBytes(&[2]u64{ st.device, st.inode }));
    return .{
        .descriptor = @intCast(fd),
        .directory = @intCast(directory),
        .path_size = @intCast(real_path.len),
        .file = file,
    };
}

/// Copies a file, which must be smaller than `out`; returns its size.
pub fn readFile(directory: os.Fd, name: [:0]const u8, out: []u8) !u32 {
    const fd = try os.openAt(directory, name, .{ .read_only = true });
    defer os.close(fd);

    const size = try os.readAt(fd, 0, out);
    return if (size < out.len) @intCast(size) else error.BufferTooSmall;
}

/// Puts a small file in place, under a temporary name first.
pub fn writeFile(directory: os.Fd, name: [:0]const u8, bytes: []const u8) !void {
    var buffer: [64]u8 = undefined;
    const temporary = std.fmt.bufPrintZ(&buffer, "{s}.tmp", .{name}) catch {
        return error.InvalidArgument;
    };
    try os.replaceAt(directory, name, temporary, bytes);
}

pub fn countLive(directory: os.Fd) !u32 {
    const fd = os.openAt(directory, lock_name, .{}) catch |err| switch (err) {
        error.NotFound => return 0,
        else => return err,
    };
    defer os.close(fd);

    var count: u32 = 0;
    var byte: u64 = segment_.lock_byte_sessions;
    const end = segment_.lock_byte_sessions + limits.session_count_max;
    while (os.nextHeldByte(fd, byte, end)) |held| {
        count += 1;
        byte = held + 1;
    }
    return count;
}
