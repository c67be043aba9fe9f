//! Silence and slowness: a reason to ask the next source, and when it is an error.

use std::time::{Duration, Instant};

use http::StatusCode;
use wheelmark_client::{Beginning, Patience, Remote, TrustStore, add_trust};
use wheelmark_tuf::Clock as _;

use super::{LARGE_FILE, Pair, SMALL_FILE, install_everything, only};
use crate::index::SMALL;
use crate::setup::Front;
use wheelmark_testing::Fault;

/// Short, where a test waits for the time to pass; nothing honest is asked to be quick.
pub(super) fn impatient() -> Remote {
    let patience = Patience {
        silence: Duration::from_secs(2),
        start: Duration::from_secs(1),
        grace: Duration::from_secs(1),
        ..Patience::default()
    };
    Remote::with_patience("wheelmark-test", patience).unwrap()
}

#[tokio::test]
async fn silence_and_slowness_send_us_to_the_next() {
    for (fault, said) in [
        (Fault::Silent(LARGE_FILE, 2000), "was silent"),
        (Fault::Silent(LARGE_FILE, 0), "was silent"),
        (Fault::Slow(LARGE_FILE, 4000), "bytes a second"),
        (Fault::Silent("simple", 0), "was silent"),
        (Fault::Silent("timestamp", 0), "no answer yet"),
    ] {
        let pair = Pair::new().await;
        pair.own.set_fault(fault.clone());
        let warning = only(install_everything(pair.reader_by(impatient())).await);
        assert_eq!(warning.source, pair.own_name(), "{fault:?}");
        assert!(warning.what.contains(said), "{fault:?}: {warning:?}");
    }
}

#[tokio::test]
async fn the_last_source_may_be_slow_and_not_silent() {
    let pair = Pair::new().await;
    let hasty = Patience {
        slowest_rate: 1 << 20,
        start: Duration::from_millis(500),
        ..Patience::default()
    };
    let hasty = Remote::with_patience("wheelmark-test", hasty).unwrap();
    let slow = Fault::Slow(SMALL_FILE, 40_000);
    pair.own.set_fault(slow.clone());
    let warning = only(install_everything(pair.reader_by(hasty.clone())).await);
    assert!(warning.what.contains("bytes a second"), "{warning:?}");

    // The page is asked for first, and puts the mirror in the first place.
    std::fs::remove_dir_all(pair.trusted.directory().join("pages")).unwrap();
    let gone = Fault::Answers("targets", StatusCode::BAD_GATEWAY);
    pair.own.set_fault(gone);
    pair.mirror.set_fault(slow);
    let warnings = install_everything(pair.reader_by(hasty)).await;
    let sources: Vec<_> = warnings.iter().map(|warning| &warning.source).collect();
    assert_eq!(sources, [&pair.own_name(), &pair.mirror_name()]);

    pair.mirror.set_fault(Fault::Silent(SMALL_FILE, 50_000));
    let front = Front::new(pair.reader_by(impatient())).await;
    let answer = front.get_file(SMALL).await;
    assert_eq!(answer.status(), 424);
    let body = String::from_utf8(answer.bytes().await.unwrap().to_vec()).unwrap();
    assert!(body.contains("was silent for 2 s"), "{body}");
}

#[tokio::test]
async fn the_time_of_a_source_runs_from_the_question_on() {
    let pair = Pair::new().await;
    let start = Duration::from_secs(4);
    let patience = Patience {
        start,
        ..Patience::default()
    };
    let remote = Remote::with_patience("wheelmark-test", patience).unwrap();
    let front = Front::new(pair.reader_by(remote)).await;
    front.page().await;
    // The head comes in time and nothing after it: the body has no time of its own.
    pair.own
        .set_fault(Fault::WaitsInVain(SMALL_FILE, start.mul_f64(0.9)));
    let asked = Instant::now();
    assert_eq!(front.get_file(SMALL).await.status(), 200);
    let took = asked.elapsed();
    assert!(took < start.mul_f64(1.8), "{took:?}");
}

#[tokio::test]
async fn who_asks_again_after_leaving_is_not_kept_waiting_by_the_same_source() {
    let pair = Pair::new().await;
    let patience = Patience {
        start: Duration::from_secs(1),
        slowest_rate: 1,
        ..Patience::default()
    };
    let remote = Remote::with_patience("wheelmark-test", patience).unwrap();
    let reader = pair.reader_by(remote);
    let front = Front::new(reader.clone()).await;
    front.page().await;
    // Not too slow for us, and too slow for whoever asks.
    pair.own.set_fault(Fault::Slow(SMALL_FILE, 15_000));
    let path = format!("/packages/demo/{SMALL}");
    let impatient = front.request(&path).timeout(Duration::from_millis(1500));
    assert!(impatient.send().await.is_err());
    for _ in 0..100 {
        if reader.warnings().is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    let warning = only(reader.warnings());
    assert_eq!(warning.source, pair.own_name());
    assert!(warning.what.contains("waited no longer"), "{warning:?}");
    pair.own.asked();
    assert_eq!(front.get_file(SMALL).await.status(), 200);
    assert!(!pair.own.asked().iter().any(|path| path.ends_with(SMALL)));
}

#[tokio::test]
async fn a_silent_source_does_not_hold_up_the_search_for_a_root() {
    let pair = Pair::new().await;
    pair.own.set_fault(Fault::Silent("1.root.json", 0));
    let patience = Patience {
        silence: Duration::from_secs(120),
        start: Duration::from_millis(300),
        ..Patience::default()
    };
    let remote = Remote::with_patience("wheelmark-test", patience).unwrap();
    let home = tempfile::tempdir().unwrap();
    let store = TrustStore::open(home.path()).unwrap();
    let urls = pair.trusted.urls().clone();
    let known = Beginning::Fingerprint(pair.index.fingerprint);
    let added = add_trust(&store, &remote, urls, known, pair.index.clock.now());
    let added = tokio::time::timeout(Duration::from_secs(60), added).await;
    assert!(added.expect("the mirror has it").is_ok());
}
