//! Points pip and uv at the proxy, and knows the routes that no setting closes.
//!
//! Settings close what they can: the index, extra indexes, directories of links, and through
//! the HTTP proxy every other host. What is left are ways that touch no network, or none that
//! a proxy is sure to see: those are found on the command's line, in the requirements files
//! that it names, in the environment and in uv's configuration, and are reported.

mod places;
mod program;
mod requirements;
mod routes;
mod uv_settings;
mod words;

use std::ffi::OsString;
use std::path::Path;

pub use routes::{Surroundings, open_routes};

const BLANK: &str = " ";

/// One more request tells why the first one was cut off. More would only wait: the proxy is
/// on this machine, and what it refused once it refuses again.
const RETRIES: &str = "1";

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
    /// The proxy's index URL.
    pub index_url: &'a str,
    /// The proxy's address as an HTTP proxy.
    pub proxy_url: &'a str,
    /// An empty directory for uv's cache during this run: a warm cache installs without a
    /// single connection, and so without being verified.
    pub uv_cache: &'a Path,
    /// How many of git's settings the environment holds already: its `GIT_CONFIG_COUNT`.
    pub git_settings: u32,
}

/// The environment in which pip and uv see only the proxy.
///
/// An empty value does not override pip's configuration files, but a blank one does: pip
/// takes it for a list without entries.
#[must_use]
pub fn environment(settings: Settings<'_>) -> Environment {
    let index = || OsString::from(settings.index_url);
    let proxy = || OsString::from(settings.proxy_url);
    let mut set = [
        ("PIP_INDEX_URL", index()),
        ("PIP_EXTRA_INDEX_URL", BLANK.into()),
        ("PIP_FIND_LINKS", BLANK.into()),
        ("PIP_NO_INDEX", "0".into()),
        ("PIP_PROXY", proxy()),
        ("PIP_RETRIES", RETRIES.into()),
        ("UV_DEFAULT_INDEX", index()),
        ("UV_CACHE_DIR", settings.uv_cache.as_os_str().to_owned()),
        // The cache goes when the run ends: what is installed must not be links into it.
        ("UV_LINK_MODE", "copy".into()),
        ("UV_HTTP_RETRIES", RETRIES.into()),
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
    let remove = vec![
        "NO_PROXY",
        "no_proxy",
        "UV_INDEX",
        "UV_INDEX_URL",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_NO_INDEX",
        "UV_OFFLINE",
        "UV_NO_CACHE",
    ];
    Environment { set, remove }
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

    #[test]
    fn nothing_but_the_proxy_is_left() {
        let settings = Settings {
            index_url: "http://127.0.0.1:1/s/simple/",
            proxy_url: "http://127.0.0.1:1",
            uv_cache: Path::new("/run/uv"),
            git_settings: 2,
        };
        let made = environment(settings);
        for (name, value) in &made.set {
            assert!(
                !value.is_empty(),
                "an empty {name} would not override anything"
            );
            assert!(!made.remove.contains(&name.as_str()));
        }
        let value = |wanted: &str| &made.set.iter().find(|(name, _)| *name == wanted).unwrap().1;
        assert_eq!(value("PIP_EXTRA_INDEX_URL"), BLANK);
        assert_eq!(value("PIP_FIND_LINKS"), BLANK);
        // git's settings come after those that are there.
        assert_eq!(value("GIT_ALLOW_PROTOCOL"), "http:https");
        assert_eq!(value("GIT_CONFIG_COUNT"), "3");
        assert_eq!(value("GIT_CONFIG_KEY_2"), "http.proxy");
        assert_eq!(value("GIT_CONFIG_VALUE_2"), settings.proxy_url);
    }
}
