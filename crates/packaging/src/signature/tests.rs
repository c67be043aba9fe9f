#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

/// What `gpg --armor --detach-sign` writes, with an Ed25519 key.
const GPG: &str = "-----BEGIN PGP SIGNATURE-----

iHUEABYIAB0WIQQO02PL5n2O9Am5eL1Qu6iAGlhuiQUCawHbGgAKCRBQu6iAGlhu
iVYKAQC67giD1tqtPIVTrY2Gxyu76qbPVYgdKiZ0nW/hHkLeYQD8CrvzgHoh31Mi
KMwEO1BhQDIJZ8TFgTknfVfyUmPZLg8=
=lPzA
-----END PGP SIGNATURE-----
";

fn armoured(packets: &[u8]) -> String {
    let data = STANDARD.encode(packets);
    let lines = data.as_bytes().chunks(64);
    let data: String = lines
        .map(|line| format!("{}\n", str::from_utf8(line).unwrap()))
        .collect();
    format!("-----BEGIN PGP SIGNATURE-----\n\n{data}-----END PGP SIGNATURE-----\n")
}

fn refused(text: &str) -> SignatureError {
    DetachedSignature::parse(text.as_bytes()).unwrap_err()
}

#[test]
fn signatures_of_gnupg_are_taken_as_they_are() {
    let crlf = GPG.replace('\n', "\r\n");
    let headers = GPG.replacen(
        "\n\n",
        "\nVersion: GnuPG v1\nComment: für alle\nHash:\n \n",
        1,
    );
    let without_sum = GPG.replace("=lPzA\n", "");
    let cut_behind = GPG.trim_end();
    let blank_behind = format!("{GPG}\n \r\n");
    for taken in [
        GPG,
        &crlf,
        &headers,
        &without_sum,
        cut_behind,
        &blank_behind,
    ] {
        let signature = DetachedSignature::parse(taken.as_bytes()).unwrap();
        assert_eq!(signature.as_bytes(), taken.as_bytes());
        assert_eq!(signature.into_bytes(), taken.as_bytes());
    }
}

#[test]
fn armour_of_another_form_is_refused() {
    use SignatureError::{Base64, Checksum, Header, NotArmoured, NotWhole, OtherArmour, Trailing};
    let label = |label| GPG.replace("PGP SIGNATURE", &format!("PGP {label}"));
    for other in [
        "MESSAGE",
        "SIGNED MESSAGE",
        "PUBLIC KEY BLOCK",
        "PRIVATE KEY BLOCK",
    ] {
        assert_eq!(refused(&label(other)), OtherArmour { label: other });
    }
    assert_eq!(refused(&label("ARMORED FILE")), NotArmoured);
    for (from, to, error) in [
        ("-----BEGIN", "\n-----BEGIN", NotArmoured),
        ("-----BEGIN", " -----BEGIN", NotArmoured),
        ("-----BEGIN", "see below\n-----BEGIN", NotArmoured),
        ("-----BEGIN", "\u{feff}-----BEGIN", NotArmoured),
        ("SIGNATURE-----\n\n", "SIGNATURE-----\n", Header { line: 2 }),
        ("\n\n", "\nA: \u{1b}[31m\n\n", Header { line: 2 }),
        ("\n\n", "\nA: b\n: c\n\n", Header { line: 3 }),
        ("\n\n", "\n\n\n", Base64 { line: 3 }),
        ("\niVYK", "\n iVYK", Base64 { line: 4 }),
        ("\niVYK", "\ni*YK", Base64 { line: 4 }),
        ("\niVYK", "\n\niVYK", Base64 { line: 4 }),
        ("\niVYK", "iVYK", Base64 { line: 3 }),
        ("\niVYK", "\nVYK", Base64 { line: 6 }),
        ("Lg8=", "Lg8", Base64 { line: 6 }),
        ("=lPzA", "=lPz", Base64 { line: 6 }),
        ("=lPzA", "=lPzA\n=lPzA", Base64 { line: 7 }),
        ("=lPzA", "=lPzB", Checksum),
        ("\niVYK", "\njVYK", Checksum),
        ("-----END", "----END", Base64 { line: 7 }),
        ("-----END PGP SIGNATURE-----\n", "", NotWhole),
        ("\n\n", "\n", Header { line: 2 }),
    ] {
        let changed = GPG.replacen(from, to, 1);
        assert_ne!(changed, GPG, "{from:?}");
        assert_eq!(refused(&changed), error, "{from:?} to {to:?}");
    }
    assert_eq!(refused(&format!("{GPG}{GPG}")), Trailing);
    assert_eq!(refused(&format!("{GPG}x")), Trailing);
    assert_eq!(refused("-----BEGIN PGP SIGNATURE-----"), NotWhole);
    assert_eq!(refused("-----BEGIN PGP SIGNATURE-----\nA: b\n"), NotWhole);
    assert_eq!(refused(""), NotArmoured);
    assert_eq!(DetachedSignature::parse(b"\x88\xff"), Err(NotArmoured));
}

#[test]
fn a_long_one_is_refused_before_it_is_read() {
    let comment = |len: usize| GPG.replacen("\n\n", &format!("\nC: {}\n\n", "c".repeat(len)), 1);
    let room = MAX_SIGNATURE_LEN - comment(0).len();
    assert!(DetachedSignature::parse(comment(room).as_bytes()).is_ok());
    assert_eq!(refused(&comment(room + 1)), SignatureError::TooLong);
    assert_eq!(refused(&"x".repeat(100_000)), SignatureError::TooLong);
}

#[test]
fn packets_that_are_signatures_of_a_file_are_taken_in_every_form() {
    for packets in [
        &[0x88, 3, 4, 0, 0][..],
        &[0x88, 3, 4, 1, 0],
        &[0x88, 3, 3, 5, 0],
        &[0x89, 0, 3, 6, 0, 0],
        &[0x8a, 0, 0, 0, 3, 4, 0, 0],
        &[0xc2, 3, 4, 0, 0],
        &[0xc2, 255, 0, 0, 0, 3, 4, 0, 0],
        &[0xc2, 3, 4, 0, 0, 0x88, 3, 4, 0, 0],
    ] {
        let text = armoured(packets);
        assert!(
            DetachedSignature::parse(text.as_bytes()).is_ok(),
            "{packets:x?}"
        );
    }
    // Two bytes say 192 and more.
    let long = [&[0xc2, 192, 8, 4, 0][..], &[0; 198]].concat();
    assert!(DetachedSignature::parse(armoured(&long).as_bytes()).is_ok());
}

#[test]
fn so_many_signatures_and_no_more() {
    let one: &[u8] = &[0xc2, 2, 4, 0];
    let text = armoured(&one.repeat(MAX_SIGNATURES));
    assert!(DetachedSignature::parse(text.as_bytes()).is_ok());
    let text = armoured(&one.repeat(MAX_SIGNATURES + 1));
    assert_eq!(refused(&text), SignatureError::TooMany);
}

#[test]
fn packets_that_are_something_else_are_refused() {
    use SignatureError::{NotOfAFile, OtherPacket, Packets, Version};
    for (packets, error) in [
        (&[][..], Packets),
        (&[0x08, 3, 4, 0, 0], Packets),
        (&[0x88], Packets),
        (&[0x88, 4, 4, 0, 0], Packets),
        (&[0x8b, 4, 0, 0], Packets),
        (&[0x89, 3], Packets),
        (&[0xc2, 224, 4, 0], Packets),
        (&[0xc2, 255, 0, 0, 3, 4, 0, 0], Packets),
        (&[0x8a, 0xff, 0xff, 0xff, 0xff, 4, 0], Packets),
        (&[0x88, 3, 4, 0, 0, 0], Packets),
        // A key, a message, and a signature with a key behind it.
        (&[0x98, 3, 4, 0, 0], OtherPacket { tag: 6 }),
        (&[0xc8, 3, 4, 0, 0], OtherPacket { tag: 8 }),
        (
            &[0x88, 3, 4, 0, 0, 0x98, 3, 4, 0, 0],
            OtherPacket { tag: 6 },
        ),
        (&[0x88, 0], Version),
        (&[0x88, 3, 5, 0, 0], Version),
        (&[0x88, 3, 3, 0, 0], Version),
        (&[0x88, 3, 4, 0x10, 0], NotOfAFile { kind: 0x10 }),
        (&[0x88, 3, 4, 0x20, 0], NotOfAFile { kind: 0x20 }),
    ] {
        assert_eq!(refused(&armoured(packets)), error, "{packets:x?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _outcome = DetachedSignature::parse(&bytes);
        let _outcome = DetachedSignature::parse(armoured(&bytes).as_bytes());
    }

    #[test]
    fn a_checksum_sees_each_changed_byte(at in 0_usize..119, to in any::<u8>()) {
        let mut lines: Vec<String> = GPG.lines().map(str::to_owned).collect();
        let mut bytes = STANDARD.decode(lines[2..5].concat()).unwrap();
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        let data = STANDARD.encode(&bytes);
        lines.splice(2..5, [data[..64].to_owned(), data[64..128].to_owned(), data[128..].to_owned()]);
        prop_assert_eq!(refused(&lines.join("\n")), SignatureError::Checksum);
    }
}
