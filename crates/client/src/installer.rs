//! Points pip and uv at the proxy, and knows the routes that no setting closes.
//!
//! Settings close what they can: the index, extra indexes, directories of links, and through
//! the HTTP proxy every other host. What is left are ways that touch no network, or none that
//! a proxy is sure to see: those are found on the command's line, in the requirements files
//! that it names, in the environment and in uv's configuration, and are reported.

mod configured;
mod locks;
mod mode;
mod named;
mod places;
mod poetry;
mod program;
mod requirements;
mod routes;
mod uv_settings;
mod words;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

pub use configured::{ConfiguredIndex, IndexesDiffer, PYPI, configured_index};
pub use locks::locks_of;
pub use mode::{Mode, ModeChoice, mode_of};
pub use named::{NamedProject, asks_once, named_projects};
pub use places::without_secrets;
pub use poetry::virtualenvs as poetry_virtualenvs;
pub use routes::{Surroundings, open_routes};

const BLANK: &str = " ";

/// One more request tells why the first one was cut off. More would only wait: the proxy is
/// on this machine, and what it refused once it refuses again.
pub const RETRIES: &str = "1";

/// How long an installer waits for the proxy, in seconds. The proxy knows when waiting for the
/// index is over, and says why; pip's own 15 s and uv's 30 s would end a download over a slow
/// line, of which nothing leaves before it is verified, and would lose the reason otherwise.
pub const PATIENCE: &str = "3600";

/// Variables to set and to remove for a command that installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// To set, by name.
    pub set: Vec<(String, OsString)>,
    /// To remove.
    pub remove: Vec<&'static str>,
}

/// What the environment is made from.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// The URL of the index that installers are pointed at: the proxy's own, or the real one
    /// where it answers for that.
    pub index_url: &'a str,
    /// The proxy's address as an HTTP proxy.
    pub proxy_url: &'a str,
    /// An empty directory for uv's cache during this run: a warm cache installs without a
    /// single connection, and so without being verified.
    pub uv_cache: &'a Path,
    /// A directory for the caches of the others, for the same reason.
    pub caches: &'a Path,
    /// Where poetry keeps the environments that it makes, which is in its cache unless it is
    /// told: see [`poetry_virtualenvs`].
    pub poetry_virtualenvs: Option<&'a Path>,
    /// How uv puts what it has unpacked into the environment.
    pub link_mode: LinkMode,
    /// How many of git's settings the environment holds already: its `GIT_CONFIG_COUNT`.
    pub git_settings: u32,
    /// What connect mode takes besides; nothing in index mode.
    pub connect: Option<ConnectSettings<'a>>,
}

/// How uv installs from its cache (`UV_LINK_MODE`). The cache goes when the run ends, so that
/// symbolic links into it are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkMode {
    /// uv's own choice: files that share their content until one is changed; where the file
    /// system has none, hard links; where that is another one than the cache's, copies.
    #[default]
    Clone,
    /// Hard links, which stay when the cache goes.
    HardLink,
    /// Copies.
    Copy,
}

impl LinkMode {
    /// What the user chose for uv, as long as it outlives the cache.
    #[must_use]
    pub fn chosen(variable: Option<&str>) -> Self {
        match variable {
            Some("copy") => Self::Copy,
            Some("hardlink") => Self::HardLink,
            _ => Self::Clone,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::HardLink => "hardlink",
            Self::Copy => "copy",
        }
    }
}

/// What a command needs that goes to the real URLs of an index.
#[derive(Clone, Copy, Debug)]
pub struct ConnectSettings<'a> {
    /// Variables, and for each the file with the certificates that who reads it is to trust,
    /// that of the run's authority among them.
    pub bundles: &'a [(&'static str, PathBuf)],
}

/// The environment in which installers see only the proxy.
///
/// An empty value does not override pip's configuration files, but a blank one does: pip
/// takes it for a list without entries.
#[must_use]
pub fn environment(settings: Settings<'_>) -> Environment {
    let index = || OsString::from(settings.index_url);
    let proxy = || OsString::from(settings.proxy_url);
    let cache = |name: &str| settings.caches.join(name).into_os_string();
    let mut set = [
        ("PIP_INDEX_URL", index()),
        ("PIP_EXTRA_INDEX_URL", BLANK.into()),
        ("PIP_FIND_LINKS", BLANK.into()),
        ("PIP_NO_INDEX", "0".into()),
        ("PIP_PROXY", proxy()),
        ("PIP_CACHE_DIR", cache("pip")),
        ("PIP_RETRIES", RETRIES.into()),
        ("PIP_DEFAULT_TIMEOUT", PATIENCE.into()),
        ("UV_DEFAULT_INDEX", index()),
        ("UV_CACHE_DIR", settings.uv_cache.as_os_str().to_owned()),
        ("UV_LINK_MODE", settings.link_mode.as_str().into()),
        ("UV_HTTP_RETRIES", RETRIES.into()),
        ("UV_HTTP_TIMEOUT", PATIENCE.into()),
        ("POETRY_CACHE_DIR", cache("poetry")),
        ("POETRY_REQUESTS_TIMEOUT", PATIENCE.into()),
        // Its own git knows nothing of git's variables below.
        ("POETRY_SYSTEM_GIT_CLIENT", "true".into()),
        ("PDM_CACHE_DIR", cache("pdm")),
        ("PDM_REQUEST_TIMEOUT", PATIENCE.into()),
        ("HTTP_PROXY", proxy()),
        ("http_proxy", proxy()),
        ("HTTPS_PROXY", proxy()),
        ("https_proxy", proxy()),
        ("ALL_PROXY", proxy()),
        ("all_proxy", proxy()),
        // git's other protocols do not go through an HTTP proxy.
        ("GIT_ALLOW_PROTOCOL", "http:https".into()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec();
    set.extend(git_proxy(settings));
    if let Some(path) = settings.poetry_virtualenvs {
        set.push(("POETRY_VIRTUALENVS_PATH".to_owned(), path.into()));
    }
    let remove = vec![
        "NO_PROXY",
        "no_proxy",
        // To pip another name of its index, which may be a directory.
        "PIP_PYPI_URL",
        "UV_INDEX",
        "UV_INDEX_URL",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_NO_INDEX",
        "UV_OFFLINE",
        "UV_NO_CACHE",
    ];
    if let Some(connect) = settings.connect {
        set.extend(for_connect(connect, index()));
    }
    Environment { set, remove }
}

/// What makes installers believe the run's authority, and points poetry and pdm to the index
/// as far as variables can.
fn for_connect(connect: ConnectSettings<'_>, index: OsString) -> Vec<(String, OsString)> {
    let set = [
        // What it would ask a keyring for are passwords of the index, which the proxy
        // does not pass on; and a keyring may wait for a person.
        ("POETRY_KEYRING_ENABLED", "false".into()),
        ("PDM_PYPI_URL", index),
        // Its search for a newer pdm would be refused, and look like a refused package.
        ("PDM_CHECK_UPDATE", "false".into()),
    ];
    let bundles = connect.bundles.iter();
    bundles
        .map(|(name, file)| (*name, file.as_os_str().to_owned()))
        .chain(set)
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The proxy as one more of git's settings: there it outweighs what git's configuration files
/// say for every host.
fn git_proxy(settings: Settings<'_>) -> [(String, OsString); 3] {
    let at = settings.git_settings;
    let count = at.saturating_add(1).to_string();
    [
        ("GIT_CONFIG_COUNT".to_owned(), count.into()),
        (format!("GIT_CONFIG_KEY_{at}"), "http.proxy".into()),
        (format!("GIT_CONFIG_VALUE_{at}"), settings.proxy_url.into()),
    ]
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    const PROXY: &str = "http://127.0.0.1:1";

    fn made(index_url: &str, connect: Option<ConnectSettings<'_>>) -> Environment {
        environment(Settings {
            index_url,
            proxy_url: PROXY,
            uv_cache: Path::new("/run/uv"),
            caches: Path::new("/run/caches"),
            poetry_virtualenvs: Some(Path::new("/home/envs")),
            link_mode: LinkMode::chosen(Some("symlink")),
            git_settings: 2,
            connect,
        })
    }

    fn value<'a>(made: &'a Environment, wanted: &str) -> &'a OsString {
        &made.set.iter().find(|(name, _)| *name == wanted).unwrap().1
    }

    fn check(made: &Environment) {
        let mut names: Vec<&str> = made.set.iter().map(|(name, _)| name.as_str()).collect();
        names.extend(&made.remove);
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "{names:?}");
        for (name, value) in &made.set {
            assert!(
                !value.is_empty(),
                "an empty {name} would not override anything"
            );
        }
        for name in ["PIP_CACHE_DIR", "POETRY_CACHE_DIR", "PDM_CACHE_DIR"] {
            let cache = Path::new(value(made, name));
            assert!(cache.starts_with("/run/caches"), "{name}");
        }
        assert_eq!(value(made, "POETRY_VIRTUALENVS_PATH"), "/home/envs");
        assert_eq!(value(made, "POETRY_SYSTEM_GIT_CLIENT"), "true");
    }

    #[test]
    fn nothing_but_the_proxy_is_left() {
        let made = made("http://127.0.0.1:1/s/simple/", None);
        check(&made);
        assert_eq!(value(&made, "PIP_EXTRA_INDEX_URL"), BLANK);
        assert_eq!(value(&made, "PIP_FIND_LINKS"), BLANK);
        assert!(made.remove.contains(&"UV_INDEX"));
        assert!(made.set.iter().all(|(name, _)| name != "SSL_CERT_FILE"));
        // git's settings come after those that are there.
        assert_eq!(value(&made, "GIT_ALLOW_PROTOCOL"), "http:https");
        assert_eq!(value(&made, "GIT_CONFIG_COUNT"), "3");
        assert_eq!(value(&made, "GIT_CONFIG_KEY_2"), "http.proxy");
        assert_eq!(value(&made, "GIT_CONFIG_VALUE_2"), PROXY);
    }

    #[test]
    fn what_is_installed_outlives_the_cache() {
        let check = |chosen: Option<&str>, expected: &str| {
            assert_eq!(LinkMode::chosen(chosen).as_str(), expected, "{chosen:?}");
        };
        check(None, "clone");
        check(Some("clone"), "clone");
        check(Some("copy"), "copy");
        check(Some("hardlink"), "hardlink");
        check(Some("symlink"), "clone");
        check(Some(""), "clone");
        let made = made("http://127.0.0.1:1/s/simple/", None);
        assert_eq!(value(&made, "UV_LINK_MODE"), "clone");
    }

    #[test]
    fn real_indexes_are_believed_by_the_certificate_of_the_run() {
        let connect = ConnectSettings {
            bundles: &[("PIP_CERT", PathBuf::from("/run/bundle.pem"))],
        };
        let real = "https://a.example/simple/";
        let made = made(real, Some(connect));
        check(&made);
        for name in ["PIP_INDEX_URL", "UV_DEFAULT_INDEX", "PDM_PYPI_URL"] {
            assert_eq!(value(&made, name), real, "{name}");
        }
        assert_eq!(value(&made, "PIP_CERT"), "/run/bundle.pem");
        assert_eq!(value(&made, "HTTPS_PROXY"), PROXY);
    }
}
