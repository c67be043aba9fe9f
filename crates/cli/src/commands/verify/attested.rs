//! A file and what is attested of it, without any index.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use wheelmark_packaging::DistributionFilename;
use wheelmark_packaging::simple::Sha256Hex;
use wheelmark_provenance::{
    Attested, Evidence, MAX_PROVENANCE_LEN, MAX_TRUSTED_ROOT_LEN, Oidc, Publisher, TrustedRoots,
    Verified, chain,
};
use wheelmark_tuf::{Sha256Hasher, without_controls};

use super::Outcome;
use crate::context::Context;
use crate::logging::WithHint as _;
use crate::public_root::public_roots;

/// How many bytes of a file are read at once.
const PIECE: usize = 256 * 1024;

#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Attestations")]
pub(super) struct AttestedArgs {
    /// Check FILE against this: a provenance object, an attestation, or a Sigstore bundle
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "index", "root", "fingerprint", "strict", "files", "from_scratch", "everything",
        ]
    )]
    provenance: Option<PathBuf>,

    /// Who has to have made it, as github:OWNER/REPOSITORY@WORKFLOW; several if any of them may
    /// have
    #[arg(
        long,
        value_name = "PUBLISHER",
        value_parser = publisher,
        requires = "provenance",
        conflicts_with = "identity"
    )]
    publisher: Vec<Publisher>,

    /// The subject of the certificate that it has to have been made with: an address or a URI,
    /// which may end in @*
    #[arg(long, value_name = "SUBJECT", requires_all = ["provenance", "issuer"])]
    identity: Option<String>,

    /// Who has to vouch for that subject
    #[arg(long, value_name = "URL", requires = "identity")]
    issuer: Option<String>,

    /// A trusted_root.json to believe in place of Sigstore's public instance; may be several
    #[arg(long, value_name = "FILE", requires = "provenance")]
    trusted_root: Vec<PathBuf>,
}

impl AttestedArgs {
    pub(super) fn is_asked_for(&self) -> bool {
        self.provenance.is_some()
    }

    /// Who may have made it; anybody, if there is nobody.
    fn expected(&self) -> anyhow::Result<Vec<Publisher>> {
        match (&self.identity, &self.issuer) {
            (Some(identity), Some(issuer)) => {
                let oidc = Oidc::new(identity, issuer).map_err(|error| anyhow!(error))?;
                Ok(vec![oidc.into()])
            }
            _ => Ok(self.publisher.clone()),
        }
    }

    fn roots(&self, context: &Context) -> anyhow::Result<TrustedRoots> {
        if self.trusted_root.is_empty() {
            return public_roots(context);
        }
        let mut roots = TrustedRoots::empty();
        for path in &self.trusted_root {
            let json = bounded(path, MAX_TRUSTED_ROOT_LEN)?;
            roots = roots
                .with(&path.display().to_string(), &json)
                .with_context(|| format!("{} cannot be trusted", path.display()))?;
        }
        Ok(roots)
    }
}

pub(crate) fn publisher(given: &str) -> Result<Publisher, String> {
    given
        .parse::<Publisher>()
        .map_err(|error| format!("{error}\nhint: {}", error.hint()))
}

/// What is given, as far as it can be that.
struct Given<'a> {
    path: &'a Path,
    sha256: Sha256Hex,
    size: u64,
    expected: Vec<Publisher>,
}

/// Checks one file. What fails is the usage; what is refused is an outcome.
pub(super) fn verify(
    targets: &[String],
    args: &AttestedArgs,
    context: &Context,
) -> anyhow::Result<Outcome> {
    let [target] = targets else {
        return Err(anyhow!(
            "--provenance is about one file, and {} are named",
            targets.len()
        ));
    };
    let path = Path::new(target);
    let provenance = args.provenance.as_deref().unwrap_or(path);
    let roots = args.roots(context)?;
    let expected = args.expected()?;
    let json = bounded(provenance, MAX_PROVENANCE_LEN)?;
    let (sha256, size) =
        digest(path).with_context(|| format!("could not read {}", path.display()))?;
    let given = Given {
        path,
        sha256,
        size,
        expected,
    };
    Ok(given.judge(&json, &roots, context.clock.now()))
}

/// All bytes of a file that is not longer than anybody needs.
pub(crate) fn bounded(path: &Path, most: usize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most)?.saturating_add(1);
    let read = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
    read.with_context(|| format!("could not read {}", path.display()))?;
    if bytes.len() > most {
        return Err(anyhow!(
            "{} has more than {most} bytes, which is more than is read",
            path.display()
        ))
        .hint("is it the right file?");
    }
    Ok(bytes)
}

pub(crate) fn digest(path: &Path) -> std::io::Result<(Sha256Hex, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256Hasher::new();
    let mut piece = vec![0; PIECE];
    let mut size = 0;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            return Ok((Sha256Hex(*hasher.finish().as_bytes()), size));
        }
        hasher.update(&piece[..read]);
        size += read as u64;
    }
}

impl Given<'_> {
    fn judge(&self, json: &[u8], roots: &TrustedRoots, now: jiff::Timestamp) -> Outcome {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let file = match DistributionFilename::parse(&name) {
            Ok(file) => file,
            Err(error) => {
                return self.refused(
                    &chain(&error),
                    "give it back the name that it was published under",
                );
            }
        };
        let evidence =
            match Evidence::parse(json) {
                Ok(evidence) => evidence,
                Err(error) => {
                    return self.refused(
                    &format!("what it comes with is not an attestation: {}", chain(&error)),
                    "it has to be a provenance object, an attestation, or a Sigstore bundle v0.3",
                );
                }
            };
        match evidence.verify(&file, &self.sha256, roots, now) {
            Ok(attested) => self.attested(&attested),
            Err(refusal) => self.refused(&chain(&refusal), refusal.hint()),
        }
    }

    fn bytes(&self) -> String {
        format!("sha256 {}, {} bytes", self.sha256, self.size)
    }

    fn json(&self, verdict: &str) -> Value {
        json!({
            "kind": "attested-file",
            "filename": self.path.file_name().map(|name| name.to_string_lossy()),
            "sha256": self.sha256.to_string(),
            "size": self.size,
            "expected": self.expected,
            "verdict": verdict,
        })
    }

    fn refused(&self, why: &str, next: &str) -> Outcome {
        let mut json = self.json("refused");
        json["why"] = why.into();
        json["next"] = next.into();
        Outcome {
            holds: false,
            text: format!(
                "{}: REFUSED\n  why        {}\n  do         {next}\n  found      {}\n",
                self.path.display(),
                without_controls(why),
                self.bytes()
            ),
            json,
        }
    }

    /// The evidence holds: is it by one of those who may have made it?
    fn attested(&self, all: &[Verified<Attested>]) -> Outcome {
        let by_one = |attested: &Verified<Attested>| {
            let mut expected = self.expected.iter();
            expected.any(|publisher| attested.identity().matches(publisher).is_ok())
        };
        let holds = self.expected.is_empty() || all.iter().any(by_one);
        let (verdict, said) = match (holds, self.expected.is_empty()) {
            (false, _) => ("by-somebody-else", "REFUSED, attested by somebody else"),
            (true, true) => (
                "attested-by-anybody",
                "attested, and you have to judge by whom",
            ),
            (true, false) => ("attested", "attested"),
        };
        let mut json = self.json(verdict);
        let each = all.iter().map(|one| {
            let mut each = json!(**one);
            each["matches"] = by_one(one).into();
            each
        });
        json["attested"] = each.collect::<Vec<Value>>().into();
        let mut text = format!("{}: {said}\n", self.path.display());
        for attested in all {
            text.push_str(&told(attested));
            for publisher in &self.expected {
                let line = match attested.identity().matches(publisher) {
                    Ok(()) => format!("{publisher}: yes"),
                    Err(mismatch) => format!("{publisher}: no, {mismatch}"),
                };
                text.push_str(&line_of("expected", &line));
            }
        }
        if self.expected.is_empty() {
            text.push_str(&line_of(
                "expected",
                "nobody in particular: anybody can attest a file; name who with --publisher",
            ));
        }
        if !holds {
            let next = "do not use the file on this attestation's word";
            text.push_str(&line_of("do", next));
            json["next"] = next.into();
        }
        text.push_str(&line_of("found", &self.bytes()));
        Outcome { holds, text, json }
    }
}

/// Who made one attestation, and what is known of how.
pub(crate) fn told(attested: &Attested) -> String {
    let identity = attested.identity();
    let claims = identity.claims();
    let mut text = line_of("by", &identity.to_string());
    let log = attested.log();
    let logged = format!(
        "entry {} of {}, {}",
        log.index,
        &Sha256Hex(log.log).to_string()[..16],
        log.integrated.strftime("%Y-%m-%d %H:%M:%S UTC")
    );
    let lines = [
        ("says", Some(attested.predicate().uri())),
        ("subject", Some(identity.subject().as_str())),
        ("issuer", Some(identity.issuer())),
        ("repository", claims.repository.as_deref()),
        ("workflow", claims.workflow.as_deref()),
        ("ref", claims.git_ref.as_deref()),
        ("commit", claims.digest.as_deref()),
        ("place", claims.environment.as_deref()),
        ("run", claims.run.as_deref()),
        ("log", Some(logged.as_str())),
        ("vouched by", Some(attested.root())),
    ];
    for (name, value) in lines {
        if let Some(value) = value {
            text.push_str(&line_of(name, value));
        }
    }
    text
}

/// A line with its name, without what a certificate could do to a terminal.
pub(crate) fn line_of(name: &str, value: &str) -> String {
    format!("  {name:<10} {}\n", without_controls(value))
}
