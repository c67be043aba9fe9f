//! What an index has published that its offline keys have signed, read from its tree.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use wheelmark_ceremony::{Published, Standing};
use wheelmark_repository::RECENTLY_CLAIMED;
use wheelmark_tuf::{
    Bins, DelegatedRoles, Role, RoleName, Root, Sha256, Snapshot, Targets, TimestampMetadata,
    Verified, verify, verify_next_root, verify_trusted_root,
};

use crate::logging::WithHint as _;

/// The longest metadata file that is read, in bytes: above what any client accepts.
const MAX_METADATA_LEN: u64 = 64 * 1024 * 1024;

/// The most bytes of lists of claims that travel with a ceremony: with as many of projects' roles they are
/// below what is read of one.
const MAX_CLAIMS_LEN: usize = 24 * 1024 * 1024;

/// What to do about a file in the place of the next root.
pub(crate) const ABOUT_STRAY_ROOT: &str = "if a ceremony has brought that root, restore the file from a backup or a mirror; if none has, somebody can write to the tree: move it away, as evidence, also from copies and caches in front of the index (docs/recovery.md)";

/// Top-level roles that the online key signs, as they are published.
pub(crate) struct Online {
    pub(crate) timestamp: Verified<TimestampMetadata>,
    pub(crate) snapshot: Verified<Snapshot>,
    /// Why a file under the name of the next root is none, where one lies there. Clients that are served it
    /// refuse the index.
    pub(crate) stray_root: Option<String>,
}

/// Reads a file that is no longer than `most`.
pub(crate) fn read_bounded(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let problem = format!("it is longer than {most} bytes");
        return Err(std::io::Error::other(problem));
    }
    Ok(bytes)
}

/// One metadata file of a tree; none if it is not there.
pub(crate) fn metadata(tree: &Path, name: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let path = tree.join("metadata").join(name);
    match read_bounded(&path, MAX_METADATA_LEN) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("{} cannot be read", path.display())),
    }
}

fn must(tree: &Path, name: &str) -> anyhow::Result<Vec<u8>> {
    metadata(tree, name)?
        .ok_or_else(|| anyhow!("{name} is missing from {}/metadata", tree.display()))
        .hint("name the tree of a signed index, or its data directory")
}

/// The roots of a tree up to the newest, and why a file under the name of the next one is none, if one lies
/// there.
type Roots = (Vec<Vec<u8>>, Verified<Root>, Option<String>);

fn roots(tree: &Path) -> anyhow::Result<Roots> {
    let name = RoleName::root();
    let first = must(tree, &name.versioned_file_name(1))?;
    let mut root = verify_trusted_root(&first).context("the first root is damaged")?;
    let mut roots = vec![first];
    loop {
        let next = name.versioned_file_name(root.version.saturating_add(1));
        match next_root(tree, &next, &root) {
            Ok(None) => return Ok((roots, root, None)),
            Ok(Some((bytes, next))) => {
                roots.push(bytes);
                root = next;
            }
            Err(error) => return Ok((roots, root, Some(format!("{next}: {error:#}")))),
        }
    }
}

fn next_root(
    tree: &Path,
    name: &str,
    root: &Root,
) -> anyhow::Result<Option<(Vec<u8>, Verified<Root>)>> {
    let Some(bytes) = metadata(tree, name)? else {
        return Ok(None);
    };
    let next = verify_next_root(root, &bytes)?;
    match root.version.checked_add(1) == Some(next.version) {
        true => Ok(Some((bytes, next))),
        false => Err(anyhow!("it carries version {}", next.version)),
    }
}

/// Reads what is published in a tree, as of its timestamp. That anything has expired is no error, nor is a file
/// in the place of the next root that is none, as long as the rest holds without it: see
/// [`Online::stray_root`].
pub(crate) fn read(tree: &Path) -> anyhow::Result<(Published, Online)> {
    let (roots, root, stray_root) = roots(tree)?;
    match below(tree, roots, &root, stray_root.clone()) {
        Err(error) => match stray_root {
            // It can be a root that the disk has damaged, under which the rest was signed.
            Some(stray) => Err(anyhow!(
                "a file lies in the place of the next root in {}/metadata, and is not as it was signed ({stray})",
                tree.display()
            ))
            .hint(ABOUT_STRAY_ROOT),
            None => Err(error),
        },
        read => read,
    }
}

/// The same as the ground of a ceremony, whose root is to lie where nothing lies now.
pub(crate) fn read_for_ceremony(tree: &Path) -> anyhow::Result<(Published, Online)> {
    let (published, online) = read(tree)?;
    match &online.stray_root {
        None => Ok((published, online)),
        Some(stray) => Err(anyhow!(
            "a file lies in the place of the next root in {}/metadata, and root's keys have not signed it ({stray})",
            tree.display()
        ))
        .hint(ABOUT_STRAY_ROOT),
    }
}

fn below(
    tree: &Path,
    roots: Vec<Vec<u8>>,
    root: &Verified<Root>,
    stray_root: Option<String>,
) -> anyhow::Result<(Published, Online)> {
    let timestamp: Verified<TimestampMetadata> = verify(
        &must(tree, &RoleName::timestamp().file_name())?,
        &root.keys,
        &root.roles.timestamp,
    )
    .context("the published timestamp is not this index's")?;
    let name = RoleName::snapshot();
    let snapshot: Verified<Snapshot> = verify(
        &must(tree, &name.versioned_file_name(timestamp.snapshot.version))?,
        &root.keys,
        &root.roles.snapshot,
    )
    .context("the published snapshot is not this index's")?;
    let published = offline_roles(tree, roots, root, &snapshot)?;
    if stray_root.is_some() {
        demand_in_force(&published, root)?;
    }
    let online = Online {
        timestamp,
        snapshot,
        stray_root,
    };
    Ok((published, online))
}

/// Refuses a root that names another online key than the published `targets`, where a file lies in the place of the
/// next one: that was published, and is damaged. Where none lies there, it may be on its way, for root goes out last;
/// whether a start may go on is for the engine to say, which has what was recorded.
fn demand_in_force(published: &Published, root: &Root) -> anyhow::Result<()> {
    let targets = published.roles.get(&RoleName::targets());
    let targets: Verified<Targets> = verify(
        targets.map(Vec::as_slice).unwrap_or_default(),
        &root.keys,
        &root.roles.targets,
    )?;
    let below = targets.delegations.as_ref().map(|below| &below.roles);
    let Some(DelegatedRoles::Listed(listed)) = below else {
        return Ok(());
    };
    let online = &root.roles.timestamp.keyids;
    let recently = listed
        .iter()
        .find(|role| role.name.as_str() == RECENTLY_CLAIMED);
    match recently.is_none_or(|role| role.keys.keyids.iter().any(|id| online.contains(id))) {
        true => Ok(()),
        false => Err(anyhow!(
            "the published targets names another online key than version {} of root: a newer root was published, and what lies in its place is another file",
            root.version
        ))
        .hint("restore the newest root from a backup or a mirror"),
    }
}

/// A state of an index that is known to be good, in a tree without a timestamp.
pub(crate) struct LastGood<'a> {
    /// Where it is.
    pub(crate) tree: &'a Path,
    /// The version of the root that was in force.
    pub(crate) root: u64,
    /// The version of its snapshot, and the SHA-256 of that file.
    pub(crate) snapshot: (u64, Sha256),
}

/// Reads what offline keys had signed in the last good state, and what the online key had said of claims. Its root
/// has to be the one in force in the `present` tree: clients have followed every one that was published, and none
/// goes back.
pub(crate) fn read_last_good(good: &LastGood<'_>, present: &Path) -> anyhow::Result<Published> {
    let tree = good.tree;
    let name = RoleName::root();
    let mut roots = Vec::new();
    for version in 1..=good.root {
        roots.push(must(tree, &name.versioned_file_name(version))?);
    }
    let newest = roots.last().map(Vec::as_slice).unwrap_or_default();
    let root = verify_trusted_root(newest).context("the root of the last good state is damaged")?;
    demand_last_root(&root, newest, present)?;
    let (version, sha256) = good.snapshot;
    let name = RoleName::snapshot();
    let file = name.versioned_file_name(version);
    let bytes = must(tree, &file)?;
    if Sha256::of(&bytes) != sha256 {
        return Err(anyhow!(
            "{file} in {}/metadata is not the snapshot that the plan goes back to",
            tree.display()
        ))
        .hint("make the folder of the recovery anew with `wheelmark recover plan`");
    }
    let snapshot: Verified<Snapshot> = verify(&bytes, &root.keys, &root.roles.snapshot)
        .context("the snapshot of the last good state is not this index's")?;
    let mut published = offline_roles(tree, roots, &root, &snapshot)?;
    add_listed_claims(tree, &mut published, &snapshot)?;
    Ok(published)
}

/// No root that somebody could follow came after that of the last good state. What else lies in the present tree
/// may be a thief's.
fn demand_last_root(root: &Verified<Root>, bytes: &[u8], present: &Path) -> anyhow::Result<()> {
    let name = RoleName::root();
    let same = name.versioned_file_name(root.version);
    if metadata(present, &same)?.is_some_and(|there| there != bytes) {
        return Err(anyhow!(
            "{same} in {}/metadata is not that of the last good state",
            present.display()
        ))
        .hint("name the data directory of the index for which the plan was made; if it is that one, restore the file from a backup or a mirror");
    }
    let since = name.versioned_file_name(root.version.saturating_add(1));
    let Some(next) = metadata(present, &since)? else {
        return Ok(());
    };
    match verify_next_root(root, &next) {
        Ok(_) => Err(anyhow!(
            "{since} is published, and the last good state has version {} of root: a recovery takes no root back",
            root.version
        ))
        .hint("name a last good state of after that ceremony to `wheelmark recover plan`; what a thief had published before it is taken away by hand (docs/recovery.md)"),
        Err(error) => Err(anyhow::Error::from(error).context(format!(
            "{since} lies in {}/metadata, and root's keys have not signed it",
            present.display()
        )))
        .hint("whoever was in has put it there: move it away, as evidence, also from copies and caches in front of the index, and give the command again"),
    }
}

/// What offline keys have signed of the state that a snapshot lists.
fn offline_roles(
    tree: &Path,
    roots: Vec<Vec<u8>>,
    root: &Root,
    snapshot: &Snapshot,
) -> anyhow::Result<Published> {
    let role = |name: &RoleName| listed_file(tree, snapshot, name);
    let name = RoleName::targets();
    let bytes = role(&name)?;
    let targets: Verified<Targets> = verify(&bytes, &root.keys, &root.roles.targets)
        .context("the published targets are not this index's")?;
    let mut roles = BTreeMap::from([(name, bytes)]);
    let below = targets.delegations.as_ref().map(|below| &below.roles);
    if let Some(DelegatedRoles::Listed(delegated)) = below {
        let online = &root.roles.timestamp.keyids;
        for delegation in delegated {
            if !delegation.keys.keyids.iter().any(|id| online.contains(id)) {
                roles.insert(delegation.name.clone(), role(&delegation.name)?);
            }
        }
    }
    Ok(Published { roots, roles })
}

/// Adds the published file of one role more, unverified; how long it is.
pub(crate) fn add(
    tree: &Path,
    published: &mut Published,
    online: &Online,
    role: &RoleName,
) -> anyhow::Result<usize> {
    add_listed(tree, published, &online.snapshot, role)
}

fn add_listed(
    tree: &Path,
    published: &mut Published,
    snapshot: &Snapshot,
    role: &RoleName,
) -> anyhow::Result<usize> {
    let bytes = listed_file(tree, snapshot, role)?;
    let length = bytes.len();
    published.roles.insert(role.clone(), bytes);
    Ok(length)
}

/// The published file of one role, unverified.
pub(crate) fn role_file(tree: &Path, online: &Online, role: &RoleName) -> anyhow::Result<Vec<u8>> {
    listed_file(tree, &online.snapshot, role)
}

/// The file of a role that a snapshot lists: with the digest that it lists, if it does.
fn listed_file(tree: &Path, snapshot: &Snapshot, role: &RoleName) -> anyhow::Result<Vec<u8>> {
    let listed = snapshot.role(role);
    let listed = listed.ok_or_else(|| anyhow!("the snapshot does not list {role}"))?;
    let name = role.versioned_file_name(listed.version);
    let bytes = must(tree, &name)?;
    if let Some(hashes) = &listed.hashes {
        let checked = hashes.check(&bytes);
        checked.with_context(|| format!("{name} is not the file that was published"))?;
    }
    Ok(bytes)
}

/// Adds what the online key says of claims, unverified: `recently-claimed`, and its shards.
pub(crate) fn add_claims(
    tree: &Path,
    published: &mut Published,
    online: &Online,
) -> anyhow::Result<()> {
    add_listed_claims(tree, published, &online.snapshot)
}

fn add_listed_claims(
    tree: &Path,
    published: &mut Published,
    snapshot: &Snapshot,
) -> anyhow::Result<()> {
    let list: RoleName = RECENTLY_CLAIMED.parse()?;
    let mut length = add_listed(tree, published, snapshot, &list)?;
    let bytes = published.roles.get(&list).map(Vec::as_slice);
    let file: Value = serde_json::from_slice(bytes.unwrap_or_default())
        .with_context(|| format!("the published {list} is damaged"))?;
    let delegated = file["signed"]["delegations"]["roles"].as_array();
    for role in delegated.into_iter().flatten() {
        let name = role["name"].as_str().and_then(|name| name.parse().ok());
        if let Some(shard) = name.filter(|name: &RoleName| name.shard_of(&list).is_some()) {
            length += add_listed(tree, published, snapshot, &shard)?;
        }
        if length > MAX_CLAIMS_LEN {
            return Err(anyhow!(
                "the lists of claims have more than the {MAX_CLAIMS_LEN} bytes that travel with a ceremony"
            ))
            .hint("if they were made in a break-in, end them: `wheelmark index project unclaim --since TIME`");
        }
    }
    Ok(())
}

/// Whether somebody who signs `root` offline did so by `first` as well.
pub(crate) fn has_holder_of(root: &Root, first: &Root) -> bool {
    let of = |root: &Root| {
        [
            root.roles.root.keyids.clone(),
            root.roles.targets.keyids.clone(),
        ]
        .concat()
    };
    let before = of(first);
    of(root).iter().any(|id| before.contains(id))
}

/// How many bins each family has by what is published, if that can be said: after a power failure
/// it may not be readable before a start has mended it.
pub(crate) fn bins(tree: &Path) -> Option<u32> {
    let (published, _) = read(tree).ok()?;
    let standing = Standing::verify(published).ok()?;
    let simple = "simple".parse().ok().and_then(|role| standing.role(&role));
    let below = simple.and_then(|simple| simple.delegations.as_ref());
    below.and_then(Bins::of).map(Bins::count)
}

/// The version and the expiry of anything verified.
pub(crate) fn version_and_expiry(role: &impl Role) -> (u64, jiff::Timestamp) {
    (role.version(), role.expires())
}
