//! What a power failure left of objects that were written without a flush.
//!
//! A file system that keeps its own structures whole may lose the last contents of a file and keep
//! its name: then the file is shorter than it was, down to nothing, or parts of it are zeros. An
//! object that looks so beside its recorded bytes is taken for what is left of it. One that is
//! named after the SHA-256 of its bytes and has others is damaged in any case.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;

use bytes::Bytes;
use wheelmark_tuf::Sha256;

use super::batch::{Flush, Rule, in_parallel, write};
use super::error::ObjectError;
use super::naming::unname;
use super::reading::open;
use super::{Creation, Tree};
use crate::ObjectPath;

/// What was found of an object that was written before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It was there, with its bytes.
    Whole,
    /// It was not there, and is now.
    Missing,
    /// A part of it was there; it is whole now.
    Torn,
    /// Something else is there, which was left as it is.
    Different,
}

pub(super) fn restore_all(
    tree: &Tree,
    objects: &[(ObjectPath, Bytes)],
) -> Result<Vec<Restored>, ObjectError> {
    in_parallel(objects, |object| restore(tree, object))
}

pub(super) fn create_named(
    tree: &Tree,
    objects: &[(ObjectPath, Bytes)],
) -> Result<Vec<Creation>, ObjectError> {
    demand_named(objects)?;
    let restored = restore_all(tree, objects)?;
    let created = restored.into_iter().map(|found| match found {
        Restored::Whole => Creation::AlreadySame,
        Restored::Missing | Restored::Torn | Restored::Different => Creation::Created,
    });
    Ok(created.collect())
}

fn demand_named(objects: &[(ObjectPath, Bytes)]) -> Result<(), ObjectError> {
    let misnamed = |(path, bytes): &&(ObjectPath, Bytes)| path.sha256() != Some(Sha256::of(bytes));
    match objects.iter().find(misnamed) {
        Some((path, _)) => Err(ObjectError::Different { path: path.clone() }),
        None => Ok(()),
    }
}

fn restore(tree: &Tree, object: &(ObjectPath, Bytes)) -> Result<Restored, ObjectError> {
    let (path, bytes) = object;
    let write_as = |rule| write(tree, std::slice::from_ref(object), rule, &Flush::later());
    let Some(there) = open(tree, path)? else {
        return Ok(match write_as(Rule::Create)?.first() {
            Some(Creation::AlreadySame) => Restored::Whole,
            Some(Creation::Created) | None => Restored::Missing,
        });
    };
    let cannot = ObjectError::io("read", tree.root.join(path.as_str()));
    let found = compare(there.file, there.len, bytes.as_ref(), bytes.len() as u64);
    match found.map_err(cannot)? {
        Comparison::Same => Ok(Restored::Whole),
        Comparison::Other if path.sha256().is_none() => Ok(Restored::Different),
        Comparison::Other | Comparison::Remains => {
            write_as(Rule::Replace)?;
            Ok(Restored::Torn)
        }
    }
}

/// Writes objects anew, whatever stands in their places.
pub(super) fn rewrite_all(tree: &Tree, objects: &[(ObjectPath, Bytes)]) -> Result<(), ObjectError> {
    write(tree, objects, Rule::Replace, &Flush::later()).map(|_| ())
}

pub(super) fn rewrite_named(
    tree: &Tree,
    objects: &[(ObjectPath, Bytes)],
) -> Result<(), ObjectError> {
    demand_named(objects)?;
    rewrite_all(tree, objects)
}

pub(super) fn clear_others(
    tree: &Tree,
    links: &[(ObjectPath, ObjectPath)],
) -> Result<(), ObjectError> {
    in_parallel(links, |(from, to)| {
        let (whole, there) = match (open(tree, from), open(tree, to)) {
            (Ok(Some(whole)), Ok(Some(there))) => (whole, there),
            // Nothing to clear; what else is in the way is told when the name is given.
            (Ok(_), Ok(_)) | (Err(ObjectError::NotPlain { .. }), _) => return Ok(()),
            (_, Err(ObjectError::NotPlain { .. })) => return Ok(()),
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let cannot = ObjectError::io("look at", tree.root.join(to.as_str()));
        if !is_one(&whole.file, &there.file).map_err(cannot)? {
            unname(tree, to)?;
        }
        Ok(())
    })
    .map(|_: Vec<()>| ())
}

/// Whether two open files are one, under two names.
fn is_one(one: &File, other: &File) -> io::Result<bool> {
    let (one, other) = (one.metadata()?, other.metadata()?);
    Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
}

enum Comparison {
    Same,
    /// What may be left of it.
    Remains,
    Other,
}

fn compare(
    found: File,
    found_len: u64,
    whole: impl Read,
    whole_len: u64,
) -> io::Result<Comparison> {
    if found_len > whole_len {
        return Ok(Comparison::Other);
    }
    let (found, whole) = (BufReader::new(found), BufReader::new(whole));
    let mut same = found_len == whole_len;
    for (found, whole) in found.bytes().zip(whole.bytes()) {
        let (found, whole) = (found?, whole?);
        if found == whole {
            continue;
        }
        if found != 0 {
            return Ok(Comparison::Other);
        }
        same = false;
    }
    Ok(if same {
        Comparison::Same
    } else {
        Comparison::Remains
    })
}
