#![expect(clippy::unwrap_used, reason = "a test may panic")]

use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::{Hashes, Marks};

use super::*;

fn day(day: i8) -> Timestamp {
    format!("2026-11-{day:02}T00:00:00Z").parse().unwrap()
}

/// Since when a file has been there that was uploaded on the tenth.
fn check(signed: Signed, signed_at: i8, visible_since: Option<i8>, expected: i8) {
    let project: ProjectName = "demo".parse().unwrap();
    let name = DistributionFilename::parse("demo-1.0-py3-none-any.whl").unwrap();
    let mut file = PageFile::new(&project, name, Hashes::of_sha256([0; 32]));
    file.upload_time = Some(day(10));
    let mut marks = Marks::new(signed, day(signed_at));
    marks.visible_since = visible_since.map(day);
    file.wheelmark = Some(marks);
    assert_eq!(
        super::visible_since(&file),
        Some(day(expected)),
        "{signed:?} {signed_at} {visible_since:?}"
    );
    file.upload_time = None;
    assert_eq!(super::visible_since(&file), None);
}

#[test]
fn the_latest_time_counts() {
    check(Signed::AtUpload, 10, None, 10);
    check(Signed::AtUpload, 12, None, 12);
    check(Signed::AtUpload, 12, Some(11), 12);
    check(Signed::AtUpload, 12, Some(20), 20);
    // It was there long before it was signed.
    check(Signed::Back, 12, None, 10);
    check(Signed::Back, 12, Some(20), 20);
    check(Signed::Back, 12, Some(5), 10);
}
