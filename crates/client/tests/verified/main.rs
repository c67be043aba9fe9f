//! The client against a real index that a real engine published, over HTTP, with every kind of
//! byte changed in turn.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod connect;
mod general;
mod homes;
mod index;
mod mirrors;
mod proxy;
mod refresh;
mod refusals;
mod setup;
