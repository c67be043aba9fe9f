//! What was waited for in vain a moment ago is not waited for again at once.
//!
//! An installer asks for a page, then for what the page lists; several requests wait for the
//! same role. Each of them would sit out the same silence, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

use super::{FetchError, Haste};

/// For how long a silence answers for those that ask in the meantime. An installer that got
/// the refusal asks on within a moment; a person who tries again takes longer.
const REMEMBERED: Duration = Duration::from_secs(5);

/// The URLs that were silent, when that was found out, and after how long.
#[derive(Clone, Debug, Default)]
pub(crate) struct InVain(Arc<Mutex<HashMap<Url, (Instant, Duration)>>>);

impl InVain {
    /// Writes down what was silent; other errors came soon enough to be found out again. What
    /// got less time because there was another source may get more when there is none.
    pub(super) fn note(&self, error: &FetchError, haste: Haste) {
        if let FetchError::Silent { url, waited } = error
            && haste == Haste::NoOtherSource
        {
            let now = Instant::now();
            let mut silent = self.silent();
            silent.retain(|_, (since, _)| now.duration_since(*since) < REMEMBERED);
            silent.insert(url.clone(), (now, *waited));
        }
    }

    /// The error that the same request ended with a moment ago.
    pub(super) fn recall(&self, url: &Url) -> Result<(), FetchError> {
        match self.silent().get(url) {
            Some((since, waited)) if since.elapsed() < REMEMBERED => Err(FetchError::Silent {
                url: url.clone(),
                waited: *waited,
            }),
            _ => Ok(()),
        }
    }

    fn silent(&self) -> MutexGuard<'_, HashMap<Url, (Instant, Duration)>> {
        // Every change is complete in itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;

    #[test]
    fn only_silence_is_remembered_and_only_for_a_moment() {
        let urls = ["http://a.example/x", "http://a.example/y"];
        let [silent, large]: [Url; 2] = urls.map(|url| url.parse().unwrap());
        let in_vain = InVain::default();
        let (url, waited) = (silent.clone(), Duration::from_secs(30));
        let error = FetchError::Silent { url, waited };
        in_vain.note(&error, Haste::AnotherSource);
        assert!(in_vain.recall(&silent).is_ok());
        in_vain.note(&error, Haste::NoOtherSource);
        let (url, limit) = (large.clone(), 1);
        let error = FetchError::TooLarge { url, limit };
        in_vain.note(&error, Haste::NoOtherSource);
        assert!(in_vain.recall(&silent).is_err());
        assert!(in_vain.recall(&large).is_ok());

        let long_ago = Instant::now().checked_sub(REMEMBERED).unwrap();
        in_vain.silent().get_mut(&silent).unwrap().0 = long_ago;
        assert!(in_vain.recall(&silent).is_ok());
    }
}
