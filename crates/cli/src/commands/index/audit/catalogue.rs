//! The catalogue against the signed pages. The signed state holds; the catalogue only remembers.

use std::collections::BTreeMap;

use wheelmark_mirror::{Chain, DirectoryPlace, Expected, Place as _, Standing};
use wheelmark_objects::{Directory, ObjectPath};
use wheelmark_packaging::ProjectName;
use wheelmark_packaging::simple::{
    MAX_PAGE_LEN, MAX_TAKEN_AWAY_LEN, PageFile, ProjectPage, TakenAway, Yanked,
};
use wheelmark_store::{FileRow, FileState, Orders, Seq, Store};
use wheelmark_tuf::{OWN_MEMBER, RoleName, Sha256};

use super::against::Contents;
use super::damage::{Damage, Kind};
use super::state::followed;

/// How many rows are read at a time.
const ROWS: u32 = 1_000;

/// What a row has to say of a file.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    sha256: Sha256,
    size: Option<u64>,
    removed: bool,
    yanked: Option<String>,
    signature: Option<Sha256>,
    provenance: Option<Sha256>,
}

/// Compares every row with the signed `pages`, and every page with the rows. Says how many rows there
/// are. `whole` is whether every role could be read.
pub(super) async fn compare(
    tree: &Directory,
    chain: &Chain,
    Contents {
        mut pages, lists, ..
    }: Contents,
    whole: bool,
    store: &Store,
    damage: &mut Vec<Damage>,
) -> anyhow::Result<u64> {
    let followed = Seq(followed(&chain.set));
    let mut rows = Rows::new(store);
    // Rows that are answered, and lie behind what was followed.
    let mut later = Vec::new();
    let mut count = 0;
    while let Some((project, of_project)) = rows.project().await? {
        count += of_project.len() as u64;
        let page = match pages.remove(&project) {
            Some(sha256) => match read(tree, &project, &sha256, lists.get(&project)).await {
                // The audit of the tree has told of it.
                None => continue,
                page => page,
            },
            // It may stand in a role that could not be read.
            None if !whole => continue,
            None => None,
        };
        one(
            &project,
            page.as_ref(),
            of_project,
            followed,
            &mut later,
            damage,
        );
        if let Some(page) = &page {
            standing(&project, page, store, damage).await?;
            withheld(tree, page, damage);
        }
    }
    for (project, sha256) in pages {
        if let Some(page) = read(tree, &project, &sha256, lists.get(&project)).await {
            one(
                &project,
                Some(&page),
                Vec::new(),
                followed,
                &mut later,
                damage,
            );
        }
    }
    let now = followed_now(tree).await;
    for (seq, name) in later {
        if seq > now {
            let expected = format!("a place up to {now}: so far the journal was followed");
            let found = format!("answered, at {seq}");
            damage.push(Damage::new(Kind::RowExtra, &name, &expected, &found));
        }
    }
    Ok(count)
}

/// How far the timestamp of now says that the journal was followed.
async fn followed_now(tree: &Directory) -> Seq {
    let timestamp = tree
        .read(&ObjectPath::timestamp(), MAX_PAGE_LEN as u64)
        .await;
    let timestamp = timestamp.ok().flatten();
    let parsed: Option<serde_json::Value> =
        timestamp.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let journal = parsed.and_then(|parsed| parsed["signed"][OWN_MEMBER]["journal"].as_u64());
    Seq(journal.unwrap_or(0))
}

/// Compares the log of collected snapshots with those that are there.
pub(super) async fn logged(
    tree: &Directory,
    orders: &Orders,
    damage: &mut Vec<Damage>,
) -> anyhow::Result<()> {
    for logged in orders.logged_snapshots().await? {
        let path = ObjectPath::metadata(&RoleName::snapshot(), logged.version);
        let Some(bytes) = tree.read(&path, MAX_PAGE_LEN as u64).await? else {
            continue;
        };
        let found = Sha256::of(&bytes);
        if found != logged.sha256 {
            damage.push(Damage::new(
                Kind::Differs,
                path.as_str(),
                &format!("sha256 {}, as the log of snapshots has it", logged.sha256),
                &format!("sha256 {found}"),
            ));
        }
    }
    Ok(())
}

/// A signed page, without what `list` takes away from it: the catalogue follows the orders of whoever
/// runs the index also where projects sign for themselves.
async fn read(
    tree: &Directory,
    project: &ProjectName,
    sha256: &Sha256,
    list: Option<&Sha256>,
) -> Option<ProjectPage> {
    let path = ObjectPath::page(project, sha256);
    let bytes = tree.read(&path, MAX_PAGE_LEN as u64).await.ok().flatten()?;
    let is_signed = Sha256::of(&bytes) == *sha256;
    let page = is_signed
        .then(|| ProjectPage::parse(&bytes).ok())
        .flatten()?;
    let Some(sha256) = list else {
        return Some(page);
    };
    let path = ObjectPath::status(project, sha256).ok()?;
    let limit = MAX_TAKEN_AWAY_LEN as u64;
    let bytes = tree.read(&path, limit).await.ok().flatten()?;
    let is_signed = Sha256::of(&bytes) == *sha256;
    let list = is_signed
        .then(|| TakenAway::parse(&bytes, project).ok())
        .flatten()?;
    Some(list.apply(&page))
}

/// The rows of the catalogue, one project after the other.
struct Rows<'a> {
    store: &'a Store,
    ready: Vec<FileRow>,
    last: Option<(ProjectName, String)>,
    ended: bool,
}

impl<'a> Rows<'a> {
    fn new(store: &'a Store) -> Self {
        Self {
            store,
            ready: Vec::new(),
            last: None,
            ended: false,
        }
    }

    async fn project(&mut self) -> anyhow::Result<Option<(ProjectName, Vec<FileRow>)>> {
        loop {
            let first = self.ready.first().map(|row| row.project.clone());
            if let Some(project) = first {
                let others = self.ready.iter().position(|row| row.project != project);
                if let Some(end) = others.or(self.ended.then_some(self.ready.len())) {
                    let rows = self.ready.drain(..end).collect();
                    return Ok(Some((project, rows)));
                }
            } else if self.ended {
                return Ok(None);
            }
            let after = self
                .last
                .as_ref()
                .map(|(project, name)| (project, name.as_str()));
            let more = self.store.files(after, ROWS).await?;
            match more.last() {
                Some(last) => self.last = Some((last.project.clone(), last.filename.clone())),
                None => self.ended = true,
            }
            self.ready.extend(more);
        }
    }
}

/// Compares the rows of a project with its page.
fn one(
    project: &ProjectName,
    page: Option<&ProjectPage>,
    rows: Vec<FileRow>,
    followed: Seq,
    later: &mut Vec<(Seq, String)>,
    damage: &mut Vec<Damage>,
) {
    let mut signed: BTreeMap<String, Said> = BTreeMap::new();
    if let Some(page) = page {
        for file in page.files.iter().chain(&page.wheelmark.withheld) {
            let said = said(file, false);
            signed.extend(said.map(|said| (file.filename.as_str().to_owned(), said)));
        }
        for (name, removed) in &page.wheelmark.removed {
            let said = said(&removed.entry, true);
            signed.extend(said.map(|said| (name.clone(), said)));
        }
    }
    for row in rows {
        let name = format!("catalogue, {project}/{}", row.filename);
        // It waits for its snapshot, or that one came after the state that is looked at.
        let waits = row.seq > followed;
        if waits && row.state != FileState::Pending {
            later.push((row.seq, name.clone()));
        }
        let Some(said) = signed.remove(&row.filename) else {
            if !waits {
                let found = format!("sha256 {}, {}", row.sha256, word(row.state));
                let expected = "a file that its signed page lists, or remembers";
                damage.push(Damage::new(Kind::RowExtra, &name, expected, &found));
            }
            continue;
        };
        let (expected, found) = differences(&said, &row, waits);
        if !expected.is_empty() {
            let (expected, found) = (expected.join(", "), found.join(", "));
            damage.push(Damage::new(Kind::RowDiffers, &name, &expected, &found));
        }
    }
    for (filename, said) in signed {
        damage.push(Damage::new(
            Kind::RowMissing,
            &format!("catalogue, {project}/{filename}"),
            &format!("sha256 {}, as its signed page says", said.sha256),
            "there is no row",
        ));
    }
}

fn said(file: &PageFile, removed: bool) -> Option<Said> {
    let marks = file.wheelmark.as_ref();
    let signature = marks.and_then(|marks| marks.gpg_sig);
    Some(Said {
        sha256: Sha256(file.sha256()?.into()),
        size: file.size,
        removed,
        yanked: match &file.yanked {
            Yanked::No => None,
            Yanked::Yes => Some(String::new()),
            Yanked::Because(reason) => Some(reason.clone()),
        },
        signature: signature.map(|signature| Sha256(signature.sha256.into())),
        provenance: marks
            .and_then(|marks| marks.provenance_sha256)
            .map(|sha256| Sha256(sha256.into())),
    })
}

/// What the page says and what the row says, where the two are not the same. A file that was removed
/// and is asked for anew says only what its bytes are.
fn differences(said: &Said, row: &FileRow, waits: bool) -> (Vec<String>, Vec<String>) {
    let (mut expected, mut found) = (Vec::new(), Vec::new());
    let mut compare = |page: String, catalogue: String| {
        if page != catalogue {
            expected.push(page);
            found.push(catalogue);
        }
    };
    compare(
        format!("sha256 {}", said.sha256),
        format!("sha256 {}", row.sha256),
    );
    if waits {
        return (expected, found);
    }
    if let Some(size) = said.size {
        compare(format!("{size} bytes"), format!("{} bytes", row.size));
    }
    let state = match said.removed {
        true => FileState::Removed,
        false => FileState::Published,
    };
    compare(word(state).to_owned(), word(row.state).to_owned());
    if !said.removed {
        compare(yanked(&said.yanked), yanked(&row.yanked));
    }
    let signature = |digest: Option<Sha256>| match digest {
        Some(digest) => format!("signature {digest}"),
        None => "no signature".to_owned(),
    };
    compare(
        signature(said.signature),
        signature(row.gpg_signature_sha256),
    );
    let provenance = |digest: Option<Sha256>| match digest {
        Some(digest) => format!("provenance {digest}"),
        None => "no provenance".to_owned(),
    };
    compare(
        provenance(said.provenance),
        provenance(row.provenance_sha256),
    );
    (expected, found)
}

fn yanked(reason: &Option<String>) -> String {
    match reason.as_deref() {
        None => "not yanked".to_owned(),
        Some("") => "yanked".to_owned(),
        Some(reason) => format!("yanked: {reason}"),
    }
}

fn word(state: FileState) -> &'static str {
    match state {
        FileState::Pending => "waiting for a snapshot",
        FileState::Published => "published",
        FileState::Removed => "removed",
    }
}

/// The bytes of withheld files, which no page lists: they come back when the quarantine ends.
fn withheld(tree: &Directory, page: &ProjectPage, damage: &mut Vec<Damage>) {
    let place = DirectoryPlace::new(tree.root(), 1, None);
    for file in &page.wheelmark.withheld {
        let Some(sha256) = file.sha256() else {
            continue;
        };
        let sha256 = Sha256(sha256.into());
        let Ok(path) = ObjectPath::file(&page.name, &sha256, file.filename.as_str()) else {
            continue;
        };
        let expected = Expected {
            sha256,
            sha512: None,
            length: file.size,
            limit: u64::MAX,
        };
        let told = format!("sha256 {sha256}, of a file that is withheld");
        let (kind, found) = match place.check(&path, &expected) {
            Ok(Standing::Missing) => (Kind::Missing, "it is not there".to_owned()),
            Ok(Standing::OtherLength { found }) => (Kind::Altered, format!("{found} bytes")),
            Ok(Standing::OtherBytes { found, .. }) => (Kind::Altered, format!("sha256 {found}")),
            Ok(_) => continue,
            Err(error) => (Kind::Unreadable, error.to_string()),
        };
        damage.push(Damage::new(kind, path.as_str(), &told, &found));
    }
}

/// What the catalogue says of a project as a whole: uploads are judged by it.
async fn standing(
    project: &ProjectName,
    page: &ProjectPage,
    store: &Store,
    damage: &mut Vec<Damage>,
) -> anyhow::Result<()> {
    let name = format!("catalogue, {project}");
    let signed = page.project_status.clone().unwrap_or_default();
    let kept = store.project_standing(project).await?;
    let (signed, kept) = (signed.status.as_str(), kept.status.status.as_str());
    if signed != kept {
        damage.push(Damage::new(Kind::RowDiffers, &name, signed, kept));
    }
    let kept = store.project_certificates(project).await?;
    let kept = kept.map(|kept| Sha256::of(kept.armored.as_bytes()));
    let bound = page.wheelmark.certificates.as_ref();
    let bound = bound.map(|bound| Sha256(bound.sha256.into()));
    if bound != kept {
        let shown = |digest: Option<Sha256>| match digest {
            Some(digest) => format!("certificates {digest}"),
            None => "no certificates".to_owned(),
        };
        let (bound, kept) = (shown(bound), shown(kept));
        damage.push(Damage::new(Kind::RowDiffers, &name, &bound, &kept));
    }
    Ok(())
}
