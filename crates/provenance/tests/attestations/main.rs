//! Attestations that PyPI serves, and those of a Sigstore made for the test.

mod hostile;
mod real;
mod subjects;
mod tampering;
mod uploads;
