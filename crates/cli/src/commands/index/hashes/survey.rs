//! What metadata and pages list now, counted from what is published.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use wheelmark_ceremony::Standing;
use wheelmark_objects::MAX_SHA512_FILENAME_LEN;
use wheelmark_store::ListedHashes;
use wheelmark_tuf::{
    Bins, Custom, OWN_MEMBER, RoleName, Snapshot, TargetInfo, TargetPath, Targets,
    TimestampMetadata, verify,
};

use crate::published;

/// What is listed.
pub(super) struct Survey {
    /// What is to be listed, as the timestamp says.
    pub(super) listed: ListedHashes,
    /// The projects, with what their pages list.
    projects: Vec<(String, Option<ListedHashes>)>,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// How many files list SHA-256, and how many SHA-512.
    listing: [u64; 2],
    /// How many pages and files lack the name by the SHA-512 that is listed.
    pub(super) nameless: usize,
    /// Files whose names are too long to be led by a SHA-512.
    pub(super) long: Vec<String>,
}

impl Survey {
    /// Reads all bins of a tree.
    pub(super) fn of(tree: &Path) -> anyhow::Result<Self> {
        let (published, online) = published::read(tree)?;
        let standing = Standing::verify(published).context("what is published is damaged")?;
        let mut survey = Self {
            listed: listed(&online.timestamp),
            projects: Vec::new(),
            files: 0,
            bytes: 0,
            listing: [0, 0],
            nameless: 0,
            long: Vec::new(),
        };
        for family in ["simple", "packages"] {
            each_target(tree, family, &standing, &online.snapshot, |path, info| {
                if let Some(sha512) = info.hashes.sha512() {
                    let name = path.with_prefix(&sha512.to_string());
                    let there = tree.join("targets").join(name).symlink_metadata();
                    let is_there = there.is_ok_and(|it| it.is_file() && it.len() == info.length);
                    survey.nameless += usize::from(!is_there);
                }
                let segments: Vec<&str> = path.segments().collect();
                match segments.as_slice() {
                    ["simple", project, _] => {
                        let names = info.hashes.iter().map(|(name, _)| name);
                        let listed = ListedHashes::of_names(names).filter(|_| !is_behind(info));
                        survey.projects.push(((*project).to_owned(), listed));
                    }
                    ["packages", _, filename] => survey.file(filename, info),
                    _ => {}
                }
            })?;
        }
        survey
            .projects
            .sort_by(|(one, _), (other, _)| one.cmp(other));
        survey.long.sort();
        Ok(survey)
    }

    fn file(&mut self, filename: &str, info: &TargetInfo) {
        self.files += 1;
        self.bytes += info.length;
        for (count, name) in self.listing.iter_mut().zip(["sha256", "sha512"]) {
            *count += u64::from(info.hashes.get(name).is_some());
        }
        if filename.len() > MAX_SHA512_FILENAME_LEN {
            self.long.push(filename.to_owned());
        }
    }

    /// The projects whose pages do not list this.
    pub(super) fn behind(&self, listed: ListedHashes) -> Vec<&str> {
        let behind = self.projects.iter();
        let behind = behind.filter(|(_, lists)| *lists != Some(listed));
        behind.map(|(project, _)| project.as_str()).collect()
    }

    /// How many projects do not list this, and how many names by SHA-512 are not there.
    pub(super) fn left(&self, listed: ListedHashes) -> usize {
        self.behind(listed).len() + self.nameless
    }

    pub(super) fn to_json(&self) -> Value {
        let [sha256, sha512] = self.listing;
        json!({
            "listed": self.listed.names(),
            "projects": self.projects.len(),
            "projects_behind": self.behind(self.listed).len(),
            "files": self.files,
            "bytes": self.bytes,
            "files_with_sha256": sha256,
            "files_with_sha512": sha512,
            "names_missing": self.nameless,
            "names_too_long_for_sha512": self.long,
        })
    }

    pub(super) fn to_text(&self) -> String {
        let names = self.listed.names().join(" and ");
        let behind = self.behind(self.listed).len();
        let [sha256, sha512] = self.listing;
        let mut lines = vec![match behind {
            0 => format!("listed: {names}"),
            _ => format!(
                "listed: {names}, once the pages of {behind} of {} projects are rendered anew",
                self.projects.len()
            ),
        }];
        lines.push(format!(
            "{} projects, {} files: {sha256} with sha256, {sha512} with sha512",
            self.projects.len(),
            self.files
        ));
        if self.nameless > 0 {
            lines.push(format!(
                "{} names by sha512 are missing: `wheelmark index hashes add sha512` gives them again",
                self.nameless
            ));
        }
        if self.listed.sha512() && !self.long.is_empty() {
            lines.push(format!(
                "{} files have names of more than {MAX_SHA512_FILENAME_LEN} bytes: their targets keep sha256 alone",
                self.long.len()
            ));
        }
        lines.join("\n")
    }
}

/// Which hashes are to be listed.
fn listed(timestamp: &TimestampMetadata) -> ListedHashes {
    let own = timestamp.extra.get(OWN_MEMBER);
    let names = own
        .and_then(|own| own.get("hashes"))
        .and_then(Value::as_array);
    let names = names.map(|names| names.iter().filter_map(Value::as_str));
    names.and_then(ListedHashes::of_names).unwrap_or_default()
}

/// Whether a page's target says that some of its files do not list what the page does.
fn is_behind(info: &TargetInfo) -> bool {
    let custom = info.custom.as_ref().map(Custom::value);
    custom.is_some_and(|custom| custom[OWN_MEMBER]["files-behind"] == true)
}

/// Goes through all targets of a family's bins.
fn each_target(
    tree: &Path,
    family: &str,
    standing: &Standing,
    snapshot: &Snapshot,
    mut each: impl FnMut(&TargetPath, &TargetInfo),
) -> anyhow::Result<()> {
    let name: RoleName = family.parse()?;
    let foreign = || anyhow!("{family} does not delegate to bins as an index does");
    let role = standing.role(&name);
    let below = role.and_then(|role| role.delegations.as_ref());
    let below = below.ok_or_else(foreign)?;
    for bin in Bins::of(below).ok_or_else(foreign)?.names(family) {
        let keys = below.role_keys(&bin).ok_or_else(foreign)?;
        let listed = snapshot.role(&bin);
        let version = listed.ok_or_else(|| anyhow!("the snapshot does not list {bin}"))?;
        let file = bin.versioned_file_name(version.version);
        let bytes = published::metadata(tree, &file)?;
        let bytes = bytes.ok_or_else(|| anyhow!("{file} is missing from the tree"))?;
        let content = verify::<Targets>(&bytes, &below.keys, keys)
            .with_context(|| format!("{file} is not as this index signed it"))?;
        for (path, info) in &content.targets {
            each(path, info);
        }
    }
    Ok(())
}
