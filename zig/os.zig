//! The only system calls of the engine: mapping, locks, futexes, clocks, files by descriptor.
//!
//! **Concurrency**: open-file-description locks belong to the descriptor, vanish with its owner
//! however that dies, and are not fooled by reused process numbers or process namespaces.
const std = @import("std");
const linux = std.os.linux;

pub const Error = error{
    NotFound,
    Exists,
    Permission,
    NoSpace,
    NotRegular,
    Busy,
    IoError,
};

pub const Fd = i32;

fn check(rc: usize) Error!usize {
    return switch (linux.errno(rc)) {
        .SUCCESS => rc,
        .NOENT, .NOTDIR => error.NotFound,
        .EXIST => error.Exists,
        .ACCES, .PERM, .ROFS => error.Permission,
        .NOSPC, .DQUOT, .FBIG => error.NoSpace,
        .LOOP, .ISDIR => error.NotRegular,
        .AGAIN, .INTR => error.Busy,
        else => error.IoError,
    };
}

/// A place for one pointer of each thread.
pub const ThreadKey = struct {
    key: std.c.pthread_key_t,

    /// `end` is called by each thread that has set a pointer, with it, when the thread ends.
    pub fn init(end: *const fn (*anyopaque) callconv(.c) void) Error!ThreadKey {
        var key: std.c.pthread_key_t = undefined;
        if (std.c.pthread_key_create(&key, end) != .SUCCESS) return error.IoError;
        return .{ .key = key };
    }

    pub fn get(thread_key: ThreadKey) ?*anyopaque {
        return std.c.pthread_getspecific(thread_key.key);
    }

    pub fn set(thread_key: ThreadKey, value: *anyopaque) Error!void {
        if (std.c.pthread_setspecific(thread_key.key, value) != 0) return error.IoError;
    }
};

pub const OpenOptions = struct {
    create: bool = false,
    exclusive: bool = false,
    read_only: bool = false,
};

/// Opens a regular file for reading and, unless told otherwise, writing; never follows a symbolic
/// link. Mode 0600 when created.
pub fn open(path: [:0]const u8, options: OpenOptions) Error!Fd {
    return openAt(linux.AT.FDCWD, path, options);
}

/// The same relative to a directory; an absolute path is taken as it is.
pub fn openAt(directory: Fd, path: [:0]const u8, options: OpenOptions) Error!Fd {
    const flags: linux.O = .{
        .ACCMODE = if (options.read_only) .RDONLY else .RDWR,
        .CLOEXEC = true,
        .NOFOLLOW = true,
        .CREAT = options.create,
        .EXCL = options.exclusive,
    };
    while (true) {
        const rc = linux.openat(directory, path.ptr, flags, 0o600);
        if (linux.errno(rc) == .INTR) continue;
        return @intCast(try check(rc));
    }
}

pub fn openDirectory(path: [:0]const u8) Error!Fd {
    const flags: linux.O = .{ .ACCMODE = .RDONLY, .DIRECTORY = true, .CLOEXEC = true };
    return @intCast(try check(linux.openat(linux.AT.FDCWD, path.ptr, flags, 0)));
}

/// Where a descriptor's file is now, without symbolic links, in `out`.
pub fn pathOf(fd: Fd, out: []u8) Error![]const u8 {
    var buffer: [32]u8 = undefined;
    const link = std.fmt.bufPrintZ(&buffer, "/proc/self/fd/{d}", .{fd}) catch unreachable;
    const size = try check(linux.readlink(link.ptr, out.ptr, out.len));
    return if (size < out.len) out[0..size] else error.IoError;
}

pub fn close(fd: Fd) void {
    _ = linux.close(fd);
}

pub const Stat = struct {
    size: u64,
    uid: u32,
    mode: u32,
    regular: bool,
    device: u64,
    inode: u64,
    /// Some directory still has a name of the file.
    named: bool,
};

pub fn stat(fd: Fd) Error!Stat {
    var out: linux.Statx = undefined;
    _ = try check(
        linux.statx(
            fd,
            "",
            linux.AT.EMPTY_PATH,
            .{ .TYPE = true, .MODE = true, .UID = true, .SIZE = true, .INO = true, .NLINK = true },
            &out,
        ),
    );
    return .{
        .size = out.size,
        .uid = out.uid,
        .mode = out.mode & 0o7777,
        .regular = out.mode & linux.S.IFMT == linux.S.IFREG,
        .device = @as(u64, out.dev_major) << 32 | out.dev_minor,
        .inode = out.ino,
        .named = out.nlink > 0,
    };
}

pub fn effectiveUser() u32 {
    return linux.geteuid();
}

pub fn setSize(fd: Fd, size: u64) Error!void {
    _ = try check(linux.ftruncate(fd, @intCast(size)));
}

/// Makes `[offset, offset + size)` exist for certain; the only protection against SIGBUS on a full
/// tmpfs.
pub fn reserve(fd: Fd, offset: u64, size: u64) Error!void {
    while (true) {
        const rc = linux.fallocate(fd, 0, @intCast(offset), @intCast(size));
        if (linux.errno(rc) == .INTR) continue;
        _ = try check(rc);
        return;
    }
}

pub fn mapShared(fd: Fd, size: u64) Error![]align(4096) u8 {
    const prot: linux.PROT = .{ .READ = true, .WRITE = true };
    const rc = linux.mmap(null, size, prot, .{ .TYPE = .SHARED, .NORESERVE = true }, fd, 0);
    _ = try check(rc);
    const base: [*]align(4096) u8 = @ptrFromInt(rc);
    return base[0..size];
}

pub fn mapPrivate(size: u64) Error![]align(4096) u8 {
    const prot: linux.PROT = .{ .READ = true, .WRITE = true };
    const flags: linux.MAP = .{ .TYPE = .PRIVATE, .ANONYMOUS = true, .NORESERVE = true };
    const rc = linux.mmap(null, size, prot, flags, -1, 0);
    _ = try check(rc);
    const base: [*]align(4096) u8 = @ptrFromInt(rc);
    return base[0..size];
}

pub fn unmap(memory: []align(4096) u8) void {
    _ = linux.munmap(memory.ptr, memory.len);
}

pub fn rename(from: [:0]const u8, to: [:0]const u8) Error!void {
    _ = try check(linux.rename(from.ptr, to.ptr));
}

pub fn unlink(path: [:0]const u8) Error!void {
    _ = try check(linux.unlink(path.ptr));
}

/// Puts a small file in place of whatever has its name in a directory: all of it, also after a
/// power loss, or what was there before. `temporary` is its name until then; nothing that stands
/// there, be it a link, is written to.
pub fn replaceAt(
    directory: Fd,
    name: [:0]const u8,
    temporary: [:0]const u8,
    bytes: []const u8,
) Error!void {
    _ = check(linux.unlinkat(directory, temporary.ptr, 0)) catch |err| switch (err) {
        error.NotFound => {},
        else => return err,
    };
    const fd = try openAt(directory, temporary, .{ .create = true, .exclusive = true });
    errdefer _ = linux.unlinkat(directory, temporary.ptr, 0);
    {
        defer close(fd);
        try writeAll(fd, bytes);
        _ = try check(linux.fsync(fd));
    }
    _ = try check(linux.renameat(directory, temporary.ptr, directory, name.ptr));
    _ = try check(linux.fsync(directory));
}

fn writeAll(fd: Fd, bytes: []const u8) Error!void {
    var done: usize = 0;
    while (done < bytes.len) {
        const rc = linux.pwrite(fd, bytes.ptr + done, bytes.len - done, @intCast(done));
        if (linux.errno(rc) == .INTR) continue;
        done += try check(rc);
    }
}

const Flock = extern struct { type: i16, whence: i16, start: i64, len: i64, pid: i32 };
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const lock_write: i16 = 1;
const lock_none: i16 = 2;

/// Takes the byte if nobody holds it; false when somebody does.
pub fn lockByte(fd: Fd, byte: u64) Error!bool {
    var lock: Flock = .{
        .type = lock_write,
        .whence = 0,
        .start = @intCast(byte),
        .len = 1,
        .pid = 0,
    };
    const rc = linux.fcntl(fd, F_OFD_SETLK, @intFromPtr(&lock));
    return switch (linux.errno(rc)) {
        .SUCCESS => true,
        .AGAIN, .ACCES => false,
        else => error.IoError,
    };
}

pub fn unlockByte(fd: Fd, byte: u64) void {
    var lock: Flock = .{
        .type = lock_none,
        .whence = 0,
        .start = @intCast(byte),
        .len = 1,
        .pid = 0,
    };
    _ = linux.fcntl(fd, F_OFD_SETLK, @intFromPtr(&lock));
}

/// True when another open file description holds the byte: its owner is alive. A failing probe
/// counts as alive, since repairing a living session would be worse than waiting.
pub fn byteHeld(fd: Fd, byte: u64) bool {
    var lock: Flock = .{
        .type = lock_write,
        .whence = 0,
        .start = @intCast(byte),
        .len = 1,
        .pid = 0,
    };
    const rc = linux.fcntl(fd, F_OFD_GETLK, @intFromPtr(&lock));
    if (linux.errno(rc) != .SUCCESS) return true;
    return lock.type != lock_none;
}

/// The first byte of `[from, end)` that another open file description holds.
pub fn nextHeldByte(fd: Fd, from: u64, end: u64) ?u64 {
    if (from >= end) return null;
    var lock: Flock = .{
        .type = lock_write,
        .whence = 0,
        .start = @intCast(from),
        .len = @intCast(end - from),
        .pid = 0,
    };
    const rc = linux.fcntl(fd, F_OFD_GETLK, @intFromPtr(&lock));
    if (linux.errno(rc) != .SUCCESS or lock.type == lock_none) return null;
    return @max(from, @as(u64, @intCast(lock.start)));
}

/// Reads as many bytes as there are, up to the size of `out`.
pub fn readAt(fd: Fd, offset: u64, out: []u8) Error!usize {
    var done: usize = 0;
    while (done < out.len) {
        const rc = linux.pread(fd, out.ptr + done, out.len - done, @intCast(offset + done));
        if (linux.errno(rc) == .INTR) continue;
        const count = try check(rc);
        if (count == 0) break;
        done += count;
    }
    return done;
}

/// A variable of the process's environment; valid while nobody changes it.
pub fn environment(name: [*:0]const u8) ?[]const u8 {
    return std.mem.span(std.c.getenv(name) orelse return null);
}

pub fn processId() u32 {
    return @intCast(linux.getpid());
}

pub fn monotonicNs() u64 {
    return clock(.MONOTONIC);
}

pub fn realtimeMs() u64 {
    return clock(.REALTIME) / 1_000_000;
}

/// Monotonic time of the last timer tick: a few milliseconds late, and a tenth of the price.
pub fn coarseMs() u64 {
    return clock(.MONOTONIC_COARSE) / 1_000_000;
}

/// Through the C library, which need not enter the kernel.
fn clock(id: linux.clockid_t) u64 {
    var ts: linux.timespec = .{ .sec = 0, .nsec = 0 };
    _ = std.c.clock_gettime(id, &ts);
    return @as(u64, @intCast(ts.sec)) * 1_000_000_000 + @as(u64, @intCast(ts.nsec));
}

pub fn sleepNs(ns: u64) void {
    const request: linux.timespec = .{
        .sec = @intCast(ns / 1_000_000_000),
        .nsec = @intCast(ns % 1_000_000_000),
    };
    _ = linux.nanosleep(&request, null);
}

pub fn yieldThread() void {
    _ = linux.syscall0(.sched_yield);
}

/// Processors that this process may use and nobody uses now: a guess, which ages at once.
pub fn idleProcessors() usize {
    var set: linux.cpu_set_t = @splat(0);
    if (linux.errno(linux.syscall3(
        .sched_getaffinity,
        0,
        @sizeOf(linux.cpu_set_t),
        @intFromPtr(&set),
    )) != .SUCCESS) return 0;
    var usable: usize = 0;
    for (set) |word| usable += @popCount(word);
    return usable -| (runningTasks() orelse return 0);
}

/// Threads of the machine that run or wait for a processor, the caller's included.
fn runningTasks() ?usize {
    const fd = open("/proc/loadavg", .{ .read_only = true }) catch return null;
    defer close(fd);
    var buffer: [64]u8 = undefined;
    const size = readAt(fd, 0, &buffer) catch return null;
    // "0.20 0.18 0.12 1/80 11206"
    var words = std.mem.tokenizeScalar(u8, buffer[0..size], ' ');
    for (0..3) |_| _ = words.next();
    var counts = std.mem.splitScalar(u8, words.next() orelse return null, '/');
    return std.fmt.parseInt(usize, counts.first(), 10) catch null;
}

pub const Activity = struct {
    /// By a signal or a debugger.
    is_stopped: bool,
    /// Processor time so far, in ticks of the system's clock.
    ticks: u64,
};

/// What a process does; null when there is none of this number, or nothing is known.
pub fn processActivity(pid: u32) ?Activity {
    var path: [32]u8 = undefined;
    const name = std.fmt.bufPrintZ(&path, "/proc/{d}/stat", .{pid}) catch unreachable; // it fits
    const fd = open(name, .{ .read_only = true }) catch return null;
    defer close(fd);
    var buffer: [512]u8 = undefined;
    const size = readAt(fd, 0, &buffer) catch return null;
    // "11206 (bun) T 1 ..."; the name may have any characters.
    const end = std.mem.lastIndexOfScalar(u8, buffer[0..size], ')') orelse return null;
    var words = std.mem.tokenizeScalar(u8, buffer[end + 1 .. size], ' ');
    const state = words.next() orelse return null;
    for (0..10) |_| _ = words.next();
    const user = std.fmt.parseInt(u64, words.next() orelse return null, 10) catch return null;
    const system = std.fmt.parseInt(u64, words.next() orelse return null, 10) catch return null;
    return .{
        .is_stopped = std.mem.eql(u8, state, "T") or std.mem.eql(u8, state, "t"),
        .ticks = user + system,
    };
}

/// Lets other threads go first where processors are short. Never fails: it is only a wish.
pub fn yieldPriority() void {
    const this_thread = 0;
    const niceness = 10;
    const which_process = 0;
    _ = linux.syscall3(.setpriority, which_process, this_thread, niceness);
}

/// Sleeps while `*word == expected`, at most `timeout_ns`; works across processes.
pub fn futexWait(word: *const u32, expected: u32, timeout_ns: u64) void {
    const timeout: linux.timespec = .{
        .sec = @intCast(timeout_ns / 1_000_000_000),
        .nsec = @intCast(timeout_ns % 1_000_000_000),
    };
    const wait_operation = 0;
    _ = linux.syscall4(.futex, @intFromPtr(word), wait_operation, expected, @intFromPtr(&timeout));
}

pub fn futexWake(word: *const u32, count: u32) void {
    const wake_operation = 1;
    _ = linux.syscall3(.futex, @intFromPtr(word), wake_operation, count);
}

/// Every sleeper of `futexWaitBits`, and of `futexWait`.
pub const futex_bits_all: u32 = std.math.maxInt(u32);

/// The same, and woken only by `futexWakeBits` with one of `bits`. At most `timeout_ns`.
pub fn futexWaitBits(word: *const u32, expected: u32, timeout_ns: u64, bits: u32) void {
    // With bits, the kernel takes the time until which it waits, not how long.
    const until = monotonicNs() + timeout_ns;
    const deadline: linux.timespec = .{
        .sec = @intCast(until / 1_000_000_000),
        .nsec = @intCast(until % 1_000_000_000),
    };
    const wait_bits_operation = 9;
    const address = @intFromPtr(word);
    const time = @intFromPtr(&deadline);
    _ = linux.syscall6(.futex, address, wait_bits_operation, expected, time, 0, bits);
}

pub fn futexWakeBits(word: *const u32, bits: u32) void {
    const wake_bits_operation = 10;
    const address = @intFromPtr(word);
    _ = linux.syscall6(.futex, address, wake_bits_operation, std.math.maxInt(i32), 0, 0, bits);
}

/// Two connected ends of a local stream, neither of which blocks.
pub fn socketPair() Error![2]Fd {
    var ends: [2]Fd = undefined;
    const kind = linux.SOCK.STREAM | linux.SOCK.NONBLOCK | linux.SOCK.CLOEXEC;
    _ = try check(linux.socketpair(linux.AF.UNIX, kind, 0, &ends));
    return ends;
}

/// Sends one byte; what cannot be sent is dropped.
pub fn sendByte(fd: Fd) void {
    const flags = linux.MSG.NOSIGNAL | linux.MSG.DONTWAIT;
    _ = linux.sendto(fd, &[1]u8{1}, 1, flags, null, 0);
}

pub fn randomBytes(out: []u8) void {
    var filled: usize = 0;
    while (filled < out.len) {
        const rc = linux.getrandom(out.ptr + filled, out.len - filled, 0);
        if (linux.errno(rc) != .SUCCESS) continue;
        filled += rc;
    }
}

pub fn stopSelf() void {
    _ = linux.kill(linux.getpid(), .STOP);
}

pub fn killSelf() noreturn {
    _ = linux.kill(linux.getpid(), .KILL);
    while (true) sleepNs(1_000_000_000);
}

test "os: this process runs, and has used processor time" {
    var sum: u64 = 0;
    while (processActivity(processId()).?.ticks == 0) sum +%= monotonicNs();
    std.mem.doNotOptimizeAway(sum);
    try std.testing.expect(!processActivity(processId()).?.is_stopped);
    try std.testing.expectEqual(null, processActivity(std.math.maxInt(u32)));
}

test "os: a byte is held by one open file description at a time" {
    const path = "/dev/shm/aerostore-os-test.lock";
    const a = try open(path, .{ .create = true });
    defer close(a);
    defer unlink(path) catch {};

    const b = try open(path, .{});
    try std.testing.expect(try lockByte(a, 7));
    try std.testing.expect(!try lockByte(b, 7));
    try std.testing.expect(byteHeld(b, 7));
    try std.testing.expect(!byteHeld(b, 8));
    close(b);
    unlockByte(a, 7);
    const c = try open(path, .{});
    defer close(c);
    try std.testing.expect(try lockByte(c, 7));
}
