//! The tags of the `WHEEL` file, which are those of the file name or more.

use std::collections::BTreeSet;

use super::super::InspectError;
use crate::metadata::Field;
use crate::{WheelFilename, WheelTag};

/// Most tags that a file name may stand for. The longest names in use stand for some dozen.
const MAX_TAGS: usize = 4096;

/// Most `Tag` lines that are looked at.
const MAX_LINES: usize = 512;

/// Checks that the file name stands for no tag that the `Tag` lines do not.
///
/// Both can be compressed (PEP 425, *Compressed Tag Sets*), and their order says nothing. A name
/// may stand for less: well-known projects build one wheel for any platform and publish it under
/// the names of those that its binaries are for.
pub(super) fn check(fields: &[Field], filename: &WheelFilename) -> Result<(), InspectError> {
    let stated: Vec<&str> = fields
        .iter()
        .filter(|field| field.name == "tag")
        .map(|field| field.value.as_str())
        .collect();
    let refused = || InspectError::Tags {
        filename: filename.as_str().to_owned(),
        stated: stated.iter().take(4).map(|tag| shortened(tag)).collect(),
    };
    let lines: Option<Vec<Line>> = stated.iter().map(|tag| Line::parse(tag)).collect();
    let lines = lines
        .filter(|lines| lines.len() <= MAX_LINES)
        .ok_or_else(refused)?;
    let count =
        filename.python_tags().len() * filename.abi_tags().len() * filename.platform_tags().len();
    if count > MAX_TAGS {
        return Err(refused());
    }
    let covered = |tag: WheelTag<'_>| lines.iter().any(|line| line.covers(tag));
    if filename.tags().all(covered) {
        Ok(())
    } else {
        Err(refused())
    }
}

/// One `Tag` line: the sets of its three parts, in lower case.
struct Line {
    python: BTreeSet<String>,
    abi: BTreeSet<String>,
    platform: BTreeSet<String>,
}

impl Line {
    fn parse(tag: &str) -> Option<Line> {
        let mut parts = tag
            .split('-')
            .map(|set| set.split('.').map(str::to_ascii_lowercase).collect());
        let line = Line {
            python: parts.next()?,
            abi: parts.next()?,
            platform: parts.next()?,
        };
        parts.next().is_none().then_some(line)
    }

    fn covers(&self, tag: WheelTag<'_>) -> bool {
        let has = |set: &BTreeSet<String>, tag: &str| set.contains(&tag.to_ascii_lowercase());
        has(&self.python, tag.python)
            && (has(&self.abi, tag.abi) || self.abi.contains("none"))
            && (has(&self.platform, tag.platform) || self.platform.contains("any"))
    }
}

fn shortened(tag: &str) -> String {
    tag.chars().take(100).collect()
}
