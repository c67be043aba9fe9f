//! Reading a path that someone else wrote.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use wheelmark_packaging::ProjectName;
use wheelmark_tuf::{RoleName, Sha256, Sha512};

use super::{
    CERTIFICATES_SUFFIX, CHUNKS_SUFFIX, MAX_SEGMENT_LEN, METADATA_SUFFIX, ObjectPath, PAGE_SUFFIX,
    PLAIN_CERTIFICATES_SUFFIX, PROVENANCE_SUFFIX, PathError, SIGNATURE_SUFFIX, STATUS_SUFFIX,
};

impl ObjectPath {
    /// Reads a path as [`ObjectPath::as_str`] gives it.
    ///
    /// # Errors
    ///
    /// [`PathError`] for anything that is not, byte for byte, the path of some object.
    pub fn parse(path: &str) -> Result<ObjectPath, PathError> {
        let segments: Vec<&str> = path.split('/').collect();
        let parsed = from_segments(&segments, decode)
            .transpose()?
            .filter(|parsed| parsed.as_str() == path);
        parsed.ok_or_else(|| PathError::Unknown {
            path: path.to_owned(),
        })
    }

    /// Reads the path of an untrusted request for an object under `metadata/`, `targets/`,
    /// `packages/` or `keys/`: percent-encoded as it stands in the URL, with or without a leading
    /// `/`, without the query.
    ///
    /// Each segment is decoded once, on its own, and has to have the form that an object's path
    /// has in that place, so nothing outside the four directories can be named.
    ///
    /// # Errors
    ///
    /// [`PathError`] for everything else. A server answers it like an absent object.
    pub fn from_request(path: &str) -> Result<ObjectPath, PathError> {
        let unknown = || PathError::Unknown {
            path: path.to_owned(),
        };
        let relative = path.strip_prefix('/').unwrap_or(path);
        let segments: Vec<Cow<'_, str>> =
            relative.split('/').map(decode).collect::<Result<_, _>>()?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        if !matches!(
            segments.first(),
            Some(&("metadata" | "targets" | "packages" | "keys"))
        ) {
            return Err(unknown());
        }
        from_segments(&segments, |role| Ok(Cow::Borrowed(role)))
            .transpose()?
            .ok_or_else(unknown)
    }
}

/// The object that the segments name, `None` if they do not have the form of any.
///
/// `decode_role` turns a role's name as it stands in the segment into the name itself.
fn from_segments<'a>(
    segments: &[&'a str],
    decode_role: impl Fn(&'a str) -> Result<Cow<'a, str>, PathError>,
) -> Option<Result<ObjectPath, PathError>> {
    if let Some(long) = segments
        .iter()
        .find(|segment| segment.len() > MAX_SEGMENT_LEN)
    {
        return Some(Err(PathError::TooLong {
            length: long.len(),
            limit: MAX_SEGMENT_LEN,
        }));
    }
    match *segments {
        ["metadata", "timestamp.json"] => Some(Ok(ObjectPath::timestamp())),
        ["metadata", name] => {
            let (version, role) = name.strip_suffix(".json")?.split_once('.')?;
            match decode_role(role) {
                Ok(role) => metadata(version, &role),
                Err(error) => Some(Err(error)),
            }
        }
        ["targets", "simple", dir, name] => {
            let project = project(dir)?;
            Some(Ok(match name.strip_suffix(CERTIFICATES_SUFFIX) {
                Some(digest) => ObjectPath::certificates(&project, &sha256(digest)?),
                None => {
                    let digest = name.strip_suffix(PAGE_SUFFIX)?;
                    match sha512(digest) {
                        Some(digest) => ObjectPath::page_by_sha512(&project, &digest),
                        None => ObjectPath::page(&project, &sha256(digest)?),
                    }
                }
            }))
        }
        ["targets", "packages", dir, name] => {
            let (digest, filename) = name.split_once('.')?;
            let project = project(dir)?;
            if let Some(digest) = sha512(digest) {
                return Some(ObjectPath::file_by_sha512(&project, &digest, filename));
            }
            let digest = sha256(digest)?;
            Some(
                if let Some(filename) = filename.strip_suffix(METADATA_SUFFIX) {
                    ObjectPath::file_metadata(&project, &digest, filename)
                } else if let Some(filename) = filename.strip_suffix(CHUNKS_SUFFIX) {
                    ObjectPath::chunks(&project, &digest, filename)
                } else if let Some(filename) = filename.strip_suffix(SIGNATURE_SUFFIX) {
                    ObjectPath::signature(&project, &digest, filename)
                } else if let Some(filename) = filename.strip_suffix(PROVENANCE_SUFFIX) {
                    ObjectPath::provenance(&project, &digest, filename)
                } else {
                    ObjectPath::file(&project, &digest, filename)
                },
            )
        }
        ["targets", "status", name] => {
            let (digest, name) = name.split_once('.')?;
            let project = project(name.strip_suffix(STATUS_SUFFIX)?)?;
            Some(ObjectPath::status(&project, &sha256(digest)?))
        }
        ["packages", dir, name] => {
            let project = project(dir)?;
            Some(if let Some(filename) = name.strip_suffix(METADATA_SUFFIX) {
                ObjectPath::plain_file_metadata(&project, filename)
            } else if let Some(filename) = name.strip_suffix(SIGNATURE_SUFFIX) {
                ObjectPath::plain_signature(&project, filename)
            } else if let Some(filename) = name.strip_suffix(PROVENANCE_SUFFIX) {
                ObjectPath::plain_provenance(&project, filename)
            } else {
                ObjectPath::plain_file(&project, name)
            })
        }
        ["keys", name] => {
            let project = project(name.strip_suffix(PLAIN_CERTIFICATES_SUFFIX)?)?;
            Some(Ok(ObjectPath::plain_certificates(&project)))
        }
        ["simple", "index.json"] => Some(Ok(ObjectPath::simple_list_json())),
        ["simple", "index.html"] => Some(Ok(ObjectPath::simple_list_html())),
        ["simple", dir, "index.json"] => Some(Ok(ObjectPath::simple_json(&project(dir)?))),
        ["simple", dir, "index.html"] => Some(Ok(ObjectPath::simple_html(&project(dir)?))),
        _ => None,
    }
}

fn metadata(version: &str, role: &str) -> Option<Result<ObjectPath, PathError>> {
    let number: u64 = version.parse().ok()?;
    if number == 0 || number.to_string() != version {
        return None;
    }
    let path = ObjectPath::metadata(&role.parse::<RoleName>().ok()?, number);
    let length = path.split().1.len();
    Some(if length > MAX_SEGMENT_LEN {
        Err(PathError::TooLong {
            length,
            limit: MAX_SEGMENT_LEN,
        })
    } else {
        Ok(path)
    })
}

fn project(segment: &str) -> Option<ProjectName> {
    let name: ProjectName = segment.parse().ok()?;
    (name.as_str() == segment).then_some(name)
}

fn sha256(digits: &str) -> Option<Sha256> {
    let digest: Sha256 = digits.parse().ok()?;
    (digest.to_string() == digits).then_some(digest)
}

fn sha512(digits: &str) -> Option<Sha512> {
    let digest: Sha512 = digits.parse().ok()?;
    (digest.to_string() == digits).then_some(digest)
}

/// Undoes percent-encoding; refuses a `%` that begins no escape, and bytes that are not UTF-8.
fn decode(segment: &str) -> Result<Cow<'_, str>, PathError> {
    let invalid = || PathError::Encoding {
        path: segment.to_owned(),
    };
    let bytes = segment.as_bytes();
    let stray = bytes.iter().enumerate().any(|(at, &byte)| {
        let escape = bytes.get(at + 1..at + 3);
        byte == b'%' && !escape.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if stray {
        return Err(invalid());
    }
    percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| invalid())
}
