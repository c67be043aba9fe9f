//! The explanation for scripts. Members are added in later versions, never renamed; a member
//! without a value is `null`.

use serde_json::{Value, json};
use wheelmark_client::{Answer, Claim, Explanation, RoleShown, VerifiedPage};
use wheelmark_packaging::simple::{PageFile, Removed, Signed, Yanked};

use super::Shown;
use super::counts::Counts;
use super::policy::Judged;
use super::taken;
use crate::releasing::ends_soon;

pub(super) fn render(shown: &Shown<'_>) -> Value {
    let Explanation {
        project,
        roles,
        answer,
    } = shown.explanation;
    let (page, refused) = match answer {
        Answer::Page { page, length } => {
            let counts = Counts::of(page.page());
            let page = json!({
                "target": format!("simple/{project}/index.json"),
                "sha256": page.signed_sha256().to_string(),
                "size": length,
                "role": page.role().map(|role| role.as_str()),
                "role_version": page.role_version(),
                "files": counts.files,
                "signed_at_upload": counts.at_upload,
                "signed_back": counts.back,
                "removed": counts.removed,
            });
            (page, Value::Null)
        }
        Answer::Absent => (Value::Null, Value::Null),
        Answer::Broken(broken) => {
            let refused = json!({
                "at": broken.at,
                "failed": broken.refusal.what(),
                "meaning": broken.refusal.meaning(),
                "next": broken.refusal.next(),
            });
            (Value::Null, refused)
        }
    };
    let versions = shown.versions();
    let status = shown.page.map(VerifiedPage::page);
    let status = status.and_then(|page| page.project_status.as_ref());
    json!({
        "project": project.as_str(),
        "index": shown.record.urls.simple().as_str(),
        "trust": {
            "began": shown.record.began.to_string(),
            "since": shown.record.trusted_since.to_string(),
            "first_root_version": shown.record.first_root_version,
            "first_root_fingerprint": shown.record.first_root_fingerprint.to_string(),
        },
        "at": shown.now.to_string(),
        "verified": refused.is_null() && shown.refused.is_empty(),
        "found": !shown.files.is_empty(),
        "chain": roles.iter().map(|role| role_value(role, shown)).collect::<Value>(),
        "page": page,
        "status": status.map(|status| status.status.as_str()),
        "status_reason": status.and_then(|status| status.reason.as_deref()),
        "versions": versions.iter().map(|v| v.to_string()).collect::<Value>(),
        "version": shown.version.map(|v| v.to_string()),
        "files": shown.files.iter().map(|file| file_value(file, shown)).collect::<Value>(),
        "removed": shown.removed().into_iter().map(removed_value).collect::<Value>(),
        "answers": {
            "chain": shown.chain().map(|chain| chain.to_string()),
            "provenance": Value::Null,
            "claim": shown.claim().map(|claim| claim_value(claim, shown)),
        },
        "taken_away": taken::value(shown),
        "policy": shown.judged.as_ref().map(Judged::to_json),
        "refused": refused,
        "said_plainly": shown.said_plainly(),
    })
}

fn role_value(role: &RoleShown, shown: &Shown<'_>) -> Value {
    json!({
        "role": role.role.as_str(),
        "version": role.version,
        "expires": role.expires.to_string(),
        "expired": role.expires <= shown.now,
        "delegator": role.delegator.as_str(),
        "threshold": role.threshold,
        "keyids": role.keyids.iter().map(|id| id.as_str()).collect::<Value>(),
        "terminating": role.terminating,
        "lists_page": role.lists_page,
    })
}

fn file_value(file: &PageFile, shown: &Shown<'_>) -> Value {
    let refused = shown.refused.get(file.filename.as_str());
    let marks = file.wheelmark.as_ref();
    let sha256 = file.sha256().map(|digest| digest.to_string());
    json!({
        "file": file.filename.as_str(),
        "sha256": sha256,
        "sha512": file.hashes.get("sha512"),
        "size": file.size,
        "upload_time": file.upload_time.map(|time| time.to_string()),
        "requires_python": file.requires_python,
        "yanked": match &file.yanked {
            Yanked::No => false.into(),
            Yanked::Yes => true.into(),
            Yanked::Because(reason) => Value::from(reason.as_str()),
        },
        "signed": marks.map(|marks| mark(marks.signed)),
        "signed_at": marks.map(|marks| marks.signed_at.to_string()),
        "adopted": file.is_adopted(),
        "refused": refused.map(|refusal| refusal.what()),
    })
}

/// Whose keys sign for the project.
fn claim_value(claim: &Claim, shown: &Shown<'_>) -> Value {
    let keys = claim.keys.iter();
    let keys = keys.map(|id| (id.clone(), claim.maintainers.get(id).cloned().into()));
    json!({
        "keys": keys.collect::<serde_json::Map<String, Value>>(),
        "threshold": claim.threshold,
        "sealed": claim.sealed,
        "claimed_at": claim.marks.claimed_at.map(|at| at.to_string()),
        "keys_since": claim.marks.unchanged_since().map(|at| at.to_string()),
        "sealed_at": claim.marks.sealed_at.map(|at| at.to_string()),
        "floor": claim.marks.floor,
        "expires": claim.expires.to_string(),
        "ends_soon": ends_soon(claim.expires, shown.now),
        "role": claim.role.as_str(),
        "role_version": claim.version,
    })
}

fn removed_value((filename, removed): (&str, &Removed)) -> Value {
    json!({
        "file": filename,
        "sha256": removed.sha256().map(|sha256| sha256.to_string()),
        "removed_at": removed.removed_at.to_string(),
    })
}

/// The mark as the page writes it.
pub(super) fn mark(signed: Signed) -> &'static str {
    match signed {
        Signed::AtUpload => "at-upload",
        Signed::Back => "back",
    }
}
