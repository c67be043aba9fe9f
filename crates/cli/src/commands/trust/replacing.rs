//! `wheelmark trust add --replace`: another root, where no signature leads to it.

use std::process::ExitCode;

use wheelmark_client::{
    Beginning, Carried, Remote, ReplaceError, Replaced, TrustStore, replace_trust,
};

use super::{explain, print};
use crate::context::Context;
use crate::logging::WithHint as _;

pub(super) async fn replace(
    store: &TrustStore,
    remote: &Remote,
    simple: url::Url,
    beginning: Beginning,
    context: &Context,
) -> anyhow::Result<ExitCode> {
    let replaced = replace_trust(store, remote, &simple, beginning, context.clock.now()).await;
    let Replaced {
        index,
        before,
        fingerprint_before,
        carried,
    } = match replaced {
        Ok(replaced) => replaced,
        Err(error) => {
            let hint = hint(&error, &simple);
            return Err(error).hint(hint);
        }
    };
    let record = index.record();
    print(&format!(
        "{simple} is trusted from another root on, of version {}:\n  {}\nIt is not one that the root of before leads to, which had version {}:\n  {fingerprint_before}\n{}",
        record.first_root_version,
        record.first_root_fingerprint,
        before.version,
        kept(carried),
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn kept(carried: Carried) -> String {
    let Carried {
        identities,
        claims,
        forgotten,
    } = carried;
    format!(
        "Kept: who attests to {identities} projects, and the keys that you have compared, of {claims}. Forgotten: whose keys were seen to sign for {forgotten} others, and every version that was seen.\n"
    )
}

fn hint(error: &ReplaceError, simple: &url::Url) -> String {
    match error {
        ReplaceError::NotTrusted { .. } => {
            format!("to begin: wheelmark trust add {simple} --fingerprint SHA256")
        }
        ReplaceError::OfTheSystem { file, .. } => format!(
            "the system's administrator puts the new root into {}, and everybody goes on from there",
            file.display()
        ),
        ReplaceError::Believed => {
            "get its fingerprint from its people, in person or where you have always found them"
                .to_owned()
        }
        ReplaceError::Holds { .. } => {
            "if you were asked to do this, by whatever way: whoever asked does not speak for the index; tell its people".to_owned()
        }
        ReplaceError::Passed { .. } => {
            "nothing is to be replaced: that root leads to the one that you trust. Whoever has the keys of a root of before may want you to go back to it; if you were asked to, by whatever way, tell the index's people".to_owned()
        }
        ReplaceError::Add(error) => explain(error, simple),
    }
}
