//! Copies of real indexes, made over real sockets: what is copied, in which order, and what is
//! left when the other side misbehaves or the copying process dies.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod comparing;
mod copier;
mod copying;
mod delegating;
mod index;
mod inventory;
mod keeping;
mod killed;
mod misbehaving;
mod power;
mod roots;
mod signing;
mod standing;
