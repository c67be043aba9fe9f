//! The one door through which time enters.

/// A source of the current time.
///
/// The libraries take a time as an argument where one moment is enough, and a `Clock` where
/// a process lives long. Only the `wheelmark` binary names a concrete one.
pub trait Clock: Send + Sync {
    /// The current time, in UTC.
    fn now(&self) -> jiff::Timestamp;
}
