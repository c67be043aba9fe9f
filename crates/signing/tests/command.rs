//! Programs that are to sign and do something else.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use wheelmark_signing::{CommandError, SigningCommand};

/// Whether a process is there and has not ended.
fn runs(pid: &str) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

fn program(folder: &Path, text: &str) -> SigningCommand {
    let path = folder.join("program");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    SigningCommand::new(&path, Duration::from_secs(1))
}

#[test]
fn what_a_program_has_started_does_not_outlive_its_time() {
    for (what, ends) in [
        ("hangs", "wait"),
        ("ends, and leaves others behind", "exit 0"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let started = folder.path().join("started");
        let text = format!(
            "#!/bin/sh\nsleep 600 &\necho $! >> {0}\n(setsid sleep 600 & echo $! >> {0})\n{ends}\n",
            started.display()
        );
        let error = program(folder.path(), &text).key("root").unwrap_err();
        assert!(
            matches!(error, CommandError::Hangs { .. }),
            "{what}: {error}"
        );
        let started = fs::read_to_string(started).unwrap();
        assert_eq!(started.lines().count(), 2);
        let deadline = Instant::now() + Duration::from_secs(60);
        while started.lines().any(runs) {
            assert!(
                Instant::now() < deadline,
                "a program that {what}: {started} still run"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
