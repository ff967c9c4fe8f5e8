//! The root of the engine's tests: imports every module, so that `zig build test` runs every test.
//! A new file gets its line here; a test of the house rules finds the one that was forgotten.

test {
    _ = @import("abi.zig");
    _ = @import("manifest.zig");
    _ = @import("panic.zig");
}
