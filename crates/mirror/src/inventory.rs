//! Everything that a state of an index signs for, role by role.

use std::collections::VecDeque;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, FuturesUnordered, Stream, StreamExt as _};
use wheelmark_client::{Failure, Upstream};
use wheelmark_tuf::{Awaited, RoleName, TrustedSet, Visited, Walk, WalkError};

use crate::local::{LocalError, LocalTree};

/// Where the files of roles come from.
pub trait RoleSource: Sync {
    /// The file of a role, opened with [`Awaited::open_for_copy`].
    fn role(
        &self,
        awaited: &Awaited,
    ) -> impl Future<Output = Result<(Visited, Bytes), InventoryError>> + Send;
}

/// Why an inventory ended early. What came before it is verified all the same, and is not all.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// What the roles say does not fit the snapshot.
    #[error("the index's roles cannot be gone through")]
    Walk(#[from] WalkError),
    /// A role is not to be had as it must be.
    #[error("{role}, version {version}, is not to be had")]
    Upstream {
        /// The role.
        role: RoleName,
        /// The version that the snapshot lists.
        version: u64,
        /// What each source did.
        #[source]
        failure: Box<Failure>,
    },
    /// A role is not in the tree as it must be.
    #[error("{role}, version {version}, is not in the tree as it was signed")]
    Local {
        /// The role.
        role: RoleName,
        /// The version that the snapshot lists.
        version: u64,
        /// What is wrong.
        #[source]
        source: LocalError,
    },
}

/// A role of an inventory, verified.
#[derive(Debug)]
pub struct RoleFile {
    /// The role and what it lists.
    pub visited: Visited,
    /// What it was asked for by; none for the top-level targets, which the refresh has read.
    pub awaited: Option<Awaited>,
    /// Its file, byte for byte; none for the top-level targets.
    pub bytes: Option<Bytes>,
}

impl RoleSource for Upstream {
    async fn role(&self, awaited: &Awaited) -> Result<(Visited, Bytes), InventoryError> {
        let fetched = Upstream::role(self, awaited).await;
        fetched.map_err(|failure| InventoryError::Upstream {
            role: awaited.fetch().role.clone(),
            version: awaited.fetch().version,
            failure: Box::new(failure),
        })
    }
}

impl RoleSource for LocalTree {
    async fn role(&self, awaited: &Awaited) -> Result<(Visited, Bytes), InventoryError> {
        let read = LocalTree::role(self, awaited).await;
        read.map_err(|source| InventoryError::Local {
            role: awaited.fetch().role.clone(),
            version: awaited.fetch().version,
            source,
        })
    }
}

/// Every role of `set`, the top-level targets first and the others as they come, `at_once`
/// of them at a time. The stream's end without an error says that there is no other role.
///
/// Memory is that of the roles in flight: the caller drops each when it is done with it.
pub fn inventory<'a, S: RoleSource>(
    set: &TrustedSet,
    source: &'a S,
    at_once: usize,
) -> impl Stream<Item = Result<RoleFile, InventoryError>> + Send + use<'a, S> {
    let begun = Inventory::new(set, source, at_once);
    stream::try_unfold(begun, |mut going| async move {
        Ok(going.next().await?.map(|role| (role, going)))
    })
}

/// An inventory under way, as [`inventory`] makes it, for whoever needs its [`Walk`] at the end.
pub(crate) struct Inventory<'a, S> {
    walk: Walk,
    source: &'a S,
    at_once: usize,
    flying: FuturesUnordered<BoxFuture<'a, Result<RoleFile, InventoryError>>>,
    ready: VecDeque<RoleFile>,
}

impl<'a, S: RoleSource> Inventory<'a, S> {
    pub(crate) fn new(set: &TrustedSet, source: &'a S, at_once: usize) -> Self {
        let (walk, top) = set.walk();
        let top = RoleFile {
            visited: top,
            awaited: None,
            bytes: None,
        };
        Self {
            walk,
            source,
            at_once: at_once.max(1),
            flying: FuturesUnordered::new(),
            ready: VecDeque::from([top]),
        }
    }

    /// The walk, which is complete when [`next`](Self::next) has said that there is no other role.
    pub(crate) fn into_walk(self) -> Walk {
        self.walk
    }

    pub(crate) async fn next(&mut self) -> Result<Option<RoleFile>, InventoryError> {
        let role = match self.ready.pop_front() {
            Some(role) => role,
            None => match self.flying.next().await {
                Some(role) => role?,
                None => return Ok(None),
            },
        };
        self.walk.enter(&role.visited);
        while self.flying.len() < self.at_once
            && let Some(awaited) = self.walk.next()?
        {
            let source = self.source;
            self.flying.push(Box::pin(async move {
                let (visited, bytes) = source.role(&awaited).await?;
                Ok(RoleFile {
                    visited,
                    awaited: Some(awaited),
                    bytes: Some(bytes),
                })
            }));
        }
        Ok(Some(role))
    }
}
