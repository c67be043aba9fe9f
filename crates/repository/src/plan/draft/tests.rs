#![expect(clippy::unwrap_used, reason = "a test may panic")]

use wheelmark_packaging::simple::Hashes;

use super::*;

/// A file whose entry is as long as wanted, give or take a hundred bytes.
fn file(number: usize, length: usize) -> PageFile {
    let name = format!("demo-{number}.tar.gz").parse().unwrap();
    let mut file = PageFile::new(&project(), name, Hashes::of_sha256([7; 32]));
    file.size = Some(7);
    file.requires_python = Some("x".repeat(length));
    file
}

fn project() -> ProjectName {
    "demo".parse().unwrap()
}

fn empty() -> Draft {
    Draft::of_page(ProjectPage::new(project()), FRAME_LEN)
}

fn name(number: usize) -> String {
    format!("demo-{number}.tar.gz")
}

/// What is signed next begins as what is signed now.
fn again(draft: Draft) -> Draft {
    let bytes = draft.into_page().to_json();
    assert!(bytes.len() <= MAX_PAGE_LEN, "{} bytes", bytes.len());
    Draft::of_page(ProjectPage::parse(&bytes).unwrap(), bytes.len())
}

#[test]
fn removed_files_leave_room_for_others_and_others_for_them() {
    const LENGTH: usize = 1024 * 1024;
    let mut draft = empty();
    let mut number = 0;
    // Files come and go until no more can go.
    let told = loop {
        draft.add(file(number, LENGTH)).unwrap();
        match draft.remove(&name(number), Timestamp::UNIX_EPOCH) {
            Ok(removed) => assert!(removed),
            Err(full) => break full.to_string(),
        }
        number += 1;
        if number == 10 {
            draft = again(draft);
        }
    };
    assert_eq!(number, 15, "a quarter of the page");
    assert!(told.contains("yank this one instead"), "{told}");
    assert!(draft.file(&name(number)).is_some(), "and it stays listed");

    // The rest of the page is for files.
    let mut files = 1;
    while draft.add(file(100 + files, LENGTH)).is_ok() {
        files += 1;
    }
    assert_eq!(files, 47);
    draft = again(draft);
    assert!(draft.add(file(1_000, LENGTH)).is_err());

    // One that comes back takes the place of a file, and gives back its own.
    assert!(draft.add(file(0, LENGTH)).is_err());
    assert!(draft.removed(&name(0)).is_some());
}

#[test]
fn a_page_full_of_files_lets_them_go_and_come_back() {
    const LENGTH: usize = 1024 * 1024;
    let mut draft = empty();
    let mut files = 0;
    while draft.add(file(files, LENGTH)).is_ok() {
        files += 1;
    }
    for _ in 0..3 {
        draft = again(draft);
        assert!(draft.remove(&name(3), Timestamp::UNIX_EPOCH).unwrap());
        draft = again(draft);
        let back = draft.removed(&name(3)).unwrap().clone();
        draft.add(back).unwrap();
    }
    assert!(again(draft).add(file(1_000, LENGTH)).is_err());
}

#[test]
fn the_number_of_removed_files_has_a_limit_too() {
    let mut draft = empty();
    let one = Removed {
        entry: file(0, 0),
        removed_at: Timestamp::UNIX_EPOCH,
        extra: BTreeMap::new(),
    };
    for number in 1..=MAX_REMOVED_FILES {
        let removed = &mut draft.page.wheelmark.removed;
        removed.insert(name(number), one.clone());
    }
    draft.add(file(0, 0)).unwrap();
    let full = draft.remove(&name(0), Timestamp::UNIX_EPOCH);
    assert!(full.is_err());
    draft.page.wheelmark.removed.remove(&name(1));
    assert!(draft.remove(&name(0), Timestamp::UNIX_EPOCH).unwrap());
}
