//! What a check of a copy begins with: a root that is trusted for a reason.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use url::Url;
use wheelmark_client::{IndexUrls, Mirror, TrustStore, TrustedIndex, Turn};
use wheelmark_mirror::{Place, root_of_fingerprint};
use wheelmark_tuf::{RoleName, Sha256, root_fingerprint, verify_trusted_root};

use crate::commands::trust::{find, fingerprint, open_store, trusted};
use crate::context::Context;
use crate::logging::WithHint as _;

/// The root to begin with.
#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
pub(crate) struct AnchorArgs {
    /// The trusted index that it is a copy of
    #[arg(long, value_name = "URL")]
    pub(crate) index: Option<String>,

    /// A root file that you were given, instead of a trusted index
    #[arg(long, value_name = "FILE")]
    pub(crate) root: Option<PathBuf>,

    /// The sha256 of a root's canonical signed part, instead of a trusted index
    #[arg(long, value_name = "SHA256", value_parser = fingerprint)]
    pub(crate) fingerprint: Option<Sha256>,
}

/// A root, and why it is trusted.
#[derive(Debug)]
pub(crate) struct Anchor {
    /// The root file.
    pub(crate) root: Vec<u8>,
    /// Why it is trusted, for people.
    pub(crate) because: String,
    /// The index whose root it is, where that is known.
    pub(crate) index: Option<TrustedIndex>,
}

impl Anchor {
    fn of_index(index: TrustedIndex) -> anyhow::Result<Self> {
        Ok(Self {
            root: index.trusted_root()?,
            because: format!("a copy of {}", index.urls().simple()),
            index: Some(index),
        })
    }
}

/// Reads a root file that somebody was given.
pub(crate) fn read_root(path: &Path) -> anyhow::Result<Vec<u8>> {
    let root = std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    verify_trusted_root(&root)
        .with_context(|| format!("{} is not a usable root", path.display()))?;
    Ok(root)
}

/// The root to begin with for a place: the one that was named, or that of the trusted index whose
/// root the place has.
pub(crate) fn anchor(
    args: &AnchorArgs,
    place: &impl Place,
    context: &Context,
) -> anyhow::Result<Anchor> {
    if let Some(path) = &args.root {
        return Ok(Anchor {
            root: read_root(path)?,
            because: format!("the root {}", path.display()),
            index: None,
        });
    }
    if let Some(fingerprint) = &args.fingerprint {
        return Ok(Anchor {
            root: root_of_fingerprint(place, fingerprint)?.to_vec(),
            because: format!("the root of fingerprint {fingerprint}"),
            index: None,
        });
    }
    let store = open_store(context)?;
    if let Some(url) = &args.index {
        return Anchor::of_index(find(&store, url)?);
    }
    let known = trusted(&store)?;
    if known.len() > 1 {
        // Otherwise whoever fills the place would choose what it is held against.
        return Err(anyhow!(
            "several indexes are trusted here, and it is not said of which one it is a copy"
        ))
        .hint("say what it is a copy of: --index URL, --root FILE or --fingerprint SHA256");
    }
    let of_place = known.into_iter().find(|index| {
        let record = index.record();
        let path = RoleName::root().versioned_file_name(record.first_root_version);
        let root = place.metadata(&path, wheelmark_tuf::limits::MAX_ROOT_LENGTH);
        let found = root
            .ok()
            .flatten()
            .and_then(|root| root_fingerprint(&root).ok());
        found == Some(record.first_root_fingerprint)
    });
    match of_place {
        Some(index) => Anchor::of_index(index),
        None => Err(anyhow!(
            "it is a copy of none of the indexes that are trusted here"
        ))
        .hint("say what it is a copy of: --index URL, --root FILE or --fingerprint SHA256"),
    }
}

/// Where the parts of a copy are, and its index if that is known.
#[derive(Debug)]
pub(crate) struct Copy {
    /// What it is called.
    pub(crate) name: String,
    /// Where its metadata is.
    pub(crate) metadata: Url,
    /// Where its pages and files are.
    pub(crate) targets: Option<Url>,
    /// The trusted index that it is or is a mirror of.
    pub(crate) index: Option<TrustedIndex>,
}

impl Copy {
    /// The index's own place.
    pub(crate) fn own(index: &TrustedIndex) -> Self {
        let urls = index.urls();
        Self {
            name: urls.simple().to_string(),
            metadata: urls.metadata().clone(),
            targets: Some(urls.targets().clone()),
            index: Some(index.clone()),
        }
    }

    /// A mirror of an index; none if it has no metadata.
    pub(crate) fn mirror(index: &TrustedIndex, mirror: &Mirror) -> Option<Self> {
        Some(Self {
            name: mirror.to_string(),
            metadata: mirror.metadata()?.clone(),
            targets: mirror.targets().cloned(),
            index: Some(index.clone()),
        })
    }
}

/// What a URL that a person gives stands for: a trusted index by its simple URL, a mirror on
/// record, or the base or the simple URL of any other copy.
pub(crate) fn copy_at(url: &str, store: Option<&TrustStore>) -> anyhow::Result<Copy> {
    let urls = IndexUrls::new(url, None, None)?;
    if let Some(store) = store {
        if let Some(index) = store.find(urls.simple())? {
            return Ok(Copy::own(&index));
        }
        for index in trusted(store)? {
            let mirrors = index.urls().mirrors().iter();
            let mut named = mirrors.filter(|mirror| mirror.to_string() == urls.simple().as_str());
            if let Some(copy) = named.find_map(|mirror| Copy::mirror(&index, mirror)) {
                return Ok(copy);
            }
        }
    }
    let name = urls.simple().to_string();
    if name.ends_with("/simple/") {
        return Ok(Copy {
            name,
            metadata: urls.metadata().clone(),
            targets: Some(urls.targets().clone()),
            index: None,
        });
    }
    let mirror = Mirror::new(Some(url), None, None, Turn::After)?;
    let (Some(metadata), targets) = (mirror.metadata(), mirror.targets()) else {
        bail!("{url} names no metadata");
    };
    Ok(Copy {
        name,
        metadata: metadata.clone(),
        targets: targets.cloned(),
        index: None,
    })
}
