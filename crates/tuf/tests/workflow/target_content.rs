//! TUF §5.7: the content of a target.

use serde_json::json;
use wheelmark_tuf::{Found, Hashes, Target, Verified};

use crate::client::{Client, explain};
use crate::repo::Repo;

fn target(content: &[u8], edit: impl FnOnce(&mut Repo)) -> Verified<Target> {
    let mut repo = Repo::new();
    let mut client = Client::new(&repo);
    repo.add("targets", "dir/file.txt", content);
    edit(&mut repo);
    repo.publish("targets snapshot timestamp");
    let set = client.refresh(&repo).unwrap();
    match client.lookup(&set, &repo, "dir/file.txt").unwrap() {
        Found::Target(target) => target,
        Found::Absent { .. } => panic!("absent"),
    }
}

fn edit_hashes(hashes: &[(&str, String)]) -> impl FnOnce(&mut Repo) {
    let hashes = hashes
        .iter()
        .map(|(name, digest)| ((*name).to_owned(), digest.clone()))
        .collect();
    move |repo| {
        repo.targets.targets.values_mut().next().unwrap().hashes = Hashes::new(hashes).unwrap();
    }
}

fn sha512(content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, content);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[test]
fn content_is_checked_for_length_and_hash() {
    let target = target(b"content", |_| {});
    target.check(b"content").unwrap();
    let refused = |content: &[u8]| explain(&target.check(content).unwrap_err());
    assert_eq!(
        refused(b"contents"),
        "the content of dir/file.txt is longer than 7 bytes"
    );
    assert_eq!(
        refused(b"conten"),
        "the content of dir/file.txt ends after 6 of 7 bytes"
    );
    let other = refused(b"kontent");
    assert!(
        other.starts_with("the content of dir/file.txt is not what targets has signed: the sha256")
    );
}

#[test]
fn a_stream_is_refused_at_the_first_byte_too_many() {
    let target = target(b"content", |_| {});
    let mut stream = target.hasher().unwrap();
    stream.update(b"cont").unwrap();
    stream.update(b"ent").unwrap();
    stream.clone().finish().unwrap();
    assert!(stream.update(b"s").is_err());
    assert!(stream.finish().is_err());
}

#[test]
fn all_known_hashes_count_and_unknown_ones_do_not_suffice() {
    let (right, wrong) = (sha512(b"content"), "0".repeat(128));
    let sha256 = wheelmark_tuf::Sha256::of(b"content").to_string();
    let accepts = |hashes: &[(&str, String)]| {
        target(b"content", edit_hashes(hashes))
            .check(b"content")
            .is_ok()
    };
    assert!(accepts(&[("sha512", right.clone())]));
    assert!(accepts(&[
        ("sha512", right.clone()),
        ("sha256", sha256.clone())
    ]));
    assert!(accepts(&[
        ("sha256", sha256.clone()),
        ("future", "x".into())
    ]));
    assert!(!accepts(&[("sha512", wrong), ("sha256", sha256.clone())]));
    assert!(!accepts(&[("sha256", "0".repeat(64)), ("sha512", right)]));
    assert!(!accepts(&[("future", sha256)]));
}

#[test]
fn the_object_is_named_by_sha256_if_it_can_be() {
    let sha256 = wheelmark_tuf::Sha256::of(b"content").to_string();
    let name = |hashes: &[(&str, String)]| target(b"content", edit_hashes(hashes)).hash_named();
    assert_eq!(
        name(&[("sha256", sha256.clone())]),
        format!("dir/{sha256}.file.txt")
    );
    let sha512 = sha512(b"content");
    assert_eq!(
        name(&[("sha512", sha512.clone())]),
        format!("dir/{sha512}.file.txt")
    );
    assert_eq!(
        name(&[("sha512", sha512), ("sha256", sha256.clone())]),
        format!("dir/{sha256}.file.txt")
    );
}

#[test]
fn an_empty_file_is_a_file() {
    let target = target(b"", |_| {});
    target.check(b"").unwrap();
    assert!(target.check(b" ").is_err());
}

#[test]
fn custom_data_comes_along() {
    let target = target(b"content", |repo| {
        repo.targets.targets.values_mut().next().unwrap().custom = Some(json!({"a": [1]}).into());
    });
    assert_eq!(target.custom, Some(json!({"a": [1]})));
    assert_eq!(
        (target.role.as_str(), target.role_version, &target.via[..]),
        ("targets", 2, &[][..])
    );
}
