//! Splits a metadata file into its headers and its body.

use super::{Field, MetadataError};

/// Most headers of a metadata file. Long lists of requirements and classifiers stay near a
/// thousand.
pub const MAX_HEADERS: usize = 20_000;

/// The headers, and what follows the first empty line.
pub(crate) fn split(text: &str) -> Result<(Vec<Field>, &str), MetadataError> {
    let mut fields: Vec<Field> = Vec::new();
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        number += 1;
        let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return Ok((fields, after));
        }
        rest = after;
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(MetadataError::ControlCharacter { line: number });
        }
        if line.starts_with([' ', '\t']) {
            let field = fields
                .last_mut()
                .ok_or(MetadataError::Malformed { line: number })?;
            field.value.push('\n');
            field.value.push_str(continued(line));
            continue;
        }
        let (name, value) = line
            .split_once(':')
            .ok_or(MetadataError::Malformed { line: number })?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(MetadataError::Malformed { line: number });
        }
        if fields.len() == MAX_HEADERS {
            return Err(MetadataError::TooManyFields);
        }
        fields.push(Field {
            name: name.to_ascii_lowercase(),
            value: value.trim().to_owned(),
        });
    }
    Ok((fields, ""))
}

/// A continuation line's text: less the `|` and seven spaces of metadata 1.x, or the eight spaces
/// of distutils, or whatever space stands there.
fn continued(line: &str) -> &str {
    line.strip_prefix("       |")
        .or_else(|| line.strip_prefix("        "))
        .unwrap_or_else(|| line.trim_start_matches([' ', '\t']))
        .trim_end()
}
