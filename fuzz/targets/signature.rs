//! OpenPGP signatures: as they are uploaded, and as packets in armour.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;
use wheelmark_packaging::{DetachedSignature, MAX_SIGNATURE_LEN};

fuzz_target!(|input: &[u8]| {
    look_at(input);
    let data = STANDARD.encode(input);
    let lines: Vec<&str> = data
        .as_bytes()
        .chunks(64)
        .filter_map(|line| str::from_utf8(line).ok())
        .collect();
    let (begin, end) = (
        "-----BEGIN PGP SIGNATURE-----",
        "-----END PGP SIGNATURE-----",
    );
    look_at(format!("{begin}\n\n{}\n{end}\n", lines.join("\n")).as_bytes());
});

fn look_at(armoured: &[u8]) {
    match DetachedSignature::parse(armoured) {
        Ok(signature) => {
            assert!(armoured.len() <= MAX_SIGNATURE_LEN);
            assert_eq!(signature.as_bytes(), armoured);
        }
        // Whatever is wrong, nothing of the bytes is told.
        Err(error) => assert!(!error.to_string().contains(char::is_control)),
    }
}
