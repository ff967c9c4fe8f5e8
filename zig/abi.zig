//! Every symbol of the library.

export fn aerostore_abi_version() u32 {
    return 1;
}

test "abi: version" {
    try @import("std").testing.expectEqual(@as(u32, 1), aerostore_abi_version());
}
