//! Points pip and uv at the proxy, and knows the routes that no setting closes.
//!
//! Settings close what they can: the index, extra indexes, directories of links, and through
//! the HTTP proxy every other host. What is left are ways that touch no network, or none that
//! a proxy sees: those are found on the command's line and reported.

use std::ffi::OsString;
use std::path::Path;

use crate::ledger::OpenRoute;

const BLANK: &str = " ";

/// One more request tells why the first one was cut off. More would only wait: the proxy is
/// on this machine, and what it refused once it refuses again.
const RETRIES: &str = "1";

/// Variables to set and to remove for a command that installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// To set, by name.
    pub set: Vec<(&'static str, OsString)>,
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
}

/// The environment in which pip and uv see only the proxy.
///
/// An empty value does not override pip's configuration files, but a blank one does: pip
/// takes it for a list without entries.
#[must_use]
pub fn environment(settings: Settings<'_>) -> Environment {
    let index = || OsString::from(settings.index_url);
    let proxy = || OsString::from(settings.proxy_url);
    let set = vec![
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
    ];
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

/// Finds what on a command's line goes past the proxy. `exists` says whether a path is there,
/// seen from where the command runs.
///
/// This is for reporting: a command can do more than its line says, so an empty answer is no
/// promise.
#[must_use]
pub fn open_routes(command: &[OsString], exists: &dyn Fn(&Path) -> bool) -> Vec<OpenRoute> {
    let words: Vec<String> = command
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let Some(arguments) = installer_arguments(&words) else {
        return Vec::new();
    };
    let mut routes = Vec::new();
    let mut installs = false;
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if !word.starts_with('-') {
            let local = installs.then(|| local_requirement(word, exists)).flatten();
            routes.extend(local.map(|why| route(word, why)));
            installs |= INSTALLING.contains(&word.as_str());
            continue;
        }
        let (option, attached) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word.as_str(), None),
        };
        let takes_value = ROUTES.iter().any(|known| known == &option) || VALUED.contains(&option);
        let value = match attached {
            Some(value) => value,
            None if takes_value => rest.next().map_or("", String::as_str),
            None => "",
        };
        let why = match option {
            "--proxy" => Some("requests go through another proxy"),
            "--no-index" | "--offline" => Some("no index is asked"),
            "--cache-dir" => Some("files in another cache are used without being asked for"),
            "-f" | "--find-links" if is_local(value, exists) => {
                Some("files in a local directory are used as they are")
            }
            "-e" | "--editable" => Some("a source tree is used as it is"),
            "--with" | "--with-editable" | "--from" => local_requirement(value, exists),
            _ => None,
        };
        let shown = match attached {
            None if takes_value => format!("{word} {value}"),
            _ => word.clone(),
        };
        routes.extend(why.map(|why| route(&shown, why)));
    }
    routes.sort();
    routes.dedup();
    routes
}

/// Subcommands whose words are requirements.
const INSTALLING: [&str; 4] = ["install", "download", "wheel", "add"];

/// Options that can open a route, and take a value.
const ROUTES: [&str; 9] = [
    "--proxy",
    "--cache-dir",
    "-f",
    "--find-links",
    "-e",
    "--editable",
    "--with",
    "--with-editable",
    "--from",
];

/// Options whose value is often a path and never a requirement.
const VALUED: [&str; 33] = [
    "-r",
    "--requirement",
    "--requirements",
    "--with-requirements",
    "-c",
    "--constraint",
    "--constraints",
    "--build-constraint",
    "--build-constraints",
    "--override",
    "--overrides",
    "-t",
    "--target",
    "--prefix",
    "--root",
    "--src",
    "-d",
    "--dest",
    "-w",
    "--wheel-dir",
    "--log",
    "--cert",
    "--client-cert",
    "--report",
    "-p",
    "--python",
    "--project",
    "--directory",
    "--config-file",
    "--env-file",
    "-o",
    "--output-file",
    "--script",
];

fn route(argument: &str, why: &'static str) -> OpenRoute {
    OpenRoute {
        argument: argument.to_owned(),
        why,
    }
}

/// The arguments of pip or uv, if that is what the command runs.
fn installer_arguments(words: &[String]) -> Option<&[String]> {
    let program = Path::new(words.first()?).file_stem()?.to_str()?;
    let is = |name: &str| {
        program
            .strip_prefix(name)
            .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
    };
    if is("pip") || matches!(program, "uv" | "uvx") {
        return Some(&words[1..]);
    }
    if is("python") {
        let module = words.iter().position(|word| word == "-m")?;
        let name = words.get(module + 1)?;
        return matches!(name.as_str(), "pip" | "uv").then(|| &words[module + 2..]);
    }
    None
}

/// Whether a word asks for something that lies on this machine, or comes by a protocol that
/// no HTTP proxy sees.
fn local_requirement(word: &str, exists: &dyn Fn(&Path) -> bool) -> Option<&'static str> {
    const ARCHIVES: [&str; 6] = [".whl", ".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz"];
    // `name @ URL` and `name[extra]@URL` name a URL as well.
    let place = match word.split_once('@') {
        Some((name, url)) if !name.contains([':', '/']) => url.trim(),
        _ => word,
    };
    if place.starts_with("file:") {
        return Some("a local file is used as it is");
    }
    if place.starts_with("git+ssh:")
        || place.starts_with("git+git:")
        || place.starts_with("git+file:")
    {
        return Some("the protocol does not pass through an HTTP proxy");
    }
    if place.contains("://") {
        return None;
    }
    // pip and uv take a word for a path if it looks like one; extras may follow it.
    let path = place.split('[').next().unwrap_or(place);
    let looks_local = path.starts_with(['.', '/', '~'])
        || path.contains('/')
        || path.contains('\\')
        || ARCHIVES.iter().any(|ending| path.ends_with(ending));
    (looks_local && exists(Path::new(path)))
        .then_some("a local file or source tree is used as it is")
}

fn is_local(place: &str, exists: &dyn Fn(&Path) -> bool) -> bool {
    place.starts_with("file:") || !place.contains("://") && exists(Path::new(place))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn check(line: &str, expected: &[&str]) {
        let command: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let exists = |path: &Path| path.starts_with("here") || path.starts_with("./here");
        let found: Vec<String> = open_routes(&command, &exists)
            .into_iter()
            .map(|route| route.argument)
            .collect();
        assert_eq!(found, expected, "{line}");
    }

    #[test]
    fn lines_without_a_way_around() {
        check("pip install flask", &[]);
        check("pip install flask==3.0 -r here/requirements.txt", &[]);
        check(
            "uv pip install --index-url https://elsewhere/simple flask",
            &[],
        );
        check("pip install --find-links https://elsewhere/ flask", &[]);
        check("pip install https://elsewhere/x.whl", &[]);
        check("pip install git+https://elsewhere/x.git", &[]);
        check("make --proxy x file:///x", &[]);
        check("python script.py --no-index", &[]);
        check("uv sync", &[]);
        check("uv venv here", &[]);
        check("uv run ./here/script.py", &[]);
        check("pip install -t ./here -c here/c.txt flask", &[]);
    }

    #[test]
    fn ways_around() {
        check("pip install --proxy http://p flask", &["--proxy http://p"]);
        check("pip install --proxy=http://p flask", &["--proxy=http://p"]);
        check(
            "/usr/bin/pip3.11 install --no-index -f here flask",
            &["--no-index", "-f here"],
        );
        check(
            "python3 -m pip install --find-links=./here flask",
            &["--find-links=./here"],
        );
        check("pip install ./here/x.whl", &["./here/x.whl"]);
        check("pip install here.whl", &[]);
        check("pip install here/x", &["here/x"]);
        check("pip install -U ./here/x.whl", &["./here/x.whl"]);
        check("uv run --with ./here script.py", &["--with ./here"]);
        check("pip install x@file:///x.whl", &["x@file:///x.whl"]);
        check("uv pip install -e ./here[dev]", &["-e ./here[dev]"]);
        check("pip install ./here[dev]", &["./here[dev]"]);
        check("pip install git+ssh://git@h/x", &["git+ssh://git@h/x"]);
        check("uv --offline sync", &["--offline"]);
        check("uv sync --cache-dir /warm", &["--cache-dir /warm"]);
    }

    #[test]
    fn nothing_but_the_proxy_is_left() {
        let settings = Settings {
            index_url: "http://127.0.0.1:1/s/simple/",
            proxy_url: "http://127.0.0.1:1",
            uv_cache: Path::new("/run/uv"),
        };
        let made = environment(settings);
        for (name, value) in &made.set {
            assert!(
                !value.is_empty(),
                "an empty {name} would not override anything"
            );
            assert!(!made.remove.contains(name));
        }
        let value = |wanted: &str| &made.set.iter().find(|(name, _)| *name == wanted).unwrap().1;
        assert_eq!(value("PIP_EXTRA_INDEX_URL"), BLANK);
        assert_eq!(value("PIP_FIND_LINKS"), BLANK);
    }
}
