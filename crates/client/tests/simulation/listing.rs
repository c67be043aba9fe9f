//! What a tree signs for, read without any of the code that is tested.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::index::Tree;

/// What a page says of each of its files, by name: its SHA-256, and whether it is yanked.
pub(crate) type Files = BTreeMap<String, (String, Value)>;

/// The page of each project, as some snapshot signs for them.
pub(crate) type Listing = BTreeMap<String, Page>;

/// A page as it was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) digest: String,
    pub(crate) files: Files,
}

/// What the tree signs for under a snapshot.
pub(crate) fn listing(tree: &Tree, snapshot: &Value) -> Listing {
    let mut listing = Listing::new();
    for (name, meta) in snapshot["signed"]["meta"].as_object().unwrap() {
        if !name.starts_with("simple-") {
            continue;
        }
        let bin = &tree[&format!("metadata/{}.{name}", meta["version"])];
        let bin: Value = serde_json::from_slice(bin).unwrap();
        for (path, target) in bin["signed"]["targets"].as_object().unwrap() {
            let project = path.split('/').nth(1).unwrap();
            let digest = target["hashes"]["sha256"].as_str().unwrap();
            let page = &tree[&format!("targets/simple/{project}/{digest}.index.json")];
            let page: Value = serde_json::from_slice(page).unwrap();
            let page = Page {
                digest: digest.to_owned(),
                files: files_of(&page),
            };
            listing.insert(project.to_owned(), page);
        }
    }
    listing
}

/// What a page in JSON says of its files.
pub(crate) fn files_of(page: &Value) -> Files {
    let files = page["files"].as_array().unwrap().iter();
    let said = files.map(|file| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let digest = text(&file["hashes"]["sha256"]);
        (text(&file["filename"]), (digest, file["yanked"].clone()))
    });
    said.collect()
}
