//! Every refusal tells the rule and the fix, to twine (the reason phrase) and to uv (the detail).
#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use wheelmark_objects::{ObjectError, ObjectPath, PathError};
use wheelmark_packaging::inspect::{RecordError, TarError, ZipError};
use wheelmark_packaging::{
    ClassifierError, FilenameError, MetadataError, MetadataVersion, NameError, RequirementError,
    RuleError, SignatureError,
};
use wheelmark_provenance::{AttestationError, UploadRefusal};
use wheelmark_readme::NotRendered;
use wheelmark_store::{Denied, Seq};
use wheelmark_tuf::Sha256;

use super::*;
use crate::auth::AuthError;
use crate::upload::{Digest, StagingError};

/// The error's kind. A new one is an error here until it has a name and a sample below.
fn kind(error: &Error) -> &'static str {
    match error {
        Error::Auth(_) => "auth",
        Error::Denied(_) => "denied",
        Error::NotAForm => "not a form",
        Error::MalformedForm { .. } => "malformed form",
        Error::BrokenOff => "broken off",
        Error::Stalled { .. } => "stalled",
        Error::TooSlow { .. } => "too slow",
        Error::TooManyFields { .. } => "too many fields",
        Error::FormTooLong { .. } => "form too long",
        Error::ValueTooLong { .. } => "value too long",
        Error::Repeated { .. } => "repeated",
        Error::Missing { .. } => "missing",
        Error::FileTooLong { .. } => "file too long",
        Error::ProjectTooLarge { .. } => "project too large",
        Error::Action { .. } => "action",
        Error::Protocol { .. } => "protocol",
        Error::Unsupported { .. } => "unsupported",
        Error::Name(_) => "name",
        Error::Version { .. } => "version",
        Error::Filename(_) => "filename",
        Error::NotNormalised { .. } => "not normalised",
        Error::StandardLibraryName { .. } => "standard library",
        Error::SimilarName { .. } => "similar",
        Error::Classifier { .. } => "classifier",
        Error::Description { .. } => "description",
        Error::Path(_) => "path",
        Error::NoDigest => "no digest",
        Error::Mismatch(_) => "mismatch",
        Error::Inspect { .. } => "inspect",
        Error::Exists { .. } => "exists",
        Error::Signature(_) => "signature",
        Error::SignatureRequired { .. } => "signature required",
        Error::SignatureRefused { .. } => "signature refused",
        Error::CannotVerify { .. } => "cannot verify",
        Error::OtherSignature { .. } => "other signature",
        Error::Attestations(_) => "attestations",
        Error::AttestationsRefused(_) => "attestations refused",
        Error::AttestationAccount { .. } => "attestation account",
        Error::NobodyAttests { .. } => "nobody attests",
        Error::OtherAttestations { .. } => "other attestations",
        Error::Closed { .. } => "closed",
        Error::Removed { .. } => "removed",
        Error::Claimed { .. } => "claimed",
        Error::MalformedRelease { .. } => "malformed release",
        Error::NotReleased { .. } => "not released",
        Error::NotSent { .. } => "not sent",
        Error::NotAsReleased { .. } => "not as released",
        Error::Release(_) => "release",
        Error::Staging(_) => "staging",
        Error::Refused { .. } => "refused",
        Error::NotPublishedYet { .. } => "not published yet",
        Error::Incoming(_) => "incoming",
        Error::Object(_) => "object",
        Error::Store(_) => "store",
        Error::Stopped => "stopped",
    }
}

const KINDS: usize = 55;

fn samples() -> Vec<Error> {
    let text = || "demo".to_owned();
    let filename = || "demo-1.0-py3-none-any.whl".to_owned();
    let project = || "demo".parse().unwrap();
    let invalid = || "-".parse::<ProjectName>().unwrap_err();
    let mut samples = vec![
        Error::NotAForm,
        Error::MalformedForm { what: text() },
        Error::BrokenOff,
        Error::Stalled {
            waited: Duration::from_secs(30),
        },
        Error::TooSlow { min_speed: 1000 },
        Error::TooManyFields { limit: 10 },
        Error::FormTooLong { limit: 10 },
        Error::ValueTooLong {
            field: "name",
            limit: 10,
        },
        Error::Repeated { field: "name" },
        Error::Missing { field: "name" },
        Error::FileTooLong { limit: 10 },
        Error::ProjectTooLarge {
            project: project(),
            would_be: 3,
            limit: 2,
        },
        Error::Action { action: text() },
        Error::Protocol { version: text() },
        Error::Unsupported { what: "this" },
        Error::Name(invalid()),
        Error::Version { version: text() },
        Error::NotNormalised {
            filename: filename(),
            expected: Some(filename()),
        },
        Error::NotNormalised {
            filename: filename(),
            expected: None,
        },
        Error::StandardLibraryName { project: project() },
        Error::SimilarName {
            project: project(),
            existing: project(),
        },
        Error::Path(PathError::TooLong {
            length: 300,
            limit: 200,
        }),
        Error::NoDigest,
        Error::Mismatch(Mismatch::Filetype {
            stated: text(),
            filename: filename(),
            is: "a wheel",
        }),
        Error::Mismatch(Mismatch::Version {
            stated: "1.0".parse().unwrap(),
            filename: filename(),
            is: "2.0".parse().unwrap(),
        }),
        Error::Mismatch(Mismatch::Digest {
            digest: Digest::Sha256,
            stated: text(),
            is: text(),
        }),
        Error::Exists {
            filename: filename(),
            existing: Sha256::of(b""),
        },
        Error::Signature(SignatureError::NotArmoured),
        Error::SignatureRequired { project: project() },
        Error::CannotVerify { project: project() },
        Error::OtherSignature {
            filename: filename(),
            has_one: true,
        },
        Error::OtherSignature {
            filename: filename(),
            has_one: false,
        },
        Error::Attestations(AttestationError::None),
        Error::AttestationsRefused(Box::new(UploadRefusal::None)),
        Error::AttestationAccount {
            identity: text(),
            account: text(),
        },
        Error::NobodyAttests { project: project() },
        Error::OtherAttestations {
            filename: filename(),
            has_some: true,
        },
        Error::OtherAttestations {
            filename: filename(),
            has_some: false,
        },
        Error::Removed {
            filename: filename(),
        },
        Error::Closed {
            project: project(),
            status: wheelmark_packaging::simple::Status::Archived,
            reason: None,
        },
        Error::Claimed { project: project() },
        Error::MalformedRelease { what: text() },
        Error::NotReleased {
            filename: filename(),
        },
        Error::NotSent {
            filename: filename(),
        },
        Error::NotAsReleased {
            filename: filename(),
            what: "core metadata",
        },
        Error::Staging(StagingError::Off),
        Error::Staging(StagingError::Absent { id: text() }),
        Error::Staging(StagingError::Malformed { what: text() }),
        Error::Staging(StagingError::NotClaimed { project: text() }),
        Error::Staging(StagingError::Unsigned { project: text() }),
        Error::Staging(StagingError::UnknownKey { keyid: text() }),
        Error::Staging(StagingError::BadSignature { keyid: text() }),
        Error::Staging(StagingError::Stale {
            version: 2,
            published: 3,
        }),
        Error::Staging(StagingError::Version {
            version: 4,
            next: 3,
        }),
        Error::Staging(StagingError::TooMany {
            what: "releases of this project",
            limit: 8,
        }),
        Error::Staging(StagingError::NoRoom { limit: 1 << 34 }),
        Error::Staging(StagingError::SenderGone { user: text() }),
        Error::Staging(StagingError::OtherWaits {
            filename: filename(),
            sha256: Sha256::of(b"other"),
        }),
        Error::Staging(StagingError::ComesWith {
            filename: filename(),
            what: "attestations",
        }),
        Error::Release(ReleaseDenied::NotOwner {
            user: "alice".parse().unwrap(),
            project: project(),
        }),
        Error::Release(ReleaseDenied::NoProject { project: project() }),
        Error::Release(ReleaseDenied::Claimed { project: project() }),
        Error::Release(ReleaseDenied::ProjectToken),
        Error::Release(ReleaseDenied::Pending { project: project() }),
        Error::Release(ReleaseDenied::TooManyClaims {
            user: "alice".parse().unwrap(),
            limit: 20,
        }),
        Error::Release(ReleaseDenied::NotMember {
            user: text(),
            project: project(),
        }),
        Error::Release(ReleaseDenied::KeyOfAnother { keyid: text() }),
        Error::Release(ReleaseDenied::TooLong { len: 300_000 }),
        Error::Release(ReleaseDenied::FileThere {
            filename: filename(),
        }),
        Error::Refused { reason: text() },
        Error::NotPublishedYet {
            seq: Seq(1),
            waited: Duration::from_secs(1),
        },
        Error::Incoming(io::Error::other("no")),
        Error::Incoming(io::ErrorKind::StorageFull.into()),
        Error::Object(ObjectError::Stopped),
        Error::Object(ObjectError::Missing {
            path: ObjectPath::timestamp(),
        }),
        Error::Store(StoreError::Invalid {
            what: "size",
            value: text(),
        }),
        Error::Stopped,
    ];
    samples.extend([
        Error::Auth(AuthError::Missing),
        Error::Auth(AuthError::Malformed),
        Error::Auth(AuthError::User),
        Error::Auth(AuthError::TokenAsName),
        Error::Auth(AuthError::Unknown),
        Error::Denied(Denied::Unknown),
        Error::Denied(Denied::ReadOnly),
        Error::Denied(Denied::OtherProject {
            only: project(),
            project: project(),
            user: "ada".parse().unwrap(),
        }),
        Error::Denied(Denied::NotMember {
            user: "ada".parse().unwrap(),
            project: project(),
        }),
    ]);
    samples.extend(flaws().into_iter().map(|flaw| Error::SignatureRefused {
        project: project(),
        flaw,
    }));
    samples.extend(filenames().into_iter().map(Error::Filename));
    let classifiers = [
        ClassifierError::Unknown { classifier: text() },
        ClassifierError::Deprecated {
            classifier: text(),
            replaced_by: text(),
        },
    ];
    samples.extend(classifiers.map(|source| Error::Classifier {
        filename: filename(),
        source,
    }));
    let descriptions = [
        NotRendered::TooLong { length: 3_000_000 },
        NotRendered::HtmlTooLong,
    ];
    samples.extend(descriptions.map(|source| Error::Description {
        filename: filename(),
        source,
    }));
    samples.extend(inspections().into_iter().map(|source| Error::Inspect {
        filename: filename(),
        source,
    }));
    samples
}

fn flaws() -> [Flaw; 9] {
    let certificate = || "9E237D746B45DE98FE2306175D65774413AB2514".parse().unwrap();
    let reason = || "it is so".to_owned();
    [
        Flaw::Unknown { issuers: vec![] },
        Flaw::Unknown {
            issuers: vec!["5D65774413AB2514".to_owned()],
        },
        Flaw::Wrong {
            certificate: certificate(),
        },
        Flaw::NotNow { reason: reason() },
        Flaw::Expired {
            certificate: certificate(),
            at: jiff::Timestamp::UNIX_EPOCH,
        },
        Flaw::Revoked {
            certificate: certificate(),
        },
        Flaw::NotForSigning {
            certificate: certificate(),
        },
        Flaw::OverText,
        Flaw::Unreliable { reason: reason() },
    ]
}

fn filenames() -> Vec<FilenameError> {
    let filename = || "demo-1.0-py3-none-any.whl".to_owned();
    vec![
        FilenameError::TooLong { length: 300 },
        FilenameError::Character {
            filename: filename(),
        },
        FilenameError::UnknownKind {
            filename: filename(),
        },
        FilenameError::WheelParts {
            filename: filename(),
            parts: 9,
        },
        FilenameError::BuildTag {
            filename: filename(),
            build: "x".to_owned(),
        },
        FilenameError::Tag {
            filename: filename(),
            tag: "x".to_owned(),
        },
        FilenameError::NoVersion {
            filename: filename(),
        },
        FilenameError::Name {
            filename: filename(),
            source: NameError::Empty,
        },
        FilenameError::Version {
            filename: filename(),
            version: "x".to_owned(),
        },
        FilenameError::OtherProject {
            filename: filename(),
            project: "other".parse().unwrap(),
        },
    ]
}

fn inspections() -> Vec<InspectError> {
    let path = || "demo/__init__.py".to_owned();
    let mut all = vec![
        InspectError::Io(io::Error::other("no")),
        InspectError::UnsupportedFormat { filename: path() },
        InspectError::Damaged { what: path() },
        InspectError::TooLarge { allowed: 1 },
        InspectError::TooManyEntries,
        InspectError::PathsTooLong,
        InspectError::Path { path: path() },
        InspectError::PathTooLong { length: 5000 },
        InspectError::Conflict { path: path() },
        InspectError::Case {
            first: path(),
            second: path(),
        },
        InspectError::Link { path: path() },
        InspectError::Special { path: path() },
        InspectError::BesideTop {
            top: path(),
            path: path(),
        },
        InspectError::DistInfo {
            found: vec![path()],
        },
        InspectError::MissingFile { path: path() },
        InspectError::FileTooLong {
            path: path(),
            limit: 1,
        },
        InspectError::MissingLicenseFile { path: path() },
        InspectError::OtherName {
            filename: "a".parse().unwrap(),
            metadata: "b".parse().unwrap(),
        },
        InspectError::OtherVersion {
            filename: "1".parse().unwrap(),
            metadata: "2".parse().unwrap(),
        },
        InspectError::WheelFile,
        InspectError::Tags {
            filename: path(),
            stated: vec!["py3-none-any".to_owned()],
        },
    ];
    all.extend(
        [
            ZipError::NoEnd,
            ZipError::End,
            ZipError::Volumes,
            ZipError::Directory,
            ZipError::Feature { path: path() },
            ZipError::Method {
                path: path(),
                method: 9,
            },
            ZipError::Extra { path: path() },
            ZipError::LocalHeader { path: path() },
            ZipError::Layout { offset: 1 },
            ZipError::Contents { path: path() },
            ZipError::Descriptor { path: path() },
            ZipError::Comment { path: path() },
            ZipError::AlsoTar,
        ]
        .map(InspectError::Zip),
    );
    all.extend(
        [
            TarError::Header { entry: 1 },
            TarError::Extended { entry: 1 },
            TarError::ExtendedTooLong {
                entry: 1,
                length: 1,
            },
            TarError::Sparse { entry: 1 },
            TarError::Kind { entry: 1, kind: 1 },
            TarError::Trailing,
            TarError::AlsoZip,
        ]
        .map(InspectError::Tar),
    );
    all.extend(
        [
            RecordError::Malformed { line: 1 },
            RecordError::Absent { path: path() },
            RecordError::Unlisted { path: path() },
            RecordError::Twice { path: path() },
            RecordError::NoDigest { path: path() },
            RecordError::DigestForm {
                path: path(),
                stated: path(),
            },
            RecordError::Digest { path: path() },
            RecordError::Length {
                path: path(),
                listed: 1,
                actual: 2,
            },
        ]
        .map(InspectError::Record),
    );
    all.extend(
        [
            MetadataError::TooLong { length: 1 },
            MetadataError::TooManyFields,
            MetadataError::NotUtf8 { offset: 1 },
            MetadataError::Malformed { line: 1 },
            MetadataError::ControlCharacter { line: 1 },
            MetadataError::Missing { field: "Name" },
            MetadataError::Repeated { field: "Name" },
            MetadataError::UnsupportedVersion { version: path() },
            MetadataError::Name(NameError::TooLong { length: 300 }),
            MetadataError::Version { version: path() },
        ]
        .map(InspectError::Metadata),
    );
    all.extend(rules().into_iter().map(InspectError::Rule));
    all
}

fn rules() -> Vec<RuleError> {
    let text = || "x".repeat(1000);
    let version = MetadataVersion { major: 2, minor: 4 };
    vec![
        RuleError::UnknownVersion { version },
        RuleError::TooNew {
            field: "Dynamic",
            since: version,
            declared: version,
        },
        RuleError::TwoLicenses,
        RuleError::LicenseExpression { expression: text() },
        RuleError::LicenseId { identifier: text() },
        RuleError::LicenseFile { path: text() },
        RuleError::Dynamic { field: text() },
        RuleError::ImportName {
            field: "Import-Name",
            name: text(),
        },
        RuleError::ImportNameTwice { name: text() },
        RuleError::SummaryLines,
        RuleError::SummaryTooLong { length: 600 },
        RuleError::RequiresPython { range: text() },
        RuleError::Requirement {
            field: "Requires-Dist",
            requirement: text(),
            source: RequirementError::Marker,
        },
        RuleError::DirectRequirement {
            field: "Requires-Dist",
            requirement: text(),
        },
        RuleError::Extra { name: text() },
        RuleError::Link {
            field: "Home-page",
            url: text(),
        },
        RuleError::LinkLabel { value: text() },
        RuleError::LinkTwice { label: text() },
        RuleError::MailAddress {
            field: "Author-email",
            address: text(),
            why: "has no `@`",
        },
        RuleError::DescriptionType {
            value: text(),
            why: "is none",
        },
        RuleError::RequiresPythonTooLong { length: 2000 },
        RuleError::RequiresPythonControl,
    ]
}

#[test]
fn every_refusal_tells_the_rule_and_the_fix() {
    let mut kinds = BTreeSet::new();
    let mut fixes = BTreeSet::new();
    for error in samples() {
        kinds.insert(kind(&error));
        let said = format!("{error:?}");
        let problem = Problem::from(error);
        let rule = problem.detail.clone();
        let fix = problem
            .hint
            .clone()
            .unwrap_or_else(|| panic!("no fix for {said}"));
        assert!(!rule.is_empty() && !problem.title.is_empty(), "{said}");
        for text in [&rule[..], &fix] {
            assert!(
                !text.ends_with('.') && !text.contains('\n'),
                "{said}: {text}"
            );
        }
        assert!(fix.len() > 10 && fix.len() <= 200, "{said}: {fix}");
        assert_eq!(problem.told(), format!("{rule}; {fix}"));
        let reason = problem.reason();
        assert!(reason.starts_with(problem.title), "{reason}");
        assert!(reason.ends_with(&super::super::ascii(&fix)), "{reason}");
        assert!(reason.len() <= super::super::MAX_REASON_LEN, "{reason}");
        fixes.insert(fix.into_owned());
    }
    assert_eq!(kinds.len(), KINDS, "{kinds:?}");
    // Not one phrase for all.
    assert!(fixes.len() > 50, "{}", fixes.len());
}
