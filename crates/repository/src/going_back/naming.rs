//! The unsigned names and copies of everything, once the snapshot of a recovery stands.
//!
//! Nothing that is signed depends on them, so whoever could write to the tree can have changed them without
//! signing anything; and installers without a verifying client go by nothing else.

use std::collections::BTreeSet;

use wheelmark_objects::{Directory, Kind, ObjectPath, Replayable, WriterLock};
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::Sha256;

use super::GoBackError;
use super::side::{Shown, Side};
use crate::intent::{After, GoneFile, NamedCertificates, NamedFile, NamedPage};
use crate::publish::{self, PublishError};
use crate::state::State;

/// How many projects are named at a time: what belongs to them is in memory.
const AT_ONCE: usize = 200;

/// A file name that leads into a project's directory of plain names.
const ANY_FILE: &str = "a-0.tar.gz";

/// Gives every file and every page of a state its unsigned names once more, whatever stands in their places, and
/// takes away those that nothing in it has.
///
/// A project whose page cannot be read is told of and passed over.
pub(crate) async fn name_all(
    tree: &Replayable,
    lock: &WriterLock,
    state: &State,
) -> Result<(), GoBackError> {
    let directory = tree.directory();
    let side = Side {
        tree: directory,
        state,
    };
    let shown = side.shown().await.map_err(PublishError::from)?;
    let all: Vec<(&ProjectName, &Shown)> = shown.iter().collect();
    for some in all.chunks(AT_ONCE) {
        let mut after = After::default();
        for (project, shown) in some {
            match names_of(side, project, shown).await {
                Ok(names) => add(&mut after, names),
                Err(GoBackError::Publish(error)) if error.is_lasting() => {
                    let error: &dyn std::error::Error = &error;
                    tracing::error!(%project, error, "the unsigned names of this project are not put right");
                }
                Err(error) => return Err(error),
            }
        }
        publish::restore_names(tree, lock, &after).await?;
        publish::name(tree, lock, &after, &state.projects).await?;
    }
    let mut after = After {
        list: true,
        ..After::default()
    };
    let there = directory.projects().await?;
    for project in there.into_iter().filter(|name| !shown.contains_key(name)) {
        let gone = strays(directory, &project, &BTreeSet::new()).await?;
        after.gone.extend(gone);
        after.certificates.push(NamedCertificates {
            project: project.clone(),
            sha256: None,
        });
        after.gone_projects.push(project);
    }
    publish::name(tree, lock, &after, &state.projects).await?;
    Ok(())
}

fn add(all: &mut After, one: After) {
    all.files.extend(one.files);
    all.gone.extend(one.gone);
    all.pages.extend(one.pages);
    all.certificates.extend(one.certificates);
}

/// All unsigned names of a project.
async fn names_of(
    side: Side<'_>,
    project: &ProjectName,
    shown: &Shown,
) -> Result<After, GoBackError> {
    let Some(page) = side.seen(project).await? else {
        return Ok(After::default());
    };
    let files = page.files.iter();
    let listed: BTreeSet<&str> = files.clone().map(|file| file.filename.as_str()).collect();
    let bound = page.wheelmark.certificates.as_ref();
    Ok(After {
        files: files
            .filter_map(|file| NamedFile::of(project, file))
            .collect(),
        gone: strays(side.tree, project, &listed).await?,
        pages: vec![NamedPage {
            project: project.clone(),
            sha256: shown.page,
            taken_away: shown.taken_away,
        }],
        certificates: vec![NamedCertificates {
            project: project.clone(),
            sha256: bound.map(|bound| Sha256(bound.sha256.into())),
        }],
        ..After::default()
    })
}

/// The files that have plain names in a project and are not among those that are `listed`.
pub(super) async fn strays(
    tree: &Directory,
    project: &ProjectName,
    listed: &BTreeSet<&str>,
) -> Result<Vec<GoneFile>, GoBackError> {
    let Ok(any) = ObjectPath::plain_file(project, ANY_FILE) else {
        return Ok(Vec::new());
    };
    let found = tree.beside(&any).await?.into_iter();
    let found = found.filter(|path| path.kind() == Kind::PlainFile);
    let strays = found.filter_map(|path| {
        let filename = path.as_str().rsplit('/').next()?.to_owned();
        let project = project.clone();
        (!listed.contains(filename.as_str())).then_some(GoneFile { project, filename })
    });
    Ok(strays.collect())
}
