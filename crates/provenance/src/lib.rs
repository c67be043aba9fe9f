//! Who vouches for a file, besides the index.
//!
//! ```text
//! certificate, as people export it ─▶ Certificates ─▶ armoured bytes: kept, signed, served
//!                                          │
//! signature, as it is uploaded ─▶ DetachedSignature ─▶ verify(file, now) ─▶ Verdict
//!                                                      (feature `openpgp`)
//! ```
//!
//! Bytes and a time go in: nothing here reads a clock, a file or a socket of its own.

pub mod openpgp;
