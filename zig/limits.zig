//! Every limit of the engine, with the relations between them.

/// Offsets in shared memory are counted in units of this many bytes, so a `u32` reaches 32 GiB.
pub const offset_unit = 8;
pub const segment_size_max: u64 = (1 << 32) * offset_unit;
pub const segment_size_min: u64 = 4 << 20;

/// Shared words that different sessions write lie this far apart (two lines: adjacent-line
/// prefetch).
pub const cache_line_size = 128;

/// The arena hands out memory in pages; `fallocate` reserves it an extent at a time.
pub const page_size = 16 * 1024;
pub const extent_size = 1 << 20;
/// Pages at the end of the arena that only deletes and vacuum may claim, so that a full segment can
/// be emptied; fewer in a small arena. With the two behind the arena they fill an extent.
pub const reserve_page_count = extent_size / page_size - 2;

pub const session_count_default = 256;
/// The least that a database is created with; tests make smaller segments.
pub const session_count_min = 16;
pub const session_count_max = 4096;
/// Ring cells; at least four per session, so that P5's slack leaves room (P5).
pub const cell_count_default = 1 << 15;
pub const cell_count_min = 1 << 10;
pub const cells_per_session_min = 4;

/// Few under the scheduler, where each entry of the catalog that is looked at is a step.
pub const table_count_max = if (@import("build_options").scheduler) 8 else 256;
pub const column_count_max = 65;
pub const index_count_max = 64;
pub const image_size_max = 16 * 1024;
pub const key_size_max = 257;
/// Index keys: strings and bytes of an indexed column are at most this long.
pub const index_key_words_max = 33;
/// Words of an entry: its key, and a word of its primary key.
pub const position_words_max = index_key_words_max + 1;

pub const skiplist_height_max = 14;
/// Writes of one transaction.
pub const transaction_writes_max = 2_096_640;
/// More turns of one read or write of a row than other sessions can cause: it is damaged.
pub const row_turns_max: u32 = 1 << 20;
/// Steps of a walk that others may make it take again, above what the records of the segment allow
/// (`Segment.chain_steps_max`).
pub const chain_steps_repeated = 1 << 16;
/// What takes its place under the scheduler, where worlds are small.
pub const chain_steps_scheduled = 1 << 14;

/// A session's log buffer is a share of the segment: it has to hold what the session commits while
/// the WAL writer waits for the disk.
pub const log_buffer_share = 512;
pub const log_buffer_size_min = 64 * 1024;
pub const log_buffer_size_max = 512 * 1024;
/// Tokens whose outcome is known: one for so many bytes of the segment, and at most so many.
pub const outcome_share = 256;
pub const outcome_count_max = 1 << 20;
/// Every CSN is below this: the drained word has its upper bits for the epoch, and doubles hold it.
pub const csn_limit: u64 = 1 << csn_bits;
pub const csn_bits = 52;
/// None at or above is given out, but for one to each session that was about to take it.
pub const csn_end: u64 = csn_limit - (1 << 20);
/// Every epoch of a log file is below this: doubles hold it.
pub const epoch_limit: u64 = 1 << 53;
/// Bytes that a session has written to its log buffer; sums of positions stay far from overflow.
pub const log_position_max: u64 = 1 << 62;
/// How long others wait for a numbered commit before they abort it (P17).
pub const numbered_wait_ns = 10_000;
/// How long others wait for an older open commit before they abort it (P17). It doubles each time
/// they have done so, but so often at most: on a busy machine a large commit needs more than one
/// slice of a processor.
pub const open_wait_ns = 4_000_000;
pub const open_wait_doublings_max = 5;
/// How long others wait for a younger open commit before they abort it (P17).
pub const young_wait_ns = 20_000;
/// How long the WAL writer waits for a cell that nobody has committed behind (P25).
pub const hole_wait_ns = 1_000_000_000;

/// No call across the boundary waits longer.
pub const wait_ms_max = 100;

pub const io_result_size = 512;
pub const io_input_size = 32 * 1024;
pub const io_output_size = 64 * 1024;
pub const io_size = io_result_size + io_input_size + io_output_size;

comptime {
    const assert = @import("std").debug.assert;
    assert(extent_size % page_size == 0);
    assert(segment_size_min % extent_size == 0);
    assert(cell_count_min & (cell_count_min - 1) == 0);
    assert(cell_count_default >= session_count_default * cells_per_session_min);
    assert(session_count_max <= 1 << 12);
    assert(image_size_max < io_input_size);
    assert(log_buffer_size_min % page_size == 0);
    assert(io_size % 4096 == 512);
}
