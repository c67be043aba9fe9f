//! Files that only their owner may read.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a file that only its owner can read and write (mode 0600), whole and durable.
///
/// The file appears under its name with all of its contents or not at all.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] if anything has that name already; it is left as it is.
pub fn create_private_file(path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // A temporary file has mode 0600 from the moment it exists, whatever the umask is.
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}
