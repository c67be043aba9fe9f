//! What a run leaves is removed while the person goes on.
//!
//! The private cache of a large installation is thousands of small files. Where removing each
//! waits for the disk, it takes as long as the installation. So it is left to `rm`, which holds
//! the lock of the run's room until it ends. If it is killed, the next run does its work.

use std::path::Path;
use std::process::{Command, Stdio};

use wheelmark_client::{Leftovers, RunRoom};

/// Where systems have `rm`; the user's PATH may have something else of that name.
const REMOVERS: [&str; 2] = ["/bin/rm", "/usr/bin/rm"];

/// Removes the room, or has it removed.
pub(super) fn clear(room: RunRoom) {
    let left = room.leftovers();
    match left {
        Ok(left) if !left.is_little && goes_on_after_us() => match hand_over(left) {
            Ok(()) => return room.leave(),
            Err(error) => tracing::debug!(%error, "the run's cache is removed right away"),
        },
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "the run's cache is removed right away"),
    }
    drop(room);
}

/// Whether what we start can be relied on to end by itself. A container ends with its first
/// process, and what lies there then becomes part of an image: there we remove everything
/// before we end.
fn goes_on_after_us() -> bool {
    /// The first namespace of processes (`PROC_PID_INIT_INO` of Linux).
    const OUTERMOST: &str = "pid:[4026531836]";
    !cfg!(target_os = "linux")
        || std::fs::read_link("/proc/self/ns/pid").is_ok_and(|of| of == Path::new(OUTERMOST))
}

/// Starts `rm`, with the lock as its standard input, and does not wait for it.
fn hand_over(left: Leftovers) -> std::io::Result<()> {
    use std::os::unix::process::CommandExt as _;
    let there = REMOVERS.into_iter().find(|path| Path::new(path).is_file());
    let Some(remover) = there else {
        return Err(std::io::ErrorKind::NotFound.into());
    };
    let started = Command::new(remover)
        .args(["-rf", "--"])
        .args(&left.paths)
        .stdin(left.lock)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_clear()
        .current_dir("/")
        // What is typed on the terminal is not meant for it.
        .process_group(0)
        .spawn();
    // It is the system's to reap: we end in a moment.
    started.map(drop)
}
