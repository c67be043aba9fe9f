//! Online keys in files, and the metadata they sign.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use wheelmark_signing::{
    CreateKeyError, Ed25519Key, FileKey, OpenKeyError, SignRoleError, Signer, create_private_file,
    sign_role,
};
use wheelmark_tuf::{Key, Role as _, RoleKeys, Snapshot, VerifyError, verify};

/// The private key of RFC 8032, §7.1, test 1, as `openssl pkey` writes it, and its public key.
const RFC_8032: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
    -----END PRIVATE KEY-----\n";
const RFC_8032_PUBLIC: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
const RFC_8032_SIGNED_EMPTY: &str = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155\
    5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

fn write(path: &Path, contents: &str, mode: u32) {
    fs::write(path, contents).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_key_survives_being_written_and_read() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("online.pem");
    let created = FileKey::create(&path, &mut rng()).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    let opened = FileKey::open(&path).unwrap();
    assert_eq!(opened.key(), created.key());
    assert_eq!(opened.path(), path);
    let signature = opened.sign(b"message").unwrap();
    assert_eq!(&signature.keyid, created.key().keyid());
    created.key().verify(b"message", &signature.sig).unwrap();
    assert!(created.key().verify(b"messagE", &signature.sig).is_err());
}

#[test]
fn randomness_is_the_callers() {
    let (mut one, mut two) = (rng(), rng());
    let first = Ed25519Key::generate(&mut one);
    assert_eq!(first.key(), Ed25519Key::generate(&mut two).key());
    assert_ne!(first.key(), Ed25519Key::generate(&mut one).key());
}

#[test]
fn a_key_is_never_overwritten() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("online.pem");
    write(&path, "precious", 0o600);
    let error = FileKey::create(&path, &mut rng()).unwrap_err();
    assert!(matches!(error, CreateKeyError::Exists { .. }));
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    let nowhere = home.path().join("missing/online.pem");
    let error = FileKey::create(&nowhere, &mut rng()).unwrap_err();
    assert!(matches!(error, CreateKeyError::Io { .. }));
}

#[test]
fn a_key_of_openssl_is_read() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key.pem");
    for text in [
        RFC_8032.to_owned(),
        format!("made by hand\n{RFC_8032}\n"),
        RFC_8032.replace('\n', "\r\n"),
    ] {
        write(&path, &text, 0o600);
        let key = FileKey::open(&path).unwrap();
        let public: [u8; 32] = hex::decode(RFC_8032_PUBLIC).unwrap().try_into().unwrap();
        assert_eq!(key.key(), &Key::ed25519(public));
        assert_eq!(
            hex::encode(key.sign(b"").unwrap().sig),
            RFC_8032_SIGNED_EMPTY
        );
    }
}

#[test]
fn a_key_that_others_can_touch_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key.pem");
    write(&path, RFC_8032, 0o600);
    for mode in [0o640, 0o604, 0o620, 0o644, 0o601, 0o666] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let error = FileKey::open(&path).unwrap_err();
        assert!(matches!(error, OpenKeyError::TooOpen { mode: found, .. } if found == mode));
        let hint = format!("chmod 600 {}", path.display());
        assert!(error.to_string().contains(&hint), "{error}");
        // A service manager sets what it likes.
        FileKey::from_credentials(home.path(), "key.pem").unwrap();
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        FileKey::open(&path).unwrap();
    }
}

#[test]
fn what_is_not_a_key_is_refused_without_quoting_it() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key.pem");
    let body = RFC_8032.lines().nth(1).unwrap();
    for text in [
        String::new(),
        "SECRET".to_owned(),
        RFC_8032.replace("-----END", "-----"),
        format!("{RFC_8032}{RFC_8032}"),
        RFC_8032.replace(body, "SECRET?!"),
        RFC_8032.replace(body, ""),
        RFC_8032.replace(body, &body[..60]),
        RFC_8032.replace(body, &format!("{body}AAAA")),
        // X25519 instead of Ed25519.
        RFC_8032.replace("K2VwBCIE", "K2VuBCIE"),
        RFC_8032.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        RFC_8032.replace("PRIVATE KEY", "PUBLIC KEY"),
        "SECRET ".repeat(3000),
    ] {
        write(&path, &text, 0o600);
        let error = FileKey::open(&path).unwrap_err();
        assert!(
            matches!(error, OpenKeyError::Format { .. }),
            "{text}: {error:?}"
        );
        let said = format!("{error} {error:?}");
        assert!(
            !said.contains("SECRET") && !said.contains(&body[..20]),
            "{said}"
        );
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(
        FileKey::open(&path),
        Err(OpenKeyError::Format { .. })
    ));
    fs::remove_file(&path).unwrap();
    assert!(matches!(
        FileKey::open(&path),
        Err(OpenKeyError::Missing { .. })
    ));
    assert!(matches!(
        FileKey::open(home.path()),
        Err(OpenKeyError::TooOpen { .. } | OpenKeyError::Io { .. })
    ));
}

#[test]
fn a_credential_is_one_name_in_its_directory() {
    let home = tempfile::tempdir().unwrap();
    write(&home.path().join("key.pem"), RFC_8032, 0o600);
    let inside = home.path().join("credentials");
    fs::create_dir(&inside).unwrap();
    for name in ["", ".", "..", "../key.pem", "/etc/passwd", "a/b"] {
        let error = FileKey::from_credentials(&inside, name).unwrap_err();
        assert!(
            matches!(error, OpenKeyError::CredentialName { .. }),
            "{name}"
        );
    }
    let error = FileKey::from_credentials(&inside, "key.pem").unwrap_err();
    assert!(matches!(error, OpenKeyError::Missing { .. }));
}

#[test]
fn secrets_are_not_shown() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("key.pem");
    write(&path, RFC_8032, 0o600);
    let shown = format!("{:?}", FileKey::open(&path).unwrap());
    assert!(shown.contains("keyid"), "{shown}");
    assert!(
        !shown.contains("nWGxne") && !shown.contains("J1hsZ3v"),
        "{shown}"
    );
    assert!(
        !shown.contains("9d61b19d") && !shown.contains("157, 97, 177"),
        "{shown}"
    );
}

#[test]
fn private_files_are_whole_and_private() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("token");
    create_private_file(&path, b"secret").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"secret");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let error = create_private_file(&path, b"other").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"secret");
}

fn snapshot() -> Vec<u8> {
    let signed = br#"{"_type":"snapshot","expires":"2030-01-01T00:00:00Z","meta":{"targets.json":{"version":1}},"spec_version":"1.0.34","version":3}"#;
    signed.to_vec()
}

#[test]
fn a_signed_role_verifies_with_the_keys_that_signed_it() {
    let keys: Vec<Ed25519Key> = {
        let mut rng = rng();
        (0..3).map(|_| Ed25519Key::generate(&mut rng)).collect()
    };
    let known: BTreeMap<_, _> = keys
        .iter()
        .map(|key| (key.key().keyid().clone(), key.key().clone()))
        .collect();
    let role = |threshold| RoleKeys::new(known.values(), threshold);
    let canonical = snapshot();
    let file = sign_role(&canonical, &[&keys[2], &keys[0]]).unwrap();
    let text = String::from_utf8(file.clone()).unwrap();
    assert!(text.ends_with(&format!(
        "\"signed\":{}}}",
        String::from_utf8(canonical.clone()).unwrap()
    )));
    let verified = verify::<Snapshot>(&file, &known, &role(2)).unwrap();
    assert_eq!(verified.version, 3);
    assert_eq!(verified.to_canonical(), canonical);
    let refused: Result<_, VerifyError> = verify::<Snapshot>(&file, &known, &role(3));
    assert!(refused.is_err());
    // The order in which the signers are given does not show.
    assert_eq!(sign_role(&canonical, &[&keys[0], &keys[2]]).unwrap(), file);
}

#[test]
fn a_role_is_signed_once_by_each_key_and_by_one_at_least() {
    let key = Ed25519Key::generate(&mut rng());
    assert!(matches!(
        sign_role(&snapshot(), &[]),
        Err(SignRoleError::NoSigner)
    ));
    let twice = sign_role(&snapshot(), &[&key, &key]).unwrap_err();
    assert!(matches!(&twice, SignRoleError::Twice { keyid } if keyid == key.key().keyid()));
    let file = sign_role(&snapshot(), &[&key]).unwrap();
    assert_eq!(String::from_utf8(file).unwrap().matches("keyid").count(), 1);
}
