//! The plan of a recovery, which people change by hand and send to each other.
//!
//! Whatever the input:
//!
//! * what is read is written and read again as the same;
//! * planned again, what was decided about the very same changes stays;
//! * whoever drops everything has decided everything, and contradicts nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wheelmark_recovery::{Decision, Plan, Rule};

fuzz_target!(|input: &[u8]| {
    let Ok(plan) = Plan::from_json(input) else {
        return;
    };
    if let Ok(json) = plan.to_json() {
        let again = Plan::from_json(&json).expect("what was written can be read");
        assert_eq!(again, plan);
    }
    drop(plan.conflicts());
    let mut again = plan.clone();
    again.take_over(&plan);
    assert_eq!(again, plan);

    let mut usual = plan.clone();
    usual.decide_the_usual();
    assert!(usual.undecided() <= plan.undecided());
    for rule in [
        Rule::Supported,
        Rule::Sealed,
        Rule::Developer,
        Rule::Copies(1),
    ] {
        let left = usual.undecided();
        let decided = usual.decide(&rule, Decision::Keep);
        assert_eq!(usual.undecided() + decided, left);
    }
    let mut dropped = plan;
    dropped.undecide();
    dropped.decide(&Rule::All, Decision::Drop);
    assert_eq!(dropped.undecided(), 0);
    assert_eq!(dropped.conflicts(), []);
});
