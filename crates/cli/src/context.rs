//! What every command gets from the world: the clock and the place of the user's data.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use rand::TryRng as _;
use rand::rngs::SysRng;
use wheelmark_tuf::Clock;

/// The world outside, named once.
#[derive(Clone)]
pub(crate) struct Context {
    /// The machine's clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// Where trust and caches live: `WHEELMARK_HOME`, or the user's data directory.
    pub(crate) home: PathBuf,
    /// Where lies what can be found out again: `WHEELMARK_HOME`'s `cache`, or the user's cache
    /// directory.
    pub(crate) cache: PathBuf,
    /// Where the user's `wheelmark.toml` is: `WHEELMARK_HOME`, or the user's configuration
    /// directory.
    pub(crate) configuration: PathBuf,
    /// The person's netrc: `NETRC`, or `.netrc` in their home directory.
    pub(crate) netrc: Option<PathBuf>,
    /// What the system's administrator says: `WHEELMARK_SYSTEM_DIR`, or `/etc/wheelmark`.
    pub(crate) system: PathBuf,
    /// How much more is said on standard error, as `-v` has it.
    pub(crate) verbose: u8,
    /// The users whose files count there: root; and in a directory that was moved, this one.
    pub(crate) system_owners: Vec<u32>,
}

/// Where the system's settings are, unless `WHEELMARK_SYSTEM_DIR` moves them.
const SYSTEM: &str = "/etc/wheelmark";

/// The user id of root.
const ROOT: u32 = 0;

impl Context {
    /// Reads the environment.
    pub(crate) fn from_environment(verbose: u8) -> anyhow::Result<Self> {
        let (home, cache, configuration) = match place("WHEELMARK_HOME")? {
            Some(home) => (home.clone(), home.join("cache"), home),
            None => {
                use etcetera::BaseStrategy;
                let directories = etcetera::choose_base_strategy()
                    .context("no home directory: set WHEELMARK_HOME to a directory of your own")?;
                (
                    directories.data_dir().join("wheelmark"),
                    directories.cache_dir().join("wheelmark"),
                    directories.config_dir().join("wheelmark"),
                )
            }
        };
        let system = place("WHEELMARK_SYSTEM_DIR")?;
        let mut system_owners = vec![ROOT];
        if system.is_some() {
            system_owners.push(rustix::process::geteuid().as_raw());
        }
        let own_netrc = || Some(etcetera::home_dir().ok()?.join(".netrc"));
        Ok(Self {
            netrc: place("NETRC")?.or_else(own_netrc),
            clock: Arc::new(SystemClock),
            home,
            cache,
            configuration,
            system: system.unwrap_or_else(|| PathBuf::from(SYSTEM)),
            verbose,
            system_owners,
        })
    }
}

/// A place that a variable names, if it is set to anything.
fn place(variable: &str) -> anyhow::Result<Option<PathBuf>> {
    let named = std::env::var_os(variable).filter(|named| !named.is_empty());
    let path = named.map(|named| std::path::absolute(PathBuf::from(named)));
    Ok(path.transpose()?)
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
    // Directly: the generator of the cryptographic library gathers entropy of its own before
    // its first byte, which takes as long as the rest of a start.
    SysRng
        .try_fill_bytes(bytes)
        .context("the operating system gave no random bytes")
}
