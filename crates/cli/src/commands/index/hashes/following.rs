//! Waits until everything lists what it is to, and says how far that is.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use wheelmark_objects::{Directory, LockError};
use wheelmark_repository::{Engine, Lifetimes, OpenError};
use wheelmark_store::{ListedHashes, Orders, Store};

use super::survey::Survey;
use crate::commands::index::orders::How;
use crate::context::Context;
use crate::data::Data;

/// How long nothing may become of it before people are told that it goes on by itself.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked at, at most. A look reads all bins: a large index is looked at less often.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What came of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    /// Everything lists it.
    Done,
    /// It goes on, for longer than was waited.
    Waiting,
    /// Nothing became of it for a while, or it has come to its end, and some projects are left.
    Stuck,
}

/// Waits for the process that publishes. Where none does, this one goes on with it.
pub(super) async fn follow(
    listed: ListedHashes,
    orders: &Orders,
    store: &Store,
    how: &How,
    data: &Data,
    context: &Context,
) -> anyhow::Result<Followed> {
    let tree = Arc::new(Directory::open(&data.tree()).await?);
    let shown = Shown::start();
    let (mut least, mut heard) = (usize::MAX, Instant::now());
    loop {
        let looked = Instant::now();
        let (behind, nameless) = match Survey::of(&data.tree()) {
            Ok(survey) if survey.listed != listed => return Ok(Followed::Waiting),
            Ok(survey) => (survey.left(listed), survey.nameless > 0),
            // It was published anew meanwhile, and old versions collected.
            Err(_) if heard.elapsed() < PATIENCE => (least, false),
            Err(error) => return Err(error),
        };
        if behind == 0 {
            return Ok(Followed::Done);
        }
        shown.draw(behind);
        if behind < least {
            (least, heard) = (behind, Instant::now());
        }
        if heard.elapsed() > PATIENCE {
            return Ok(Followed::Stuck);
        }
        let rest = LOOK_EVERY.max(10 * looked.elapsed());
        let Ok(online) = data.online_keys(how.online_key()) else {
            tokio::time::sleep(rest).await;
            continue;
        };
        let engine = Engine::open_with_orders(
            tree.clone(),
            store.clone(),
            orders.clone(),
            online,
            context.clock.clone(),
            Lifetimes::default(),
        );
        match engine.await {
            Ok(mut engine) => {
                if nameless {
                    engine.relist_all();
                }
                while engine.is_relisting() {
                    engine.turn().await?;
                    shown.draw(engine.projects_behind());
                }
                engine.flush().await?;
                return Ok(match engine.projects_behind() {
                    0 => Followed::Done,
                    _ => Followed::Stuck,
                });
            }
            Err(OpenError::Lock(LockError::Held { .. })) => tokio::time::sleep(rest).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// How many projects are left, on one line of the terminal.
struct Shown(ProgressBar);

impl Shown {
    fn start() -> Self {
        let bar = match std::io::stderr().is_terminal() {
            true => ProgressBar::no_length(),
            false => ProgressBar::hidden(),
        };
        bar.set_style(ProgressStyle::default_spinner());
        Self(bar)
    }

    fn draw(&self, behind: usize) {
        if !self.0.is_hidden() {
            let behind = HumanCount(behind as u64);
            self.0
                .set_message(format!("listing hashes anew: {behind} left"));
            self.0.tick();
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
