//! Every role of a state, one after the other, in the order of a search.

use bytes::Bytes;
use wheelmark_tuf::{
    RoleFetch, RoleName, TargetInfo, TargetPath, TrustedSet, Visited, Walk, WalkError,
};

use crate::audit::with_causes;
use crate::place::Place;

/// A role that a survey came to, verified.
#[derive(Debug)]
pub struct Surveyed<'a> {
    /// The role and what it lists.
    pub visited: &'a Visited,
    /// What it was asked for by, and its file; none for the top-level targets, which the chain has.
    pub file: Option<(&'a RoleFetch, &'a Bytes)>,
    walk: &'a Walk,
}

impl Surveyed<'_> {
    /// What it lists and a search comes to: what nobody finds, because another role ends the search before, is
    /// left out.
    pub fn reached(&self) -> impl Iterator<Item = (&TargetPath, &TargetInfo)> {
        let order = self.visited.order();
        let listed = self.visited.listed();
        listed.filter(move |(path, _)| self.walk.reaches_at(&order, path))
    }
}

/// A role that is delegated to, and not there as it was signed.
#[derive(Debug)]
pub struct Unread {
    /// The role.
    pub role: RoleName,
    /// The path of its file; none where the snapshot does not list the role.
    pub path: Option<String>,
    /// What is wrong.
    pub why: String,
}

/// Shows every role of `set` to `seen`, the top-level targets first. Those that are not there as they were signed
/// are passed over, with all below them, and given back.
///
/// Expiry is judged as of when the set was begun. Memory is that of one role at a time.
///
/// # Errors
///
/// What `seen` says; and [`WalkError`] where there are more roles than one walk visits, or they lead too deep.
pub fn survey<P: Place, E: From<WalkError>>(
    place: &P,
    set: &TrustedSet,
    mut seen: impl FnMut(&Surveyed<'_>) -> Result<(), E>,
) -> Result<Vec<Unread>, E> {
    let mut unread = Vec::new();
    let (mut walk, top) = set.walk();
    walk.enter(&top);
    seen(&Surveyed {
        visited: &top,
        file: None,
        walk: &walk,
    })?;
    loop {
        let awaited = match walk.next() {
            Ok(Some(awaited)) => awaited,
            Ok(None) => return Ok(unread),
            Err(error @ WalkError::NotInSnapshot { .. }) => {
                let why = error.to_string();
                if let WalkError::NotInSnapshot { role, .. } = error {
                    let path = None;
                    unread.push(Unread { role, path, why });
                }
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let fetch = awaited.fetch().clone();
        let found = match place.metadata(&fetch.fetch.path, fetch.fetch.max_len) {
            Ok(Some(bytes)) => match awaited.open(&bytes) {
                Ok(visited) => Ok((visited, bytes)),
                Err(error) => Err(with_causes(&error)),
            },
            Ok(None) => Err("it is not there".to_owned()),
            Err(error) => Err(with_causes(&error)),
        };
        match found {
            Ok((visited, bytes)) => {
                // Before what it lists: whatever ends a search is known then.
                walk.enter(&visited);
                seen(&Surveyed {
                    visited: &visited,
                    file: Some((&fetch, &bytes)),
                    walk: &walk,
                })?;
            }
            Err(why) => {
                walk.pass_by(awaited);
                unread.push(Unread {
                    role: fetch.role,
                    path: Some(format!("metadata/{}", fetch.fetch.path)),
                    why,
                });
            }
        }
    }
}
