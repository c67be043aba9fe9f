#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn place(folder: &tempfile::TempDir) -> LogPlace {
    LogPlace::new(folder.path().join("signing-log"))
}

/// Entries behind `head`, each of `padding` bytes and a little more.
fn lines(mut head: Head, count: u64, padding: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for _ in 0..count {
        let mut entry = Entry::behind(head, NOW);
        entry.keys.push("k".repeat(padding.max(1)).into());
        let line = entry.to_line();
        head = Head::of(entry.number, line.as_bytes());
        lines.push(line);
    }
    lines
}

fn survey(place: &LogPlace) -> Survey {
    Survey::of(place.folder(), &BTreeSet::new(), &BTreeMap::new(), 1).unwrap()
}

#[test]
fn lines_are_appended_once_however_often_they_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder);
    let three = lines(Head::NONE, 3, 1);
    let mut log = SigningLog::open(place.clone()).unwrap();
    log.append(&three[..2]).unwrap();
    log.append(&three).unwrap();
    drop(log);
    let mut log = SigningLog::open(place.clone()).unwrap();
    log.append(&three).unwrap();
    assert_eq!(log.head().number, 3);
    let survey = survey(&place);
    assert_eq!(survey.flaws, []);
    assert_eq!(survey.first.map(|first| first.0), Some(1));
    assert_eq!(survey.last.map(|last| last.0), Some(log.head()));
}

#[test]
fn what_a_crash_left_of_an_entry_is_put_aside_and_written_again() {
    for zeros in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let place = place(&folder);
        let three = lines(Head::NONE, 3, 1);
        SigningLog::open(place.clone())
            .unwrap()
            .append(&three)
            .unwrap();
        let file = files(place.folder()).unwrap()[0].1.clone();
        let mut bytes = std::fs::read(&file).unwrap();
        let keep = bytes.len() - 40;
        match zeros {
            true => bytes[keep..].fill(0),
            false => bytes.truncate(keep),
        }
        std::fs::write(&file, &bytes).unwrap();

        let mut log = SigningLog::open(place.clone()).unwrap();
        assert_eq!(log.head().number, 2);
        log.append(&three).unwrap();
        assert_eq!(survey(&place).flaws, []);
        assert_eq!(log.head().number, 3);
        let aside = std::fs::read_dir(place.folder()).unwrap().count() - 1;
        assert_eq!(aside, 1, "what was cut off is kept");
    }
}

#[test]
fn a_full_file_is_followed_by_another_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder);
    let mut log = SigningLog::open(place.clone()).unwrap();
    // Nearly as long as a line may be: 17 of them fill a file.
    let long = folder::MAX_LINE_LEN - 1024;
    for _ in 0..40 {
        let line = lines(log.head(), 1, long);
        log.append(&line).unwrap();
    }
    let names: Vec<u64> = files(place.folder())
        .unwrap()
        .into_iter()
        .map(|(first, _)| first)
        .collect();
    assert_eq!(names, [1, 18, 35]);
    assert_eq!(survey(&place).flaws, []);
    drop(log);
    let mut log = SigningLog::open(place.clone()).unwrap();
    assert_eq!(log.head().number, 40);
    let line = lines(log.head(), 1, 1);
    log.append(&line).unwrap();
    // The oldest file can be moved elsewhere; one in the middle is missed.
    std::fs::remove_file(place.folder().join(folder::file_name(1))).unwrap();
    assert_eq!(survey(&place).flaws, [Flaw::NoBeginning { first: 18 }]);
    let nothing = (BTreeSet::new(), BTreeMap::new());
    let knowing = Survey::of(place.folder(), &nothing.0, &nothing.1, 18).unwrap();
    assert_eq!(knowing.flaws, [], "where that is known, it is no flaw");
    let first = lines(Head::NONE, 1, 1).remove(0) + "\n";
    std::fs::write(place.folder().join(folder::file_name(1)), first).unwrap();
    let missing = Flaw::Missing {
        after: 1,
        before: 18,
    };
    assert_eq!(survey(&place).flaws, [missing]);
}

#[test]
fn a_log_says_where_it_begins_and_where_entries_were_lost() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder);
    let published = Sha256::of(b"timestamp");
    let mut log = SigningLog::open(place.clone()).unwrap();
    log.stand_on(1, published, None, NOW).unwrap();
    // Once for one timestamp, however often it is opened.
    log.stand_on(1, published, None, NOW).unwrap();
    drop(log);
    let mut log = SigningLog::open(place.clone()).unwrap();
    log.stand_on(1, published, None, NOW).unwrap();
    assert_eq!(log.head().number, 1);
    let more = lines(log.head(), 3, 1);
    log.append(&more).unwrap();
    let carried = log.head();
    let mut own = Entry::behind(carried, NOW);
    let sha256 = Sha256::of(b"signed");
    let signed = SignedRole { version: 2, sha256 };
    own.signed.insert(RoleName::timestamp(), signed);
    log.append(&[own.to_line()]).unwrap();
    let head = log.head();
    log.stand_on(2, Sha256::of(b"next"), Some(carried), NOW)
        .unwrap();
    assert_eq!(log.head(), head, "all of it is there");

    // A head that it does not have: another one, or one behind its end.
    let lost = Head::of(90, b"lost");
    log.stand_on(3, Sha256::of(b"later"), Some(lost), NOW)
        .unwrap();
    assert_eq!(log.head().number, 92, "no number stands for two entries");
    let survey = survey(&place);
    let follows: Vec<_> = survey.follows.iter().map(|it| (it.0, it.2.lost)).collect();
    assert_eq!(follows, [(1, None), (92, Some(lost))]);
    assert_eq!(survey.flaws, []);
}

#[test]
fn a_rewritten_entry_is_seen_and_so_is_a_rewritten_rest() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder);
    let five = lines(Head::NONE, 5, 1);
    let heads: Vec<Sha256> = five
        .iter()
        .map(|line| Sha256::of(line.as_bytes()))
        .collect();
    let asked: BTreeSet<Sha256> = heads.iter().copied().collect();
    let look = || Survey::of(place.folder(), &asked, &BTreeMap::new(), 1).unwrap();
    SigningLog::open(place.clone())
        .unwrap()
        .append(&five)
        .unwrap();
    assert_eq!(look().found.len(), 5);

    let file = files(place.folder()).unwrap()[0].1.clone();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        text.replacen("\"kkk\"", "\"x\"", 1)
            .replacen("\"k\"", "\"x\"", 1),
    )
    .unwrap();
    assert_eq!(look().flaws, [Flaw::Rewritten { entry: 2 }]);

    // Whoever rewrites all that follows makes a sound chain, in which no head is that left before.
    let mut forged = five[..2].to_vec();
    forged.extend(lines(Head::of(2, five[1].as_bytes()), 3, 2));
    std::fs::write(&file, forged.join("\n") + "\n").unwrap();
    assert_eq!(look().flaws, []);
    let found: BTreeSet<u64> = look().found.values().map(|covered| covered.to).collect();
    assert_eq!(found, BTreeSet::from([1, 2]));

    // Genuine lines behind others: their heads are there, and stand for nothing before them.
    let mut spliced = lines(Head::NONE, 2, 3);
    spliced.extend(five[2..].iter().cloned());
    std::fs::write(&file, spliced.join("\n") + "\n").unwrap();
    assert_eq!(look().flaws, [Flaw::Rewritten { entry: 3 }]);
    assert!(look().found.values().all(|covered| covered.from == 3));

    // The beginning of a file taken away, and its number in the name kept.
    std::fs::write(&file, five[2..].join("\n") + "\n").unwrap();
    let name = Flaw::Name {
        named: 1,
        begins: 3,
    };
    assert_eq!(look().flaws, [name, Flaw::NoBeginning { first: 3 }]);

    // A line that is being written.
    std::fs::write(&file, five.join("\n") + "\n" + &five[4][..20]).unwrap();
    assert_eq!((look().flaws, look().is_unfinished), (vec![], true));
}

#[test]
fn a_flush_that_failed_is_not_believed_when_it_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder);
    let mut log = SigningLog::open(place.clone()).unwrap();
    let three = lines(Head::NONE, 3, 1);
    log.append(&three).unwrap();
    let file = files(place.folder()).unwrap()[0].1.clone();
    let whole = std::fs::read(&file).unwrap();
    let written = || std::fs::metadata(&file).unwrap().modified().unwrap();
    let earlier = std::time::SystemTime::UNIX_EPOCH;
    let age = || {
        let open = File::options().write(true).open(&file).unwrap();
        open.set_modified(earlier).unwrap();
    };
    age();
    log.append(&three).unwrap();
    assert_eq!(written(), earlier, "what is there is passed over");
    log.restore(&three[1..2]).unwrap();
    assert_ne!(written(), earlier, "and what is recorded is written again");
    assert_eq!(std::fs::read(&file).unwrap(), whole);
    // A flush after one that has failed writes everything again.
    age();
    log.flush().unwrap();
    assert_eq!(written(), earlier);
    log.is_doubtful = true;
    log.flush().unwrap();
    assert_ne!(written(), earlier);
    assert_eq!(std::fs::read(&file).unwrap(), whole);
}

#[test]
fn many_roles_go_into_several_lines_of_which_each_stands_for_those_before() {
    let mut logging = Logging::behind(Head::NONE, [KeyId::from("k".repeat(64))], NOW);
    let count = 2 * ROLES_IN_A_LINE as u64 + 1;
    for i in 0..count {
        let role: RoleName = format!("packages-{i:04x}").parse().unwrap();
        logging.role(&role, 1, b"signed");
    }
    let lines = logging.finish();
    assert_eq!(lines.len(), 3);
    let entries = lines
        .iter()
        .map(|line| Entry::parse(line.as_bytes()).unwrap());
    let signed: usize = entries.map(|entry| entry.signed.len()).sum();
    assert_eq!(signed as u64, count);
    assert!(lines.iter().all(|line| line.len() < 128 * 1024));
    let folder = tempfile::tempdir().unwrap();
    let place = place(&folder);
    let mut log = SigningLog::open(place.clone()).unwrap();
    log.append(&lines).unwrap();
    assert_eq!(survey(&place).flaws, []);
}
