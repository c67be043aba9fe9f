//! A change of keys that waits for others: signed twice by each of them, the metadata and the handover.

use anyhow::{Context as _, anyhow};
use wheelmark_signing::{HeldKey, Signer};
use wheelmark_tuf::{Handover, Role as _, Signature, assemble_handing};

use crate::logging::WithHint as _;
use crate::releasing::Next;

/// What one key has signed.
pub(crate) struct Both {
    /// Over the metadata.
    pub(crate) metadata: Signature,
    /// Over the handover that it brings, where it brings one.
    pub(crate) handover: Option<Signature>,
}

/// Signs metadata, and the handover that it brings, with one key; what came back is good.
pub(crate) fn sign_both(
    key: &HeldKey,
    metadata: &[u8],
    handover: Option<&Handover>,
) -> anyhow::Result<Both> {
    Ok(Both {
        metadata: signature(&*key.signer, metadata)?,
        handover: match handover {
            Some(handover) => Some(signature(&*key.signer, &handover.to_canonical())?),
            None => None,
        },
    })
}

fn signature(signer: &dyn Signer, bytes: &[u8]) -> anyhow::Result<Signature> {
    let id = signer.key().keyid().as_str().to_owned();
    let cannot = || format!("nothing was signed with the key {id}");
    let signature = signer.sign(bytes).with_context(cannot)?;
    if signer.key().verify(bytes, &signature.sig).is_err() {
        return Err(anyhow!(
            "a signature by the key {id} is wrong, and was not sent"
        ))
        .hint("look at the token, agent or program that has made it");
    }
    Ok(signature)
}

/// Signs the metadata that brings a handover with all of these keys: the file, which waits for the
/// signatures of others.
pub(super) fn begun(next: &Next, handover: &Handover, keys: &[HeldKey]) -> anyhow::Result<Vec<u8>> {
    let canonical = next.role.to_canonical();
    let (mut signatures, mut over_handover) = (Vec::new(), Vec::new());
    for key in keys {
        let both = sign_both(key, &canonical, Some(handover))?;
        signatures.push(both.metadata);
        over_handover.extend(both.handover);
    }
    Ok(assemble_handing(&canonical, &signatures, &over_handover))
}
