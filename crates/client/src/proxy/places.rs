//! The real URLs of the trusted indexes, and what each of them asks for.

use http::uri::Authority;
use url::{Host, Url};
use wheelmark_packaging::{DistributionFilename, ProjectName};

use super::route::{Part, Route, segment};
use crate::homes::Homes;

/// Indexes whose files are at a host of their own, and that host: where lock files lead for them.
const FILE_HOSTS: [(&str, &str); 2] = [
    ("pypi.org", "files.pythonhosted.org"),
    ("test.pypi.org", "test-files.pythonhosted.org"),
];

/// The real URLs of a run's indexes.
#[derive(Debug)]
pub(super) struct Places(Vec<Place>);

/// The real URLs of one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The index's place among [`Homes::readers`].
    pub(super) index: usize,
    /// Its simple URL.
    pub(super) simple: Url,
}

impl Places {
    pub(super) fn of(homes: &Homes) -> Self {
        let readers = homes.readers().iter().enumerate();
        let place = readers.map(|(index, reader)| Place {
            index,
            simple: reader.index().urls().simple().clone(),
        });
        Self(place.collect())
    }

    /// The hosts of the indexes that are reached by https.
    pub(super) fn secure_hosts(&self) -> Vec<Host> {
        let secure = self
            .0
            .iter()
            .filter(|place| place.simple.scheme() == "https");
        let mut hosts: Vec<Host> = secure
            .flat_map(|place| {
                let own = place.simple.host().map(|host| host.to_owned());
                own.into_iter().chain(place.file_host())
            })
            .collect();
        hosts.sort_by_key(Host::to_string);
        hosts.dedup();
        hosts
    }

    /// The host of an index, if one is reached by this scheme at this host and port.
    pub(super) fn host(&self, scheme: &str, authority: &Authority) -> Option<Host> {
        let own = self.0.iter().find(|place| place.is_at(scheme, authority));
        if let Some(place) = own {
            return Some(place.simple.host()?.to_owned());
        }
        let mut places = self.0.iter();
        let place = places.find(|place| place.has_files_at(scheme, authority))?;
        place.file_host()
    }

    /// What a URL asks for, and of which index; `None` if it belongs to none. `path` is as it
    /// came, still encoded.
    pub(super) fn locate(
        &self,
        scheme: &str,
        authority: &Authority,
        path: &str,
    ) -> Option<(&Place, Route)> {
        let here = || self.0.iter().filter(|place| place.is_at(scheme, authority));
        let page = here()
            .filter(|place| path.starts_with(place.simple.path()))
            .max_by_key(|place| place.simple.path().len());
        if let Some(place) = page
            && let Some(route) = place.page(path)
        {
            return Some((place, route));
        }
        // Of several indexes at one host a file is the one's whose URL is nearest.
        let mut nearest: Option<(usize, &Place)> = None;
        for place in here() {
            let base = place.base();
            let near = if path.starts_with(base) {
                base.len()
            } else {
                0
            };
            if nearest.is_none_or(|(best, _)| near > best) {
                nearest = Some((near, place));
            }
        }
        let place = nearest.map(|(_, place)| place).or_else(|| {
            let mut places = self.0.iter();
            places.find(|place| place.has_files_at(scheme, authority))
        });
        place.map(|place| (place, file(path)))
    }
}

impl Place {
    /// An index by itself.
    pub(crate) fn alone(simple: Url) -> Self {
        Self { index: 0, simple }
    }

    fn is_at(&self, scheme: &str, authority: &Authority) -> bool {
        let default = match scheme {
            "https" => 443,
            _ => 80,
        };
        self.simple.scheme() == scheme
            && self.simple.port_or_known_default() == authority.port_u16().or(Some(default))
            && self
                .simple
                .host_str()
                .is_some_and(|host| host.eq_ignore_ascii_case(authority.host()))
            && !authority.as_str().contains('@')
    }

    /// The host that its files are at, where that is another one than its own.
    fn file_host(&self) -> Option<Host> {
        let simple = &self.simple;
        let plain = simple.scheme() == "https" && simple.port().is_none();
        let mut hosts = FILE_HOSTS.iter();
        let (_, host) = hosts.find(|(own, _)| plain && simple.host_str() == Some(own))?;
        Some(Host::Domain((*host).to_owned()))
    }

    /// Whether its files are at this scheme, host and port, and nothing else of it.
    fn has_files_at(&self, scheme: &str, authority: &Authority) -> bool {
        let is_it = |host: Host| host.to_string().eq_ignore_ascii_case(authority.host());
        scheme == "https"
            && authority.port_u16().is_none_or(|port| port == 443)
            && !authority.as_str().contains('@')
            && self.file_host().is_some_and(is_it)
    }

    /// Whether a URL leads to where its files are.
    fn is_at_home(&self, url: &Url) -> bool {
        let files = || {
            let host = url.host().map(|host| host.to_owned());
            url.scheme() == "https" && url.port().is_none() && host == self.file_host()
        };
        url.origin() == self.simple.origin() || self.file_host().is_some() && files()
    }

    /// What a path below the simple URL asks for, if it is a page.
    fn page(&self, path: &str) -> Option<Route> {
        let rest = path.strip_prefix(self.simple.path())?;
        let (project, end) = match rest.split_once('/') {
            Some((project, "")) => (project, true),
            Some(_) => return None,
            None => (rest, false),
        };
        let project = segment(project)?;
        let parsed: ProjectName = project.parse().ok()?;
        Some(if end && ProjectName::is_normalised(&project) {
            Route::Page(parsed)
        } else {
            Route::Spelling(parsed)
        })
    }

    /// The path above the simple URL's last segment, where `packages/` is.
    fn base(&self) -> &str {
        let path = self.simple.path();
        let above = path.trim_end_matches('/').rfind('/');
        above.map_or(path, |end| &path[..=end])
    }

    /// The URL of a project's page.
    pub(super) fn page_url(&self, project: &ProjectName) -> Url {
        let mut url = self.simple.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(project.as_str()).push("");
        }
        url
    }

    /// The URL of a file: the one that the signed page gives it, if that is where this index's are and
    /// would be understood as this file; otherwise the one that every index of this kind has.
    pub(crate) fn file_url(&self, project: &ProjectName, filename: &str, said: &str) -> String {
        let said = self.page_url(project).join(said).ok().filter(|url| {
            self.is_at_home(url)
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && file(url.path()) == Route::File(project.clone(), filename.to_owned())
        });
        let mut url = said.unwrap_or_else(|| {
            let mut url = self.simple.clone();
            url.set_path(self.base());
            if let Ok(mut segments) = url.path_segments_mut() {
                segments
                    .pop_if_empty()
                    .extend(["packages", project.as_str(), filename]);
            }
            url
        });
        url.set_fragment(None);
        url.into()
    }
}

/// The file that a path names: by its own name, and by that of the project where the path has
/// `packages/<project>/`. Whether there is such a file, the signed page decides.
fn file(path: &str) -> Route {
    let mut segments = path.rsplit('/');
    let Some(last) = segments.next().and_then(segment) else {
        return Route::Nowhere;
    };
    let (name, part) = Part::of(&last);
    let above = segments.next().zip(segments.next());
    let project = match above {
        Some((project, "packages")) if ProjectName::is_normalised(project) => project.parse().ok(),
        _ => DistributionFilename::parse(name)
            .ok()
            .map(|parsed| parsed.project().clone()),
    };
    match project {
        Some(project) if !name.is_empty() => part.route(project, name),
        _ => Route::Nowhere,
    }
}

#[cfg(test)]
mod tests;
