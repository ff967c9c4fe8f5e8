//! A write record: a head of two column masks, then the image (law 7 of
//! `docs/internals/row-image.md`).
//!
//! **Concurrency.** Values.

/// Masks have one bit for each column besides the key.
pub const Head = extern struct {
    /// Columns that the record gives a value, or null.
    named: u64,
    /// Columns that would have no value if the row were inserted.
    missing: u64,
};

/// Bytes before the image.
pub const head_size = @sizeOf(Head);
