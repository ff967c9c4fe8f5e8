//! What this process has attached: each segment once, with its maintenance thread, and the handles
//! on them.
//!
//! **Concurrency**: one private lock over the lists. Workers of one process share this registry.
//!
//! **Who may die where**: a thread that ends with open handles, as a terminated Worker's does, has
//! them closed on its way out, when it is inside no call any more.
//!
//! **Memory**: an attachment whose last handle closed stops its thread and keeps its mapping for
//! the next handle, as long as the file has a name. A file without one, because the segment was
//! rebuilt or removed, can have no next handle: the next open unmaps it. No call can be inside
//! then: a handle closes on its own thread, and a terminated Worker's after its last call.
const std = @import("std");
const limits = @import("../limits.zig");
const mutant = @import("../instrument/mutant.zig");
const os = @import("../os.zig");
const segment_ = @import("../segment/segment.zig");
const catalog = @import("../txn/catalog.zig");
const engine_ = @import("../txn/engine.zig");
const repair = @import("../txn/repair.zig");
const io_ = @import("io.zig");
const Handle = @import("connection.zig").Handle;
const liveness_ = @import("../segment/liveness.zig");
const Liveness = liveness_.Liveness;
const LockFile = liveness_.LockFile;
const storage_ = @import("../wal/storage.zig");
const lock_name = @import("segment_files.zig").lock_name;
const Listeners = @import("listeners.zig").Listeners;
const Lock = @import("lock.zig").Lock;
const Maintenance = @import("maintenance.zig").Maintenance;

pub const Error = engine_.Error || segment_.AttachError;

pub const handles_max = 4096;

/// What opening a session gives.
pub const SessionOpened = extern struct {
    handle: u32,
    session_index: u32,
    orphans_repaired: u32,
    reserved: u32,
    io_address: f64,
};

pub const Attached = struct {
    segment: segment_.Segment,
    device: u64,
    inode: u64,
    handle_count: u32 = 0,
    /// The data directory as the first handle has found it, wherever it is renamed to. Open while
    /// there is a handle.
    directory: storage_.Directory = .{ .descriptor = -1 },
    /// Open while there is a handle.
    lock_file: LockFile = .{ .fd = -1 },
    maintenance: ?*Maintenance = null,
    /// Held by who starts the maintenance thread: Workers open at a time.
    starting: Lock = .{},
    listeners: Listeners = .{},

    pub fn liveness(attached: *Attached) Liveness {
        return .{ .file = &attached.lock_file };
    }

    /// A descriptor of its own of the lock file, for locks that others in the process take too.
    pub fn openLock(attached: *const Attached) os.Error!os.Fd {
        return os.openAt(attached.directory.descriptor, lock_name, .{ .create = true });
    }

    /// Counts a handle that is being opened by a descriptor of the data directory.
    fn enter(attached: *Attached, directory: os.Fd) os.Error!void {
        if (attached.handle_count == 0) {
            attached.directory = storage_.Directory.duplicate(directory) catch return error.IoError;
            errdefer attached.directory.close();
            attached.lock_file.fd = try attached.openLock();
        }
        attached.handle_count += 1;
    }

    /// Counts a handle that is closed. The maintenance thread goes with the last one, which holds
    /// the registry's lock meanwhile.
    fn leave(attached: *Attached) void {
        attached.handle_count -= 1;
        if (attached.handle_count > 0) return;
        if (attached.maintenance) |maintenance| {
            attached.maintenance = null;
            maintenance.stop();
        }
        os.close(attached.lock_file.fd);
        attached.directory.close();
    }
};

const Place = struct { handle: ?*Handle = null, io: ?*io_.Block = null };

/// A thread that has opened handles: they close with it.
pub const Owner = struct {
    registry: *Registry,

    fn end(value: *anyopaque) callconv(.c) void {
        const owner: *Owner = @ptrCast(@alignCast(value));
        const registry = owner.registry;
        registry.closeAll(owner);
        registry.allocator.destroy(owner);
    }
};

pub const Registry = struct {
    allocator: std.mem.Allocator,
    lock: Lock = .{},
    attached: std.ArrayList(*Attached) = .empty,
    places: [handles_max]Place = @splat(.{}),
    /// Where each thread keeps its `Owner`; the system calls `Owner.end` when the thread ends.
    owners: ?os.ThreadKey = null,

    /// Opens a handle; its number starts at 1.
    pub fn open(
        registry: *Registry,
        path: [:0]const u8,
        directory: os.Fd,
        fingerprint: u64,
    ) Error!u32 {
        mutant.chooseByEnvironment();
        registry.lock.acquire();
        defer registry.lock.release();

        const number = for (registry.places, 1..) |place, i| {
            if (place.handle == null) break i;
        } else return error.TooManySessions;
        const owner = try registry.currentOwner();
        registry.forgetNameless();
        const attached = try registry.attach(path, fingerprint);
        try catalog.verify(&attached.segment);
        try attached.enter(directory);
        errdefer attached.leave();
        const place = &registry.places[number - 1];
        if (place.io == null) {
            const memory = try os.mapPrivate(std.mem.alignForward(usize, @sizeOf(io_.Block), 4096));
            place.io = @ptrCast(memory.ptr);
        }
        const lock_fd = try attached.openLock();
        errdefer os.close(lock_fd);
        const handle = try registry.allocator.create(Handle);
        errdefer registry.allocator.destroy(handle);
        handle.* = .{
            .allocator = registry.allocator,
            .owner = owner,
            .attached = attached,
            .lock_fd = lock_fd,
            .engine = undefined,
            .io = place.io.?,
        };
        try handle.engine.attach(registry.allocator, &attached.segment, attached.liveness());
        errdefer handle.engine.detach();
        const swept = repair.sweep(&handle.engine.context) catch |err| switch (err) {
            error.UnknownTable => return error.SegmentCorrupt,
            else => |e| return e,
        };
        handle.orphans_repaired = handle.engine.repaired + swept;
        attached.segment.noteOpened();
        place.handle = handle;
        return @intCast(number);
    }

    /// The calling thread's, made at its first open.
    fn currentOwner(registry: *Registry) Error!*Owner {
        const key = registry.owners orelse try os.ThreadKey.init(Owner.end);
        registry.owners = key;
        if (key.get()) |value| return @ptrCast(@alignCast(value));
        const owner = try registry.allocator.create(Owner);
        errdefer registry.allocator.destroy(owner);
        owner.* = .{ .registry = registry };
        try key.set(owner);
        return owner;
    }

    fn attach(
        registry: *Registry,
        path: [:0]const u8,
        fingerprint: u64,
    ) Error!*Attached {
        const fd = try os.open(path, .{});
        errdefer os.close(fd);
        const st = try os.stat(fd);
        for (registry.attached.items) |attached| {
            if (attached.device == st.device and attached.inode == st.inode) {
                os.close(fd);
                return attached;
            }
        }
        try registry.attached.ensureUnusedCapacity(registry.allocator, 1);
        const attached = try registry.allocator.create(Attached);
        errdefer registry.allocator.destroy(attached);
        attached.* = .{
            .segment = try segment_.Segment.attach(fd, fingerprint),
            .device = st.device,
            .inode = st.inode,
        };
        registry.attached.appendAssumeCapacity(attached);
        return attached;
    }

    /// Unmaps what has no handle and can get none.
    fn forgetNameless(registry: *Registry) void {
        const items = &registry.attached;
        var index: usize = 0;
        while (index < items.items.len) {
            const attached = items.items[index];
            const st = os.stat(attached.segment.fd) catch null;
            if (attached.handle_count > 0 or st == null or st.?.named) {
                index += 1;
                continue;
            }
            _ = items.swapRemove(index);
            attached.segment.detach();
            registry.allocator.destroy(attached);
        }
    }

    pub fn get(registry: *Registry, number: u32) ?*Handle {
        if (number == 0 or number > handles_max) return null;
        return registry.places[number - 1].handle;
    }

    pub fn close(registry: *Registry, number: u32) void {
        registry.lock.acquire();
        defer registry.lock.release();

        registry.closeLocked(number);
    }

    /// What a thread has left open when it ends.
    fn closeAll(registry: *Registry, owner: *const Owner) void {
        registry.lock.acquire();
        defer registry.lock.release();

        for (registry.places, 1..) |place, number| {
            const handle = place.handle orelse continue;
            if (handle.owner == owner) registry.closeLocked(@intCast(number));
        }
    }

    fn closeLocked(registry: *Registry, number: u32) void {
        const handle = registry.get(number) orelse return;
        const attached = handle.attached;
        registry.places[number - 1].handle = null;
        handle.deinit();
        registry.allocator.destroy(handle);
        attached.leave();
        if (attached.handle_count == 0) attached.segment.noteClosed();
    }
};
