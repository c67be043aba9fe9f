//! The JSON document of a project that PyPI serves at `/pypi/<project>/json`, and bandersnatch
//! and older tools read.
//!
//! No standard defines it; <https://docs.pypi.org/api/json/> describes it. It is made from the
//! page alone. What a page does not say (authors, dependencies, known vulnerabilities) is left
//! out: an empty value would say that there are none.

use std::collections::BTreeMap;

use pep440_rs::Version;
use serde_json::{Map, Value};

use super::{PageFile, ProjectPage, Yanked, json};
use crate::{DistributionFilename, ProjectName};

/// The files of one version, in the page's order; never none.
type Release<'a> = Vec<&'a PageFile>;

impl ProjectPage {
    /// The document of the project: its latest version in `info` and `urls`, every version that
    /// has a file in `releases`.
    ///
    /// `last_serial` numbers the state of the project; readers take higher as later. File URLs
    /// begin with `/packages/`, as bandersnatch wants them.
    pub fn to_legacy_json(&self, last_serial: u64) -> Vec<u8> {
        let releases = self.releases();
        let latest = releases.values().max_by_key(|files| rank(files));
        let mut document = self.document(latest, last_serial);
        let listed = releases.values().map(|files| {
            let version = files[0].filename.version().to_string();
            (version, self.entries(files))
        });
        document.insert("releases".to_owned(), listed.collect());
        rendered(document)
    }

    /// The document of one version; none where the page has no file of it.
    pub fn release_to_legacy_json(&self, version: &Version, last_serial: u64) -> Option<Vec<u8>> {
        let releases = self.releases();
        let files = releases.get(version)?;
        Some(rendered(self.document(Some(files), last_serial)))
    }

    fn releases(&self) -> BTreeMap<&Version, Release<'_>> {
        let mut releases = BTreeMap::<_, Release<'_>>::new();
        for file in &self.files {
            let version = file.filename.version();
            releases.entry(version).or_default().push(file);
        }
        releases
    }

    fn document(&self, release: Option<&Release<'_>>, last_serial: u64) -> Map<String, Value> {
        let mut info = Map::new();
        info.insert("name".to_owned(), self.name.as_str().into());
        if let Some(files) = release {
            let first = files[0];
            info.insert(
                "version".to_owned(),
                first.filename.version().to_string().into(),
            );
            info.insert(
                "requires_python".to_owned(),
                first.requires_python.as_deref().into(),
            );
            // A version is yanked when all of it is.
            let yanked = files.iter().all(|file| file.yanked.is_yanked());
            info.insert("yanked".to_owned(), yanked.into());
            let reason = reason(&first.yanked).filter(|_| yanked);
            info.insert("yanked_reason".to_owned(), reason.into());
        }
        let urls = release.map_or_else(|| Value::Array(Vec::new()), |files| self.entries(files));
        Map::from_iter([
            ("info".to_owned(), info.into()),
            ("last_serial".to_owned(), last_serial.into()),
            ("urls".to_owned(), urls),
        ])
    }

    fn entries(&self, files: &Release<'_>) -> Value {
        files.iter().map(|file| entry(&self.name, file)).collect()
    }
}

fn entry(project: &ProjectName, file: &PageFile) -> Value {
    // Those who read this know files by their SHA-256, whatever is listed besides.
    let known = file.sha256().map(|sha256| sha256.to_string());
    let known = known.iter().map(|digest| ("sha256", digest.as_str()));
    let digests: Map<String, Value> = known
        .chain(file.hashes.iter())
        .map(|(algorithm, digest)| (algorithm.to_owned(), digest.into()))
        .collect();
    let (packagetype, python) = match &file.filename {
        DistributionFilename::Wheel(wheel) => ("bdist_wheel", wheel.python_tags().join(".")),
        DistributionFilename::Sdist(_) => ("sdist", "source".to_owned()),
    };
    let filename = file.filename.as_str();
    let mut entry = Map::from_iter([
        ("digests".to_owned(), digests.into()),
        ("filename".to_owned(), filename.into()),
        ("has_sig".to_owned(), file.has_signature().into()),
        ("packagetype".to_owned(), packagetype.into()),
        ("python_version".to_owned(), python.into()),
        (
            "requires_python".to_owned(),
            file.requires_python.as_deref().into(),
        ),
        (
            "url".to_owned(),
            super::file_url(project, filename)
                .trim_start_matches("../..")
                .into(),
        ),
        ("yanked".to_owned(), file.yanked.is_yanked().into()),
        ("yanked_reason".to_owned(), reason(&file.yanked).into()),
    ]);
    if let Some(size) = file.size {
        entry.insert("size".to_owned(), size.into());
    }
    if let Some(time) = file.upload_time {
        // Always six digits: Python before 3.11 reads three or six, and nothing else.
        let precise = time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
        entry.insert("upload_time_iso_8601".to_owned(), precise.into());
        let seconds = time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        entry.insert("upload_time".to_owned(), seconds.into());
    }
    Value::Object(entry)
}

/// What a person would call the latest: not yanked before yanked, final before any other.
fn rank<'a>(files: &Release<'a>) -> (bool, bool, &'a Version) {
    let version = files[0].filename.version();
    let there = files.iter().any(|file| !file.yanked.is_yanked());
    (there, !version.any_prerelease(), version)
}

fn reason(yanked: &Yanked) -> Option<&str> {
    match yanked {
        Yanked::Because(reason) => Some(reason),
        Yanked::No | Yanked::Yes => None,
    }
}

/// What could be markup is escaped: it stands in strings alone.
fn rendered(document: Map<String, Value>) -> Vec<u8> {
    let mut safe = Vec::new();
    for byte in json::render(&Value::Object(document)) {
        match byte {
            b'<' => safe.extend_from_slice(b"\\u003c"),
            b'>' => safe.extend_from_slice(b"\\u003e"),
            b'&' => safe.extend_from_slice(b"\\u0026"),
            byte => safe.push(byte),
        }
    }
    safe
}

#[cfg(test)]
mod tests;
