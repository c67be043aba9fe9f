//! An environment: is what is installed there what an index signed?

mod words;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use wheelmark_client::{
    Added, CheckedDistribution, CheckedEnvironment, Difference, DifferenceKind,
    DistributionVerdict, Environment, Freshness, check_environment,
};
use wheelmark_packaging::simple::Yanked;

use super::counted::Counted;
use super::{Args, Excepted, Outcome, withdrawn};
use crate::context::Context;
use crate::homes::{HomesOptions, Readers, open_homes};
use crate::logging::WithHint as _;

/// An environment with all that was found of it.
pub(super) struct Told<'a> {
    pub(super) name: &'a str,
    pub(super) libraries: &'a [PathBuf],
    pub(super) found: &'a CheckedEnvironment,
    pub(super) excepted: &'a Excepted,
    /// Whether compiled bytecode is a finding.
    pub(super) no_bytecode: bool,
    /// Most findings that are told.
    pub(super) listed: usize,
}

impl Told<'_> {
    pub(super) fn holds(&self, distribution: &CheckedDistribution) -> bool {
        distribution.holds() || self.excepted.has_project(&distribution.project)
    }

    pub(super) fn may_be(&self, added: &Added) -> bool {
        let mut libraries = self.libraries.iter();
        libraries.any(|library| {
            let path = added.path.strip_prefix(library);
            path.is_ok_and(|path| self.excepted.has_path(path))
        })
    }

    fn all_hold(&self) -> bool {
        self.found.distributions.iter().all(|it| self.holds(it))
            && self.found.added.iter().all(|it| self.may_be(it))
            && !(self.no_bytecode && self.found.bytecode > 0)
    }
}

pub(super) async fn verify(path: &Path, args: &Args, context: &Context) -> anyhow::Result<Outcome> {
    let environment = Environment::at(path)
        .map_err(anyhow::Error::from)
        .hint("name a virtual environment, or a directory such as its `site-packages`")?;
    let homes = open_homes(
        context,
        HomesOptions {
            index: args.anchor.index.as_deref(),
            freshness: Freshness::Once,
            strict: args.strict,
            readers: Readers::Person,
            policy: None,
        },
    )?;
    let name = path.display().to_string();
    let libraries = environment.libraries().to_vec();
    let counted = Counted::of(&name, None);
    let found = check_environment(&homes, environment, |distribution| {
        counted.one(distribution.project.as_str());
    })
    .await?;
    drop(counted);
    let told = Told {
        name: &name,
        libraries: &libraries,
        found: &found,
        excepted: &args.excepted(),
        no_bytecode: args.no_bytecode,
        listed: args.list,
    };
    Ok(Outcome {
        holds: told.all_hold(),
        text: words::text(&told),
        json: to_json(&told),
    })
}

fn to_json(told: &Told<'_>) -> Value {
    let found = told.found;
    let distributions = found.distributions.iter();
    let distributions: Vec<Value> = distributions
        .map(|it| distribution_json(it, told))
        .collect();
    let added = found.added.iter().map(|added| {
        json!({
            "path": added.path.display().to_string(),
            "why": added.why,
            "excepted": told.may_be(added),
        })
    });
    json!({
        "kind": "environment",
        "libraries": told.libraries.iter().map(|it| it.display().to_string()).collect::<Vec<_>>(),
        "distributions": distributions,
        "added": added.collect::<Vec<_>>(),
        "files_as_signed": found.same,
        "bytecode_not_compared": found.bytecode,
    })
}

fn distribution_json(distribution: &CheckedDistribution, told: &Told<'_>) -> Value {
    let mut json = json!({
        "project": distribution.project.as_str(),
        "version": distribution.version.to_string(),
        "place": distribution.place.display().to_string(),
        "installer": distribution.installer,
        "holds": distribution.holds(),
        "excepted": told.excepted.has_project(&distribution.project),
        "differences": distribution.differences.iter().map(difference_json).collect::<Vec<_>>(),
    });
    json["verdict"] = match &distribution.verdict {
        DistributionVerdict::Wheel(wheel) => {
            json["wheel"] = json!({
                "file": wheel.filename,
                "sha256": wheel.sha256.to_string(),
                "index": wheel.index.as_str(),
                "role": wheel.signed_by.as_ref().map(|(role, _)| role.as_str()),
                "role_version": wheel.signed_by.as_ref().map(|(_, version)| version),
                "chain": wheel.chain.to_string(),
                "yanked": wheel.yanked != Yanked::No,
            });
            if let Some(it) = wheel.withdrawn.as_ref().filter(|_| !distribution.holds()) {
                json["withdrawn"] = withdrawn::to_json(it);
            }
            match distribution.differences.is_empty() {
                true => "as-signed",
                false => "changed",
            }
        }
        DistributionVerdict::Built { sdist, index } => {
            json["sdist"] = json!({ "file": sdist, "index": index.as_str() });
            "built-here"
        }
        DistributionVerdict::Withdrawn(it) => {
            json["withdrawn"] = withdrawn::to_json(it);
            "withdrawn"
        }
        DistributionVerdict::NotFromIndex(why) => {
            json["why"] = why.as_str().into();
            "not-from-an-index"
        }
        DistributionVerdict::Unknown(why) => {
            json["why"] = why.as_str().into();
            "unknown"
        }
        DistributionVerdict::Refused(refusal) => {
            json["why"] = refusal.to_string().into();
            json["next"] = refusal.next().into();
            "refused"
        }
    }
    .into();
    json
}

fn difference_json(difference: &Difference) -> Value {
    let mut json = json!({ "path": difference.path.display().to_string() });
    json["what"] = match &difference.kind {
        DifferenceKind::Changed { .. } => "changed",
        DifferenceKind::Interpreter(interpreter) => {
            json["interpreter"] = interpreter.as_str().into();
            "interpreter"
        }
        DifferenceKind::Launcher => "launcher",
        DifferenceKind::NoFile => "no-file",
        DifferenceKind::Missing => "missing",
        DifferenceKind::NotCompared => "not-compared",
        DifferenceKind::Added => "added",
    }
    .into();
    json
}
