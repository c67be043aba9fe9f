use super::{Claims, Identity, Mismatch, Subject};
use crate::Publisher;

const PROJECT: &str = "01234567-89ab-cdef-0123-456789abcdef";
const PIPELINE: &str = "11111111-89ab-cdef-0123-456789abcdef";
const ORGANISATION: &str = "22222222-89ab-cdef-0123-456789abcdef";

fn of(subject: Subject, issuer: &str, claims: Claims) -> Identity {
    Identity::new(subject, issuer.to_owned(), claims)
}

fn github() -> Identity {
    let workflow = "https://github.com/Pallets/flask/.github/workflows/release.yml@refs/tags/1.0";
    of(
        Subject::Uri(workflow.to_owned()),
        "https://token.actions.githubusercontent.com",
        Claims {
            repository: Some("https://github.com/Pallets/flask".to_owned()),
            git_ref: Some("refs/tags/1.0".to_owned()),
            digest: Some("0123456789abcdef0123456789abcdef01234567".to_owned()),
            workflow: Some(workflow.to_owned()),
            environment: Some("pypi".to_owned()),
            ..Claims::default()
        },
    )
}

fn gitlab() -> Identity {
    let workflow = "https://gitlab.com/g/sub/p//ci/release.yml@refs/heads/main";
    of(
        Subject::Uri(workflow.to_owned()),
        "https://gitlab.com",
        Claims {
            repository: Some("https://gitlab.com/g/sub/p".to_owned()),
            git_ref: Some("refs/heads/main".to_owned()),
            workflow: Some(workflow.to_owned()),
            ..Claims::default()
        },
    )
}

fn circleci() -> Identity {
    of(
        Subject::Uri(format!(
            "https://circleci.com/api/v2/projects/{PROJECT}/pipeline-definitions/{PIPELINE}"
        )),
        &format!("https://oidc.circleci.com/org/{ORGANISATION}"),
        Claims {
            repository: Some("https://github.com/o/r".to_owned()),
            git_ref: Some("refs/heads/main".to_owned()),
            ..Claims::default()
        },
    )
}

fn person(issuer: &str) -> Identity {
    of(
        Subject::Email("alice@example.org".to_owned()),
        issuer,
        Claims::default(),
    )
}

fn is(identity: &Identity, publisher: &str) -> Result<(), Mismatch> {
    identity.matches(&publisher.parse::<Publisher>().unwrap())
}

/// What is wrong with taking one for the other, by the claim that differs.
fn differs(identity: &Identity, publisher: &str) -> &'static str {
    match is(identity, publisher).unwrap_err() {
        Mismatch::Other { claim, .. } | Mismatch::Unproven { claim, .. } => claim,
        Mismatch::UnknownKind { .. } => "kind",
    }
}

#[test]
fn everybody_is_the_publisher_that_they_speak_for() {
    for (identity, publisher) in [
        (github(), "github:Pallets/flask@release.yml#pypi".to_owned()),
        (gitlab(), "gitlab:g/sub/p@ci/release.yml".to_owned()),
        (
            circleci(),
            format!("circleci:{ORGANISATION}/{PROJECT}/{PIPELINE}"),
        ),
        (
            person("https://accounts.google.com"),
            "google:alice@example.org".to_owned(),
        ),
        (
            person("https://accounts.example.org"),
            "alice@example.org+https://accounts.example.org".to_owned(),
        ),
    ] {
        assert_eq!(identity.publisher().to_string(), publisher);
        assert_eq!(is(&identity, &publisher), Ok(()));
    }
}

#[test]
fn a_workflow_of_an_issuer_of_ones_own_is_the_same_at_its_next_tag() {
    let mut job = github();
    job.issuer = "https://git.corp/_services/token".to_owned();
    let workflow = "https://github.com/Pallets/flask/.github/workflows/release.yml";
    let any_ref = format!("{workflow}@*+{}", job.issuer);
    assert_eq!(job.publisher().to_string(), any_ref);
    let mut next = job.clone();
    next.subject = Subject::Uri(format!("{workflow}@refs/tags/1.1"));
    next.claims.git_ref = Some("refs/tags/1.1".to_owned());
    next.claims.workflow = Some(format!("{workflow}@refs/tags/1.1"));
    assert_eq!(next.publisher(), job.publisher());
    // Whoever calls another repository's workflow is that caller's job, and has this name alone.
    next.claims.repository = Some("https://github.com/evil/flask".to_owned());
    assert_ne!(next.publisher(), job.publisher());
    // A ref that is not the one that was built tells nothing of others.
    job.claims.git_ref = Some("refs/heads/main".to_owned());
    assert!(!job.publisher().to_string().contains("@*"));
}

#[test]
fn a_workflow_of_github_is_compared_claim_by_claim() {
    let identity = github();
    for same in [
        "github:pallets/Flask@release.yml",
        "github:pallets/flask@release.yml#PyPI",
        "https://github.com/Pallets/flask/.github/workflows/release.yml@*+https://token.actions.githubusercontent.com",
    ] {
        assert_eq!(is(&identity, same), Ok(()), "{same}");
    }
    assert_eq!(
        differs(&identity, "github:pallets/flask2@release.yml"),
        "repository"
    );
    assert_eq!(
        differs(&identity, "github:pallets/flas@release.yml"),
        "repository"
    );
    assert_eq!(
        differs(&identity, "github:pallets/flask@Release.yml"),
        "workflow"
    );
    assert_eq!(
        differs(&identity, "github:pallets/flask@other.yml"),
        "workflow"
    );
    assert_eq!(
        differs(&identity, "github:pallets/flask@release.yml#test"),
        "environment"
    );
    assert_eq!(
        differs(&identity, "gitlab:pallets/flask@release.yml"),
        "issuer"
    );
    assert_eq!(differs(&identity, "google:alice@example.org"), "issuer");
    assert_eq!(
        differs(
            &identity,
            "alice@example.org+https://token.actions.githubusercontent.com"
        ),
        "subject"
    );
    // Another repository's workflow file, called at a ref that looks like the one expected.
    let mut borrowed = github();
    borrowed.claims.workflow =
        Some("https://github.com/evil/x/.github/workflows/release.yml@refs/tags/1.0".to_owned());
    assert_eq!(
        differs(&borrowed, "github:pallets/flask@release.yml"),
        "workflow"
    );
    let mut elsewhere = github();
    elsewhere.claims.git_ref = Some("refs/tags/2.0".to_owned());
    assert_eq!(
        differs(&elsewhere, "github:pallets/flask@release.yml"),
        "workflow"
    );
    // By the commit in place of the ref.
    let commit = elsewhere.claims.digest.clone().unwrap();
    elsewhere.claims.workflow = Some(format!(
        "https://github.com/Pallets/flask/.github/workflows/release.yml@{commit}"
    ));
    assert_eq!(is(&elsewhere, "github:pallets/flask@release.yml"), Ok(()));
}

#[test]
fn a_run_that_a_strangers_pull_request_started_is_nobodys() {
    let mut run = github();
    run.claims.trigger = Some("release".to_owned());
    let subject = "https://github.com/Pallets/flask/.github/workflows/release.yml@refs/tags/1.0\
                   +https://token.actions.githubusercontent.com";
    for publisher in ["github:pallets/flask@release.yml", subject] {
        run.claims.trigger = Some("release".to_owned());
        assert_eq!(is(&run, publisher), Ok(()));
        run.claims.trigger = Some("pull_request_target".to_owned());
        assert_eq!(differs(&run, publisher), "trigger");
    }
}

#[test]
fn who_calls_a_workflow_is_not_who_it_belongs_to() {
    // The subject is the workflow that was called; the source is the caller's.
    let mut caller = github();
    caller.claims.repository = Some("https://github.com/evil/x".to_owned());
    let called = "https://github.com/Pallets/flask/.github/workflows/release.yml@*\
                  +https://token.actions.githubusercontent.com";
    assert_eq!(is(&github(), called), Ok(()));
    assert_eq!(differs(&caller, called), "repository");
    caller.claims.repository = Some("https://github.com/Pallets/fla".to_owned());
    assert_eq!(differs(&caller, called), "repository");
}

#[test]
fn gitlab_tells_environments_apart_by_case_and_github_does_not() {
    let mut job = gitlab();
    job.claims.environment = Some("Prod".to_owned());
    let expected = |name: &str| format!("gitlab:g/sub/p@ci/release.yml#{name}");
    assert_eq!(is(&job, &expected("Prod")), Ok(()));
    assert_eq!(differs(&job, &expected("prod")), "environment");
    job.claims.environment = None;
    assert_eq!(differs(&job, &expected("Prod")), "environment");
}

#[test]
fn an_account_is_told_by_numbers_that_stay() {
    let mut job = github();
    assert_eq!(job.account(), None);
    job.claims.owner_id = Some("1".to_owned());
    job.claims.repository_id = Some("2".to_owned());
    assert_eq!(
        job.account(),
        Some(super::Account {
            owner_id: "1",
            repository_id: "2"
        })
    );
}

#[test]
fn a_subject_that_reads_like_a_publisher_is_none() {
    let mut disguised = person("https://evil.example.org");
    disguised.subject = Subject::Uri("github:pallets/flask@publish.yaml#x".to_owned());
    assert_eq!(disguised.publisher().kind(), "none that is known");
}

#[test]
fn what_a_certificate_does_not_say_is_not_taken_for_granted() {
    let mut bare = github();
    bare.claims.environment = None;
    assert_eq!(is(&bare, "github:pallets/flask@release.yml"), Ok(()));
    assert_eq!(
        is(&bare, "github:pallets/flask@release.yml#pypi"),
        Err(Mismatch::Unproven {
            claim: "environment",
            expected: "pypi".to_owned()
        })
    );
    bare.claims.workflow = None;
    assert_eq!(
        differs(&bare, "github:pallets/flask@release.yml"),
        "workflow"
    );
    bare.claims.repository = None;
    assert_eq!(
        differs(&bare, "github:pallets/flask@release.yml"),
        "repository"
    );
    // Without its claims it is a subject and an issuer.
    assert_eq!(
        bare.publisher().to_string(),
        "https://github.com/Pallets/flask/.github/workflows/release.yml@refs/tags/1.0\
         +https://token.actions.githubusercontent.com"
    );
}

#[test]
fn pipelines_and_people_are_compared_as_well() {
    let pipeline = circleci();
    for same in [
        format!("circleci:{PROJECT}/{PIPELINE}"),
        format!("circleci:{PROJECT}/{PIPELINE}@github.com/o/r#refs/heads/main"),
    ] {
        assert_eq!(is(&pipeline, &same), Ok(()));
    }
    for (other, claim) in [
        (format!("circleci:{PIPELINE}/{PROJECT}"), "subject"),
        (format!("circleci:{PROJECT}/{PROJECT}/{PIPELINE}"), "issuer"),
        (
            format!("circleci:{PROJECT}/{PIPELINE}@github.com/o/x"),
            "repository",
        ),
        (format!("circleci:{PROJECT}/{PIPELINE}#refs/heads/x"), "ref"),
    ] {
        assert_eq!(differs(&pipeline, &other), claim);
    }
    assert_eq!(
        differs(&gitlab(), "gitlab:g/sub@ci/release.yml"),
        "repository"
    );
    assert_eq!(differs(&gitlab(), "gitlab:g/sub/p@release.yml"), "workflow");
    let alice = person("https://accounts.google.com");
    assert_eq!(differs(&alice, "google:bob@example.org"), "subject");
    assert_eq!(
        differs(&alice, "alice@example.org+https://accounts.example.org"),
        "issuer"
    );
    // A star is for a workload's ref: it is no subject with an empty one.
    let mut workload = github();
    workload.subject = Subject::Uri("https://git.corp/o/r@".to_owned());
    workload.issuer = "https://git.corp".to_owned();
    assert_eq!(
        differs(&workload, "https://git.corp/o/r@*+https://git.corp"),
        "subject"
    );
}
