//! How a role that spreads its targets over bins delegates to them.

use std::collections::BTreeMap;

use crate::key::Key;
use crate::model::{DelegatedRole, DelegatedRoles, Delegations, PathSet, RoleKeys, SuccinctRoles};
use crate::name::{RoleName, TargetPath};

/// The most bins a role can have. PEP 458 uses 16,384 for PyPI; a snapshot of twice
/// 65,536 bins would no longer pass the 2,000,000 bytes that python-tuf's client reads.
pub const MOST_BINS: u32 = 16_384;

/// How many bins a role has, and how they are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bins {
    bit_length: u32,
    form: BinForm,
}

/// How a role names its bins to clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BinForm {
    /// TAP 15: some 700 bytes whatever the number of bins.
    Succinct,
    /// One delegation with its hash prefixes for each bin, for clients without TAP 15.
    PrefixLists,
}

/// The number of bins cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked} bins cannot be had: choose a power of two between 2 and {MOST_BINS}")]
pub struct BinsError {
    /// The number asked for.
    pub asked: u32,
}

impl Bins {
    /// `count` bins.
    ///
    /// # Errors
    ///
    /// When `count` is not a power of two between 2 and [`MOST_BINS`].
    pub fn new(count: u32, form: BinForm) -> Result<Self, BinsError> {
        if !count.is_power_of_two() || !(2..=MOST_BINS).contains(&count) {
            return Err(BinsError { asked: count });
        }
        Ok(Self {
            bit_length: count.trailing_zeros(),
            form,
        })
    }

    /// The bins that `delegations` name, if these are what [`Bins::delegations`] gives, with
    /// whatever keys.
    pub fn of(delegations: &Delegations) -> Option<Self> {
        let (count, form) = match &delegations.roles {
            DelegatedRoles::Succinct(succinct) => (succinct.count(), BinForm::Succinct),
            DelegatedRoles::Listed(roles) => (roles.len() as u64, BinForm::PrefixLists),
        };
        Self::new(u32::try_from(count).ok()?, form).ok()
    }

    /// The number of bins.
    pub fn count(self) -> u32 {
        1 << self.bit_length
    }

    /// How they are named.
    pub fn form(self) -> BinForm {
        self.form
    }

    /// The bin of the role `name` that a path belongs to, whatever the form.
    pub fn bin_for(self, name: &str, path: &TargetPath) -> RoleName {
        let nobody = RoleKeys::new([], 1);
        self.succinct(name, nobody).bin_for(path)
    }

    /// The names of the bins of the role `name`, in their order.
    pub fn names(self, name: &str) -> Vec<RoleName> {
        self.succinct(name, RoleKeys::new([], 1)).bins().collect()
    }

    fn succinct(self, name: &str, keys: RoleKeys) -> SuccinctRoles {
        SuccinctRoles::new(keys, self.bit_length, name)
            .expect("a power of two between 2 and MOST_BINS has 1 to 14 bits")
    }

    /// The delegations of the role `name` to its bins, whose metadata `key` signs alone. The names
    /// of the bins begin with that of the role.
    pub fn delegations(self, name: &str, key: &Key) -> Delegations {
        let keys = RoleKeys::new([key], 1);
        let succinct = self.succinct(name, keys.clone());
        let roles = match self.form {
            BinForm::Succinct => DelegatedRoles::Succinct(succinct),
            BinForm::PrefixLists => DelegatedRoles::Listed(
                (0u32..)
                    .zip(succinct.bins())
                    .map(|(bin, name)| DelegatedRole {
                        name,
                        keys: keys.clone(),
                        terminating: false,
                        paths: PathSet::HashPrefixes(self.hash_prefixes(bin)),
                    })
                    .collect(),
            ),
        };
        Delegations {
            keys: BTreeMap::from([(key.keyid().clone(), key.clone())]),
            roles,
            extra: BTreeMap::new(),
        }
    }

    /// The prefixes, in hexadecimal digits, of the path hashes that belong to a bin.
    fn hash_prefixes(self, bin: u32) -> Vec<String> {
        let digits = self.bit_length.div_ceil(4);
        let in_each_bin = 1u32 << (4 * digits - self.bit_length);
        (0..in_each_bin)
            .map(|i| {
                format!(
                    "{:0width$x}",
                    bin * in_each_bin + i,
                    width = digits as usize
                )
            })
            .collect()
    }
}
