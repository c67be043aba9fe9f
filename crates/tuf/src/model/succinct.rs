//! TAP 15: delegation to equal bins, by the hash of the path, in a few bytes.

use serde_json::{Map, Value};

use super::fields::{Fields, ModelError};
use super::root::RoleKeys;
use crate::Sha256;
use crate::name::{RoleName, TargetPath};

/// A delegation to 2^`bit_length` roles that share their keys (TAP 15, `succinct_roles`).
///
/// A path belongs to the bin whose number is the first `bit_length` bits of the path's
/// SHA-256. Bins are called `PREFIX-HEX`, with the number padded to the width of the highest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuccinctRoles {
    /// Whose signatures each bin needs.
    pub keys: RoleKeys,
    bit_length: u32,
    name_prefix: String,
}

/// The number of bits is not one that TAP 15 allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{bit_length} is not a bit length of succinct roles: 1 to 32")]
pub struct ParseSuccinctRolesError {
    /// The number of bits that was asked for.
    pub bit_length: u32,
}

impl SuccinctRoles {
    /// 2^`bit_length` bins called `name_prefix-…`.
    ///
    /// # Errors
    ///
    /// When `bit_length` is not between 1 and 32.
    pub fn new(
        keys: RoleKeys,
        bit_length: u32,
        name_prefix: impl Into<String>,
    ) -> Result<Self, ParseSuccinctRolesError> {
        if !(1..=32).contains(&bit_length) {
            return Err(ParseSuccinctRolesError { bit_length });
        }
        Ok(SuccinctRoles {
            keys,
            bit_length,
            name_prefix: name_prefix.into(),
        })
    }

    /// How many bits of the hash choose the bin, 1 to 32.
    pub fn bit_length(&self) -> u32 {
        self.bit_length
    }

    /// What the names of the bins begin with, without the `-`.
    pub fn name_prefix(&self) -> &str {
        &self.name_prefix
    }

    /// How many bins there are: 2 to 2^32.
    pub fn count(&self) -> u64 {
        1 << self.bit_length
    }

    /// The number of the bin that `path` belongs to.
    pub fn index_for(&self, path: &TargetPath) -> u32 {
        let [a, b, c, d, ..] = Sha256::of(path.as_str().as_bytes()).0;
        u32::from_be_bytes([a, b, c, d]) >> (32 - self.bit_length)
    }

    /// The bin that `path` belongs to.
    pub fn bin_for(&self, path: &TargetPath) -> RoleName {
        self.bin(self.index_for(path).into())
    }

    /// All bins, in the order of their numbers.
    pub fn bins(&self) -> impl Iterator<Item = RoleName> {
        (0..self.count()).map(|index| self.bin(index))
    }

    pub(crate) fn bin(&self, index: u64) -> RoleName {
        let width = self.bit_length.div_ceil(4) as usize;
        RoleName::of_bin(&self.name_prefix, index, width)
    }

    pub(super) fn from_value(value: Value) -> Result<Self, ModelError> {
        let mut fields = Fields::of(value, "succinct_roles")?;
        let mut keys = RoleKeys::take(&mut fields)?;
        let bit_length = u32::try_from(fields.positive("bit_length")?).unwrap_or(u32::MAX);
        let name_prefix = fields.string("name_prefix")?;
        if name_prefix.contains(char::is_control) {
            return Err(ModelError::Invalid {
                field: "name_prefix",
                expected: "free of control characters",
            });
        }
        keys.extra = fields.rest();
        SuccinctRoles::new(keys, bit_length, name_prefix).map_err(|_| ModelError::Invalid {
            field: "bit_length",
            expected: "between 1 and 32",
        })
    }

    pub(super) fn to_value(&self) -> Value {
        let mut object: Map<_, _> = super::fields::object(&self.keys.extra);
        self.keys.write(&mut object);
        object.insert("bit_length".to_owned(), self.bit_length.into());
        object.insert("name_prefix".to_owned(), self.name_prefix.as_str().into());
        object.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_have_names_that_can_be_written_down() {
        let check = |prefix: &str, accepted: bool| {
            let value = serde_json::json!({
                "keyids": [], "threshold": 1, "bit_length": 4, "name_prefix": prefix,
            });
            let read = SuccinctRoles::from_value(value);
            assert_eq!(read.is_ok(), accepted, "{prefix:?}");
        };
        check("simple", true);
        check("é/<>", true);
        check("\u{1b}[2J", false);
        check("a\nb", false);
    }
}
