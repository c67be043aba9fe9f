//! Silence and slowness: a reason to ask the next source, and when it is an error.

use std::time::Duration;

use http::StatusCode;
use wheelmark_client::{Patience, Remote};

use super::{LARGE_FILE, Pair, SMALL_FILE, install_everything, only};
use crate::index::SMALL;
use crate::setup::Front;
use crate::web::Fault;

/// Short, where a test waits for the time to pass; nothing honest is asked to be quick.
fn impatient() -> Remote {
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
