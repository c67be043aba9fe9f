//! Ceremonies over metadata that the tests sign themselves.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod holders;
mod names;
mod properties;
mod recovering;
mod rules;
mod sealing;
mod signatures;
mod taking_over;
mod world;
