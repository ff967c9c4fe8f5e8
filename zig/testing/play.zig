//! A play: participants with a script each, run by the scheduler on a saved world, every one of
//! them killed where the schedule says; afterwards the dead are repaired, and history and
//! structures are checked.
//!
//! **Memory**: engines of a play live in its arena, so that one stopped in the middle of a call
//! leaks nothing.
const std = @import("std");
const layout = @import("../segment/layout.zig");
const accounting = @import("accounting.zig");
const harness = @import("harness.zig");
const history_ = @import("history.zig");
const performer = @import("performer.zig");
const scheduler = @import("../instrument/scheduler.zig");
const repair = @import("../txn/repair.zig");
const Engine = @import("../txn/engine.zig").Engine;
const History = history_.History;
const Op = history_.Op;
const World = harness.World;

pub const Options = struct {
    seed: u64 = 1,
    stops: []const scheduler.Stop = &.{},
    choices: []const u8 = &.{},
    trace: ?*std.ArrayList(scheduler.Choice) = null,
};

pub const Stage = struct {
    allocator: std.mem.Allocator,
    world: *World,
    table: u32,
    initial: history_.State,
    arena: std.heap.ArenaAllocator,
    history: History,
    /// Steps of the last play, and how many participants it stopped.
    steps: u64 = 0,
    stopped: u32 = 0,
    /// Who was stopped in any play; the caller clears it.
    has_stopped: [scheduler.max_participants]bool = @splat(false),

    pub const InitOptions = struct {
        world: World.Options = .{ .size = 4 << 20, .session_count = 5 },
        /// Performed before the plays.
        setup: []const Op = &.{},
        /// Every session has memory of every kind already, so that plays are short; else they begin
        /// with getting it.
        warm: bool = true,
    };

    pub fn init(allocator: std.mem.Allocator, options: InitOptions) !*Stage {
        const world = try World.init(allocator, options.world);
        errdefer world.deinit();
        const engine = try world.attach();
        const table = try world.createTable(engine);
        const stage = try allocator.create(Stage);
        errdefer allocator.destroy(stage);
        stage.* = .{
            .allocator = allocator,
            .world = world,
            .table = table,
            .initial = .{},
            .arena = .init(std.heap.page_allocator),
            .history = .init(std.heap.page_allocator),
        };
        if (options.warm) {
            for (1..world.segment.session_count) |_| _ = try world.attach();
            for (world.engines.items) |each| {
                for (0..4) |altitude| try performer.run(
                    each,
                    table,
                    .{ .put = .{ .id = 0, .altitude = @intCast(altitude) } },
                );
                try performer.run(each, table, .{ .delete = 0 });
            }
            try world.settle(engine);
        }
        for (options.setup) |op| {
            try performer.run(engine, table, op);
            _ = stage.initial.apply(op);
        }
        try world.save();
        return stage;
    }

    pub fn deinit(stage: *Stage) void {
        stage.history.deinit();
        stage.world.engines.clearRetainingCapacity(); // they lie in the arena
        stage.arena.deinit();
        stage.world.deinit();
        stage.allocator.destroy(stage);
    }

    /// Runs one schedule and checks what came of it.
    pub fn play(stage: *Stage, scripts: []const []const Op, options: Options) !void {
        _ = stage.arena.reset(.retain_capacity);
        stage.world.rewind();
        stage.history.clear();
        const allocator = stage.arena.allocator();
        const checker = try stage.world.attachWith(allocator);
        checker.context.session.random = 99;
        const actors = try allocator.alloc(performer.Actor, scripts.len);
        const participants = try allocator.alloc(scheduler.Participant, scripts.len);
        for (actors, participants, scripts, 0..) |*actor, *participant, script, i| {
            actor.* = .{
                .number = @intCast(i),
                .engine = try stage.world.attachWith(allocator),
                .table = stage.table,
                .script = script,
                .history = &stage.history,
                .seed = std.hash.int(options.seed +% i *% 77) | 1,
            };
            actor.engine.context.session.random = actor.seed;
            participant.* = .{ .context = actor, .main = performer.Actor.main };
        }
        const report = try scheduler.run(allocator, participants, .{
            .seed = options.seed,
            .stops = options.stops,
            .on_stop = onStop,
            .stop_context = actors.ptr,
            .choices = options.choices,
            .trace = options.trace,
            .steps_max = 400_000,
        });
        stage.steps = report.steps;
        stage.stopped = report.stopped;
        for (actors, stage.has_stopped[0..actors.len]) |*actor, *has_stopped| {
            has_stopped.* = has_stopped.* or actor.is_stopped;
        }
        for (actors) |*actor| if (actor.failure) |failure| return failure;
        endStalled(actors);
        try stage.check(checker, report.stopped, options.seed);
    }

    fn onStop(context: *anyopaque, stop: scheduler.Stop) void {
        const actors: [*]performer.Actor = @ptrCast(@alignCast(context));
        const actor = &actors[stop.participant];
        actor.is_stopped = true;
        if (stop.stalls) return;
        actor.noteCommit();
        actor.die();
    }

    /// Whoever only stalled dies now, when all others have ended without it.
    fn endStalled(actors: []performer.Actor) void {
        for (actors) |*actor| {
            if (!actor.is_stopped or actor.is_dead) continue;
            actor.noteCommit();
            actor.die();
        }
    }

    fn check(stage: *Stage, checker: *Engine, stopped: u32, seed: u64) !void {
        const world = stage.world;
        if (stopped > 0 and seed % 2 == 0) {
            // Half of the time a newcomer takes a slot over, if there is no free one.
            const newcomer = try world.attachWith(stage.arena.allocator());
            newcomer.detach();
        }
        _ = try repair.sweep(&checker.context);
        for (world.segment.sessions[0..world.segment.session_count], 0..) |*slot, index| {
            if (slot.attached.raw != 0 and
                !checker.context.session.isAlive(@intCast(index))) return error.NotRepaired;
        }
        const state = try stage.history.check(stage.initial);
        for (0..history_.ids) |id| {
            const row = try performer.get(checker, stage.table, id);
            if (!std.meta.eql(row, state.rows[id])) {
                stage.history.report("row {d} is {?}, not {?}", .{ id, row, state.rows[id] });
                return error.WrongRow;
            }
        }
        try world.verify(checker, stage.table);
        _ = try accounting.check(checker.context.allocator, &world.segment);
        try world.settle(checker);
        try world.verifySettled(checker, stage.table);
    }
};
