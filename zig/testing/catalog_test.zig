//! Creating tables beside other creators and writers, with creators stopped at every step: a table
//! is there for all or for none, its log comes before that of its rows, no two have one name, and
//! nothing of one that was not created is left.
const std = @import("std");
const accounting = @import("accounting.zig");
const arena = @import("../segment/arena.zig");
const catalog = @import("../txn/catalog.zig");
const drain = @import("../txn/drain.zig");
const harness = @import("harness.zig");
const layout = @import("../segment/layout.zig");
const limits = @import("../limits.zig");
const mutant = @import("../instrument/mutant.zig");
const records = @import("../wal/record.zig");
const repair = @import("../txn/repair.zig");
const ring = @import("../segment/ring.zig");
const scheduler = @import("../instrument/scheduler.zig");
const table_catalog = @import("../table/catalog.zig");
const Engine = @import("../txn/engine.zig").Engine;
const RowCodec = @import("../row/packed.zig").RowCodec;
const Schema = @import("../row/schema.zig").Schema;
const World = harness.World;

const testing = std.testing;

const Role = enum { creates, creates_other_schema, creates_other_name, waits };

fn schemaOf(role: Role, buffer: []u8) []u8 {
    return switch (role) {
        .creates, .waits => harness.namedSchema("T", true, buffer),
        .creates_other_schema => harness.namedSchema("T", false, buffer),
        .creates_other_name => harness.namedSchema("Other", true, buffer),
    };
}

const looks_max = 40;

/// Creates a table or waits for one, and writes into it at once.
const Actor = struct {
    engine: *Engine,
    role: Role,
    number: u64,
    created: ?catalog.Created = null,
    failure: ?anyerror = null,
    is_dead: bool = false,

    fn main(context: *anyopaque) void {
        const actor: *Actor = @ptrCast(@alignCast(context));
        actor.act() catch |err| {
            actor.failure = err;
        };
    }

    fn act(actor: *Actor) !void {
        var buffer: [512]u8 = undefined;
        const bytes = schemaOf(actor.role, &buffer);
        if (actor.role == .waits) {
            const id = for (0..looks_max) |_| {
                if (try findTable(actor.engine, "T")) |id| break id;
            } else return;
            return actor.write(id);
        }
        actor.created = try actor.engine.createTable(bytes);
        try actor.write(actor.created.?.id);
    }

    fn write(actor: *Actor, id: u32) !void {
        const row: harness.Row = .init(actor.number, 1, 2);
        _ = try row.write(actor.engine, id, .upsert);
    }

    fn onStop(context: *anyopaque, stop: scheduler.Stop) void {
        const actors: [*]Actor = @ptrCast(@alignCast(context));
        const actor = &actors[stop.participant];
        actor.is_dead = true;
        actor.engine.context.session.liveness.simulated.drop();
    }
};

fn findTable(engine: *Engine, name: []const u8) !?u32 {
    const segment = engine.context.session.segment;
    for (0..limits.table_count_max) |id| {
        const found = try catalog.committed(segment, id) orelse continue;
        const bytes = try table_catalog.schemaBytes(segment, found.ref);
        if (std.mem.eql(u8, Schema.nameIn(bytes), name)) return @intCast(id);
    }
    return null;
}

/// The log as the writer would take it: replayed far enough to know its tables.
const Replay = struct {
    tables: [limits.table_count_max]?Table = @splat(null),
    failure: ?anyerror = null,

    const Table = struct { csn: u64, size: usize, bytes: [512]u8, codec: RowCodec, schema: Schema };

    pub fn find(replay: *Replay, id: u32) ?*const RowCodec {
        if (id >= replay.tables.len) return null;
        return if (replay.tables[id]) |*table| &table.codec else null;
    }

    fn add(context: *anyopaque, csn: u64, payload: []const u8) bool {
        const replay: *Replay = @ptrCast(@alignCast(context));
        replay.apply(csn, payload) catch |err| {
            replay.failure = err;
        };
        return true;
    }

    fn apply(replay: *Replay, csn: u64, payload: []const u8) !void {
        var operations = records.Operations.init(payload);
        while (try operations.next(replay)) |operation| switch (operation.body) {
            .create_table => |bytes| {
                const place = &replay.tables[operation.table_id];
                if (place.* != null) return error.CreatedTwice;
                place.* = .{
                    .csn = csn,
                    .size = bytes.len,
                    .bytes = undefined,
                    .codec = undefined,
                    .schema = try Schema.decode(bytes),
                };
                @memcpy(place.*.?.bytes[0..bytes.len], bytes);
                place.*.?.codec = .init(&place.*.?.schema);
            },
            else => {},
        };
    }

    fn flush(_: *anyopaque, _: u64, _: u64) error{SinkFailed}!void {}
};

/// Runs one schedule and checks what came of it.
fn play(world: *World, roles: []const Role, seed: u64, stops: []const scheduler.Stop) !u64 {
    world.rewind();
    defer world.engines.clearRetainingCapacity(); // they lie in the arena
    var memory: std.heap.ArenaAllocator = .init(std.heap.page_allocator);
    defer memory.deinit();
    const allocator = memory.allocator();
    const checker = try world.attachWith(allocator);
    const actors = try allocator.alloc(Actor, roles.len);
    const participants = try allocator.alloc(scheduler.Participant, roles.len);
    for (actors, participants, roles, 0..) |*actor, *participant, role, i| {
        actor.* = .{ .engine = try world.attachWith(allocator), .role = role, .number = i };
        actor.engine.context.session.random = std.hash.int(seed *% 31 +% i) | 1;
        participant.* = .{ .context = actor, .main = Actor.main };
    }
    const report = try scheduler.run(allocator, participants, .{
        .seed = seed,
        .stops = stops,
        .on_stop = Actor.onStop,
        .stop_context = actors.ptr,
    });
    try check(world, checker, actors);
    return report.steps;
}

fn check(world: *World, checker: *Engine, actors: []Actor) !void {
    const segment = &world.segment;
    _ = try repair.sweep(&checker.context);
    var replay: Replay = .{};
    const epoch = ring.epochOf(segment.header.drained.raw);
    const sink: drain.Sink = .{ .context = &replay, .add = Replay.add, .flush = Replay.flush };
    while (try drain.run(&checker.context.session, epoch, sink, null) != 0) {}
    if (replay.failure) |failure| return failure; // a row before its table, most of all

    for (0..limits.table_count_max) |id| {
        const found = try catalog.committed(segment, id);
        const logged = if (replay.tables[id]) |*table| table else {
            if (found != null) return error.TableNotLogged;
            continue;
        };
        const bytes = try table_catalog.schemaBytes(segment, (found orelse
            return error.LoggedTableMissing).ref);
        if (found.?.csn != logged.csn) return error.WrongCsn;
        if (!std.mem.eql(u8, bytes, logged.bytes[0..logged.size])) return error.WrongSchema;
        for (replay.tables[0..id]) |*other| {
            const before = if (other.*) |*table| table else continue;
            const name = Schema.nameIn(before.bytes[0..before.size]);
            if (std.mem.eql(u8, name, Schema.nameIn(bytes))) return error.NameTwice;
        }
        try world.verify(checker, @intCast(id));
    }
    var mismatch_count: u32 = 0;
    var success_count: u32 = 0;
    var buffer: [512]u8 = undefined;
    for (actors) |*actor| {
        if (actor.is_dead or actor.role == .waits) {
            if (!actor.is_dead) if (actor.failure) |failure| return failure;
            continue;
        }
        if (actor.failure) |failure| {
            if (failure != error.SchemaMismatch) return failure;
            mismatch_count += 1;
            continue;
        }
        success_count += 1;
        const created = actor.created.?;
        const found = try catalog.committed(segment, created.id) orelse return error.CreatedAndGone;
        if (found.csn != created.csn) return error.WrongCsn;
        const bytes = try table_catalog.schemaBytes(segment, found.ref);
        if (!std.mem.eql(u8, bytes, schemaOf(actor.role, &buffer))) return error.WrongSchema;
    }
    if (mismatch_count > 0 and try findTable(checker, "T") == null) return error.NobodyWon;
    _ = try accounting.check(checker.context.allocator, segment);
    // And again: what was left does not stand in the way.
    _ = checker.createTable(schemaOf(.creates, &buffer)) catch |err| {
        if (err != error.SchemaMismatch) return err;
        const same = for (actors) |*actor| {
            if (actor.role == .creates_other_schema) break true;
        } else false;
        if (!same) return err;
    };
    _ = try accounting.check(checker.context.allocator, segment);
}

fn newWorld() !*World {
    const world = try World.init(testing.allocator, .{ .size = 4 << 20, .session_count = 5 });
    errdefer world.deinit();
    world.segment.header.log_enabled.raw = 1;
    try world.save();
    return world;
}

const casts = [_][]const Role{
    &.{ .creates, .creates },
    &.{ .creates, .creates_other_schema },
    &.{ .creates, .creates_other_name },
    &.{ .creates, .waits },
    &.{ .creates, .creates_other_schema, .waits },
    &.{ .creates, .creates, .creates_other_name },
};

fn playSeeds(world: *World, seed_count: u64) !void {
    for (casts) |roles| for (0..seed_count) |seed| {
        _ = play(world, roles, seed, &.{}) catch |err| {
            if (!accounting.silent) std.debug.print("{t}: cast {any}, seed {d}\n", .{
                err,
                roles,
                seed,
            });
            return err;
        };
    };
}

fn playStops(world: *World, every: u64) !void {
    for (casts[1..5]) |roles| {
        var after: u64 = 0;
        while (true) : (after += every) {
            const stop: scheduler.Stop = .{ .participant = 0, .after_steps = after };
            const steps = play(world, roles, after % 7, &.{stop}) catch |err| {
                if (!accounting.silent) std.debug.print("{t}: cast {any}, stopped after {d}\n", .{
                    err,
                    roles,
                    after,
                });
                return err;
            };
            if (after > steps) break;
        }
    }
}

test "catalog: creators and writers at once agree on the tables, and the log has them in order" {
    if (!scheduler.supported) return error.SkipZigTest;
    const world = try newWorld();
    defer world.deinit();
    try playSeeds(world, 150);
}

test "catalog: a creator stopped at any step leaves a whole table or nothing" {
    if (!scheduler.supported) return error.SkipZigTest;
    const world = try newWorld();
    defer world.deinit();
    try playStops(world, 1);
}

test "catalog: the plays notice tables seen early, left over, and names not looked at" {
    if (!scheduler.supported) return error.SkipZigTest;
    accounting.silent = true;
    defer accounting.silent = false;
    defer mutant.choose("none") catch {};
    for ([_][]const u8{ "table_early", "table_left", "names_unchecked" }) |name| {
        const world = try newWorld();
        defer world.deinit();
        try mutant.choose(name);
        const noticed = if (playSeeds(world, 150)) |_|
            if (playStops(world, 1)) |_| false else |_| true
        else |_|
            true;
        try mutant.choose("none");
        if (!noticed) std.debug.print("not noticed: {s}\n", .{name});
        try testing.expect(noticed);
    }
}

test "catalog: a full segment, a poisoned log and a full disk leave nothing of a table" {
    const world = try World.init(testing.allocator, .{ .size = 4 << 20, .session_count = 4 });
    defer world.deinit();
    const engine = try world.attach();
    const segment = &world.segment;
    var buffer: [512]u8 = undefined;
    const bytes = schemaOf(.creates, &buffer);
    const session = engine.context.session.index;
    for ([_]enum { pages, poisoned, stalled }{ .pages, .poisoned, .stalled }) |what| {
        var left: u32 = 0;
        while (true) : (left += 1) {
            var taken: std.ArrayList(u32) = .empty;
            defer taken.deinit(testing.allocator);
            switch (what) {
                .pages => {
                    while (arena.claimPages(segment, session, 1)) |page| {
                        try taken.append(testing.allocator, page);
                    } else |_| {}
                    for (0..left) |_| arena.freePages(segment, taken.pop().?, 1);
                },
                .poisoned => segment.header.log_poisoned.raw = 1,
                .stalled => segment.header.log_stalled.raw = 1,
            }
            const result = engine.createTable(bytes);
            for (taken.items) |page| arena.freePages(segment, page, 1);
            segment.header.log_poisoned.raw = 0;
            segment.header.log_stalled.raw = 0;
            const name = switch (what) {
                .pages => error.SegmentFull,
                .poisoned => error.LogPoisoned,
                .stalled => error.NoSpace,
            };
            _ = result catch |err| {
                try testing.expectEqual(name, err);
                try testing.expectEqual(null, try catalog.committed(segment, 0));
                try testing.expectEqual(0, segment.catalog[0].mark.raw);
                _ = try accounting.check(testing.allocator, segment);
                if (what == .pages) continue;
            };
            break;
        }
        if (what == .pages) try testing.expect(left > 2);
    }
    const created = try engine.createTable(bytes);
    try testing.expectEqual(created, try engine.createTable(bytes));
    try testing.expectError(
        error.SchemaMismatch,
        engine.createTable(schemaOf(.creates_other_schema, &buffer)),
    );
    _ = try accounting.check(testing.allocator, segment);
}

test "catalog: one table more than there can be is refused as that" {
    const world = try World.init(testing.allocator, .{ .size = 8 << 20, .session_count = 4 });
    defer world.deinit();
    const engine = try world.attach();
    var buffer: [512]u8 = undefined;
    var name: [8]u8 = undefined;
    for (0..limits.table_count_max) |i| {
        const text = try std.fmt.bufPrint(&name, "T{d}", .{i});
        const created = try engine.createTable(harness.namedSchema(text, true, &buffer));
        try testing.expectEqual(i, created.id);
    }
    const again = engine.createTable(harness.namedSchema("More", true, &buffer));
    try testing.expectError(error.TooManyTables, again);
    const known = try engine.createTable(harness.namedSchema("T3", true, &buffer));
    try testing.expectEqual(3, known.id);
    _ = try accounting.check(testing.allocator, &world.segment);
}
