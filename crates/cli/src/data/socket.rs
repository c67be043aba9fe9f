//! The socket by which web process and snapshot process wake one another.

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Its name in the data directory.
const NAME: &str = "snapshotter.sock";

/// The longest path that systems take for a socket, with some room: 104 bytes on the strictest.
const LONGEST: usize = 100;

/// Who may connect: the user that publishes, and the group that the web process is in.
const MODE: u32 = 0o660;

/// A path to the socket that is short enough, for as long as the value lives.
pub(crate) struct SocketPath {
    path: PathBuf,
    /// Held where the path leads through it.
    _directory: Option<fs::File>,
}

impl SocketPath {
    pub(super) fn in_directory(directory: &Path) -> std::io::Result<Self> {
        let path = directory.join(NAME);
        if path.as_os_str().len() <= LONGEST {
            let _directory = None;
            return Ok(Self { path, _directory });
        }
        let open = fs::File::open(directory)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", open.as_raw_fd()));
        let _directory = Some(open);
        Ok(Self { path, _directory })
    }

    pub(crate) fn as_path(&self) -> &Path {
        &self.path
    }

    /// Takes the socket away, if it is there.
    pub(crate) fn remove(&self) -> std::io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Listens there, in the place of a process that is gone. Only for whoever holds the tree's
    /// lock.
    pub(crate) fn listen(&self) -> std::io::Result<UnixListener> {
        self.remove()?;
        let listener = UnixListener::bind(&self.path)?;
        fs::set_permissions(&self.path, fs::Permissions::from_mode(MODE))?;
        Ok(listener)
    }
}
