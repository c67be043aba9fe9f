//! Which URLs are a proxy's, and what they ask it for.

use url::{Host, Url};
use wheelmark_packaging::{DistributionFilename, ProjectName};

/// What a URL of a proxy asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The simple URL itself.
    Index {
        /// Whether it ends with a `/`.
        slash: bool,
    },
    /// A project's page.
    Page(ProjectName),
    /// A file.
    File(ProjectName, String),
    /// Something that no proxy of ours has.
    Nothing,
}

/// What a URL asks for, if it is a proxy's: below `from`, or on this machine where no trusted
/// index is.
pub(super) fn asked(url: &str, from: Option<&Url>, indexes: &[Url]) -> Option<Asked> {
    let url = Url::parse(url).ok()?;
    let ours = match from {
        Some(from) => is_below(&url, from),
        None => is_here(&url) && !indexes.iter().any(|index| is_of(&url, index)),
    };
    ours.then(|| what(&url))
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a URL can be an index's own: at its origin, below what its simple URL is below.
fn is_of(url: &Url, index: &Url) -> bool {
    index.join("../").is_ok_and(|base| is_below(url, &base))
}

fn is_below(url: &Url, base: &Url) -> bool {
    let path = base.path().trim_end_matches('/');
    let rest = url.path().strip_prefix(path);
    url.origin() == base.origin() && rest.is_some_and(|it| it.is_empty() || it.starts_with('/'))
}

fn what(url: &Url) -> Asked {
    let segments: Vec<&str> = url
        .path_segments()
        .map(Iterator::collect)
        .unwrap_or_default();
    match segments[..] {
        [.., "simple", ""] => Asked::Index { slash: true },
        [.., "simple"] => Asked::Index { slash: false },
        [.., "simple", project, ""] | [.., "simple", project] => {
            project.parse().map_or(Asked::Nothing, Asked::Page)
        }
        [.., "packages", project, file] => {
            let file = percent_decoded(file);
            match (project.parse(), file) {
                (Ok(project), Some(file)) => Asked::File(project, file),
                _ => Asked::Nothing,
            }
        }
        _ => Asked::Nothing,
    }
}

/// The name of a distribution's file.
fn percent_decoded(segment: &str) -> Option<String> {
    // The only one of its characters that is ever encoded.
    let name = segment
        .replace("%2B", "+")
        .replace("%2b", "+")
        .replace("%21", "!");
    DistributionFilename::parse(&name).ok()?;
    Some(name)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    fn check(url: &str, from: Option<&str>, expected: Option<Asked>) {
        let indexes = ["http://127.0.0.1:8080/simple/".parse().unwrap()];
        let from = from.map(|from| from.parse().unwrap());
        assert_eq!(asked(url, from.as_ref(), &indexes), expected, "{url}");
    }

    #[test]
    fn what_a_proxy_is_asked_for() {
        let demo = || "demo".parse::<ProjectName>().unwrap();
        let file = |name: &str| Some(Asked::File(demo(), name.to_owned()));
        check(
            "http://127.0.0.1:1/s/simple/",
            None,
            Some(Asked::Index { slash: true }),
        );
        check(
            "http://localhost:1/s/simple",
            None,
            Some(Asked::Index { slash: false }),
        );
        check(
            "http://[::1]:1/s/simple/demo/",
            None,
            Some(Asked::Page(demo())),
        );
        let wheel = "demo-1+x-py3-none-any.whl";
        check(
            "http://127.0.0.1:1/s/packages/demo/demo-1%2Bx-py3-none-any.whl",
            None,
            file(wheel),
        );
        check(
            "http://127.0.0.1:1/s/packages/demo/demo-1+x-py3-none-any.whl",
            None,
            file(wheel),
        );
        check(
            "http://127.0.0.1:1/s/packages/demo/..%2fx",
            None,
            Some(Asked::Nothing),
        );
        check("http://127.0.0.1:1/other", None, Some(Asked::Nothing));
    }

    #[test]
    fn which_urls_are_a_proxys() {
        check("https://pkg.example/simple/", None, None);
        check("http://127.0.0.1:8080/simple/", None, None);
        check(
            "http://127.0.0.1:8080/packages/demo/demo-1.tar.gz",
            None,
            None,
        );
        check("not a url", None, None);
        let from = Some("https://proxy.example/team/");
        check(
            "https://proxy.example/team/simple/",
            from,
            Some(Asked::Index { slash: true }),
        );
        check("https://proxy.example/teams/simple/", from, None);
        check("http://127.0.0.1:1/s/simple/", from, None);
    }
}
