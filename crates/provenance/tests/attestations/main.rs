//! Attestations that PyPI serves, and those of a Sigstore made for the test.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it counted"
)]

mod hostile;
mod real;
mod subjects;
mod tampering;
mod uploads;
