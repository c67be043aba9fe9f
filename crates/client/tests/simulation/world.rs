//! One seed: an index, its mirrors, its clients, and what happens to them.

use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use wheelmark_client::{Freshness, ReaderOptions};
use wheelmark_tuf::Clock as _;

use crate::attack::{Attack, Shared};
use crate::client::{BY_ITSELF, Broken, Client, hold};
use crate::door::{Answer, Route};
use crate::index::{Ceremony, Index};

/// Steps of a seed.
const STEPS: usize = 60;

const CLIENTS: usize = 3;
const MIRRORS: usize = 2;
const PROJECTS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

/// In one seed out of so many, a file is large enough to go out in pieces.
const LARGE_EVERY: u64 = 6;

pub(crate) struct World {
    rng: StdRng,
    seed: u64,
    index: Index,
    live: Shared,
    mirrors: [Shared; MIRRORS],
    clients: Vec<Client>,
    attack: Option<Attack>,
    /// Clients that the attack is on.
    victims: Vec<usize>,
    /// What each client is led to where no attack is on.
    routes: Vec<Option<usize>>,
    /// What happened, step by step.
    pub(crate) story: Vec<String>,
}

impl World {
    pub(crate) async fn new(seed: u64) -> Self {
        let index = Index::new(seed).await;
        let live: Shared = Arc::new(Mutex::new(index.now().clone()));
        let mirrors = std::array::from_fn(|_| Arc::new(Mutex::new(index.now().clone())));
        let mut clients = Vec::new();
        for name in 0..CLIENTS {
            clients.push(Client::new(name, &index, honest(&live)).await);
        }
        Self {
            rng: StdRng::seed_from_u64(!seed),
            seed,
            index,
            live,
            mirrors,
            clients,
            attack: None,
            victims: Vec::new(),
            routes: vec![None; CLIENTS],
            story: Vec::new(),
        }
    }

    /// Lives through all steps, and ends with the attack over.
    pub(crate) async fn live(&mut self) -> Result<(), Broken> {
        self.publish().await;
        for _ in 0..STEPS {
            self.index.clock.forward(SignedDuration::from_secs(10));
            self.step().await?;
        }
        self.settle().await
    }

    fn tell(&mut self, what: impl Into<String>) {
        let line = format!("{} {}", self.index.clock.now(), what.into());
        if std::env::var_os("WHEELMARK_SEED").is_some() {
            print(&line);
        }
        self.story.push(line);
    }

    async fn step(&mut self) -> Result<(), Broken> {
        match self.rng.random_range(0..100) {
            0..=14 => self.pass_time(),
            15..=24 => self.publish().await,
            25..=31 => {
                self.tell("renew");
                self.index.turn().await;
                self.go_live();
            }
            32..=35 => {
                let all = [Ceremony::RootKeys, Ceremony::OnlineKey, Ceremony::Renewal];
                let ceremony = *all.choose(&mut self.rng).unwrap();
                self.hold(ceremony).await;
            }
            36..=40 => {
                let mirror = self.rng.random_range(0..MIRRORS);
                self.tell(format!("mirror {mirror} catches up"));
                *self.mirrors[mirror].lock().unwrap() = self.index.now().clone();
            }
            41..=44 => {
                let client = self.rng.random_range(0..CLIENTS);
                let choices = [None, Some(0), Some(1)];
                self.routes[client] = *choices.choose(&mut self.rng).unwrap();
                self.tell(format!("client {client} asks {:?}", self.routes[client]));
                self.lead();
            }
            45..=57 => self.attack(),
            58..=61 => self.settle().await?,
            62..=66 => {
                let client = self.rng.random_range(0..CLIENTS);
                self.restart(client).await;
            }
            67..=79 => {
                let client = self.rng.random_range(0..CLIENTS);
                drop(self.refresh(client).await?);
            }
            _ => {
                let client = self.rng.random_range(0..CLIENTS);
                let project = *PROJECTS.choose(&mut self.rng).unwrap();
                if self.rng.random() {
                    drop(self.refresh(client).await?);
                }
                drop(self.install(client, project).await?);
            }
        }
        Ok(())
    }

    fn pass_time(&mut self) {
        let minutes = match self.rng.random_range(0..20) {
            0..=9 => self.rng.random_range(1..120),
            10..=15 => self.rng.random_range(120..24 * 60),
            16..=18 => self.rng.random_range(24 * 60..5 * 24 * 60),
            _ => self.rng.random_range(20 * 24 * 60..100 * 24 * 60),
        };
        self.index.clock.forward(SignedDuration::from_mins(minutes));
        self.tell(format!("{minutes} minutes later"));
    }

    async fn publish(&mut self) {
        let files = self.rng.random_range(1..4);
        let mut names = Vec::new();
        for _ in 0..files {
            let project = *PROJECTS.choose(&mut self.rng).unwrap();
            let first_large = self.seed.is_multiple_of(LARGE_EVERY) && self.story.len() < 8;
            let (size, chunks) = if first_large && names.is_empty() {
                ((4 << 20) + 70_000, self.rng.random())
            } else {
                (self.rng.random_range(1..2_000), false)
            };
            names.push(self.index.upload(project, size, chunks).await);
        }
        if self.rng.random() {
            names.push(self.index.withdraw().await);
        }
        self.index.turn().await;
        self.tell(format!("publish {}", names.join(", ")));
        self.go_live();
    }

    async fn hold(&mut self, ceremony: Ceremony) {
        self.tell(format!("ceremony: {ceremony:?}"));
        self.index.hold(ceremony).await;
        self.go_live();
    }

    fn go_live(&self) {
        *self.live.lock().unwrap() = self.index.now().clone();
    }

    fn attack(&mut self) {
        // What a stolen key did has to be mended before the next attack; it only moves on.
        let attack = match self.attack.take() {
            Some(theft) if theft.theft => theft,
            _ => Attack::draw(&mut self.rng, &mut self.index, &self.live),
        };
        self.victims = (0..CLIENTS)
            .filter(|_| self.rng.random_range(0..3) > 0)
            .collect();
        self.tell(format!("attack on {:?}: {attack}", self.victims));
        self.attack = Some(attack);
        self.lead();
    }

    fn lead(&self) {
        for client in &self.clients {
            let route = match (&self.attack, self.routes[client.name]) {
                (Some(attack), _) if self.victims.contains(&client.name) => attack.clone().route(),
                (_, Some(mirror)) => honest(&self.mirrors[mirror]),
                (_, None) => honest(&self.live),
            };
            client.door.lead_to(route);
        }
    }

    async fn restart(&mut self, client: usize) {
        let options = ReaderOptions {
            freshness: match self.rng.random() {
                true => Freshness::Once,
                false => Freshness::Periodic,
            },
            strict: self.rng.random(),
        };
        self.tell(format!("client {client} starts again, {options:?}"));
        self.clients[client].restart(options).await;
    }

    async fn refresh(&mut self, client: usize) -> Result<Result<(), String>, Broken> {
        let outcome = self.clients[client].refresh(&self.index).await?;
        self.tell(format!("client {client} refreshes: {outcome:?}"));
        Ok(outcome)
    }

    async fn install(
        &mut self,
        client: usize,
        project: &str,
    ) -> Result<Result<String, String>, Broken> {
        let outcome = self.clients[client].install(&self.index, project).await?;
        self.tell(format!("client {client} installs {project}: {outcome:?}"));
        Ok(outcome)
    }

    /// The attack ends, the operator does what has to be done, and everybody goes on.
    async fn settle(&mut self) -> Result<(), Broken> {
        self.tell("the attack ends");
        let theft = self.attack.take().is_some_and(|attack| attack.theft);
        if theft {
            self.hold(Ceremony::OnlineKey).await;
        }
        let soon = self.index.clock.now() + SignedDuration::from_hours(24);
        if self.index.offline_expiry() < soon {
            self.hold(Ceremony::Renewal).await;
        }
        let project = *PROJECTS.choose(&mut self.rng).unwrap();
        let size = self.rng.random_range(1..2_000);
        let newest = self.index.upload(project, size, false).await;
        // Some clients are told to refresh, as a new run does; the others come to it by
        // themselves.
        let told = self.rng.random();
        self.index.clock.forward(match told {
            true => SignedDuration::from_secs(10),
            false => BY_ITSELF,
        });
        self.index.turn().await;
        self.go_live();
        for mirror in &self.mirrors {
            *mirror.lock().unwrap() = self.index.now().clone();
        }
        self.lead();
        for client in 0..CLIENTS {
            if told {
                let refreshed = self.refresh(client).await?;
                hold!('d', refreshed.is_ok(), "client {client}: {refreshed:?}");
            }
            let installed = self.install(client, project).await?;
            hold!(
                'd',
                installed.as_ref().ok() == Some(&newest),
                "client {client} installed {installed:?} and not {newest}"
            );
        }
        Ok(())
    }
}

/// Everything as it is.
fn honest(tree: &Shared) -> Route {
    let tree = tree.clone();
    Arc::new(move |path| {
        let found = tree.lock().unwrap().get(path).cloned();
        found.map_or(Answer::Absent, Answer::Whole)
    })
}

#[expect(
    clippy::print_stdout,
    reason = "a replayed seed tells its story as it goes"
)]
fn print(line: &str) {
    println!("{line}");
}
