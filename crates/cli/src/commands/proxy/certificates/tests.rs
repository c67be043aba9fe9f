#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;

use super::*;

fn roots_of(name: &str) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{name}\n-----END CERTIFICATE-----\n")
}

/// Certificates in a directory of their own, and the authority that answers.
struct Kept {
    directory: tempfile::TempDir,
    certificates: Certificates,
    current: Authority,
    next: Option<Authority>,
}

impl Kept {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("roots"), roots_of("first")).unwrap();
        let certificates =
            Certificates::new(at("bundle"), Some(at("authority")), Some(at("roots"))).unwrap();
        let current = Authority::new(&[], begun()).unwrap();
        certificates.write(&current, None).unwrap();
        Self {
            directory,
            certificates,
            current,
            next: None,
        }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.directory.path().join(name)).unwrap()
    }

    /// How many certificates there are in both files.
    fn counts(&self) -> [usize; 2] {
        ["bundle", "authority"].map(|name| self.text(name).matches("BEGIN").count())
    }

    /// So many hours after the beginning; whether another authority answers since.
    fn at(&mut self, hours: i64) -> bool {
        let now = begun() + SignedDuration::from_hours(hours);
        let make = || Ok(Authority::new(&[], now)?);
        let switched = self
            .certificates
            .check(&self.current, &mut self.next, make, now)
            .unwrap();
        let Some(switched) = switched else {
            return false;
        };
        assert!(self.text("authority").contains(&switched.bundle("")));
        assert!(switched.starts() <= now && now < switched.ends());
        self.current = switched;
        true
    }
}

fn begun() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

#[test]
fn the_next_authority_is_known_before_the_first_one_ends() {
    let mut kept = Kept::new();
    assert_eq!(kept.counts(), [2, 1]);
    assert!(!kept.text("authority").contains("first"));
    assert!(!kept.at(11));
    assert_eq!(kept.counts(), [2, 1]);
    assert!(!kept.at(13));
    assert_eq!(kept.counts(), [3, 2]);
    assert!(!kept.at(22));
    assert!(kept.at(23));
    // A machine that slept through the end.
    assert!(kept.at(100));
}

#[test]
fn a_clock_that_goes_back_takes_effect_at_once() {
    let mut kept = Kept::new();
    assert!(!kept.at(0));
    assert!(kept.at(-48));
    assert!(!kept.at(-47));
    // The next one was made by a clock that was wrong.
    let mut kept = Kept::new();
    assert!(!kept.at(13));
    assert!(kept.at(-24 * 30));
}

#[test]
fn a_file_that_was_removed_is_written_again_and_a_directory_is_not() {
    let mut kept = Kept::new();
    fs::remove_file(kept.directory.path().join("bundle")).unwrap();
    assert!(!kept.at(1));
    assert_eq!(kept.counts(), [2, 1]);
    let directory = kept.directory.path().to_owned();
    fs::remove_dir_all(&directory).unwrap();
    assert!(!kept.at(2));
    assert!(!directory.exists());
}

#[test]
fn the_certificates_of_others_are_read_again() {
    let mut kept = Kept::new();
    let roots = kept.directory.path().join("roots");
    fs::write(&roots, roots_of("second")).unwrap();
    kept.at(13);
    assert!(kept.text("bundle").contains("second") && !kept.text("bundle").contains("first"));
    // One that cannot be read any more is no reason to end.
    fs::remove_file(&roots).unwrap();
    kept.at(23);
    kept.at(36);
    assert!(kept.text("bundle").contains("second"));
}
