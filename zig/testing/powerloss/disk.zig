//! The disk of the power-loss file system: a tree of files that remembers what was synced, and can
//! lose the rest.
//!
//! Reads see everything written. A power loss keeps what was synced, and of everything else a part
//! that the seed chooses: each unsynced block of 512 or 4,096 bytes or not, the new size of a file
//! or the old one, each change of a name or not. The kernel's own writing back happens as well, at
//! random moments, so that blocks reach the disk in any order and in states between two writes.
//!
//! **Invariants.** A byte and a size that `sync` has returned for, and a name that `syncDirectory`
//! has returned for, are there after any power loss. A change of a name that another one builds on
//! is never lost alone. After a failed sync the disk has a part of the file's unsynced blocks, and
//! no later sync brings the others: the kernel may still show them, this disk does not.
//!
//! **Concurrency.** None: the server takes one request at a time.
//!
//! **Memory.** A disk owns its inodes. One that has no name left is freed at the next power loss.

const std = @import("std");
const assert = std.debug.assert;

const Allocator = std.mem.Allocator;

pub const sector_size = 512;
const page_size = 4096;

pub const Error = error{
    NotFound,
    Exists,
    NoSpace,
    Io,
    NotEmpty,
    IsDirectory,
    NotDirectory,
    NameTooLong,
    OutOfMemory,
};

pub const Id = u32;
pub const root: Id = 1;

pub const Kind = enum { file, directory };

pub const Inode = struct {
    kind: Kind,
    mode: u32,
    uid: u32 = 0,
    gid: u32 = 0,
    /// As reads see it, and as the disk has it.
    live: std.ArrayList(u8) = .empty,
    stable: std.ArrayList(u8) = .empty,
    /// Sectors in which they differ.
    dirty: std.AutoArrayHashMapUnmanaged(u64, void) = .empty,
    /// The smallest size since the disk learned the last one.
    low: u64 = 0,

    fn deinit(inode: *Inode, allocator: Allocator) void {
        inode.live.deinit(allocator);
        inode.stable.deinit(allocator);
        inode.dirty.deinit(allocator);
    }

    fn touch(inode: *Inode, allocator: Allocator, offset: u64, size: u64) Error!void {
        if (size == 0) return;
        const last = (offset + size - 1) / sector_size;
        for (offset / sector_size..last + 1) |sector| try inode.dirty.put(allocator, sector, {});
    }

    fn resize(inode: *Inode, allocator: Allocator, size: u64) Error!void {
        const before = inode.live.items.len;
        const wanted = std.math.cast(usize, size) orelse return error.NoSpace;
        try inode.live.resize(allocator, wanted);
        if (wanted > before) @memset(inode.live.items[before..], 0);
        inode.low = @min(inode.low, size);
    }

    /// The disk learns the size; what was cut off meanwhile is gone there, too.
    fn settleSize(inode: *Inode, allocator: Allocator) Error!void {
        const kept: usize = @intCast(@min(inode.low, inode.stable.items.len));
        inode.stable.shrinkRetainingCapacity(kept);
        try inode.stable.resize(allocator, inode.live.items.len);
        @memset(inode.stable.items[kept..], 0);
        inode.low = inode.live.items.len;
    }

    /// Copies a sector as far as both sides and `end` reach.
    fn settleSector(inode: *Inode, sector: u64, end: u64) void {
        const limit = @min(end, inode.live.items.len, inode.stable.items.len);
        const from: usize = @intCast(@min(sector * sector_size, limit));
        const to: usize = @intCast(@min(from + sector_size, limit));
        @memcpy(inode.stable.items[from..to], inode.live.items[from..to]);
    }

    fn showStable(inode: *Inode, allocator: Allocator) Error!void {
        inode.live.clearRetainingCapacity();
        try inode.live.appendSlice(allocator, inode.stable.items);
        inode.dirty.clearRetainingCapacity();
        inode.low = inode.stable.items.len;
    }
};

pub const Name = struct {
    buffer: [size_max]u8 = undefined,
    size: u8,

    const size_max = 128;

    pub fn of(text: []const u8) Error!Name {
        if (text.len > size_max) return error.NameTooLong;
        var name: Name = .{ .size = @intCast(text.len) };
        @memcpy(name.buffer[0..text.len], text);
        return name;
    }

    pub fn slice(name: *const Name) []const u8 {
        return name.buffer[0..name.size];
    }
};

const Place = struct {
    directory: Id,
    name: Name,

    fn eql(a: *const Place, b: *const Place) bool {
        return a.directory == b.directory and std.mem.eql(u8, a.name.slice(), b.name.slice());
    }
};

pub const Entry = struct { place: Place, inode: Id };

/// All names of all directories.
const Names = struct {
    entries: std.ArrayList(Entry) = .empty,

    fn find(names: *const Names, place: *const Place) ?usize {
        for (names.entries.items, 0..) |*entry, index| {
            if (entry.place.eql(place)) return index;
        }
        return null;
    }

    fn put(names: *Names, allocator: Allocator, place: Place, inode: Id) Error!void {
        names.remove(&place);
        try names.entries.append(allocator, .{ .place = place, .inode = inode });
    }

    fn remove(names: *Names, place: *const Place) void {
        if (names.find(place)) |index| _ = names.entries.orderedRemove(index);
    }

    fn apply(names: *Names, allocator: Allocator, change: *const Change) Error!void {
        if (change.from) |*from| names.remove(from);
        if (change.to) |to| try names.put(allocator, to, change.inode);
    }
};

/// One call's change of names, all of it or nothing.
const Change = struct {
    from: ?Place,
    to: ?Place,
    inode: Id,

    fn touches(change: *const Change, directory: Id) bool {
        if (change.from) |from| if (from.directory == directory) return true;
        return if (change.to) |to| to.directory == directory else false;
    }

    /// Whether one of the two means something else without the other.
    fn meets(a: *const Change, b: *const Change) bool {
        for ([_]*const ?Place{ &a.from, &a.to }) |mine| {
            const place = &(mine.* orelse continue);
            for ([_]*const ?Place{ &b.from, &b.to }) |other| {
                if (place.eql(&(other.* orelse continue))) return true;
            }
        }
        return false;
    }
};

/// What can be made to fail.
pub const FaultKind = enum {
    /// A write ends with EIO after a part of its bytes.
    write,
    /// A sync of a file or a directory ends with EIO.
    sync,
    /// A write, a reservation or a new file ends with ENOSPC.
    space,
    /// A write takes only a part of its bytes, and says so.
    short,
};

/// After `after` calls that go well, the next `count` fail.
pub const Fault = struct { after: u32 = 0, count: u32 = 0 };

pub const LossReport = struct {
    kept_sectors: u64 = 0,
    lost_sectors: u64 = 0,
    kept_names: u32 = 0,
    lost_names: u32 = 0,
};

pub const Disk = struct {
    allocator: Allocator,
    random: std.Random.DefaultPrng,
    inodes: std.AutoArrayHashMapUnmanaged(Id, *Inode) = .empty,
    next_id: Id = root + 1,
    live: Names = .{},
    stable: Names = .{},
    /// From one to the other, in order.
    changes: std.ArrayList(Change) = .empty,
    faults: std.EnumArray(FaultKind, Fault) = .initFill(.{}),

    pub fn init(allocator: Allocator, seed: u64) Error!Disk {
        var disk: Disk = .{ .allocator = allocator, .random = .init(seed) };
        errdefer disk.deinit();
        try disk.addInode(root, .directory, 0o755);
        return disk;
    }

    pub fn deinit(disk: *Disk) void {
        for (disk.inodes.values()) |inode| disk.free(inode);
        disk.inodes.deinit(disk.allocator);
        disk.live.entries.deinit(disk.allocator);
        disk.stable.entries.deinit(disk.allocator);
        disk.changes.deinit(disk.allocator);
    }

    fn free(disk: *Disk, inode: *Inode) void {
        inode.deinit(disk.allocator);
        disk.allocator.destroy(inode);
    }

    fn addInode(disk: *Disk, id: Id, kind: Kind, mode: u32) Error!void {
        const inode = try disk.allocator.create(Inode);
        errdefer disk.allocator.destroy(inode);
        inode.* = .{ .kind = kind, .mode = mode };
        try disk.inodes.put(disk.allocator, id, inode);
    }

    pub fn get(disk: *Disk, id: Id) Error!*Inode {
        return disk.inodes.get(id) orelse error.NotFound;
    }

    pub fn links(disk: *const Disk, id: Id) u32 {
        var count: u32 = @intFromBool(id == root);
        for (disk.live.entries.items) |*entry| count += @intFromBool(entry.inode == id);
        return count;
    }

    fn oneIn(disk: *Disk, chance: u32) bool {
        return disk.random.random().uintLessThan(u32, chance) == 0;
    }

    fn fires(disk: *Disk, kind: FaultKind) bool {
        const fault = disk.faults.getPtr(kind);
        if (fault.count == 0) return false;
        if (fault.after > 0) {
            fault.after -= 1;
            return false;
        }
        if (fault.count != std.math.maxInt(u32)) fault.count -= 1;
        return true;
    }

    // Names.

    fn placeOf(disk: *Disk, directory: Id, name: []const u8) Error!Place {
        if ((try disk.get(directory)).kind != .directory) return error.NotDirectory;
        return .{ .directory = directory, .name = try .of(name) };
    }

    pub fn lookup(disk: *Disk, directory: Id, name: []const u8) Error!Id {
        const place = try disk.placeOf(directory, name);
        const index = disk.live.find(&place) orelse return error.NotFound;
        return disk.live.entries.items[index].inode;
    }

    pub fn create(disk: *Disk, directory: Id, name: []const u8, kind: Kind, mode: u32) Error!Id {
        const place = try disk.placeOf(directory, name);
        if (disk.live.find(&place) != null) return error.Exists;
        if (disk.fires(.space)) return error.NoSpace;
        const id = disk.next_id;
        try disk.addInode(id, kind, mode);
        disk.next_id += 1;
        try disk.change(.{ .from = null, .to = place, .inode = id });
        return id;
    }

    pub fn link(disk: *Disk, id: Id, directory: Id, name: []const u8) Error!void {
        const place = try disk.placeOf(directory, name);
        if (disk.live.find(&place) != null) return error.Exists;
        try disk.change(.{ .from = null, .to = place, .inode = id });
    }

    pub fn remove(disk: *Disk, directory: Id, name: []const u8, kind: Kind) Error!void {
        const place = try disk.placeOf(directory, name);
        const id = try disk.lookup(directory, name);
        const found = (try disk.get(id)).kind;
        if (found != kind) return if (kind == .file) error.IsDirectory else error.NotDirectory;
        if (kind == .directory and !disk.isEmpty(id)) return error.NotEmpty;
        try disk.change(.{ .from = place, .to = null, .inode = id });
    }

    pub const Replace = enum { replace, keep };

    pub fn rename(
        disk: *Disk,
        directory: Id,
        name: []const u8,
        new_directory: Id,
        new_name: []const u8,
        replace: Replace,
    ) Error!void {
        const from = try disk.placeOf(directory, name);
        const to = try disk.placeOf(new_directory, new_name);
        const id = try disk.lookup(directory, name);
        if (disk.live.find(&to)) |index| {
            const old = disk.live.entries.items[index].inode;
            if (replace == .keep) return error.Exists;
            // Two names of one file: nothing happens.
            if (old == id) return;
            if ((try disk.get(old)).kind == .directory and !disk.isEmpty(old)) {
                return error.NotEmpty;
            }
        }
        try disk.change(.{ .from = from, .to = to, .inode = id });
    }

    fn isEmpty(disk: *const Disk, directory: Id) bool {
        for (disk.live.entries.items) |*entry| {
            if (entry.place.directory == directory) return false;
        }
        return true;
    }

    fn change(disk: *Disk, made: Change) Error!void {
        try disk.changes.append(disk.allocator, made);
        try disk.live.apply(disk.allocator, &made);
        // A journal is committed now and then, whether a program asks or not.
        if (!disk.oneIn(16)) return;
        const count = disk.random.random().uintAtMost(usize, disk.changes.items.len);
        for (disk.changes.items[0..count]) |*each| try disk.stable.apply(disk.allocator, each);
        disk.changes.replaceRangeAssumeCapacity(0, count, &.{});
    }

    /// Names of this directory are on the disk when it returns, and what they build on; the
    /// directory's own name is not.
    pub fn syncDirectory(disk: *Disk, directory: Id) Error!void {
        if (disk.fires(.sync)) return error.Io;
        const changes = disk.changes.items;
        const chosen = try disk.allocator.alloc(bool, changes.len);
        defer disk.allocator.free(chosen);
        var index = changes.len;
        while (index > 0) {
            index -= 1;
            chosen[index] = changes[index].touches(directory) or
                for (changes[index + 1 ..], chosen[index + 1 ..]) |*later, is_chosen| {
                    if (is_chosen and changes[index].meets(later)) break true;
                } else false;
        }
        var kept: usize = 0;
        for (changes, chosen) |*each, is_chosen| {
            if (is_chosen) {
                try disk.stable.apply(disk.allocator, each);
            } else {
                changes[kept] = each.*;
                kept += 1;
            }
        }
        disk.changes.shrinkRetainingCapacity(kept);
    }

    /// Appends the names of a directory.
    pub fn list(
        disk: *const Disk,
        directory: Id,
        allocator: Allocator,
        out: *std.ArrayList(Entry),
    ) Error!void {
        for (disk.live.entries.items) |*entry| {
            if (entry.place.directory == directory) try out.append(allocator, entry.*);
        }
    }

    // Bytes.

    pub fn read(disk: *Disk, id: Id, offset: u64, size: usize) Error![]const u8 {
        const bytes = (try disk.get(id)).live.items;
        if (offset >= bytes.len) return &.{};
        const from: usize = @intCast(offset);
        return bytes[from..@min(bytes.len, from + size)];
    }

    /// Bytes written, perhaps fewer than given.
    pub fn write(disk: *Disk, id: Id, offset: u64, bytes: []const u8) Error!usize {
        const inode = try disk.get(id);
        if (disk.fires(.space)) return error.NoSpace;
        const fails = disk.fires(.write);
        const is_cut = fails or disk.fires(.short);
        const least: usize = @intFromBool(!fails);
        const count = if (is_cut and bytes.len > 1)
            disk.random.random().intRangeLessThan(usize, least, bytes.len)
        else
            bytes.len;
        const end = offset + count;
        if (end > inode.live.items.len) try inode.resize(disk.allocator, end);
        @memcpy(inode.live.items[@intCast(offset)..][0..count], bytes[0..count]);
        try inode.touch(disk.allocator, offset, count);
        try disk.writeBack(inode);
        return if (fails) error.Io else count;
    }

    /// What the kernel does by itself: some blocks reach the disk, in no order.
    fn writeBack(disk: *Disk, inode: *Inode) Error!void {
        if (!disk.oneIn(16)) return;
        if (disk.oneIn(2)) try inode.settleSize(disk.allocator);
        const end = @min(inode.low, inode.stable.items.len);
        var index = inode.dirty.count();
        while (index > 0) {
            index -= 1;
            const sector = inode.dirty.keys()[index];
            if ((sector + 1) * sector_size > end or disk.oneIn(2)) continue;
            inode.settleSector(sector, end);
            inode.dirty.swapRemoveAt(index);
        }
    }

    pub fn allocate(disk: *Disk, id: Id, offset: u64, size: u64, keeps_size: bool) Error!void {
        const inode = try disk.get(id);
        if (disk.fires(.space)) return error.NoSpace;
        const end = offset + size;
        if (keeps_size or end <= inode.live.items.len) return;
        try inode.resize(disk.allocator, end);
    }

    pub fn setSize(disk: *Disk, id: Id, size: u64) Error!void {
        try (try disk.get(id)).resize(disk.allocator, size);
    }

    /// The file's bytes and size are on the disk when it returns.
    pub fn sync(disk: *Disk, id: Id) Error!void {
        const inode = try disk.get(id);
        const fails = disk.fires(.sync);
        try inode.settleSize(disk.allocator);
        for (inode.dirty.keys()) |sector| {
            if (fails and disk.oneIn(2)) continue;
            inode.settleSector(sector, std.math.maxInt(u64));
        }
        if (fails) {
            try inode.showStable(disk.allocator);
            return error.Io;
        }
        inode.dirty.clearRetainingCapacity();
    }

    // The end.

    /// Keeps what was synced, and of the rest what the seed chooses.
    pub fn losePower(disk: *Disk, seed: u64) Error!LossReport {
        disk.random = .init(seed);
        disk.faults = .initFill(.{});
        const random = disk.random.random();
        var report: LossReport = .{};
        const chance = ([_]u32{ 0, 20, 50, 80, 100 })[random.uintLessThan(usize, 5)];

        try disk.loseNames(chance, &report);
        const block_size: u64 = if (random.boolean()) sector_size else page_size;
        for (disk.inodes.values()) |inode| {
            const knows_size = random.uintLessThan(u32, 100) < chance;
            if (knows_size) try inode.settleSize(disk.allocator);
            const end = @min(inode.low, inode.stable.items.len);
            const salt = random.int(u64);
            for (inode.dirty.keys()) |sector| {
                const block = sector * sector_size / block_size;
                const luck = std.hash.int(salt ^ block) % 100;
                if (luck < chance) {
                    inode.settleSector(sector, end);
                    report.kept_sectors += 1;
                } else {
                    report.lost_sectors += 1;
                }
            }
            try inode.showStable(disk.allocator);
        }
        disk.dropNameless();
        return report;
    }

    fn loseNames(disk: *Disk, chance: u32, report: *LossReport) Error!void {
        const random = disk.random.random();
        const changes = disk.changes.items;
        const lost = try disk.allocator.alloc(bool, changes.len);
        defer disk.allocator.free(lost);
        for (changes, 0..) |*each, index| {
            lost[index] = random.uintLessThan(u32, 100) >= chance or
                for (changes[0..index], lost[0..index]) |*earlier, is_lost| {
                    if (is_lost and earlier.meets(each)) break true;
                } else false;
            if (lost[index]) {
                report.lost_names += 1;
                continue;
            }
            try disk.stable.apply(disk.allocator, each);
            report.kept_names += 1;
        }
        disk.changes.clearRetainingCapacity();
        disk.live.entries.clearRetainingCapacity();
        try disk.live.entries.appendSlice(disk.allocator, disk.stable.entries.items);
    }

    fn dropNameless(disk: *Disk) void {
        var index = disk.inodes.count();
        while (index > 0) {
            index -= 1;
            if (disk.links(disk.inodes.keys()[index]) > 0) continue;
            disk.free(disk.inodes.values()[index]);
            disk.inodes.swapRemoveAt(index);
        }
    }
};

const testing = std.testing;

fn testDisk(seed: u64) !Disk {
    return .init(testing.allocator, seed);
}

test "powerloss: what was synced is there after any loss, and nothing else has to be" {
    var kept: u32 = 0;
    var mixed: u32 = 0;
    const rounds = 200;
    for (0..rounds) |seed| {
        var disk = try testDisk(seed);
        defer disk.deinit();
        const file = try disk.create(root, "file", .file, 0o600);
        _ = try disk.write(file, 0, &@as([8192]u8, @splat(1)));
        try disk.sync(file);
        try disk.syncDirectory(root);
        _ = try disk.write(file, 0, &@as([8192]u8, @splat(2)));
        _ = try disk.create(root, "other", .file, 0o600);
        _ = try disk.losePower(seed);

        try testing.expectEqual(file, try disk.lookup(root, "file"));
        const bytes = try disk.read(file, 0, 1 << 20);
        try testing.expectEqual(8192, bytes.len);
        const twos = std.mem.count(u8, bytes, &.{2});
        try testing.expectEqual(0, twos % sector_size);
        try testing.expectEqual(8192 - twos, std.mem.count(u8, bytes, &.{1}));
        mixed += @intFromBool(twos > 0 and twos < 8192);
        kept += @intFromBool(if (disk.lookup(root, "other")) |_| true else |_| false);
    }
    try testing.expect(mixed > 0 and mixed < rounds);
    try testing.expect(kept > 0 and kept < rounds);
}

test "powerloss: a file whose name was not synced may be gone, and one without a sync be empty" {
    var gone: u32 = 0;
    var empty: u32 = 0;
    for (0..200) |seed| {
        var disk = try testDisk(seed);
        defer disk.deinit();
        const synced = try disk.create(root, "synced", .file, 0o600);
        _ = try disk.write(synced, 0, "bytes");
        try disk.sync(synced);
        _ = try disk.losePower(seed);
        const found = disk.lookup(root, "synced") catch |err| {
            try testing.expectEqual(error.NotFound, err);
            gone += 1;
            continue;
        };
        try testing.expectEqualStrings("bytes", try disk.read(found, 0, 100));
    }
    for (0..200) |seed| {
        var disk = try testDisk(seed);
        defer disk.deinit();
        const named = try disk.create(root, "named", .file, 0o600);
        _ = try disk.write(named, 0, "bytes");
        try disk.syncDirectory(root);
        _ = try disk.losePower(seed);
        empty += @intFromBool((try disk.read(named, 0, 100)).len == 0);
    }
    try testing.expect(gone > 0 and empty > 0);
}

test "powerloss: a renaming is whole, and not without what it builds on" {
    for (0..300) |seed| {
        var disk = try testDisk(seed);
        defer disk.deinit();
        const old = try disk.create(root, "place", .file, 0o600);
        try disk.syncDirectory(root);
        const new = try disk.create(root, "temporary", .file, 0o600);
        try disk.rename(root, "temporary", root, "place", .replace);
        _ = try disk.losePower(seed);
        const found = try disk.lookup(root, "place");
        try testing.expect(found == old or found == new);
        if (found == new) {
            try testing.expectError(error.NotFound, disk.lookup(root, "temporary"));
        }
    }
}

test "powerloss: a directory is on the disk when the one above it was synced" {
    var gone: u32 = 0;
    for (0..100) |seed| {
        var disk = try testDisk(seed);
        defer disk.deinit();
        const directory = try disk.create(root, "directory", .directory, 0o700);
        _ = try disk.create(directory, "file", .file, 0o600);
        try disk.syncDirectory(directory);
        if (seed % 2 == 0) try disk.syncDirectory(root);
        _ = try disk.losePower(seed);
        const found = disk.lookup(root, "directory") catch {
            gone += 1;
            try testing.expect(seed % 2 != 0);
            continue;
        };
        _ = try disk.lookup(found, "file");
    }
    try testing.expect(gone > 0);
}

test "powerloss: after a failed sync no later one brings what it lost" {
    var lost: u32 = 0;
    for (0..50) |seed| {
        var disk = try testDisk(seed);
        defer disk.deinit();
        const file = try disk.create(root, "file", .file, 0o600);
        try disk.syncDirectory(root);
        _ = try disk.write(file, 0, &@as([4096]u8, @splat(1)));
        disk.faults.set(.sync, .{ .count = 1 });
        try testing.expectError(error.Io, disk.sync(file));
        try disk.sync(file);
        _ = try disk.losePower(seed);
        const bytes = try disk.read(file, 0, 4096);
        lost += @intFromBool(std.mem.count(u8, bytes, &.{1}) < 4096);
    }
    try testing.expect(lost > 0);
}

test "powerloss: faults come after as many calls as they were told to, and as often" {
    var disk = try testDisk(1);
    defer disk.deinit();
    const file = try disk.create(root, "file", .file, 0o600);
    disk.faults.set(.write, .{ .after = 1, .count = 1 });
    try testing.expectEqual(4, try disk.write(file, 0, "four"));
    try testing.expectError(error.Io, disk.write(file, 4, "more"));
    disk.faults.set(.space, .{ .count = 1 });
    try testing.expectError(error.NoSpace, disk.write(file, 4, "more"));
    disk.faults.set(.short, .{ .count = 1 });
    const count = try disk.write(file, 4, "more");
    try testing.expect(count > 0 and count < 4);
    try testing.expectEqual(4, try disk.write(file, 4, "more"));
}
