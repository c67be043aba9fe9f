//! Offline seats: generated, sealed, opened with the right phrase and with nothing else.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::iter;

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use wheelmark_signing::{
    DEFAULT_WORK_FACTOR, MAX_WORK_FACTOR, Phrase, PhraseError, SEAT_KEYS, SealError, Seat,
    UnsealError, generate_seat, seal, unseal,
};

/// The least that scrypt can be asked for: tests need no protection.
const FAST: Option<u8> = Some(1);

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn phrase() -> Phrase {
    Phrase::generate(&mut rng(1))
}

/// A file as age makes it, with any contents.
fn age_file(contents: &[u8], phrase: &Phrase, work_factor: u8) -> Vec<u8> {
    let mut recipient = age::scrypt::Recipient::new(phrase.reveal().to_owned().into());
    recipient.set_work_factor(work_factor);
    let encryptor = age::Encryptor::with_recipients(iter::once(&recipient as _)).unwrap();
    let mut file = Vec::new();
    let mut writer = encryptor.wrap_output(&mut file).unwrap();
    writer.write_all(contents).unwrap();
    writer.finish().unwrap();
    file
}

/// The contents of a file as age shows them.
fn age_contents(file: &[u8], phrase: &Phrase) -> String {
    let identity = age::scrypt::Identity::new(phrase.reveal().to_owned().into());
    let decryptor = age::Decryptor::new(file).unwrap();
    let mut contents = String::new();
    decryptor
        .decrypt(iter::once(&identity as _))
        .unwrap()
        .read_to_string(&mut contents)
        .unwrap();
    contents
}

fn public_keys(seat: &Seat) -> Vec<(String, String)> {
    seat.names()
        .map(|name| {
            (
                name.to_owned(),
                seat.signer(name).unwrap().key().keyid().to_string(),
            )
        })
        .collect()
}

#[test]
fn a_seat_survives_being_sealed() {
    let seat = generate_seat(&mut rng(0));
    let sealed = seal(&seat, &phrase(), FAST).unwrap();
    assert!(sealed.starts_with(b"age-encryption.org/v1\n-> scrypt "));
    let opened = unseal(&sealed, &phrase()).unwrap();
    assert_eq!(public_keys(&opened), public_keys(&seat));
    let root = opened.signer("root").unwrap();
    let signature = root.sign(b"root").unwrap();
    seat.signer("root")
        .unwrap()
        .key()
        .verify(b"root", &signature.sig)
        .unwrap();
    // Another salt and another file key each time.
    assert_ne!(seal(&seat, &phrase(), FAST).unwrap(), sealed);
}

#[test]
fn a_seat_has_a_key_of_its_own_for_each_role() {
    let seat = generate_seat(&mut rng(0));
    assert_eq!(seat.names().collect::<Vec<_>>(), SEAT_KEYS);
    let ids: BTreeSet<String> = public_keys(&seat).into_iter().map(|(_, id)| id).collect();
    assert_eq!(ids.len(), SEAT_KEYS.len());
    let Err(missing) = seat.signer("snapshot") else {
        panic!("the snapshot key is not an offline key");
    };
    assert_eq!(
        missing.to_string(),
        "this seat has no key named `snapshot`, it has bins, claimed, root, targets"
    );
}

#[test]
fn the_wrong_phrase_opens_nothing() {
    let sealed = seal(&generate_seat(&mut rng(0)), &phrase(), FAST).unwrap();
    let wrong = Phrase::generate(&mut rng(2));
    assert!(matches!(
        unseal(&sealed, &wrong),
        Err(UnsealError::WrongPhrase)
    ));
}

#[test]
fn no_damage_goes_unnoticed() {
    let sealed = seal(&generate_seat(&mut rng(0)), &phrase(), FAST).unwrap();
    for at in (0..sealed.len()).step_by(3) {
        let mut damaged = sealed.clone();
        damaged[at] ^= 1;
        assert!(unseal(&damaged, &phrase()).is_err(), "byte {at}");
    }
    for len in (0..sealed.len()).step_by(5) {
        assert!(unseal(&sealed[..len], &phrase()).is_err(), "{len} bytes");
    }
    assert!(matches!(
        unseal(&sealed[..sealed.len() - 1], &phrase()),
        Err(UnsealError::Damaged(_))
    ));
    assert!(matches!(
        unseal(b"-----BEGIN", &phrase()),
        Err(UnsealError::NotAge(_))
    ));
}

#[test]
fn what_is_not_a_seat_is_refused_without_quoting_it() {
    let good = age_contents(
        &seal(&generate_seat(&mut rng(0)), &phrase(), FAST).unwrap(),
        &phrase(),
    );
    assert!(unseal(&age_file(good.as_bytes(), &phrase(), 1), &phrase()).is_ok());
    let seed = good.split_once(r#""seed":""#).unwrap().1[..64].to_owned();
    for contents in [
        String::new(),
        "SECRET".to_owned(),
        good.replace("seat-1", "seat-2"),
        good.replace("ed25519", "x25519"),
        good.replace(&seed, &seed[..62]),
        good.replace(&seed, &format!("{seed}00")),
        good.replace(&seed, &"SECRET__".repeat(8)),
        good.replacen('{', r#"{"SECRET":1,"#, 1),
        format!("{good}{good}"),
        " ".repeat(70_000),
    ] {
        let error = unseal(&age_file(contents.as_bytes(), &phrase(), 1), &phrase()).unwrap_err();
        assert!(matches!(error, UnsealError::NotASeat { .. }), "{error:?}");
        assert!(
            !format!("{error:?} {error}").contains("SECRET"),
            "{error:?}"
        );
    }
}

#[test]
fn a_custodian_can_choose_another_passphrase() {
    let seat = generate_seat(&mut rng(0));
    let contents = age_contents(&seal(&seat, &phrase(), FAST).unwrap(), &phrase());
    let chosen = Phrase::chosen("Correct horse, battery staple");
    let file = age_file(contents.as_bytes(), &chosen, 1);
    assert_eq!(
        public_keys(&unseal(&file, &chosen).unwrap()),
        public_keys(&seat)
    );
    assert!(matches!(
        unseal(&file, &phrase()),
        Err(UnsealError::WrongPhrase)
    ));
    assert!(!format!("{chosen:?}").contains("horse"));
}

#[test]
fn an_age_file_for_a_key_is_refused() {
    let recipient = age::x25519::Identity::generate().to_public();
    let file = age::encrypt(&recipient, b"{}").unwrap();
    assert!(matches!(
        unseal(&file, &phrase()),
        Err(UnsealError::NoPhrase)
    ));
}

#[test]
fn a_file_cannot_ask_for_any_amount_of_work() {
    let sealed = seal(&generate_seat(&mut rng(0)), &phrase(), FAST).unwrap();
    let text = String::from_utf8_lossy(&sealed).into_owned();
    let line = text.lines().nth(1).unwrap();
    let dear = line.strip_suffix(" 1").unwrap().to_owned() + " 40";
    let header = line.len();
    let mut file = sealed.clone();
    let start = "age-encryption.org/v1\n".len();
    file.splice(start..start + header, dear.into_bytes());
    let error = unseal(&file, &phrase()).unwrap_err();
    assert!(
        matches!(error, UnsealError::TooMuchWork { required: 40 }),
        "{error:?}"
    );

    let seat = generate_seat(&mut rng(0));
    for asked in [0, MAX_WORK_FACTOR + 1, 64, 255] {
        let error = seal(&seat, &phrase(), Some(asked)).unwrap_err();
        assert!(matches!(error, SealError::WorkFactor { asked: named } if named == asked));
    }
    const { assert!(DEFAULT_WORK_FACTOR <= MAX_WORK_FACTOR) };
}

#[test]
fn a_phrase_is_read_as_it_is_typed() {
    let phrase = phrase();
    let shown = phrase.reveal();
    assert_eq!(shown.len(), 34);
    assert!(shown.split('-').all(|group| group.len() == 4), "{shown}");
    let bare = shown.replace('-', "");
    for typed in [
        shown.to_owned(),
        shown.to_uppercase(),
        format!("  {}\n", shown.replace('-', " ")),
        bare.replace('0', "o").replace('1', "l"),
        bare.to_uppercase().replace('0', "O").replace('1', "I"),
        bare.clone(),
    ] {
        assert_eq!(typed.parse::<Phrase>().unwrap().reveal(), shown, "{typed}");
    }
}

#[test]
fn a_typing_error_is_told_from_a_wrong_phrase() {
    let shown = phrase().reveal().to_owned();
    let mut noticed = 0;
    let mut typed = 0;
    for at in 0..shown.len() {
        for other in "0a5z".chars() {
            let mut wrong: Vec<char> = shown.chars().collect();
            if wrong[at] == '-' || wrong[at] == other {
                continue;
            }
            wrong[at] = other;
            let wrong: String = wrong.into_iter().collect();
            typed += 1;
            noticed += usize::from(matches!(Phrase::parse(&wrong), Err(PhraseError::Mistyped)));
        }
    }
    // Two check symbols miss one error in 1024.
    assert!(noticed * 50 >= typed * 49, "{noticed} of {typed}");
    assert_eq!(
        Phrase::parse(&shown[..33]).unwrap_err(),
        PhraseError::Length { count: 27 }
    );
    assert_eq!(
        Phrase::parse("").unwrap_err(),
        PhraseError::Length { count: 0 }
    );
    let strange = format!("{}u{}", &shown[..6], &shown[7..]);
    assert_eq!(
        Phrase::parse(&strange).unwrap_err(),
        PhraseError::Symbol { position: 6 }
    );
    let strange = format!("{}ü{}", &shown[..6], &shown[7..]);
    assert_eq!(
        Phrase::parse(&strange).unwrap_err(),
        PhraseError::Symbol { position: 6 }
    );
}

#[test]
fn phrases_differ_and_use_every_symbol() {
    let mut rng = rng(3);
    let phrases: BTreeSet<String> = (0..200)
        .map(|_| Phrase::generate(&mut rng).reveal().to_owned())
        .collect();
    assert_eq!(phrases.len(), 200);
    for position in [0, 1, 2, 3, 5, 28, 30] {
        let symbols: BTreeSet<u8> = phrases
            .iter()
            .map(|phrase| phrase.as_bytes()[position])
            .collect();
        assert_eq!(symbols.len(), 32, "position {position}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let phrase = phrase();
    assert_eq!(format!("{phrase:?}"), "Phrase(redacted)");
    let seat = generate_seat(&mut rng(0));
    let contents = age_contents(&seal(&seat, &phrase, FAST).unwrap(), &phrase);
    let shown = format!("{seat:?} {seat:#?}");
    for (_, after) in contents
        .match_indices(r#""seed":""#)
        .map(|(at, _)| contents.split_at(at + 8))
    {
        assert!(!shown.contains(&after[..16]), "{shown}");
    }
    assert!(shown.contains("keyid"));
}
