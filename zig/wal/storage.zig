//! The files of a data directory, as log and checkpoint use them: an interface of single system
//! calls, the retries that everybody needs on top of it, and the directory of the machine behind
//! it. The simulated disk of the tests (`testing/storage_sim.zig`) is the other implementation.
//!
//! **Invariants.** Names are plain: no path, no symbolic link is followed. A call that returned an
//! error may have written part of its bytes, and nothing else. `sync` is never retried after a
//! failure: the kernel drops the pages and reports success the second time.
//!
//! **Concurrency.** Stateless but for the kernel's: any thread may use a `Storage`.
//!
//! **Memory.** `Directory` owns its descriptor; `Storage` borrows the implementation.

const std = @import("std");
const linux = std.os.linux;
const fault = @import("../instrument/fault.zig");
const Allocator = std.mem.Allocator;

pub const Error = error{
    NotFound,
    Exists,
    Permission,
    /// The disk or the quota is full, or the file system's limits are reached.
    NoSpace,
    /// The device or the file system failed.
    IoError,
};

/// What one system call can end in.
pub const CallError = Error || error{
    /// A signal came first; nothing was done.
    Interrupted,
    /// The file system cannot do this at all.
    Unsupported,
};

pub const File = enum(i32) { _ };

pub const Mode = enum {
    /// An existing file.
    read,
    read_write,
    /// A new file, in place of one that has the name.
    create,
};

pub const name_size_max = 63;

/// A file name, held by value.
pub const Name = struct {
    buffer: [name_size_max]u8,
    size: u8,

    pub fn of(name: []const u8) Name {
        const kept = name[0..@min(name.len, name_size_max)];
        var result: Name = .{ .buffer = undefined, .size = @intCast(kept.len) };
        @memcpy(result.buffer[0..kept.len], kept);
        return result;
    }

    pub fn format(comptime text: []const u8, values: anytype) Name {
        var result: Name = .{ .buffer = undefined, .size = 0 };
        const printed = std.fmt.bufPrint(&result.buffer, text, values) catch &result.buffer;
        result.size = @intCast(printed.len);
        return result;
    }

    pub fn slice(name: *const Name) []const u8 {
        return name.buffer[0..name.size];
    }
};

/// A signal storm is not an excuse to wait for ever.
const interruptions_max = 1_000;

pub const Storage = struct {
    context: *anyopaque,
    calls: *const Calls,

    /// One system call each.
    pub const Calls = struct {
        open: *const fn (*anyopaque, []const u8, Mode) CallError!File,
        close: *const fn (*anyopaque, File) void,
        /// Bytes read; 0 at the end of the file.
        read: *const fn (*anyopaque, File, u64, []u8) CallError!usize,
        /// Bytes written, perhaps fewer than asked.
        write: *const fn (*anyopaque, File, u64, []const u8) CallError!usize,
        /// Makes room; the file's size then covers it, and what was never written reads as zero.
        allocate: *const fn (*anyopaque, File, u64, u64) CallError!void,
        /// The file's bytes and size are on the disk when it returns.
        sync: *const fn (*anyopaque, File) CallError!void,
        /// Drops the kernel's memory of a file, as far as it agrees with the disk in its view:
        /// after a failed sync it need not.
        forget: *const fn (*anyopaque, File) CallError!void,
        size: *const fn (*anyopaque, File) CallError!u64,
        /// Which file it is, under whatever names: no two have the same at a time.
        identity: *const fn (*anyopaque, File) CallError!u128,
        setSize: *const fn (*anyopaque, File, u64) CallError!void,
        rename: *const fn (*anyopaque, []const u8, []const u8, Replace) CallError!void,
        unlink: *const fn (*anyopaque, []const u8) CallError!void,
        /// Names made, changed and removed are on the disk when it returns.
        syncDirectory: *const fn (*anyopaque) CallError!void,
        /// Appends every name that begins with the prefix. Names too long for `Name` are left out.
        list: *const fn (*anyopaque, []const u8, Allocator, *std.ArrayList(Name)) ListError!void,
    };

    pub const Replace = enum { replace, keep };
    pub const ListError = CallError || error{OutOfMemory};

    pub fn open(storage: Storage, name: []const u8, mode: Mode) Error!File {
        return storage.call(File, storage.calls.open, .{ name, mode });
    }

    pub fn close(storage: Storage, file: File) void {
        storage.calls.close(storage.context, file);
    }

    /// Fills `out` from `offset` on, as far as the file goes; returns the bytes read.
    pub fn read(storage: Storage, file: File, offset: u64, out: []u8) Error!usize {
        var done: usize = 0;
        while (done < out.len) {
            const count = try storage.call(
                usize,
                storage.calls.read,
                .{ file, offset + done, out[done..] },
            );
            if (count == 0) break;
            done += count;
        }
        return done;
    }

    /// Writes all of `bytes`. After an error some of them may have been written.
    pub fn write(storage: Storage, file: File, offset: u64, bytes: []const u8) Error!void {
        var done: usize = 0;
        while (done < bytes.len) {
            const count = try storage.call(
                usize,
                storage.calls.write,
                .{ file, offset + done, bytes[done..] },
            );
            if (count == 0) return error.IoError;
            done += count;
        }
    }

    /// Room for `count` bytes to come. A file system that cannot do it, or has no more room, is not
    /// an error here: the write itself will tell. Returns whether there is room.
    pub fn allocate(storage: Storage, file: File, offset: u64, count: u64) Error!bool {
        var tries: u32 = 0;
        while (true) : (tries += 1) {
            storage.calls.allocate(storage.context, file, offset, count) catch |err| switch (err) {
                error.NoSpace, error.Unsupported => return false,
                else => {
                    try again(err, tries);
                    continue;
                },
            };
            return true;
        }
    }

    pub fn sync(storage: Storage, file: File) Error!void {
        return storage.call(void, storage.calls.sync, .{file});
    }

    pub fn forget(storage: Storage, file: File) Error!void {
        return storage.call(void, storage.calls.forget, .{file});
    }

    pub fn size(storage: Storage, file: File) Error!u64 {
        return storage.call(u64, storage.calls.size, .{file});
    }

    pub fn identity(storage: Storage, file: File) Error!u128 {
        return storage.call(u128, storage.calls.identity, .{file});
    }

    /// Whether a name still means the open file.
    pub fn isNamed(storage: Storage, file: File, name: []const u8) Error!bool {
        const named = storage.open(name, .read) catch |err| switch (err) {
            error.NotFound => return false,
            else => |other| return other,
        };
        defer storage.close(named);
        return try storage.identity(named) == try storage.identity(file);
    }

    pub fn setSize(storage: Storage, file: File, bytes: u64) Error!void {
        return storage.call(void, storage.calls.setSize, .{ file, bytes });
    }

    pub fn rename(storage: Storage, from: []const u8, to: []const u8, replace: Replace) Error!void {
        return storage.call(void, storage.calls.rename, .{ from, to, replace });
    }

    pub fn unlink(storage: Storage, name: []const u8) Error!void {
        return storage.call(void, storage.calls.unlink, .{name});
    }

    pub fn syncDirectory(storage: Storage) Error!void {
        return storage.call(void, storage.calls.syncDirectory, .{});
    }

    pub fn list(
        storage: Storage,
        prefix: []const u8,
        allocator: Allocator,
        names: *std.ArrayList(Name),
    ) (Error || error{OutOfMemory})!void {
        var tries: u32 = 0;
        const before = names.items.len;
        while (true) : (tries += 1) {
            return storage.calls.list(storage.context, prefix, allocator, names) catch |err| {
                names.shrinkRetainingCapacity(before);
                switch (err) {
                    error.OutOfMemory => return error.OutOfMemory,
                    else => |call_error| try again(call_error, tries),
                }
                continue;
            };
        }
    }

    /// Makes a call until it is not interrupted.
    fn call(
        storage: Storage,
        comptime Result: type,
        function: anytype,
        arguments: anytype,
    ) Error!Result {
        var tries: u32 = 0;
        while (true) : (tries += 1) {
            return @call(.auto, function, .{storage.context} ++ arguments) catch |err| {
                try again(err, tries);
                continue;
            };
        }
    }

    /// Returns if the call should be made once more, else the error to give up with.
    fn again(err: CallError, tries: u32) Error!void {
        return switch (err) {
            error.Interrupted => if (tries >= interruptions_max) error.IoError else {},
            error.Unsupported => error.IoError,
            else => |final| final,
        };
    }
};

/// A directory of the machine.
pub const Directory = struct {
    descriptor: i32,

    pub fn open(path: [:0]const u8) CallError!Directory {
        const flags: linux.O = .{ .ACCMODE = .RDONLY, .DIRECTORY = true, .CLOEXEC = true };
        const rc = linux.openat(linux.AT.FDCWD, path.ptr, flags, 0);
        return .{ .descriptor = @intCast(try check(rc)) };
    }

    /// Another descriptor of the same directory, wherever that is by now.
    pub fn duplicate(descriptor: i32) CallError!Directory {
        const rc = linux.fcntl(descriptor, linux.F.DUPFD_CLOEXEC, 0);
        return .{ .descriptor = @intCast(try check(rc)) };
    }

    pub fn close(directory: *Directory) void {
        _ = linux.close(directory.descriptor);
        directory.descriptor = -1;
    }

    pub fn storage(directory: *Directory) Storage {
        return .{ .context = directory, .calls = &calls };
    }

    const calls: Storage.Calls = .{
        .open = openFile,
        .close = closeFile,
        .read = read,
        .write = write,
        .allocate = allocate,
        .sync = sync,
        .forget = forget,
        .size = size,
        .identity = identity,
        .setSize = setSize,
        .rename = rename,
        .unlink = unlink,
        .syncDirectory = syncDirectory,
        .list = list,
    };

    fn self(context: *anyopaque) *Directory {
        return @ptrCast(@alignCast(context));
    }

    fn openFile(context: *anyopaque, name: []const u8, mode: Mode) CallError!File {
        const flags: linux.O = .{
            .ACCMODE = if (mode == .read) .RDONLY else .RDWR,
            .CLOEXEC = true,
            .NOFOLLOW = true,
            .CREAT = mode == .create,
            .EXCL = mode == .create,
        };
        const at = self(context).descriptor;
        const path = try terminated(name);
        var tries: u32 = 0;
        while (true) : (tries += 1) {
            if (check(linux.openat(at, &path, flags, 0o600))) |descriptor| {
                return @enumFromInt(@as(i32, @intCast(descriptor)));
            } else |err| {
                // Never into a file that is there: it may be another's, by a link of any kind.
                if (mode != .create or err != error.Exists or tries >= create_tries_max) return err;
            }
            _ = check(linux.unlinkat(at, &path, 0)) catch |err| switch (err) {
                error.NotFound => {},
                else => return err,
            };
        }
    }

    const create_tries_max = 4;

    fn closeFile(context: *anyopaque, file: File) void {
        _ = context;
        _ = linux.close(@intFromEnum(file));
    }

    fn read(context: *anyopaque, file: File, offset: u64, out: []u8) CallError!usize {
        _ = context;
        const at = try signed(offset);
        return check(linux.pread(@intFromEnum(file), out.ptr, @min(out.len, call_size_max), at));
    }

    fn write(context: *anyopaque, file: File, offset: u64, bytes: []const u8) CallError!usize {
        _ = context;
        if (fault.fails(.space)) return error.NoSpace;
        const at = try signed(offset);
        const count = @min(bytes.len, call_size_max);
        return check(linux.pwrite(@intFromEnum(file), bytes.ptr, count, at));
    }

    fn allocate(context: *anyopaque, file: File, offset: u64, bytes: u64) CallError!void {
        _ = context;
        if (fault.fails(.space)) return error.NoSpace;
        const at = try signed(offset);
        _ = try check(linux.fallocate(@intFromEnum(file), 0, at, try signed(bytes)));
    }

    fn sync(context: *anyopaque, file: File) CallError!void {
        _ = context;
        if (fault.fails(.sync)) return error.IoError;
        _ = try check(linux.fdatasync(@intFromEnum(file)));
    }

    fn forget(context: *anyopaque, file: File) CallError!void {
        _ = context;
        const whole_file = 0;
        const descriptor = @intFromEnum(file);
        _ = try check(linux.fadvise(descriptor, 0, whole_file, linux.POSIX_FADV.DONTNEED));
    }

    fn size(context: *anyopaque, file: File) CallError!u64 {
        _ = context;
        return try check(linux.lseek(@intFromEnum(file), 0, linux.SEEK.END));
    }

    fn identity(context: *anyopaque, file: File) CallError!u128 {
        _ = context;
        var out: linux.Statx = undefined;
        const wanted: linux.STATX = .{ .INO = true };
        const flags = linux.AT.EMPTY_PATH;
        _ = try check(linux.statx(@intFromEnum(file), "", flags, wanted, &out));
        return @as(u128, out.dev_major) << 96 | @as(u128, out.dev_minor) << 64 | out.ino;
    }

    fn setSize(context: *anyopaque, file: File, bytes: u64) CallError!void {
        _ = context;
        _ = try check(linux.ftruncate(@intFromEnum(file), try signed(bytes)));
    }

    fn rename(
        context: *anyopaque,
        from: []const u8,
        to: []const u8,
        replace: Storage.Replace,
    ) CallError!void {
        const at = self(context).descriptor;
        const old = try terminated(from);
        const new = try terminated(to);
        const flags: linux.RENAME = .{ .NOREPLACE = replace == .keep };
        const is_missing = replace == .keep and fault.fails(.noreplace);
        const renamed = if (is_missing)
            error.Unsupported
        else
            check(linux.renameat2(at, &old, at, &new, flags));
        _ = renamed catch |err| {
            if (err != error.Unsupported or replace == .replace) return err;
            // An old file system: a link refuses an existing name as well. Killed in between, the
            // file has two names, which those who list files know as one.
            _ = try check(linux.linkat(at, &old, at, &new, 0));
            fault.point("rename.linked");
            _ = try check(linux.unlinkat(at, &old, 0));
        };
    }

    fn unlink(context: *anyopaque, name: []const u8) CallError!void {
        const path = try terminated(name);
        _ = try check(linux.unlinkat(self(context).descriptor, &path, 0));
    }

    fn syncDirectory(context: *anyopaque) CallError!void {
        _ = try check(linux.fsync(self(context).descriptor));
    }

    fn list(
        context: *anyopaque,
        prefix: []const u8,
        allocator: Allocator,
        names: *std.ArrayList(Name),
    ) Storage.ListError!void {
        // A descriptor of its own: reading moves its position.
        const flags: linux.O = .{ .ACCMODE = .RDONLY, .DIRECTORY = true, .CLOEXEC = true };
        const opened = linux.openat(self(context).descriptor, ".", flags, 0);
        const descriptor: i32 = @intCast(try check(opened));
        defer _ = linux.close(descriptor);
        var buffer: [4096]u8 align(8) = undefined;
        while (true) {
            const filled = try check(linux.getdents64(descriptor, &buffer, buffer.len));
            if (filled == 0) return;
            var at: usize = 0;
            while (at < filled) {
                const entry: *align(8) linux.dirent64 = @ptrCast(@alignCast(&buffer[at]));
                at += entry.reclen;
                const start: [*:0]const u8 = @ptrCast(&entry.name);
                const name = std.mem.span(start);
                if (name.len > name_size_max or !std.mem.startsWith(u8, name, prefix)) continue;
                try names.append(allocator, .of(name));
            }
        }
    }

    /// The kernel moves at most about 2 GiB in one call.
    const call_size_max = 1 << 30;

    fn signed(value: u64) CallError!i64 {
        return std.math.cast(i64, value) orelse error.IoError;
    }

    fn terminated(name: []const u8) CallError![name_size_max:0]u8 {
        if (name.len > name_size_max) return error.NotFound;
        var path: [name_size_max:0]u8 = @splat(0);
        @memcpy(path[0..name.len], name);
        return path;
    }

    fn check(rc: usize) CallError!usize {
        return switch (linux.errno(rc)) {
            .SUCCESS => rc,
            .NOENT => error.NotFound,
            .EXIST => error.Exists,
            .ACCES, .PERM, .ROFS, .LOOP, .NOTDIR, .ISDIR => error.Permission,
            .NOSPC, .DQUOT, .FBIG => error.NoSpace,
            .INTR => error.Interrupted,
            .OPNOTSUPP, .NOSYS, .INVAL => error.Unsupported,
            else => error.IoError,
        };
    }
};

const testing = std.testing;

test "storage: a directory of the machine does what the interface says" {
    var path_buffer: [96]u8 = undefined;
    const path = try std.fmt.bufPrintZ(
        &path_buffer,
        "/dev/shm/aerostore-storage-test-{d}",
        .{linux.getpid()},
    );
    _ = linux.mkdirat(linux.AT.FDCWD, path.ptr, 0o700);
    defer _ = linux.unlinkat(linux.AT.FDCWD, path.ptr, linux.AT.REMOVEDIR);
    var directory = try Directory.open(path);
    defer directory.close();
    const storage = directory.storage();

    try testing.expectError(error.NotFound, storage.open("one", .read));
    const one = try storage.open("one", .create);
    try storage.write(one, 5, "hello");
    try testing.expectEqual(10, try storage.size(one));
    try testing.expect(try storage.allocate(one, 0, 4096));
    try testing.expectEqual(4096, try storage.size(one));
    try storage.sync(one);
    var bytes: [16]u8 = undefined;
    try testing.expectEqual(16, try storage.read(one, 4, &bytes));
    try testing.expectEqualStrings("\x00hello\x00", bytes[0..7]);
    try storage.forget(one);
    try storage.setSize(one, 8);
    try testing.expectEqual(4, try storage.read(one, 4, &bytes));
    storage.close(one);

    const two = try storage.open("two", .create);
    storage.close(two);
    try testing.expectError(error.Exists, storage.rename("one", "two", .keep));
    try storage.rename("one", "three", .keep);
    try storage.rename("three", "two", .replace);
    try storage.syncDirectory();
    var names: std.ArrayList(Name) = .empty;
    defer names.deinit(testing.allocator);
    try storage.list("t", testing.allocator, &names);
    try testing.expectEqual(1, names.items.len);
    try testing.expectEqualStrings("two", names.items[0].slice());
    try storage.unlink("two");
    try testing.expectError(error.NotFound, storage.unlink("two"));
    try testing.expectError(error.NotFound, storage.open("a/b", .create));
}
