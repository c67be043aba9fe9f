//! Each claim that counts, changed by itself.

#![expect(clippy::unwrap_used, reason = "a failed test says where it failed")]

use serde_json::{Value, json};

use super::*;

/// What is different about a token, and the claim that it is refused for.
type Change<'a> = (&'a str, Value, &'a str);

/// Holds `good` against `publisher`, and then each change of it by itself. Null takes a claim away.
fn check(publisher: &str, issuer: &str, good: Value, changes: &[Change<'_>]) {
    let (publisher, _) = TrustedPublisher::with_issuer(publisher).unwrap();
    let judged = |claims: Value| judge(&publisher, issuer, &Claims::made_up(claims));
    assert_eq!(judged(good.clone()), Ok(()), "{publisher}");
    for (claim, value, named) in changes {
        let mut claims = good.clone();
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(*claim)),
            value => claims[*claim] = value.clone(),
        }
        let refused = judged(claims).expect_err(&format!("{publisher}: {claim} {value}"));
        let at = match refused {
            Unlike::Missing { claim }
            | Unlike::Differs { claim, .. }
            | Unlike::Never { claim, .. } => claim,
        };
        assert_eq!(at, *named, "{publisher}: {claim} {value}");
    }
}

fn github_claims() -> Value {
    json!({
        "repository": "Octo/demo", "repository_owner": "Octo", "repository_owner_id": "7",
        "event_name": "push", "ref": "refs/tags/v1", "sha": "abc", "environment": "pypi",
        "job_workflow_ref": "Octo/demo/.github/workflows/release.yml@refs/tags/v1",
    })
}

#[test]
fn a_workflow_on_github_is_known_by_all_of_its_claims() {
    let issuer = "https://token.actions.githubusercontent.com";
    let workflow = |at: &str| json!(format!("octo/demo/.github/workflows/{at}"));
    check(
        "github:octo/demo@release.yml#PyPI",
        issuer,
        github_claims(),
        &[
            ("repository", json!("octo/demo2"), "repository"),
            ("repository", Value::Null, "repository"),
            ("repository", json!(["octo/demo"]), "repository"),
            ("repository_owner", json!("octopus"), "repository_owner"),
            ("repository_owner", Value::Null, "repository_owner"),
            ("event_name", json!("pull_request_target"), "event_name"),
            ("event_name", Value::Null, "event_name"),
            (
                "job_workflow_ref",
                workflow("other.yml@refs/tags/v1"),
                "job_workflow_ref",
            ),
            (
                "job_workflow_ref",
                workflow("release.yml@refs/heads/main"),
                "job_workflow_ref",
            ),
            (
                "job_workflow_ref",
                workflow("release.yml@"),
                "job_workflow_ref",
            ),
            (
                "job_workflow_ref",
                workflow("release.yml"),
                "job_workflow_ref",
            ),
            (
                "job_workflow_ref",
                workflow("release.ymlx@refs/tags/v1"),
                "job_workflow_ref",
            ),
            (
                "job_workflow_ref",
                workflow("x/release.yml@refs/tags/v1"),
                "job_workflow_ref",
            ),
            (
                "job_workflow_ref",
                json!("evil/demo/.github/workflows/release.yml@refs/tags/v1"),
                "job_workflow_ref",
            ),
            ("job_workflow_ref", Value::Null, "job_workflow_ref"),
            ("ref", Value::Null, "job_workflow_ref"),
            ("environment", json!("staging"), "environment"),
            ("environment", json!(""), "environment"),
            ("environment", Value::Null, "environment"),
        ],
    );
    // By the commit as well as by the ref; and the environment matters where it is asked for alone.
    let mut at_commit = github_claims();
    at_commit["job_workflow_ref"] = workflow("release.yml@abc");
    at_commit["environment"] = json!("anything");
    check(
        "github:octo/demo@release.yml",
        issuer,
        at_commit,
        &[("sha", json!("abd"), "job_workflow_ref")],
    );
}

#[test]
fn a_pipeline_on_gitlab_is_known_by_all_of_its_claims() {
    let good = |host: &str| {
        json!({
            "project_path": "Group/sub/demo", "namespace_id": "72",
            "sub": "project_path:group/sub/demo:ref_type:tag:ref:v1", "environment": "prod",
            "ref_path": "refs/tags/v1", "sha": "abc",
            "ci_config_ref_uri": format!("{host}/group/sub/demo//ci/release.yml@refs/tags/v1"),
        })
    };
    let uri = |at: &str| json!(format!("gitlab.com/{at}"));
    check(
        "gitlab:group/sub/demo@ci/release.yml#prod",
        "https://gitlab.com",
        good("gitlab.com"),
        &[
            ("project_path", json!("group/demo"), "project_path"),
            ("sub", json!("project_path:group/sub/demo2:ref"), "sub"),
            ("sub", json!("group/sub/demo"), "sub"),
            ("sub", Value::Null, "sub"),
            (
                "ci_config_ref_uri",
                uri("group/sub/demo//ci/other.yml@refs/tags/v1"),
                "ci_config_ref_uri",
            ),
            (
                "ci_config_ref_uri",
                uri("group/sub/demo//ci/release.yml@refs/heads/x"),
                "ci_config_ref_uri",
            ),
            (
                "ci_config_ref_uri",
                uri("evil/sub/demo//ci/release.yml@refs/tags/v1"),
                "ci_config_ref_uri",
            ),
            (
                "ci_config_ref_uri",
                json!("gitlab.example/group/sub/demo//ci/release.yml@refs/tags/v1"),
                "ci_config_ref_uri",
            ),
            ("ref_path", Value::Null, "ci_config_ref_uri"),
            ("environment", json!("Prod"), "environment"),
            ("environment", Value::Null, "environment"),
        ],
    );
    // One of a company's own.
    let own = "https://git.example.org:8443/ci";
    check(
        "gitlab:group/sub/demo@ci/release.yml",
        own,
        good("git.example.org:8443/ci"),
        &[],
    );
}

#[test]
fn accounts_for_machines_are_known_by_their_claims() {
    let email = "robot@project.iam.gserviceaccount.com";
    check(
        &format!("google:{email}"),
        "https://accounts.google.com",
        json!({"email": email, "email_verified": true, "sub": "1"}),
        &[
            (
                "email",
                json!("Robot@project.iam.gserviceaccount.com"),
                "email",
            ),
            ("email_verified", json!(false), "email_verified"),
            ("email_verified", json!("true"), "email_verified"),
            ("email_verified", Value::Null, "email_verified"),
        ],
    );
    check(
        "activestate:org/demo@a-1",
        "https://platform.activestate.com/api/v1/oauth/oidc",
        json!({
            "organization": "org", "project": "demo", "actor_id": "a-1", "builder": "pypi-publisher",
            "sub": "org:org:project:demo",
        }),
        &[
            ("organization", json!("org2"), "organization"),
            ("project", json!("demo2"), "project"),
            ("actor_id", json!("a-2"), "actor_id"),
            ("actor_id", Value::Null, "actor_id"),
            ("builder", json!("other"), "builder"),
            ("sub", json!("org:org:project:demo2"), "sub"),
        ],
    );
    check(
        "circleci:p-1/d-1",
        "https://oidc.circleci.com/org/o-1",
        json!({
            "oidc.circleci.com/project-id": "p-1", "oidc.circleci.com/pipeline-definition-id": "d-1",
            "oidc.circleci.com/org-id": "o-1", "oidc.circleci.com/ssh-rerun": false,
        }),
        &[
            (
                "oidc.circleci.com/project-id",
                json!("p-2"),
                "oidc.circleci.com/project-id",
            ),
            (
                "oidc.circleci.com/pipeline-definition-id",
                json!("d-2"),
                "oidc.circleci.com/pipeline-definition-id",
            ),
            (
                "oidc.circleci.com/org-id",
                json!("o-2"),
                "oidc.circleci.com/org-id",
            ),
            (
                "oidc.circleci.com/ssh-rerun",
                json!(true),
                "oidc.circleci.com/ssh-rerun",
            ),
            (
                "oidc.circleci.com/ssh-rerun",
                Value::Null,
                "oidc.circleci.com/ssh-rerun",
            ),
        ],
    );
    check(
        "repo:octo/demo+https://ci.example.org",
        "https://ci.example.org",
        json!({"sub": "repo:octo/demo"}),
        &[
            ("sub", json!("repo:octo/demo2"), "sub"),
            ("sub", Value::Null, "sub"),
        ],
    );
}

#[test]
fn a_token_says_where_it_comes_from() {
    let of = |kind, claims| Origin::of(kind, &Claims::made_up(claims));
    let origin = of(IssuerKind::GitHub, github_claims()).unwrap();
    assert_eq!(origin.place, "octo/demo");
    assert_eq!(origin.account.as_deref(), Some("7"));
    let mut anonymous = github_claims();
    for id in [Value::Null, json!(""), json!([]), json!("7".repeat(65))] {
        anonymous["repository_owner_id"] = id;
        let claim = "repository_owner_id";
        assert_eq!(
            of(IssuerKind::GitHub, anonymous.clone()),
            Err(Unlike::Missing { claim })
        );
    }
    anonymous["repository_owner_id"] = json!(7);
    assert_eq!(of(IssuerKind::GitHub, anonymous).unwrap(), origin);
    let claim = "sub";
    assert_eq!(
        of(IssuerKind::Oidc, json!({})),
        Err(Unlike::Missing { claim })
    );
}
