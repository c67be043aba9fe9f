//! How much of anything an archive may have.

use super::InspectError;

/// Most entries of an archive. The largest wheels known have some forty thousand files.
pub const MAX_ENTRIES: u64 = 100_000;

/// Longest path inside an archive, in bytes (`PATH_MAX` of Linux).
pub const MAX_PATH_LEN: usize = 4096;

/// Longest sum of all paths of an archive, in bytes.
pub const MAX_PATHS_LEN: u64 = 32 * 1024 * 1024;

/// Most bytes that an archive may unpack to. The largest wheels known have some five gigabytes.
pub const MAX_UNPACKED: u64 = 16 * 1024 * 1024 * 1024;

/// Most bytes unpacked for each byte of the archive, beyond [`RATIO_FREE`]. The bound that the
/// largest public index applies.
pub const MAX_RATIO: u64 = 50;

/// Bytes that may be unpacked from any archive, whatever the ratio.
pub const RATIO_FREE: u64 = 64 * 1024 * 1024;

/// Longest extended header of a tar archive (pax records, GNU long names), in bytes. Two paths
/// and some attributes fit many times.
pub const MAX_EXTENDED_HEADER_LEN: u64 = 256 * 1024;

/// Longest `RECORD` of a wheel, in bytes.
pub const MAX_RECORD_LEN: u64 = 64 * 1024 * 1024;

/// Longest `WHEEL` file, in bytes: some headers of a line each.
pub(crate) const MAX_WHEEL_LEN: u64 = 1024 * 1024;

/// Counts unpacked bytes against what the archive's own length warrants.
pub(super) struct Budget {
    allowed: u64,
    used: u64,
}

impl Budget {
    /// For an archive of `length` bytes.
    pub(super) fn for_archive(length: u64) -> Budget {
        let allowed = length
            .saturating_mul(MAX_RATIO)
            .clamp(RATIO_FREE, MAX_UNPACKED);
        Budget { allowed, used: 0 }
    }

    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), InspectError> {
        self.used = self.used.saturating_add(bytes);
        if self.used > self.allowed {
            Err(InspectError::TooLarge {
                allowed: self.allowed,
            })
        } else {
            Ok(())
        }
    }
}
