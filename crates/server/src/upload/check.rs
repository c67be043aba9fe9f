//! What the form says about the file, held against what arrived.

use wheelmark_packaging::{DetachedSignature, DistributionFilename, ProjectName, Version};

use super::error::{Digest, Mismatch, UploadError};
use super::form::Form;
use super::receive::Received;
use super::sink::Content;
use crate::app::Leeway;

/// A file whose form is in order. What is inside it is looked at later.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) project: ProjectName,
    pub(super) filename: DistributionFilename,
    pub(super) content: Content,
    pub(super) signature: Option<DetachedSignature>,
    pub(super) attestations: Option<Vec<u8>>,
}

/// Checks everything that the form alone can tell.
pub(super) fn claims(received: Received, leeway: Leeway) -> Result<Claimed, UploadError> {
    let Received {
        form,
        content,
        signature,
        attestations,
    } = received;
    let need = |value: &Option<String>, field| {
        let value = value.as_deref().filter(|value| !value.is_empty());
        value
            .map(str::to_owned)
            .ok_or(UploadError::Missing { field })
    };
    let action = need(&form.action, ":action")?;
    if action != "file_upload" {
        return Err(UploadError::Action { action });
    }
    let version = need(&form.protocol_version, "protocol_version")?;
    if version != "1" {
        return Err(UploadError::Protocol { version });
    }
    let project: ProjectName = need(&form.name, "name")?
        .parse()
        .map_err(UploadError::Name)?;
    let version = need(&form.version, "version")?;
    let version: Version = version
        .parse()
        .map_err(|_| UploadError::Version { version })?;
    let filename = DistributionFilename::parse_for(&project, &content.stated_name)
        .map_err(UploadError::Filename)?;
    if *filename.version() != version {
        return Err(UploadError::Mismatch(Mismatch::Version {
            stated: version,
            filename: filename.to_string(),
            is: filename.version().clone(),
        }));
    }
    if !filename.is_normalised() && !leeway.older_file_names {
        return Err(UploadError::NotNormalised {
            filename: filename.to_string(),
            expected: filename.normalised(),
        });
    }
    check_filetype(&need(&form.filetype, "filetype")?, &filename)?;
    check_digests(&form, &content)?;
    Ok(Claimed {
        project,
        filename,
        content,
        signature,
        attestations,
    })
}

fn check_filetype(stated: &str, filename: &DistributionFilename) -> Result<(), Mismatch> {
    let (expected, is) = match filename {
        DistributionFilename::Wheel(_) => ("bdist_wheel", "a wheel"),
        DistributionFilename::Sdist(_) => ("sdist", "a source distribution"),
    };
    if stated == expected {
        return Ok(());
    }
    Err(Mismatch::Filetype {
        stated: stated.to_owned(),
        filename: filename.to_string(),
        is,
    })
}

/// Every digest that is stated has to hold, and one has to be stated.
fn check_digests(form: &Form, content: &Content) -> Result<(), UploadError> {
    let sha256 = content.sha256.to_string();
    let mut stated_any = false;
    for (digest, stated, is) in [
        (Digest::Sha256, &form.sha256, &sha256),
        (Digest::Blake2b256, &form.blake2b_256, &content.blake2b_256),
        (Digest::Md5, &form.md5, &content.md5),
    ] {
        let Some(stated) = stated.as_deref().filter(|stated| !stated.is_empty()) else {
            continue;
        };
        stated_any = true;
        if !stated.eq_ignore_ascii_case(is) {
            return Err(UploadError::Mismatch(Mismatch::Digest {
                digest,
                stated: stated.chars().take(128).collect(),
                is: is.clone(),
            }));
        }
    }
    if stated_any {
        Ok(())
    } else {
        Err(UploadError::NoDigest)
    }
}
