//! A disk for tests: it remembers what was written, what was synced, and can lose power.
//!
//! `Disk.storage()` is what the code under test gets. Reads see everything written (the kernel's
//! memory of the files). A power loss keeps what was synced, and of everything else any part: each
//! unsynced sector of 512 bytes in any of the states that it went through, one of them cut in the
//! middle; file sizes old or new; each unsynced change of a name made or not. `Disk.afterPowerLoss`
//! makes the disk that a given choice leaves; `Choices` lists choices. Single calls can be told to
//! fail.
//!
//! **Invariants.** A synced byte, size or name is in every disk after a power loss. A failed sync
//! leaves the pages readable but clean: nothing brings them to the disk later, and `forget` shows
//! what the disk has.
//!
//! **Concurrency.** None.
//!
//! **Memory.** A disk owns its files; handles are never reused.

const std = @import("std");
const storages = @import("../wal/storage.zig");
const assert = std.debug.assert;

const Allocator = std.mem.Allocator;
const CallError = storages.CallError;
const File = storages.File;
const Name = storages.Name;

pub const sector_size = 512;

const Write = struct {
    offset: u64,
    /// Empty for a change of size alone.
    bytes: []u8,
    /// The file's size afterwards.
    size: u64,
};

const Inode = struct {
    /// As the kernel remembers it, and as the disk has it.
    cached: std.ArrayList(u8) = .empty,
    durable: std.ArrayList(u8) = .empty,
    /// From one to the other, in order.
    writes: std.ArrayList(Write) = .empty,

    fn deinit(inode: *Inode, allocator: Allocator) void {
        inode.cached.deinit(allocator);
        inode.durable.deinit(allocator);
        for (inode.writes.items) |write| allocator.free(write.bytes);
        inode.writes.deinit(allocator);
    }

    fn dropWrites(inode: *Inode, allocator: Allocator) void {
        for (inode.writes.items) |write| allocator.free(write.bytes);
        inode.writes.clearRetainingCapacity();
    }
};

const Entry = struct { name: Name, inode: usize };

/// One call's change of names, all of it or nothing.
const NameChange = struct {
    remove: ?Name = null,
    add: ?Entry = null,
};

pub const Failure = enum {
    none,
    io_error,
    no_space,
    interrupted,
    /// A write that does a part; other calls fail with an I/O error.
    short,
};

pub const Disk = struct {
    allocator: Allocator,
    inodes: std.ArrayList(Inode) = .empty,
    entries: std.ArrayList(Entry) = .empty,
    durable_entries: std.ArrayList(Entry) = .empty,
    name_changes: std.ArrayList(NameChange) = .empty,
    /// Inode of each handle.
    handles: std.ArrayList(usize) = .empty,
    /// Calls so far, reads included.
    call_count: u64 = 0,
    /// From this call on nothing happens any more: the power is gone.
    power_until: u64 = std.math.maxInt(u64),
    /// The call that fails, and how.
    fail_at: u64 = std.math.maxInt(u64),
    failure: Failure = .none,
    /// Set when a call was made to fail.
    failed: bool = false,
    /// Before this call another process does something.
    interlude_at: u64 = std.math.maxInt(u64),
    interlude: ?Interlude = null,

    pub const Interlude = struct {
        context: *anyopaque,
        run: *const fn (*anyopaque) void,
    };

    pub fn init(allocator: Allocator) Disk {
        return .{ .allocator = allocator };
    }

    pub fn deinit(disk: *Disk) void {
        for (disk.inodes.items) |*inode| inode.deinit(disk.allocator);
        disk.inodes.deinit(disk.allocator);
        disk.entries.deinit(disk.allocator);
        disk.durable_entries.deinit(disk.allocator);
        disk.name_changes.deinit(disk.allocator);
        disk.handles.deinit(disk.allocator);
    }

    pub fn storage(disk: *Disk) storages.Storage {
        return .{ .context = disk, .calls = &calls };
    }

    pub fn hasPower(disk: *const Disk) bool {
        return disk.call_count < disk.power_until;
    }

    /// Tells disks apart that could leave different things behind.
    pub fn digest(disk: *const Disk) u64 {
        var hash = std.hash.Wyhash.init(disk.inodes.items.len);
        for (disk.inodes.items) |*inode| {
            hash.update(std.mem.asBytes(&[_]usize{
                inode.durable.items.len,
                inode.writes.items.len,
                inode.cached.items.len,
            }));
            hash.update(inode.durable.items);
            for (inode.writes.items) |pending| {
                hash.update(std.mem.asBytes(&[_]u64{ pending.offset, pending.size }));
                hash.update(pending.bytes);
            }
        }
        for (disk.durable_entries.items) |*entry| hash.update(entry.name.slice());
        hash.update(std.mem.asBytes(&disk.name_changes.items.len));
        return hash.final();
    }

    /// The bytes of a file, for tests that damage them; null if there is none.
    pub fn contents(disk: *Disk, name: []const u8) ?*std.ArrayList(u8) {
        const inode = disk.find(name) orelse return null;
        return &disk.inodes.items[inode].cached;
    }

    /// Names and bytes as the processes see them, all on the disk: what a crash of the processes
    /// alone leaves.
    pub fn afterProcessCrash(disk: *const Disk, allocator: Allocator) !Disk {
        var result: Disk = .init(allocator);
        errdefer result.deinit();
        for (disk.inodes.items) |*inode| {
            try result.addInode(inode.cached.items, inode.durable.items, inode.writes.items);
        }
        try result.entries.appendSlice(allocator, disk.entries.items);
        try result.durable_entries.appendSlice(allocator, disk.durable_entries.items);
        try result.name_changes.appendSlice(allocator, disk.name_changes.items);
        return result;
    }

    fn addInode(disk: *Disk, cached: []const u8, durable: []const u8, writes: []const Write) !void {
        var inode: Inode = .{};
        errdefer inode.deinit(disk.allocator);
        try inode.cached.appendSlice(disk.allocator, cached);
        try inode.durable.appendSlice(disk.allocator, durable);
        for (writes) |pending| {
            const bytes = try disk.allocator.dupe(u8, pending.bytes);
            try inode.writes.append(
                disk.allocator,
                .{ .offset = pending.offset, .bytes = bytes, .size = pending.size },
            );
        }
        try disk.inodes.append(disk.allocator, inode);
    }

    // Power loss.

    /// Unsynced sectors over all files: each is kept or lost by itself.
    pub fn unsyncedSectors(disk: *const Disk) usize {
        var count: usize = 0;
        for (disk.inodes.items) |*inode| {
            for (inode.writes.items) |pending| count += sectorsOf(pending);
        }
        return count;
    }

    pub fn unsyncedNames(disk: *const Disk) usize {
        return disk.name_changes.items.len;
    }

    /// A write's sectors; one without bytes counts as one, its change of size.
    fn sectorsOf(pending: Write) usize {
        if (pending.bytes.len == 0) return 1;
        const first = pending.offset / sector_size;
        return @intCast((pending.offset + pending.bytes.len - 1) / sector_size - first + 1);
    }

    pub fn afterPowerLoss(disk: *const Disk, allocator: Allocator, choice: Choice) !Disk {
        var result: Disk = .init(allocator);
        errdefer result.deinit();
        var sector: usize = 0;
        for (disk.inodes.items) |*inode| {
            var bytes: std.ArrayList(u8) = .empty;
            defer bytes.deinit(allocator);
            try bytes.appendSlice(allocator, inode.durable.items);
            for (inode.writes.items) |pending| {
                const count = sectorsOf(pending);
                for (0..count) |index| {
                    const kept = choice.keepsSector(sector + index);
                    if (kept > 0) try applySector(allocator, &bytes, pending, index, kept);
                }
                sector += count;
            }
            try result.addInode(bytes.items, bytes.items, &.{});
        }
        try result.entries.appendSlice(allocator, disk.durable_entries.items);
        for (disk.name_changes.items, 0..) |change, index| {
            if (choice.keepsName(index)) try applyChange(allocator, &result.entries, change);
        }
        try result.durable_entries.appendSlice(allocator, result.entries.items);
        return result;
    }

    /// Puts the first `kept` bytes of a write's sector on the disk.
    fn applySector(
        allocator: Allocator,
        bytes: *std.ArrayList(u8),
        pending: Write,
        index: usize,
        kept: usize,
    ) !void {
        if (pending.bytes.len == 0) return resize(allocator, bytes, pending.size);
        const first = pending.offset / sector_size + index;
        const start: usize = @intCast(@max(pending.offset, first * sector_size));
        const from: usize = @intCast(start - pending.offset);
        const sector_end: usize = @intCast((first + 1) * sector_size);
        const count = @min(pending.bytes.len - from, sector_end - start, kept);
        if (start + count > bytes.items.len) try resize(allocator, bytes, start + count);
        @memcpy(bytes.items[start..][0..count], pending.bytes[from..][0..count]);
    }

    fn resize(allocator: Allocator, bytes: *std.ArrayList(u8), size_u64: u64) !void {
        const new_size: usize = @intCast(size_u64);
        const old_size = bytes.items.len;
        try bytes.resize(allocator, new_size);
        if (new_size > old_size) @memset(bytes.items[old_size..], 0);
    }

    fn applyChange(allocator: Allocator, entries: *std.ArrayList(Entry), change: NameChange) !void {
        if (change.remove) |name| removeEntry(entries, name.slice());
        if (change.add) |entry| {
            removeEntry(entries, entry.name.slice());
            try entries.append(allocator, entry);
        }
    }

    fn removeEntry(entries: *std.ArrayList(Entry), name: []const u8) void {
        for (entries.items, 0..) |*entry, index| {
            if (!std.mem.eql(u8, entry.name.slice(), name)) continue;
            _ = entries.swapRemove(index);
            return;
        }
    }

    /// The inode of a name.
    pub fn find(disk: *const Disk, name: []const u8) ?usize {
        for (disk.entries.items) |*entry| {
            if (std.mem.eql(u8, entry.name.slice(), name)) return entry.inode;
        }
        return null;
    }

    // Calls.

    const calls: storages.Storage.Calls = .{
        .open = open,
        .close = close,
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

    fn self(context: *anyopaque) *Disk {
        return @ptrCast(@alignCast(context));
    }

    fn inodeOf(disk: *Disk, file: File) *Inode {
        return &disk.inodes.items[disk.handles.items[@intCast(@intFromEnum(file))]];
    }

    /// What happens to this call: nothing, a failure, or (true) a short write.
    fn enter(disk: *Disk) CallError!bool {
        if (disk.interlude != null and disk.call_count >= disk.interlude_at) {
            const interlude = disk.interlude.?;
            disk.interlude = null;
            interlude.run(interlude.context);
        }
        const number = disk.call_count;
        disk.call_count += 1;
        if (number >= disk.power_until) return error.IoError;
        if (number != disk.fail_at) return false;
        disk.failed = true;
        return switch (disk.failure) {
            .none => false,
            .io_error => error.IoError,
            .no_space => error.NoSpace,
            .interrupted => error.Interrupted,
            .short => true,
        };
    }

    /// For calls that cannot be short.
    fn enterWhole(disk: *Disk) CallError!void {
        if (try disk.enter()) return error.IoError;
    }

    fn changeNames(disk: *Disk, change: NameChange) CallError!void {
        applyChange(disk.allocator, &disk.entries, change) catch return error.NoSpace;
        disk.name_changes.append(disk.allocator, change) catch return error.NoSpace;
    }

    fn open(context: *anyopaque, name: []const u8, mode: storages.Mode) CallError!File {
        const disk = self(context);
        try disk.enterWhole();
        var inode = disk.find(name);
        if (mode == .create and inode != null) try disk.truncate(inode.?, 0);
        if (inode == null) {
            if (mode != .create) return error.NotFound;
            inode = disk.inodes.items.len;
            disk.inodes.append(disk.allocator, .{}) catch return error.NoSpace;
            try disk.changeNames(.{ .add = .{ .name = .of(name), .inode = inode.? } });
        }
        disk.handles.append(disk.allocator, inode.?) catch return error.NoSpace;
        return @enumFromInt(@as(i32, @intCast(disk.handles.items.len - 1)));
    }

    fn close(context: *anyopaque, file: File) void {
        _ = context;
        _ = file;
    }

    fn read(context: *anyopaque, file: File, offset: u64, out: []u8) CallError!usize {
        const disk = self(context);
        const short = try disk.enter();
        const bytes = disk.inodeOf(file).cached.items;
        if (offset >= bytes.len) return 0;
        const available = bytes[@intCast(offset)..];
        const count = @min(available.len, if (short) (out.len + 1) / 2 else out.len);
        @memcpy(out[0..count], available[0..count]);
        return count;
    }

    fn write(context: *anyopaque, file: File, offset: u64, bytes: []const u8) CallError!usize {
        const disk = self(context);
        const half = bytes[0 .. (bytes.len + 1) / 2];
        const short = disk.enter() catch |err| {
            // A full or failing disk takes a part of the bytes first.
            if (err == error.NoSpace or (err == error.IoError and disk.hasPower())) {
                try disk.store(disk.inodeOf(file), offset, half);
            }
            return err;
        };
        const count = if (short) half.len else bytes.len;
        try disk.store(disk.inodeOf(file), offset, bytes[0..count]);
        return count;
    }

    fn store(disk: *Disk, inode: *Inode, offset: u64, bytes: []const u8) CallError!void {
        const end = offset + bytes.len;
        if (end > inode.cached.items.len) {
            resize(disk.allocator, &inode.cached, end) catch return error.NoSpace;
        }
        @memcpy(inode.cached.items[@intCast(offset)..@intCast(end)], bytes);
        const copy = disk.allocator.dupe(u8, bytes) catch return error.NoSpace;
        inode.writes.append(
            disk.allocator,
            .{ .offset = offset, .bytes = copy, .size = inode.cached.items.len },
        ) catch return error.NoSpace;
    }

    fn truncate(disk: *Disk, inode_index: usize, bytes: u64) CallError!void {
        const inode = &disk.inodes.items[inode_index];
        resize(disk.allocator, &inode.cached, bytes) catch return error.NoSpace;
        const none = disk.allocator.alloc(u8, 0) catch return error.NoSpace;
        inode.writes.append(
            disk.allocator,
            .{ .offset = 0, .bytes = none, .size = bytes },
        ) catch return error.NoSpace;
    }

    fn allocate(context: *anyopaque, file: File, offset: u64, bytes: u64) CallError!void {
        const disk = self(context);
        try disk.enterWhole();
        const inode = disk.handles.items[@intCast(@intFromEnum(file))];
        const end = offset + bytes;
        if (end > disk.inodes.items[inode].cached.items.len) try disk.truncate(inode, end);
    }

    fn sync(context: *anyopaque, file: File) CallError!void {
        const disk = self(context);
        disk.enterWhole() catch |err| {
            if (err != error.Interrupted and disk.hasPower()) {
                disk.inodeOf(file).dropWrites(disk.allocator);
            }
            return err;
        };
        const inode = disk.inodeOf(file);
        // What an earlier failure lost stays lost: only what is still dirty goes to the disk.
        for (inode.writes.items) |each| {
            for (0..sectorsOf(each)) |index| {
                applySector(disk.allocator, &inode.durable, each, index, sector_size) catch
                    return error.NoSpace;
            }
        }
        inode.dropWrites(disk.allocator);
    }

    fn forget(context: *anyopaque, file: File) CallError!void {
        const disk = self(context);
        try disk.enterWhole();
        const inode = disk.inodeOf(file);
        if (inode.writes.items.len > 0) return;
        inode.cached.clearRetainingCapacity();
        inode.cached.appendSlice(disk.allocator, inode.durable.items) catch return error.NoSpace;
    }

    fn size(context: *anyopaque, file: File) CallError!u64 {
        const disk = self(context);
        try disk.enterWhole();
        return disk.inodeOf(file).cached.items.len;
    }

    fn identity(context: *anyopaque, file: File) CallError!u128 {
        const disk = self(context);
        try disk.enterWhole();
        return disk.handles.items[@intCast(@intFromEnum(file))];
    }

    fn setSize(context: *anyopaque, file: File, bytes: u64) CallError!void {
        const disk = self(context);
        try disk.enterWhole();
        try disk.truncate(disk.handles.items[@intCast(@intFromEnum(file))], bytes);
    }

    fn rename(
        context: *anyopaque,
        from: []const u8,
        to: []const u8,
        replace: storages.Storage.Replace,
    ) CallError!void {
        const disk = self(context);
        try disk.enterWhole();
        const inode = disk.find(from) orelse return error.NotFound;
        if (replace == .keep and disk.find(to) != null) return error.Exists;
        try disk.changeNames(.{
            .remove = .of(from),
            .add = .{ .name = .of(to), .inode = inode },
        });
    }

    fn unlink(context: *anyopaque, name: []const u8) CallError!void {
        const disk = self(context);
        try disk.enterWhole();
        if (disk.find(name) == null) return error.NotFound;
        try disk.changeNames(.{ .remove = .of(name) });
    }

    fn syncDirectory(context: *anyopaque) CallError!void {
        const disk = self(context);
        try disk.enterWhole();
        disk.durable_entries.clearRetainingCapacity();
        disk.durable_entries.appendSlice(disk.allocator, disk.entries.items) catch
            return error.NoSpace;
        disk.name_changes.clearRetainingCapacity();
    }

    fn list(
        context: *anyopaque,
        prefix: []const u8,
        allocator: Allocator,
        names: *std.ArrayList(Name),
    ) storages.Storage.ListError!void {
        const disk = self(context);
        try disk.enterWhole();
        for (disk.entries.items) |*entry| {
            if (!std.mem.startsWith(u8, entry.name.slice(), prefix)) continue;
            try names.append(allocator, entry.name);
        }
    }
};

/// What a power loss keeps.
pub const Choice = struct {
    sectors: Kept,
    names: Kept,
    /// The sector of which only some bytes are kept, whatever `sectors` says.
    torn_sector: usize = std.math.maxInt(usize),
    torn_size: usize = 0,

    pub const Kept = union(enum) {
        none,
        all,
        /// The first so many.
        prefix: usize,
        only: usize,
        all_but: usize,
        /// Bit by bit.
        bits: u64,
        /// By lot.
        seed: u64,

        fn keeps(kept: Kept, index: usize) bool {
            return switch (kept) {
                .none => false,
                .all => true,
                .prefix => |count| index < count,
                .only => |one| index == one,
                .all_but => |one| index != one,
                .bits => |bits| index < 64 and bits >> @intCast(index) & 1 != 0,
                .seed => |seed| std.hash.int(seed ^ std.hash.int(@as(u64, index))) & 1 != 0,
            };
        }
    };

    fn keepsSector(choice: Choice, index: usize) usize {
        if (index == choice.torn_sector) return choice.torn_size;
        return if (choice.sectors.keeps(index)) sector_size else 0;
    }

    fn keepsName(choice: Choice, index: usize) bool {
        return choice.names.keeps(index);
    }
};

/// The choices to try for a disk: all of them where they are few, and otherwise what tells most.
pub const Choices = struct {
    sector_count: usize,
    name_count: usize,
    index: usize = 0,

    /// All subsets of so many sectors or names.
    const exhaustive_max = 4;
    const lots = 6;

    pub fn of(disk: *const Disk) Choices {
        return .{
            .sector_count = disk.unsyncedSectors(),
            .name_count = disk.unsyncedNames(),
        };
    }

    pub fn next(choices: *Choices) ?Choice {
        const index = choices.index;
        choices.index += 1;
        const sector_choices = countOf(choices.sector_count);
        const whole_count = sector_choices * countOf(choices.name_count);
        if (index < whole_count) return .{
            .sectors = keptOf(choices.sector_count, index % sector_choices),
            .names = keptOf(choices.name_count, index / sector_choices),
        };
        const torn = index - whole_count;
        if (torn >= choices.sector_count) return null;
        return .{
            .sectors = if (torn % 2 == 0) .{ .prefix = torn } else .all,
            .names = .all,
            .torn_sector = torn,
            .torn_size = 1 + std.hash.int(torn) % (sector_size - 1),
        };
    }

    fn countOf(units: usize) usize {
        if (units <= exhaustive_max) return @as(usize, 1) << @intCast(units);
        return 2 + 3 * units + lots;
    }

    fn keptOf(units: usize, index: usize) Choice.Kept {
        if (units <= exhaustive_max) return .{ .bits = index };
        if (index == 0) return .none;
        if (index == 1) return .all;
        const rest = index - 2;
        if (rest >= 3 * units) return .{ .seed = rest };
        return switch (rest / units) {
            0 => .{ .prefix = rest % units },
            1 => .{ .only = rest % units },
            else => .{ .all_but = rest % units },
        };
    }
};

const testing = std.testing;

test "storage_sim: a power loss keeps what was synced and any part of the rest" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    const storage = disk.storage();
    const file = try storage.open("a", .create);
    try storage.syncDirectory();
    try storage.write(file, 0, "0123456789");
    try storage.sync(file);
    try storage.write(file, 0, "abc");
    try storage.write(file, 600, "z");
    try storage.rename("a", "b", .keep);

    var seen = [_]usize{ 0, 0, 0, 0, 0 };
    var choices = Choices.of(&disk);
    while (choices.next()) |choice| {
        var after = try disk.afterPowerLoss(testing.allocator, choice);
        defer after.deinit();
        const old = after.contents("a");
        const new = after.contents("b");
        try testing.expect((old == null) != (new == null));
        const bytes = (old orelse new.?).items;
        try testing.expectEqualStrings("3456789", bytes[3..10]);
        if (std.mem.startsWith(u8, bytes, "012")) seen[0] += 1;
        if (std.mem.startsWith(u8, bytes, "abc")) seen[1] += 1;
        if (bytes.len == 10) seen[2] += 1;
        if (bytes.len == 601) seen[3] += 1;
        if (new != null) seen[4] += 1;
    }
    for (seen) |count| try testing.expect(count > 0);
}

test "storage_sim: a failed sync loses the pages for good" {
    var disk: Disk = .init(testing.allocator);
    defer disk.deinit();
    const storage = disk.storage();
    const file = try storage.open("a", .create);
    try storage.syncDirectory();
    try storage.write(file, 0, "kept");
    try storage.sync(file);
    try storage.write(file, 4, "lost");
    disk.fail_at = disk.call_count;
    disk.failure = .io_error;
    try testing.expectError(error.IoError, storage.sync(file));
    try storage.sync(file);
    var bytes: [16]u8 = undefined;
    try testing.expectEqual(8, try storage.read(file, 0, &bytes));
    try storage.forget(file);
    try testing.expectEqual(4, try storage.read(file, 0, &bytes));
}

test "storage_sim: interrupted and short calls are made good by the interface" {
    for ([_]Failure{ .interrupted, .short }) |failure| {
        var disk: Disk = .init(testing.allocator);
        defer disk.deinit();
        const storage = disk.storage();
        const file = try storage.open("a", .create);
        disk.failure = failure;
        disk.fail_at = disk.call_count;
        try storage.write(file, 0, "0123456789");
        disk.fail_at = disk.call_count;
        var bytes: [10]u8 = undefined;
        try testing.expectEqual(10, try storage.read(file, 0, &bytes));
        try testing.expectEqualStrings("0123456789", &bytes);
    }
}
