//! The power-loss file system: a disk in memory under a mount point, whose power can fail.
//! `zig build powerloss-fs`, then as root:
//!
//!   zig-out/bin/powerloss-fs DIRECTORY SEED
//!
//! It says `mounted`, or `unavailable: why` and ends with status 3. Then it takes commands, a line
//! each, and answers each with a line:
//!
//!   lose SEED               all processes are dead: keeps what was synced, and a part of the rest
//!   reset SEED              an empty disk
//!   fail KIND AFTER COUNT   write, sync, space or short: the next COUNT after AFTER go wrong
//!   rename on|off           off: renameat2 with flags is EINVAL, as on file systems without it
//!   quit                    unmounts, as the end of the commands does
//!
//! **Invariants.** The kernel keeps bytes of files in its memory and writes each through at once,
//! so that a program is answered only after this disk knows of it. After a failed sync the kernel
//! goes on showing bytes that the disk does not have, or not, as the seed chooses.
//!
//! **Concurrency.** One thread, one request at a time. Locks are the kernel's own.
//!
//! **Memory.** The C allocator; all is freed when the process ends.

const std = @import("std");
const disks = @import("disk.zig");
const fuse = @import("fuse.zig");
const linux = std.os.linux;

const Disk = disks.Disk;

const write_size_max = 128 * 1024;
const buffer_size = write_size_max + 8192;

const Server = struct {
    disk: Disk,
    mount_point: [:0]const u8,
    device: i32 = -1,
    has_rename_flags: bool = true,
    /// Names of the directories being read, by handle.
    lists: std.AutoArrayHashMapUnmanaged(u64, std.ArrayList(disks.Entry)) = .empty,
    next_handle: u64 = 1,
    in: [buffer_size]u8 align(8) = undefined,
    out: [buffer_size]u8 align(8) = undefined,

    const allocator = std.heap.c_allocator;

    fn mount(server: *Server) !void {
        const opened = linux.openat(linux.AT.FDCWD, "/dev/fuse", .{
            .ACCMODE = .RDWR,
            .CLOEXEC = true,
        }, 0);
        if (linux.errno(opened) != .SUCCESS) return error.NoDevice;
        server.device = @intCast(opened);
        errdefer _ = linux.close(server.device);
        var buffer: [128]u8 = undefined;
        const options = std.fmt.bufPrintZ(
            &buffer,
            "fd={d},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions",
            .{server.device},
        ) catch unreachable; // it fits
        const flags = linux.MS.NOSUID | linux.MS.NODEV;
        const address = @intFromPtr(options.ptr);
        const rc = linux.mount("powerloss", server.mount_point, "fuse.powerloss", flags, address);
        if (linux.errno(rc) != .SUCCESS) return error.NotMounted;
    }

    fn unmount(server: *Server) void {
        _ = linux.umount2(server.mount_point, linux.MNT.DETACH);
        // Ends the kernel's side, whatever still has a file open there.
        _ = linux.close(server.device);
        for (server.lists.values()) |*names| names.deinit(allocator);
        server.lists.clearRetainingCapacity();
    }

    // Requests.

    fn serveOne(server: *Server) !void {
        const rc = linux.read(server.device, &server.in, server.in.len);
        switch (linux.errno(rc)) {
            .SUCCESS => {},
            // The request was interrupted before it was read.
            .NOENT, .INTR, .AGAIN => return,
            else => return error.Unmounted,
        }
        const header = std.mem.bytesToValue(fuse.InHeader, server.in[0..@sizeOf(fuse.InHeader)]);
        const body = server.in[@sizeOf(fuse.InHeader)..rc];
        switch (header.opcode) {
            .forget, .batch_forget, .interrupt => return,
            else => {},
        }
        const size = server.handle(&header, body) catch |err| {
            return server.reply(header.unique, numberOf(err), 0);
        };
        server.reply(header.unique, .SUCCESS, size);
    }

    const HandleError = disks.Error || error{ Unsupported, Invalid };

    fn numberOf(err: HandleError) linux.E {
        return switch (err) {
            error.NotFound => .NOENT,
            error.Exists => .EXIST,
            error.NoSpace => .NOSPC,
            error.Io => .IO,
            error.NotEmpty => .NOTEMPTY,
            error.IsDirectory => .ISDIR,
            error.NotDirectory => .NOTDIR,
            error.NameTooLong => .NAMETOOLONG,
            error.OutOfMemory => .NOMEM,
            error.Unsupported => .NOSYS,
            error.Invalid => .INVAL,
        };
    }

    fn reply(server: *Server, unique: u64, status: linux.E, size: usize) void {
        const header_size = @sizeOf(fuse.OutHeader);
        const header: fuse.OutHeader = .{
            .len = @intCast(header_size + size),
            .status = -@as(i32, @intFromEnum(status)),
            .unique = unique,
        };
        @memcpy(server.out[0..header_size], std.mem.asBytes(&header));
        // A request whose caller is gone takes no answer.
        _ = linux.write(server.device, &server.out, header_size + size);
    }

    /// Room for what an answer carries.
    fn answer(server: *Server) []u8 {
        return server.out[@sizeOf(fuse.OutHeader)..];
    }

    fn put(server: *Server, value: anytype) usize {
        const bytes = std.mem.asBytes(&value);
        @memcpy(server.answer()[0..bytes.len], bytes);
        return bytes.len;
    }

    fn take(comptime T: type, body: []const u8) HandleError!T {
        if (body.len < @sizeOf(T)) return error.Invalid;
        return std.mem.bytesToValue(T, body[0..@sizeOf(T)]);
    }

    /// The name after a structure.
    fn nameAfter(comptime T: type, body: []const u8) []const u8 {
        return std.mem.sliceTo(body[@sizeOf(T)..], 0);
    }

    /// The size of the answer in `out`.
    fn handle(server: *Server, header: *const fuse.InHeader, body: []const u8) HandleError!usize {
        const disk = &server.disk;
        const node: disks.Id = @truncate(header.node);
        switch (header.opcode) {
            .init => return server.start(),
            .lookup => return server.entry(try disk.lookup(node, std.mem.sliceTo(body, 0))),
            .getattr => return server.put(fuse.AttributesOut{
                .attributes = try server.attributes(node),
            }),
            .setattr => return server.setAttributes(node, try take(fuse.SetAttributesIn, body)),
            .mknod => {
                const wanted = try take(fuse.MknodIn, body);
                if (wanted.mode & linux.S.IFMT != linux.S.IFREG) return error.Invalid;
                const name = nameAfter(fuse.MknodIn, body);
                return server.entry(try server.make(header, name, .file, wanted.mode));
            },
            .mkdir => {
                const name = nameAfter(fuse.MkdirIn, body);
                const mode = (try take(fuse.MkdirIn, body)).mode;
                return server.entry(try server.make(header, name, .directory, mode));
            },
            .unlink => try disk.remove(node, std.mem.sliceTo(body, 0), .file),
            .rmdir => try disk.remove(node, std.mem.sliceTo(body, 0), .directory),
            .rename => {
                const wanted = try take(fuse.RenameIn, body);
                const target: disks.Id = @truncate(wanted.directory);
                return server.rename(node, target, body[@sizeOf(fuse.RenameIn)..], .replace);
            },
            .rename2 => {
                if (!server.has_rename_flags) return error.Invalid;
                const wanted = try take(fuse.Rename2In, body);
                const no_replace = 1;
                if (wanted.flags & ~@as(u32, no_replace) != 0) return error.Invalid;
                const target: disks.Id = @truncate(wanted.directory);
                const replace: Disk.Replace = if (wanted.flags == 0) .replace else .keep;
                return server.rename(node, target, body[@sizeOf(fuse.Rename2In)..], replace);
            },
            .link => {
                const id: disks.Id = @truncate((try take(fuse.LinkIn, body)).node);
                try disk.link(id, node, nameAfter(fuse.LinkIn, body));
                return server.entry(id);
            },
            .open => {
                const flags: linux.O = @bitCast((try take(fuse.OpenIn, body)).flags);
                if (flags.TRUNC) try disk.setSize(node, 0);
                return server.put(fuse.OpenOut{ .handle = 0, .flags = fuse.open_keeps_cache });
            },
            .create => {
                const wanted = try take(fuse.CreateIn, body);
                const name = nameAfter(fuse.CreateIn, body);
                const id = try server.make(header, name, .file, wanted.mode);
                return server.put(fuse.CreateOut{
                    .entry = .{ .node = id, .attributes = try server.attributes(id) },
                    .open = .{ .handle = 0, .flags = fuse.open_keeps_cache },
                });
            },
            .read => {
                const wanted = try take(fuse.ReadIn, body);
                const size = @min(wanted.size, write_size_max);
                const bytes = try disk.read(node, wanted.offset, size);
                @memcpy(server.answer()[0..bytes.len], bytes);
                return bytes.len;
            },
            .write => {
                const wanted = try take(fuse.WriteIn, body);
                const bytes = body[@sizeOf(fuse.WriteIn)..];
                if (bytes.len < wanted.size) return error.Invalid;
                const count = try disk.write(node, wanted.offset, bytes[0..wanted.size]);
                return server.put(fuse.WriteOut{ .size = @intCast(count) });
            },
            .fallocate => {
                const wanted = try take(fuse.AllocateIn, body);
                const keeps_size = 1;
                if (wanted.mode & ~@as(u32, keeps_size) != 0) return error.Unsupported;
                try disk.allocate(node, wanted.offset, wanted.length, wanted.mode != 0);
            },
            .fsync => try server.sync(node),
            .fsyncdir => try disk.syncDirectory(node),
            .opendir => return server.openDirectory(node),
            .readdir => return server.readDirectory(try take(fuse.ReadIn, body)),
            .releasedir => {
                const wanted = try take(fuse.ReleaseIn, body);
                var found = server.lists.fetchSwapRemove(wanted.handle) orelse return 0;
                found.value.deinit(allocator);
            },
            .statfs => return server.put(fuse.StatfsOut{
                .blocks = 1 << 20,
                .blocks_free = 1 << 20,
                .blocks_available = 1 << 20,
                .files = 1 << 20,
                .files_free = 1 << 20,
                .block_size = 4096,
                .name_size_max = 128,
                .fragment_size = 4096,
            }),
            .release, .destroy => {},
            else => return error.Unsupported,
        }
        return 0;
    }

    fn start(server: *Server) usize {
        return server.put(fuse.InitOut{
            .major = fuse.major,
            .minor = fuse.minor,
            .max_readahead = write_size_max,
            .flags = fuse.flag_big_writes | fuse.flag_atomic_truncation,
            .max_background = 16,
            .congestion_threshold = 12,
            .max_write = write_size_max,
            .time_gran = 1,
            .max_pages = 0,
            .map_alignment = 0,
        });
    }

    fn make(
        server: *Server,
        header: *const fuse.InHeader,
        name: []const u8,
        kind: disks.Kind,
        mode: u32,
    ) HandleError!disks.Id {
        const id = try server.disk.create(@truncate(header.node), name, kind, mode & 0o7777);
        const inode = try server.disk.get(id);
        inode.uid = header.uid;
        inode.gid = header.gid;
        return id;
    }

    fn attributes(server: *Server, id: disks.Id) HandleError!fuse.Attributes {
        const inode = try server.disk.get(id);
        const kind: u32 = if (inode.kind == .file) linux.S.IFREG else linux.S.IFDIR;
        return .{
            .inode = id,
            .size = inode.live.items.len,
            .blocks = inode.live.items.len / 512,
            .mode = kind | inode.mode,
            .links = server.disk.links(id),
            .uid = inode.uid,
            .gid = inode.gid,
        };
    }

    fn entry(server: *Server, id: disks.Id) HandleError!usize {
        return server.put(fuse.EntryOut{ .node = id, .attributes = try server.attributes(id) });
    }

    fn setAttributes(
        server: *Server,
        id: disks.Id,
        wanted: fuse.SetAttributesIn,
    ) HandleError!usize {
        const inode = try server.disk.get(id);
        if (wanted.valid & fuse.set_size != 0) try server.disk.setSize(id, wanted.size);
        if (wanted.valid & fuse.set_mode != 0) inode.mode = wanted.mode & 0o7777;
        if (wanted.valid & fuse.set_uid != 0) inode.uid = wanted.uid;
        if (wanted.valid & fuse.set_gid != 0) inode.gid = wanted.gid;
        return server.put(fuse.AttributesOut{ .attributes = try server.attributes(id) });
    }

    fn rename(
        server: *Server,
        directory: disks.Id,
        target: disks.Id,
        names: []const u8,
        replace: Disk.Replace,
    ) HandleError!usize {
        const from = std.mem.sliceTo(names, 0);
        if (from.len + 1 > names.len) return error.Invalid;
        const to = std.mem.sliceTo(names[from.len + 1 ..], 0);
        try server.disk.rename(directory, from, target, to, replace);
        return 0;
    }

    fn sync(server: *Server, id: disks.Id) HandleError!void {
        server.disk.sync(id) catch |err| {
            if (err == error.Io and server.disk.random.random().boolean()) server.forget(id);
            return err;
        };
    }

    /// Tells the kernel that its memory of the file's bytes is wrong.
    fn forget(server: *Server, id: disks.Id) void {
        const Message = extern struct { header: fuse.OutHeader, body: fuse.InvalidateInode };
        const message: Message = .{
            .header = .{ .len = @sizeOf(Message), .status = fuse.notify_inval_inode, .unique = 0 },
            .body = .{ .node = id, .offset = 0, .length = 0 },
        };
        const bytes = std.mem.asBytes(&message);
        _ = linux.write(server.device, bytes.ptr, bytes.len);
    }

    fn openDirectory(server: *Server, id: disks.Id) HandleError!usize {
        var names: std.ArrayList(disks.Entry) = .empty;
        try server.disk.list(id, allocator, &names);
        const new = server.next_handle;
        server.next_handle += 1;
        try server.lists.put(allocator, new, names);
        return server.put(fuse.OpenOut{ .handle = new, .flags = 0 });
    }

    fn readDirectory(server: *Server, wanted: fuse.ReadIn) HandleError!usize {
        const names = (server.lists.get(wanted.handle) orelse return error.Invalid).items;
        const limit = @min(wanted.size, write_size_max);
        const out = server.answer();
        var used: usize = 0;
        var index: usize = @intCast(@min(wanted.offset, names.len));
        while (index < names.len) : (index += 1) {
            const name = names[index].place.name.slice();
            const head: fuse.DirectoryEntry = .{
                .inode = names[index].inode,
                .offset = index + 1,
                .name_size = @intCast(name.len),
                .kind = 0,
            };
            const size = std.mem.alignForward(usize, @sizeOf(fuse.DirectoryEntry) + name.len, 8);
            if (used + size > limit) break;
            const bytes = out[used..][0..size];
            @memset(bytes, 0);
            @memcpy(bytes[0..@sizeOf(fuse.DirectoryEntry)], std.mem.asBytes(&head));
            @memcpy(bytes[@sizeOf(fuse.DirectoryEntry)..][0..name.len], name);
            used += size;
        }
        return used;
    }

    // Commands.

    /// False when it was the last one.
    fn obey(server: *Server, line: []const u8) !bool {
        var words = std.mem.tokenizeScalar(u8, line, ' ');
        const verb = words.next() orelse return true;
        if (std.mem.eql(u8, verb, "quit")) return false;
        if (std.mem.eql(u8, verb, "lose")) {
            const seed = try number(u64, &words);
            server.unmount();
            const report = try server.disk.losePower(seed);
            server.has_rename_flags = true;
            try server.mount();
            say("lost sectors {d} of {d}, names {d} of {d}\n", .{
                report.lost_sectors,
                report.lost_sectors + report.kept_sectors,
                report.lost_names,
                report.lost_names + report.kept_names,
            });
        } else if (std.mem.eql(u8, verb, "reset")) {
            const seed = try number(u64, &words);
            server.unmount();
            server.disk.deinit();
            server.disk = try .init(allocator, seed);
            server.has_rename_flags = true;
            try server.mount();
            say("empty\n", .{});
        } else if (std.mem.eql(u8, verb, "fail")) {
            const name = words.next() orelse return error.BadCommand;
            const kind = std.meta.stringToEnum(disks.FaultKind, name) orelse
                return error.BadCommand;
            const after = try number(u32, &words);
            const count = try number(u32, &words);
            server.disk.faults.set(kind, .{ .after = after, .count = count });
            say("fails\n", .{});
        } else if (std.mem.eql(u8, verb, "rename")) {
            server.has_rename_flags = std.mem.eql(u8, words.next() orelse "", "on");
            say("renames\n", .{});
        } else return error.BadCommand;
        return true;
    }

    fn number(comptime T: type, words: anytype) !T {
        return std.fmt.parseInt(T, words.next() orelse return error.BadCommand, 10);
    }

    /// Serves until the commands end.
    fn run(server: *Server) !void {
        var line: [256]u8 = undefined;
        var filled: usize = 0;
        while (true) {
            const commands = 0;
            var waits = [_]linux.pollfd{
                .{ .fd = commands, .events = linux.POLL.IN, .revents = 0 },
                .{ .fd = server.device, .events = linux.POLL.IN, .revents = 0 },
            };
            if (linux.errno(linux.poll(&waits, waits.len, -1)) != .SUCCESS) continue;
            if (waits[1].revents & linux.POLL.IN != 0) try server.serveOne();
            if (waits[1].revents & linux.POLL.ERR != 0) return error.Unmounted;
            if (waits[0].revents == 0) continue;
            const rc = linux.read(commands, line[filled..].ptr, line.len - filled);
            if (linux.errno(rc) != .SUCCESS or rc == 0) return;
            filled += rc;
            while (std.mem.indexOfScalar(u8, line[0..filled], '\n')) |end| {
                if (!try server.obey(line[0..end])) return;
                std.mem.copyForwards(u8, &line, line[end + 1 .. filled]);
                filled -= end + 1;
            }
            if (filled == line.len) return error.BadCommand;
        }
    }
};

fn say(comptime text: []const u8, values: anytype) void {
    var buffer: [256]u8 = undefined;
    const line = std.fmt.bufPrint(&buffer, text, values) catch return;
    _ = linux.write(1, line.ptr, line.len);
}

pub fn main(init: std.process.Init.Minimal) !u8 {
    var arguments = init.args.iterate();
    _ = arguments.next();
    const mount_point = arguments.next() orelse return error.MissingDirectory;
    const seed = try std.fmt.parseInt(u64, arguments.next() orelse "1", 10);
    const server = try Server.allocator.create(Server);
    server.* = .{ .disk = try .init(Server.allocator, seed), .mount_point = mount_point };
    server.mount() catch |err| {
        const why = if (err == error.NoDevice) "/dev/fuse cannot be opened" else "mount is refused";
        say("unavailable: {s}\n", .{why});
        return 3;
    };
    defer server.unmount();
    say("mounted\n", .{});
    try server.run();
    return 0;
}

test {
    std.testing.refAllDecls(@This());
}
