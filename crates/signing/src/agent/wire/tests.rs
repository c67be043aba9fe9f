use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn string(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn list(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut answer = vec![IDENTITIES_ANSWER];
    answer.extend_from_slice(&u32::try_from(entries.len()).unwrap().to_be_bytes());
    for (blob, comment) in entries {
        answer.extend(string(blob));
        answer.extend(string(comment));
    }
    answer
}

fn ed25519_blob() -> Vec<u8> {
    [string(b"ssh-ed25519"), string(&[7; 32])].concat()
}

fn signed(kind: &[u8], body: &[u8]) -> Vec<u8> {
    let inner = [string(kind), string(body)].concat();
    [&[SIGN_RESPONSE], string(&inner).as_slice()].concat()
}

#[test]
fn a_list_is_read_to_its_end() {
    let answer = list(&[(b"one", b"alice"), (b"two", b"\xff")]);
    let keys = listed(&answer).unwrap();
    assert_eq!(
        (keys[0].blob.as_slice(), keys[0].comment.as_str()),
        (&b"one"[..], "alice")
    );
    assert_eq!(keys[1].comment, "\u{fffd}");
    for length in 1..answer.len() {
        assert_eq!(
            listed(&answer[..length]),
            Err(WireError::Length),
            "{length}"
        );
    }
    assert_eq!(listed(&[answer, vec![0]].concat()), Err(WireError::Length));
}

#[test]
fn an_agent_that_claims_too_much_is_not_believed() {
    let claimed = u32::MAX;
    let answer = [&[IDENTITIES_ANSWER][..], &claimed.to_be_bytes()].concat();
    assert_eq!(listed(&answer), Err(WireError::TooMany { claimed }));
    let huge = [&[IDENTITIES_ANSWER][..], &1_u32.to_be_bytes(), &[0xff; 4]].concat();
    assert_eq!(listed(&huge), Err(WireError::Length));
    assert_eq!(listed(&[]), Err(WireError::Length));
    assert_eq!(listed(&[FAILURE]), Err(WireError::Refused));
    let other = WireError::Type {
        expected: IDENTITIES_ANSWER,
        found: 6,
    };
    assert_eq!(listed(&[6]), Err(other));
}

#[test]
fn kinds_that_sign_other_bytes_than_asked_are_told_apart() {
    assert!(public_key(&ed25519_blob()).is_ok());
    let of = |kind: &str| public_key(&[string(kind.as_bytes()), string(&[7; 32])].concat());
    for sk in [
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    ] {
        assert_eq!(of(sk), Err(Unusable::Fido), "{sk}");
    }
    for certificate in [
        "ssh-ed25519-cert-v01@openssh.com",
        "ecdsa-sha2-nistp256-cert-v01@openssh.com",
        "sk-ssh-ed25519-cert-v01@openssh.com",
    ] {
        assert_eq!(of(certificate), Err(Unusable::Certificate), "{certificate}");
    }
    assert_eq!(of("ssh-rsa"), Err(Unusable::Rsa));
    assert!(matches!(
        of("ecdsa-sha2-nistp384"),
        Err(Unusable::Kind { .. })
    ));
    assert!(matches!(of("ssh-dss"), Err(Unusable::Kind { .. })));
    assert_eq!(public_key(b"ssh-ed25519"), Err(Unusable::Damaged));
    let longer = [ed25519_blob(), vec![0]].concat();
    assert_eq!(public_key(&longer), Err(Unusable::Damaged));
    // Not a point of the curve.
    let off = [
        string(b"ecdsa-sha2-nistp256"),
        string(b"nistp256"),
        string(&[4; 65]),
    ]
    .concat();
    assert_eq!(public_key(&off), Err(Unusable::Damaged));
}

#[test]
fn a_signature_is_of_the_kind_of_its_key() {
    let ed25519 = signed(b"ssh-ed25519", &[1; 64]);
    assert_eq!(signature(&ed25519, Algorithm::Ed25519).unwrap(), [1; 64]);
    assert_eq!(
        signature(&ed25519, Algorithm::EcdsaP256),
        Err(WireError::OtherKind)
    );
    let numbers = [string(&[0, 0x80]), string(&[5])].concat();
    let p256 = signed(b"ecdsa-sha2-nistp256", &numbers);
    let der = signature(&p256, Algorithm::EcdsaP256).unwrap();
    assert_eq!(der, [0x30, 7, 2, 2, 0, 0x80, 2, 1, 5]);
    for bad in [
        [string(&[1; 34]), string(&[5])],
        [string(&[0]), string(&[5])],
    ] {
        let p256 = signed(b"ecdsa-sha2-nistp256", &bad.concat());
        assert_eq!(
            signature(&p256, Algorithm::EcdsaP256),
            Err(WireError::Numbers)
        );
    }
    assert_eq!(
        signature(&[FAILURE], Algorithm::Ed25519),
        Err(WireError::Refused)
    );
}

#[test]
fn what_no_agent_takes_is_not_asked() {
    let request = sign_request(b"key", b"message").unwrap();
    let expected = [&[13][..], &string(b"key"), &string(b"message"), &[0; 4]].concat();
    assert_eq!(request, expected);
    assert!(sign_request(b"key", &vec![0; MAX_MESSAGE_LEN]).is_none());
}

proptest! {
    /// Any answer at all is read or refused, without a panic and without believing its lengths.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300), kind in 0_u8..16) {
        let answer = [&[kind][..], &bytes].concat();
        if let Ok(keys) = listed(&answer) {
            let length: usize = keys.iter().map(|key| 8 + key.blob.len()).sum();
            prop_assert!(length <= bytes.len());
        }
        for algorithm in [Algorithm::Ed25519, Algorithm::EcdsaP256, Algorithm::RsaPss] {
            let read = signature(&answer, algorithm);
            prop_assert!(read.is_err() || algorithm != Algorithm::RsaPss);
        }
        prop_assert!(public_key(&bytes).is_err() || bytes.len() > 32);
    }

    /// What was written is read again, whatever the keys and comments are.
    #[test]
    fn a_list_comes_back(entries in vec((vec(any::<u8>(), 0..60), "[ -~]{0,30}"), 0..20)) {
        let written: Vec<(&[u8], &[u8])> = entries
            .iter()
            .map(|(blob, comment)| (blob.as_slice(), comment.as_bytes()))
            .collect();
        let read = listed(&list(&written)).unwrap();
        let read: Vec<(&[u8], &[u8])> = read
            .iter()
            .map(|key| (key.blob.as_slice(), key.comment.as_bytes()))
            .collect();
        prop_assert_eq!(read, written);
    }
}
