//! Builds the engine: one shared library, its fault-injection twin, and the Zig tests.
//!
//!   zig build                      zig-out/lib/libaerostore.so
//!   zig build -Dfault=true         also libaerostore-fault.so there, with kill points compiled in
//!   zig build fault-library        only that one
//!   zig build package              zig-out/package/linux-*/libaerostore.so, to be shipped
//!   zig build test                 every test reachable from zig/test.zig
//!   zig build test -Dtest-filter=wal
//!   zig build driver               zig-out/bin/driver, whose instructions are counted
//!   zig build schedules            zig-out/bin/schedules, the campaigns of the scheduler
//!   zig build encode-bench         zig-out/bin/encode-bench: what a log record costs by itself
//!   zig build scan-bench           zig-out/bin/scan-bench: a scan beside a plain sum
//!   zig build powerloss-fs         zig-out/bin/powerloss-fs, a file system whose power can fail
//!   zig build crafted              zig-out/bin/crafted, files and segments of an adversary
//!   zig build check                compiles everything, installs nothing (for editors)
//!   zig build fmt                  `zig fmt --check` over zig/ and build.zig
//!
//! The processor defaults to x86_64_v2 on x86-64, Bun's own floor, and to ARMv8 with CRC32 on
//! arm64; `-Dcpu=native` to see what more is worth. The library links libc, for its threads only:
//! without it, `std.Thread` inside a shared library sets up thread-local storage that only a
//! program's own start code has described.

const std = @import("std");

pub fn build(b: *std.Build) void {
    const is_x86 = @import("builtin").cpu.arch == .x86_64;
    const target = b.standardTargetOptions(.{
        .default_target = if (is_x86) x64_floor else arm64_floor,
    });
    const chosen_optimize = b.option(
        std.builtin.OptimizeMode,
        "optimize",
        "Optimization mode (default ReleaseSafe for the library, Debug for the tests)",
    );
    const optimize = chosen_optimize orelse .ReleaseSafe;
    const fault = b.option(bool, "fault", "Also build the fault-injection library") orelse false;
    const test_filters = b.option(
        []const []const u8,
        "test-filter",
        "Run only the tests whose name contains this (repeatable)",
    ) orelse &.{};
    const test_root = b.option(
        []const u8,
        "test-root",
        "Root file of the tests, inside zig/ (default zig/test.zig)",
    ) orelse "zig/test.zig";

    const llvm = b.option(bool, "llvm", "Compile the library by LLVM (default true)") orelse true;
    const library = addLibrary(b, "aerostore", target, optimize, .{ .llvm = llvm });
    b.installArtifact(library);

    const fault_library = addLibrary(b, "aerostore-fault", target, optimize, .{ .fault = true });
    if (fault) b.installArtifact(fault_library);
    const fault_step = b.step("fault-library", "Build only the fault-injection library");
    fault_step.dependOn(&b.addInstallArtifact(fault_library, .{}).step);

    const package_step = b.step("package", "Build the libraries that the package carries");
    for ([_]struct { []const u8, std.Target.Cpu.Arch, std.Target.Query }{
        .{ "linux-x64", .x86_64, x64_floor },
        .{ "linux-arm64", .aarch64, arm64_floor },
    }) |shipped| {
        const folder, const arch, const floor = shipped;
        const library_target = b.resolveTargetQuery(forEveryLinux(arch, floor));
        // A panic handler without stack traces needs no debug information.
        const shipped_options: Options = .{ .strip = true };
        const packaged = addLibrary(b, "aerostore", library_target, .ReleaseSafe, shipped_options);
        const install = b.addInstallArtifact(packaged, .{
            .dest_dir = .{ .override = .{ .custom = b.pathJoin(&.{ "package", folder }) } },
        });
        package_step.dependOn(&install.step);
    }

    const driver = b.addExecutable(.{
        .name = "driver",
        .root_module = createModule(b, "zig/driver.zig", target, optimize, .{}),
        .use_llvm = true,
    });
    const driver_step = b.step("driver", "Build the program whose instructions are counted");
    driver_step.dependOn(&b.addInstallArtifact(driver, .{}).step);

    const encode_bench = b.addExecutable(.{
        .name = "encode-bench",
        .root_module = createModule(b, "zig/encode_bench.zig", target, optimize, .{}),
        .use_llvm = true,
    });
    const encode_bench_step = b.step("encode-bench", "Build what measures the log's records");
    encode_bench_step.dependOn(&b.addInstallArtifact(encode_bench, .{}).step);

    const scan_bench = b.addExecutable(.{
        .name = "scan-bench",
        .root_module = createModule(b, "zig/scan_bench.zig", target, optimize, .{}),
        .use_llvm = true,
    });
    const scan_bench_step = b.step("scan-bench", "Build what compares a scan with a plain sum");
    scan_bench_step.dependOn(&b.addInstallArtifact(scan_bench, .{}).step);

    const powerloss_fs = b.addExecutable(.{
        .name = "powerloss-fs",
        .root_module = createModule(b, "zig/testing/powerloss/main.zig", target, optimize, .{}),
    });
    const powerloss_fs_step = b.step("powerloss-fs", "Build the file system that loses power");
    powerloss_fs_step.dependOn(&b.addInstallArtifact(powerloss_fs, .{}).step);

    const crafted = b.addExecutable(.{
        .name = "crafted",
        .root_module = createModule(b, "zig/crafted.zig", target, optimize, .{}),
        .use_llvm = true,
    });
    const crafted_step = b.step("crafted", "Build the program of the crafted mutants");
    crafted_step.dependOn(&b.addInstallArtifact(crafted, .{}).step);

    const tests = b.addTest(.{
        .name = "engine-test",
        .root_module = createModule(b, test_root, target, chosen_optimize orelse .Debug, .{
            .fault = true,
            .scheduler = true,
        }),
        .filters = test_filters,
        .use_llvm = true, // Zig's own backend does not know the CRC32C instruction
    });
    const test_step = b.step("test", "Run the Zig tests");
    test_step.dependOn(&b.addRunArtifact(tests).step);

    const schedules = b.addExecutable(.{
        .name = "schedules",
        .root_module = createModule(b, "zig/schedules.zig", target, optimize, .{
            .fault = true,
            .scheduler = true,
        }),
        .use_llvm = true,
    });
    const schedules_step = b.step("schedules", "Build the program of the schedule campaigns");
    schedules_step.dependOn(&b.addInstallArtifact(schedules, .{}).step);

    const fmt_step = b.step("fmt", "Check the formatting of the Zig sources");
    fmt_step.dependOn(&b.addFmt(.{ .paths = &.{ "zig", "build.zig" }, .check = true }).step);

    const check_step = b.step("check", "Compile libraries, programs and tests, install nothing");
    check_step.dependOn(&library.step);
    check_step.dependOn(&fault_library.step);
    check_step.dependOn(&tests.step);
    check_step.dependOn(&schedules.step);
    check_step.dependOn(&driver.step);
    check_step.dependOn(&encode_bench.step);
    check_step.dependOn(&scan_bench.step);
    check_step.dependOn(&powerloss_fs.step);
    check_step.dependOn(&crafted.step);
}

/// Bun's own floor.
const x64_floor: std.Target.Query = .{
    .cpu_model = .{ .explicit = &std.Target.x86.cpu.x86_64_v2 },
    // Fetching a line to write it: where it does nothing else, it does nothing.
    .cpu_features_add = std.Target.x86.featureSet(&.{.prfchw}),
};

/// What every 64-bit Raspberry Pi has: atomic instructions beyond that (`lse`) came later.
const arm64_floor: std.Target.Query = .{
    .cpu_model = .{ .explicit = &std.Target.aarch64.cpu.generic },
    .cpu_features_add = std.Target.aarch64.featureSet(&.{.crc}),
};

/// A library built for musl names no version of a symbol, so that glibc has them all as well.
fn forEveryLinux(arch: std.Target.Cpu.Arch, floor: std.Target.Query) std.Target.Query {
    var query = floor;
    query.cpu_arch = arch;
    query.os_tag = .linux;
    query.abi = .musl;
    return query;
}

/// How a module is made; the sources see the first two as `@import("build_options")`.
const Options = struct {
    /// Kill points that a crash test can arm by name.
    fault: bool = false,
    /// Every shared atomic step is a switch point of the deterministic scheduler.
    scheduler: bool = false,
    /// Whether LLVM compiles it.
    llvm: bool = true,
    /// Without debug information.
    strip: bool = false,
};

fn addLibrary(
    b: *std.Build,
    name: []const u8,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    options: Options,
) *std.Build.Step.Compile {
    return b.addLibrary(.{
        .name = name,
        .linkage = .dynamic,
        .root_module = createModule(b, "zig/abi.zig", target, optimize, options),
        // Zig's own backend, its default for Debug, does not know the CRC32C instruction, and what
        // it links in place keeps its time, so that an install would keep the old library.
        .use_llvm = options.llvm,
    });
}

fn createModule(
    b: *std.Build,
    root: []const u8,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    options: Options,
) *std.Build.Module {
    const module = b.createModule(.{
        .root_source_file = b.path(root),
        .target = target,
        .optimize = optimize,
        .link_libc = true,
        .strip = options.strip,
    });
    const build_options = b.addOptions();
    build_options.addOption(bool, "fault", options.fault);
    build_options.addOption(bool, "scheduler", options.scheduler);
    module.addOptions("build_options", build_options);
    return module;
}
