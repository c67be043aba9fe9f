//! The statement of an index's recovery, as `targets` carries it.
//!
//! Whatever the input:
//!
//! * what is read is written as it was signed, unknown members included, and has one digest;
//! * it can be shown to people as it is, and its dates are in their order;
//! * beside whatever `targets` says besides, it is found again.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use wheelmark_fuzz::repository::time;
use wheelmark_tuf::{
    Extra, IndexRecovery, OWN_MEMBER, SPEC_VERSION, Targets, canonical, check_bulletin,
    without_controls,
};

fuzz_target!(|input: &[u8]| {
    let Ok(value) = canonical::parse(input) else {
        return;
    };
    let mut targets = Targets {
        spec_version: SPEC_VERSION.to_owned(),
        version: 1,
        expires: time("2027-06-02T09:00:00Z"),
        targets: BTreeMap::new(),
        delegations: None,
        extra: Extra::from([(OWN_MEMBER.to_owned(), value.clone())]),
    };
    // As all that stands in the member of our own.
    drop(IndexRecovery::of(&targets));
    let Ok(statement) = IndexRecovery::from_value(value.clone()) else {
        return;
    };
    let written = statement.to_value();
    assert_eq!(canonical::encode(&written), canonical::encode(&value));
    assert!(statement.since <= statement.at);
    assert_eq!(check_bulletin(&statement.bulletin), Ok(()));
    for line in statement.bulletin.split('\n') {
        assert_eq!(without_controls(line), line);
    }
    statement.state(&mut targets);
    let found = IndexRecovery::of(&targets).expect("it can be read");
    let found = found.expect("it is there");
    assert_eq!(found.digest(), statement.digest());
    assert_eq!(found, statement);
});
