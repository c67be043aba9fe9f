//! The metadata files that a ceremony ends with, accepted as clients would.

use jiff::{SignedDuration, Timestamp};
use wheelmark_tuf::{
    Cached, Limits, Refresh, RefreshError, Role as _, RoleName, Targets, Verified, VerifyError,
    assemble, verify,
};

use crate::tally::{Need, Tally};

/// What a ceremony has brought.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The metadata files, root first, each with its version.
    pub files: Vec<(RoleName, u64, Vec<u8>)>,
    /// From when on the first of the offline roles is expired.
    pub ends: Timestamp,
    /// Which one that is.
    pub first_to_end: RoleName,
}

/// A ceremony is not finished, or clients would not accept what it has brought.
#[derive(Debug, thiserror::Error)]
pub enum FinishError {
    /// Too few have signed.
    #[error("{} is signed by {} of {} {} keys", need.role, need.signed.len(), need.threshold, if need.in_force { "present" } else { "next" })]
    Lacking {
        /// What is lacking.
        need: Need,
    },
    /// A client would not follow the roots.
    #[error("{client} would not follow root")]
    Roots {
        /// Which client.
        client: &'static str,
        /// Why.
        #[source]
        source: RefreshError,
    },
    /// A client would refuse a role.
    #[error("{client} would refuse {role}")]
    Role {
        /// Which client.
        client: &'static str,
        /// Whose file.
        role: RoleName,
        /// Why.
        #[source]
        source: VerifyError,
    },
    /// A role would be expired.
    #[error("{client} would refuse {role}, which expires at {expires}")]
    Expired {
        /// Which client.
        client: &'static str,
        /// Which role.
        role: RoleName,
        /// When.
        expires: Timestamp,
    },
    /// A file is larger than clients read.
    #[error("{role} has {found} bytes, and clients read {limit}")]
    TooLong {
        /// Which role.
        role: RoleName,
        /// How long it is.
        found: u64,
        /// How much is read.
        limit: u64,
    },
    /// What is signed would hold for ever.
    #[error("a client would accept it all after {ends}, when it must have ended")]
    NoEnd {
        /// When the first role ends.
        ends: Timestamp,
    },
}

impl Tally<'_> {
    /// Puts the metadata files together, and follows them as a client that is new, as one that
    /// knows the root of today, and as both on the last day.
    ///
    /// # Errors
    ///
    /// [`FinishError::Lacking`] while signatures are missing; the others if a client would not
    /// accept the result.
    pub fn finish(&self, now: Timestamp) -> Result<Finished, FinishError> {
        if let Some(need) = self.needs().into_iter().find(|need| !need.is_met()) {
            return Err(FinishError::Lacking { need });
        }
        let ceremony = self.ceremony();
        let files: Vec<(RoleName, u64, Vec<u8>)> = ceremony
            .payloads()
            .iter()
            .map(|payload| {
                let role = payload.role();
                let file = assemble(payload.bytes(), &self.of(role));
                (role.clone(), payload.version(), file)
            })
            .collect();
        let roles = ceremony.standing().roles().into_iter();
        let expiries = roles.filter_map(|role| Some((ceremony.next_expiry(&role)?, role)));
        let Some((ends, first_to_end)) = expiries.min() else {
            return Err(FinishError::NoEnd { ends: now });
        };
        let last_moment = ends - SignedDuration::from_secs(1);
        let clients = Clients {
            tally: self,
            files: &files,
        };
        clients.accept("a new client", 0, now)?;
        let newest = ceremony.standing().published().roots.len() - 1;
        clients.accept("a client that knows the root of today", newest, now)?;
        clients.accept("a new client on the last day", 0, last_moment)?;
        if clients.accept("a client after the end", 0, ends).is_ok() {
            return Err(FinishError::NoEnd { ends });
        }
        Ok(Finished {
            files,
            ends,
            first_to_end,
        })
    }
}

/// Clients that see what is published as it will be.
struct Clients<'a> {
    tally: &'a Tally<'a>,
    files: &'a [(RoleName, u64, Vec<u8>)],
}

impl Clients<'_> {
    /// Follows everything that offline keys have signed, from one of the published roots on.
    fn accept(&self, client: &'static str, root: usize, at: Timestamp) -> Result<(), FinishError> {
        self.follow_roots(client, root, at)?;
        for role in self.tally.ceremony().standing().roles() {
            if role != RoleName::root() {
                self.accept_role(client, &role, at)?;
            }
        }
        Ok(())
    }

    /// The client's own workflow for root (TUF §5.3), up to the point where it asks for a timestamp.
    fn follow_roots(
        &self,
        client: &'static str,
        from: usize,
        at: Timestamp,
    ) -> Result<(), FinishError> {
        let refused = |source| FinishError::Roots { client, source };
        let published = &self.tally.ceremony().standing().published().roots;
        let next = self.file(&RoleName::root());
        let mut roots = published.iter().map(Vec::as_slice).chain(next).skip(from);
        let trusted = roots.next().unwrap_or_default();
        let limits = Limits::default();
        let mut refresh = Refresh::new(trusted, Cached::default(), at, limits).map_err(refused)?;
        while refresh.sought() == Some(RoleName::root()) {
            let answer = roots.next().map(<[u8]>::to_vec);
            (refresh, _) = refresh.supply(answer).map_err(refused)?;
        }
        Ok(())
    }

    fn accept_role(
        &self,
        client: &'static str,
        role: &RoleName,
        at: Timestamp,
    ) -> Result<(), FinishError> {
        let ceremony = self.tally.ceremony();
        let bytes = match self.file(role) {
            Some(next) => next,
            None => ceremony.standing().published().roles[role].as_slice(),
        };
        let (limit, found) = (Limits::default().targets_length, bytes.len() as u64);
        if found > limit {
            let role = role.clone();
            return Err(FinishError::TooLong { role, found, limit });
        }
        for request in ceremony.requests(role) {
            let verified: Result<Verified<Targets>, VerifyError> =
                verify(bytes, request.keys, request.role_keys);
            let accepted = verified.map_err(|source| FinishError::Role {
                client,
                role: role.clone(),
                source,
            })?;
            let expires = accepted.expires();
            if expires <= at {
                let role = role.clone();
                return Err(FinishError::Expired {
                    client,
                    role,
                    expires,
                });
            }
        }
        Ok(())
    }

    fn file(&self, role: &RoleName) -> Option<&[u8]> {
        let mut files = self.files.iter();
        let (_, _, bytes) = files.find(|(name, _, _)| name == role)?;
        Some(bytes)
    }
}
