//! What every command gets from the world: the clock and the place of the user's data.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use wheelmark_tuf::Clock;

/// The world outside, named once.
pub(crate) struct Context {
    /// The machine's clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where trust and caches live: `WHEELMARK_HOME`, or the user's data directory.
    pub(crate) home: PathBuf,
}

impl Context {
    /// Reads the environment.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        let home = match std::env::var_os("WHEELMARK_HOME") {
            Some(home) if !home.is_empty() => std::path::absolute(PathBuf::from(home))?,
            _ => {
                use etcetera::BaseStrategy;
                etcetera::choose_base_strategy()
                    .context("no home directory: set WHEELMARK_HOME to a directory of your own")?
                    .data_dir()
                    .join("wheelmark")
            }
        };
        Ok(Self {
            clock: Arc::new(SystemClock),
            home,
        })
    }
}

/// The machine's clock, read through the C library.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
}

/// Fills `bytes` from the operating system's random source.
pub(crate) fn fill_random(bytes: &mut [u8]) -> anyhow::Result<()> {
    aws_lc_rs::rand::fill(bytes)
        .map_err(|_| anyhow::anyhow!("the operating system gave no random bytes"))
}
