//! What a person or a script is told of an index that runs.

use std::path::PathBuf;

use jiff::Timestamp;
use owo_colors::{OwoColorize as _, Stream::Stdout};
use wheelmark_ceremony::Standing;
use wheelmark_store::{Checked, Store};
use wheelmark_tuf::{RoleName, Sha256, verify_trusted_root};

use super::{is_usual, own_name, shell_word};
use crate::data::Data;
use crate::published;

/// The newest root, for people to begin their trust with: its file and its fingerprint. Whoever has
/// stolen keys of an older one can lead those astray who begin there. The first one where the tree cannot
/// be read.
fn newest_root(data: &Data) -> (PathBuf, Sha256) {
    let newest = published::read(&data.tree())
        .ok()
        .and_then(|(published, _)| Standing::verify(published).ok())
        .map(|standing| {
            let name = RoleName::root().versioned_file_name(standing.root().version);
            let file = data.tree().join("metadata").join(name);
            (file, standing.newest_fingerprint())
        });
    newest.unwrap_or_else(|| (data.root_file(), data.settings().root_fingerprint))
}

/// The file with the token of the first run, if that is good. One that this user cannot read may be.
async fn good_token(data: &Data, store: &Store, now: Timestamp) -> Option<PathBuf> {
    let file = data.token();
    let token = match std::fs::read_to_string(&file) {
        Ok(token) => token,
        Err(_) => return file.exists().then_some(file),
    };
    match store.check_token(token.trim(), now).await {
        Ok(Checked::Unknown | Checked::Ended(_)) => None,
        Ok(Checked::Good(_)) | Err(_) => Some(file),
    }
}

/// Whether none of the keys of the first run counts in the newest root.
fn first_keys_are_spent(data: &Data) -> bool {
    let Ok((published, _)) = published::read(&data.tree()) else {
        return false;
    };
    let root = |bytes: Option<&Vec<u8>>| verify_trusted_root(bytes?).ok();
    let (first, newest) = (root(published.roots.first()), root(published.roots.last()));
    match (first, newest) {
        (Some(first), Some(newest)) => !published::has_holder_of(&newest, &first),
        _ => false,
    }
}

/// What a person or a script needs to know of a running index.
pub(crate) struct Ready {
    base: String,
    /// None where it was revoked, or was never there.
    token_file: Option<PathBuf>,
    root_file: PathBuf,
    root_fingerprint: Sha256,
}

impl Ready {
    pub(crate) async fn new(data: &Data, base: String, store: &Store, now: Timestamp) -> Self {
        let (root_file, root_fingerprint) = newest_root(data);
        Self {
            base,
            token_file: good_token(data, store, now).await,
            root_file,
            root_fingerprint,
        }
    }

    /// Where installers find it.
    pub(crate) fn index_url(&self) -> String {
        format!("{}/simple/", self.base)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "index_url": format!("{}/simple/", self.base),
            "upload_url": format!("{}/legacy/", self.base),
            "metadata_url": format!("{}/metadata/", self.base),
            "targets_url": format!("{}/targets/", self.base),
            "token_file": self.token_file,
            "root_file": self.root_file,
            "root_fingerprint": self.root_fingerprint.to_string(),
        })
    }

    pub(super) fn text(&self, data: &Data) -> String {
        let base = &self.base;
        let fingerprint = &self.root_fingerprint;
        let wheelmark = own_name();
        let data_option = match data.directory() {
            usual if is_usual(usual) => String::new(),
            other => format!(" --data {}", shell_word(other)),
        };
        let title = format!("A signed index is running at {base}/simple/");
        let mut text = format!("{}\n", title.if_supports_color(Stdout, |t| t.bold()));
        // A backup has no token, and one that was revoked is none: who has another goes on with it.
        let (token, about) = match &self.token_file {
            Some(file) => (
                format!("$(cat {})", shell_word(file)),
                "This token may do everything, without end. For others:",
            ),
            None => (
                "TOKEN".to_owned(),
                "Tokens that were given out go on. For a new one:",
            ),
        };
        text.push_str(&format!(
            "
Publish, with the tools you have:
  TWINE_PASSWORD=\"{token}\" twine upload --repository-url {base}/legacy/ -u __token__ dist/*
  UV_PUBLISH_TOKEN=\"{token}\" uv publish --publish-url {base}/legacy/ dist/*

{about}
  {wheelmark} index{data_option} user add NAME
  {wheelmark} index{data_option} token create --user NAME --scope upload

Install, every byte verified (trust is given once):
  {wheelmark} trust add {base}/simple/ --fingerprint {fingerprint}
  {wheelmark} pip install NAME
  {wheelmark} uv pip install NAME

Any TUF client: metadata at {base}/metadata/, targets at {base}/targets/,
  {} in {}
",
            match self.root_file.ends_with("1.root.json") {
                true => "first root",
                false => "newest root",
            },
            shell_word(&self.root_file)
        ));
        if data.offline_keys().exists() {
            let (title, about) = match first_keys_are_spent(data) {
                false => (
                    "Offline keys on this machine:",
                    "As long as they are here, whoever takes this machine can take the index for good.\n  \
                     Give it into the hands of people: docs/ceremonies.md, the first ceremony",
                ),
                true => (
                    "The first run's offline keys are still on this machine:",
                    "A ceremony has replaced all of them: destroy them, their copies and their phrase.",
                ),
            };
            text.push_str(&format!(
                "
{} {}
  {about}
",
                title.if_supports_color(Stdout, |t| t.yellow()),
                data.offline_keys().display()
            ));
        }
        text
    }
}
