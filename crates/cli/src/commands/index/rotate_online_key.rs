//! `wheelmark index rotate-online-key`: another key for what is signed online.

mod publishing;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use serde_json::{Value, json};
use wheelmark_ceremony::{OnlineKey, Standing, online_proof_message};
use wheelmark_signing::{FileKey, Signer as _};
use wheelmark_tuf::{Bins, Key, KeyId, RoleName, Sha256};

use self::publishing::Publishing;
use super::table::minute;
use super::under_way::{Retire, retire_from};
use crate::commands::up::print_line;
use crate::context::Context;
use crate::data::{Data, sync_directory, write_private};
use crate::logging::WithHint as _;
use crate::published;

/// Put another key in the place of the online key, without a gap for any client
///
/// Three steps, each of them this command or a ceremony; say where you are by giving it again.
///
///   wheelmark index rotate-online-key --data /srv/index
///   wheelmark ceremony begin --data /srv/index --online-key next-online-key.json --out rotation
///   wheelmark index rotate-online-key --data /srv/index --retire
///
/// The first makes the next key beside the present one (online-key.next, for its owner alone), and
/// from then on both sign each timestamp and each snapshot. Once the ceremony is published, root and
/// the bins name the next key; both go on signing, so that copies of the index which are a day behind
/// see no gap either. The last puts the next key in the present one's place.
///
/// Was the key stolen, or read? Then this is not enough: whoever had it may have signed what stands now, and
/// the next key would vouch for that, too. `wheelmark recover plan` compares with a state from before
/// and takes back what nobody vouches for; docs/recovery.md goes through it. This command is for a
/// key that nobody else has had: a new machine, a new kind of key, or a date in the calendar.
///
/// A running index takes each step up by itself, within a second. Runs as the user that the index
/// publishes as.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Where the public half of the next key is to be, for `wheelmark ceremony begin --online-key`
    #[arg(long, value_name = "FILE", default_value = "next-online-key.json")]
    out: PathBuf,

    /// Let the key of before go, once the ceremony is published
    #[arg(long, conflicts_with = "abandon")]
    retire: bool,

    /// With --retire: at once, though copies of the index may be behind; after a recovery that needs no saying
    #[arg(long, requires = "retire")]
    now: bool,

    /// Let the next key go instead, while no ceremony has named it
    #[arg(long)]
    abandon: bool,

    /// The file with the online key, if it is not DATA/online-key
    #[arg(long, value_name = "FILE")]
    online_key: Option<PathBuf>,

    /// Print a JSON object, for scripts
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &Args, data: &Data, context: &Context) -> anyhow::Result<ExitCode> {
    data.demand_owner()?;
    let rotation = Rotation::look(args, data)?;
    match (args.retire, args.abandon) {
        (true, _) => rotation.retire(context).await?,
        (_, true) => rotation.abandon(context).await?,
        _ => rotation.prepare(context).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// How far it has come.
struct Rotation<'a> {
    args: &'a Args,
    data: &'a Data,
    standing: Standing,
    /// The files of the present key and of the next one.
    files: [PathBuf; 2],
    present: FileKey,
    next: Option<FileKey>,
}

impl<'a> Rotation<'a> {
    fn look(args: &'a Args, data: &'a Data) -> anyhow::Result<Self> {
        let files = data.online_key_files(args.online_key.as_deref());
        let present = FileKey::open(&files[0]).hint(
            "name the file with the online key: --online-key FILE; a key that only the service sees is replaced where it lies (docs/operations.md)",
        )?;
        let next = match files[1].exists() {
            true => Some(FileKey::open(&files[1])?),
            false => None,
        };
        let (published, online) = published::read(&data.tree())?;
        if let Some(stray) = &online.stray_root {
            tracing::warn!(
                stray,
                "a file lies in the place of the next root, and root's keys have not signed it: somebody can write here, and may have read the online key; then recover (docs/recovery.md) instead of rotating it"
            );
        }
        let standing = Standing::verify(published).context("what is published is damaged")?;
        let rotation = Self {
            args,
            data,
            standing,
            files,
            present,
            next,
        };
        let known = rotation.is_named(&rotation.present)
            || rotation
                .next
                .as_ref()
                .is_some_and(|next| rotation.is_named(next));
        match known {
            true => Ok(rotation),
            false => Err(anyhow!(
                "{} is not the online key that this index's root names",
                rotation.files[0].display()
            ))
            .hint("restore the online key from its backup, or name its file with --online-key"),
        }
    }

    fn is_named(&self, key: &FileKey) -> bool {
        let root = self.standing.root();
        root.roles.timestamp.keyids.contains(key.key().keyid())
    }

    /// The next key, if root names it already.
    fn taken_over(&self) -> Option<&FileKey> {
        self.next.as_ref().filter(|next| self.is_named(next))
    }

    async fn prepare(mut self, context: &Context) -> anyhow::Result<()> {
        if let Some(next) = self.taken_over() {
            let keyid = next.key().keyid().clone();
            let retire = retire_from(self.data, &self.standing).await?;
            let when = match retire.stolen {
                true => "The key of before was stolen, and goes now".to_owned(),
                false => format!("From {} on the key of before can go", minute(retire.from)),
            };
            return self.tell(
                json!({
                    "state": "named",
                    "key": keyid.as_str(),
                    "retire_from": retire.from.to_string(),
                    "recovered": retire.stolen,
                }),
                &format!(
                    "root names the next key, and both sign. {when}:\n  \
                     wheelmark index rotate-online-key --data {} --retire",
                    self.data.directory().display()
                ),
            );
        }
        let next = match self.next.take() {
            Some(next) => next,
            // Before there is a key that has begun to sign.
            None if self.args.out.exists() => return self.occupied(),
            None => FileKey::create(&self.files[1], &mut UnwrapErr(SysRng))?,
        };
        let public = self.public_half(&next)?;
        self.write_public(&public)?;
        let ids = [self.present.key(), next.key()].map(|key| key.keyid().clone());
        let both = self.publishing().signed_by(&ids, context).await?;
        let keyid = next.key().keyid().clone();
        let words: Vec<String> = public
            .words()
            .lines()
            .map(|line| format!("  {line}"))
            .collect();
        self.tell(
            json!({
                "state": "prepared",
                "key": keyid.as_str(),
                "words": public.words().to_string(),
                "public": self.args.out,
                "both_sign": both,
            }),
            &format!(
                "the next online key lies in {}, beside the present one, and has the id\n  {keyid}\n\
                 which is in words, to be read aloud to the holders\n{}\n{}\n\
                 next, a ceremony: every holder signs that the index goes over to it. Copies of the index see no gap if they were brought up to date before that, so give them a day\n  \
                 wheelmark ceremony begin --data {} --online-key {} --out rotation\n\
                 {}",
                self.files[1].display(),
                words.join("\n"),
                match both {
                    true => "both sign from now on",
                    false => "both will sign when the index runs, or has been started anew",
                },
                self.data.directory().display(),
                self.args.out.display(),
                if_stolen(self.data)
            ),
        )
    }

    async fn retire(self, context: &Context) -> anyhow::Result<()> {
        let Some(next) = &self.next else {
            let keyid = self.present.key().keyid().clone();
            return self.tell(
                json!({ "state": "retired", "key": keyid.as_str() }),
                &format!("one online key is there, {keyid}, and root names it: nothing is to go"),
            );
        };
        let key = next.key().clone();
        let keyid = key.keyid().clone();
        if !self.is_named(next) || !self.signs_all(&key) {
            return Err(anyhow!(
                "root does not name the next online key {keyid} yet"
            ))
            .hint("hold the ceremony first: wheelmark ceremony begin --online-key FILE");
        }
        let Retire { from, .. } = retire_from(self.data, &self.standing).await?;
        let now = context.clock.now();
        if now < from && !self.args.now {
            return Err(anyhow!(
                "copies of the index may still be behind the ceremony: the key of before can go from {} on",
                minute(from)
            ))
            .hint("until then both sign, which costs nothing and helps no thief; --now does it at once, and clients of a copy that has not followed meanwhile can meet a refusal until they ask again");
        }
        let [present, next] = &self.files;
        // A link stays one, and what it leads to is replaced.
        let place = fs::canonicalize(present)?;
        fs::rename(next, &place)
            .with_context(|| format!("{} cannot be replaced", place.display()))?;
        sync_directory(folder_of(&place))?;
        sync_directory(folder_of(next))?;
        let alone = self
            .publishing()
            .signed_by(std::slice::from_ref(&keyid), context)
            .await?;
        self.tell(
            json!({ "state": "retired", "key": keyid.as_str(), "signs_alone": alone }),
            &format!(
                "the online key is {keyid} now, in {}. {}Destroy what copies of the key of before there are, in backups as well, and back this one up: wheelmark index backup --with-online-key",
                present.display(),
                match alone {
                    true => "",
                    false => "The running process still signs with the key of before as well: start it anew. ",
                }
            ),
        )
    }

    async fn abandon(self, context: &Context) -> anyhow::Result<()> {
        let present = self.present.key().keyid().clone();
        if self.taken_over().is_some() {
            return Err(anyhow!(
                "root names the next online key already: it cannot go"
            ))
            .hint("the key of before can: wheelmark index rotate-online-key --retire");
        }
        if self.next.is_some() {
            self.put_aside(&present, context).await?;
        }
        self.tell(
            json!({ "state": "abandoned", "key": present.as_str() }),
            &format!("the online key stays {present}; break off a ceremony that names another"),
        )
    }

    /// Takes the next key away once it is certain that nothing needs it. Root is the last file of a
    /// ceremony that is being published, so that it does not name the key yet proves nothing: the
    /// key is out of the index's sight first, and then a timestamp without it has to be published,
    /// which is so only where everything still is the present key's.
    async fn put_aside(&self, present: &KeyId, context: &Context) -> anyhow::Result<()> {
        let next = &self.files[1];
        let aside = next.with_extension("abandoned");
        fs::rename(next, &aside).with_context(|| format!("{} cannot be moved", next.display()))?;
        sync_directory(folder_of(next))?;
        let publishing = self.publishing();
        let alone = publishing
            .signed_by(std::slice::from_ref(present), context)
            .await;
        let is_free = match &alone {
            Ok(alone) => {
                *alone
                    && Self::look(self.args, self.data).is_ok_and(|now| {
                        now.is_named(&now.present) && now.signs_all(now.present.key())
                    })
            }
            Err(_) => false,
        };
        if is_free {
            fs::remove_file(&aside)
                .with_context(|| format!("{} cannot be removed", aside.display()))?;
            return sync_directory(folder_of(next));
        }
        fs::rename(&aside, next)
            .with_context(|| format!("{} cannot be moved back", aside.display()))?;
        sync_directory(folder_of(next))?;
        let why = alone.err().unwrap_or_else(|| {
            anyhow!("the published timestamp is not signed by the present key alone")
        });
        Err(why.context("the next online key stays: the index may need it"))
            .hint("a ceremony may be on its way to name it: see `wheelmark index keys`, start the index if it does not run, and try again")
    }

    /// Whether everything that is signed online is this key's by what is published.
    fn signs_all(&self, key: &Key) -> bool {
        let families = ["simple", "packages"];
        let families = families
            .iter()
            .filter_map(|name| name.parse::<RoleName>().ok());
        let mut below = families.map(|role| {
            let delegations = self.standing.role(&role)?.delegations.as_ref()?;
            let own = Bins::of(delegations)?.delegations(role.as_str(), key);
            Some(own == *delegations)
        });
        below.all(|is_own| is_own == Some(true))
    }

    fn public_half(&self, next: &FileKey) -> anyhow::Result<OnlineKey> {
        public_half(self.standing.first_fingerprint(), next)
    }

    fn write_public(&self, public: &OnlineKey) -> anyhow::Result<()> {
        let out = &self.args.out;
        let mut bytes = serde_json::to_vec_pretty(&public.to_value())?;
        bytes.push(b'\n');
        match fs::read(out) {
            Ok(there) if there == bytes => Ok(()),
            Ok(_) => self.occupied(),
            Err(_) => write_private(out, &bytes),
        }
    }

    /// The file for the public half holds something else, such as that of an earlier rotation.
    fn occupied<T>(&self) -> anyhow::Result<T> {
        Err(anyhow!(
            "{} is there with other contents, and nothing was done",
            self.args.out.display()
        ))
        .hint("remove it if it is of an earlier rotation, or name another file for the public half of the next key: --out FILE")
    }

    fn publishing(&self) -> Publishing<'_> {
        let named = self.args.online_key.as_deref();
        Publishing::new(self.data, named)
    }

    fn tell(&self, as_json: Value, text: &str) -> anyhow::Result<()> {
        match self.args.json {
            true => print_line(&as_json.to_string()),
            false => print_line(text),
        }
    }
}

/// What this command is not for. The next key has begun to sign: it is not to be the one of a recovery.
fn if_stolen(data: &Data) -> String {
    format!(
        "Was the present key stolen? Then hold no such ceremony: the next key would vouch for what a thief has signed.\n  \
         wheelmark index rotate-online-key --data {} --abandon\n\
         and then a recovery, which compares with a state from before the theft: docs/recovery.md",
        data.directory().display()
    )
}

/// The public half of the next online key of an index, with the proof that the private one is here; `index` is
/// the fingerprint of its first root.
pub(crate) fn public_half(index: Sha256, next: &FileKey) -> anyhow::Result<OnlineKey> {
    let key = next.key().clone();
    let proof = next.sign(&online_proof_message(&index, &key))?;
    Ok(OnlineKey::new(index, key, proof)?)
}

/// The folder that a file lies in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}
