//! What an upload may take of the machine: memory, and a disk that has no room.
//!
//! Both are measured on a whole process, so this binary does nothing else. A disk without room is
//! played by the limit on the size of a file: the system answers writes beyond it with an error of
//! the same family, and no rights are needed.

#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

#[path = "http/distributions.rs"]
#[expect(dead_code, reason = "this binary uses a part of it")]
mod distributions;
#[path = "http/form.rs"]
#[expect(dead_code, reason = "this binary uses a part of it")]
mod form;
#[path = "http/index.rs"]
#[expect(dead_code, reason = "this binary uses a part of it")]
mod index;

use std::process::Command;

use form::{Upload, begin, told};
use index::Index;
use tokio::io::AsyncWriteExt as _;
use wheelmark_store::Seq;

const LIMITED: &str = "an_upload_without_room_is_told_and_leaves_nothing";

/// The limit holds for a whole process, so the test runs in one of its own. `ulimit -f` counts
/// blocks of 512 bytes in POSIX and of 1024 in bash: 4 or 8 MiB, both below the file.
#[test]
fn in_a_process_with_a_limit() {
    let status = Command::new("sh")
        .arg("-c")
        .arg("trap '' XFSZ; ulimit -f 8192 && exec \"$0\" --exact \"$1\" --ignored --nocapture")
        .arg(std::env::current_exe().unwrap())
        .arg(LIMITED)
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
#[ignore = "a part of in_a_process_with_a_limit"]
async fn an_upload_without_room_is_told_and_leaves_nothing() {
    let index = Index::new().await;
    let content = distributions::wheel("large", "1.0", 12 << 20);
    let large = Upload::new("large-1.0-py3-none-any.whl", "large", "1.0", &content);
    let told = told(large.send(&index).await).await;
    assert_eq!(
        (told.status, told.title.as_str()),
        (507, "The index has no room left")
    );
    assert_eq!(
        index.uploaded_files().len(),
        0,
        "{:?}",
        index.uploaded_files()
    );
    assert_eq!(index.store.journal_after(Seq(0), 10).await.unwrap(), []);
    // What has room is still taken.
    Upload::wheel("small", "1.0").publish(&index).await;
}

#[tokio::test]
async fn memory_stays_bounded_while_a_file_streams_in() {
    let index = Index::new().await;
    let before = resident();
    let mut stream = begin(&index, 0, 1 << 30).await;
    let block = vec![7; 1 << 20];
    for _ in 0..256 {
        stream.write_all(&block).await.unwrap();
    }
    let grown = resident().saturating_sub(before);
    assert!(
        grown < 100 << 20,
        "grew by {grown} bytes while 256 MiB came in"
    );
}

/// The resident memory of this process, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}
