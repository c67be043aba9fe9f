//! Keys that ask to take the place of lost ones.

use serde_json::{Value, json};
use wheelmark_tuf::{KeySet, RecoveryRequest, RecoveryRequestError, RoleName, assemble, canonical};

use crate::repo::{Signer, time};

fn role() -> RoleName {
    "project-flask".parse().unwrap()
}

fn request(names: &[&str], threshold: u32) -> RecoveryRequest {
    let keys = names.iter().map(|name| Signer::new(name).key().clone());
    RecoveryRequest {
        role: role(),
        made_at: time("2026-11-22T08:00:00Z"),
        to: KeySet::new(keys, threshold).unwrap(),
    }
}

fn signed(canonical: &[u8], by: &[&str]) -> Vec<u8> {
    let signatures: Vec<_> = by.iter().map(|n| Signer::new(n).sign(canonical)).collect();
    assemble(canonical, &signatures)
}

#[test]
fn a_request_is_signed_by_every_key_that_it_names() {
    let asked = request(&["a", "b"], 1);
    let file = signed(&asked.to_canonical(), &["a", "b"]);
    assert_eq!(RecoveryRequest::read(&file, &role()).unwrap(), asked);
    for by in [&["a"][..], &["b", "x"], &[]] {
        let file = signed(&asked.to_canonical(), by);
        let refused = RecoveryRequest::read(&file, &role()).unwrap_err();
        assert!(
            matches!(refused, RecoveryRequestError::Signatures(_)),
            "{by:?}: {refused}"
        );
    }
}

#[test]
fn what_is_no_such_request_is_refused() {
    let asked = request(&["a"], 1);
    let file = signed(&asked.to_canonical(), &["a"]);
    let other: RoleName = "project-jinja".parse().unwrap();
    let refused = RecoveryRequest::read(&file, &other).unwrap_err();
    assert!(
        matches!(refused, RecoveryRequestError::OtherRole { .. }),
        "{refused}"
    );
    let spoilt = |change: &dyn Fn(&mut Value)| {
        let mut value = canonical::parse(&asked.to_canonical()).unwrap();
        change(&mut value);
        let file = signed(&canonical::encode(&value), &["a"]);
        RecoveryRequest::read(&file, &role()).unwrap_err()
    };
    // Nothing that was signed for something else passes for it, and nothing stands in it besides.
    let refused = spoilt(&|value| value["_type"] = "wheelmark-handover".into());
    assert!(
        matches!(refused, RecoveryRequestError::Form(_)),
        "{refused}"
    );
    let refused = spoilt(&|value| value["more"] = json!(1));
    assert!(
        matches!(refused, RecoveryRequestError::OtherForm),
        "{refused}"
    );
    let refused = spoilt(&|value| value["to"]["threshold"] = json!(2));
    assert!(
        matches!(refused, RecoveryRequestError::Keys(_)),
        "{refused}"
    );
    let refused = spoilt(&|value| value["made-at"] = json!("yesterday"));
    assert!(
        matches!(refused, RecoveryRequestError::Form(_)),
        "{refused}"
    );
    for bytes in [&b"{}"[..], b"", b"[]"] {
        assert!(RecoveryRequest::read(bytes, &role()).is_err());
    }
}
