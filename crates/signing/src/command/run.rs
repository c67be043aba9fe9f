//! One run of a program: what it has started is found again by a variable that it passes on, even
//! where the program itself has ended and others wait for what it left behind.

use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that the program and all that it starts have in their environment.
const VARIABLE: &str = "WHEELMARK_SIGNING_RUN";

/// How often it is looked for more: what is being ended may just have started something.
#[cfg(target_os = "linux")]
const ROUNDS: usize = 50;

/// A name that no other run has at the same time.
pub(super) struct Run(String);

impl Run {
    pub(super) fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self(format!("{}.{number}", std::process::id()))
    }

    /// The variable and its value, for the program's environment.
    pub(super) fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.0)
    }

    /// Ends whatever is left of the run. A process that has cleared its environment is not found.
    #[cfg(target_os = "linux")]
    pub(super) fn end(&self) {
        use rustix::process::{Signal, kill_process};
        for _ in 0..ROUNDS {
            let left = self.left();
            if left.is_empty() {
                return;
            }
            for process in left {
                // That it has ended meanwhile is what is wanted.
                kill_process(process, Signal::KILL).ok();
            }
        }
    }

    /// Elsewhere the program alone is ended.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn end(&self) {}

    /// The processes of this user that have the variable. One that has ended has no environment.
    #[cfg(target_os = "linux")]
    fn left(&self) -> Vec<rustix::process::Pid> {
        let variable = format!("{VARIABLE}={}", self.0);
        let Ok(processes) = std::fs::read_dir("/proc") else {
            return Vec::new();
        };
        let found = processes.flatten().filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            let environment = std::fs::read(entry.path().join("environ")).ok()?;
            let mut variables = environment.split(|byte| *byte == 0);
            let is_of_run = variables.any(|found| found == variable.as_bytes());
            rustix::process::Pid::from_raw(number).filter(|_| is_of_run)
        });
        found.collect()
    }
}
