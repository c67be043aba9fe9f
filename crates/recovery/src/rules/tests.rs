#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::plan::{ClaimKeys, ClaimWhat, FORM, LastGood, Present, ProjectChanges, VersionedFile};
use wheelmark_tuf::Sha256;

fn name(project: &str) -> ProjectName {
    project.parse().unwrap()
}

fn change(what: What, signed: Signer, file: &str, supports: &[Support]) -> Change {
    Change {
        what,
        signed,
        file: (!file.is_empty()).then(|| file.to_owned()),
        then: None,
        now: Some(Sha256::of(file.as_bytes())),
        supports: supports.to_vec(),
        decision: None,
    }
}

fn of(project: &str, changes: Vec<Change>) -> ProjectChanges {
    ProjectChanges {
        project: name(project),
        page: None,
        list: None,
        changes,
    }
}

fn attested(by: &str, known: bool) -> Support {
    Support::Attested {
        identity: by.to_owned(),
        known,
    }
}

fn claim(project: &str, what: ClaimWhat, supports: &[Support]) -> ClaimChange {
    ClaimChange {
        project: name(project),
        sealed: false,
        what,
        then: None,
        now: Some(ClaimKeys {
            keyids: vec!["k".to_owned()],
            threshold: 1,
        }),
        supports: supports.to_vec(),
        decision: None,
    }
}

fn plan(claims: Vec<ClaimChange>, projects: Vec<ProjectChanges>) -> Plan {
    let file = VersionedFile {
        version: 3,
        sha256: Sha256::of(b""),
    };
    Plan {
        form: FORM,
        made: "2026-11-22T10:00:00Z".parse().unwrap(),
        index: Sha256::of(b"root"),
        last_good: LastGood {
            from: "/backup".to_owned(),
            root: 1,
            snapshot: file,
            expires: "2026-11-21T10:00:00Z".parse().unwrap(),
            dated: "2026-11-20T10:00:00Z".parse().unwrap(),
        },
        present: Present {
            root: 1,
            snapshot: file,
            timestamp: file,
        },
        roles: Vec::new(),
        claims,
        projects,
        left_out: 0,
    }
}

fn sample() -> Plan {
    let index = Signer::Index;
    plan(
        vec![claim("stolen", ClaimWhat::Added, &[])],
        vec![
            of(
                "stolen",
                vec![change(What::Added, Signer::Project, "stolen-9.whl", &[])],
            ),
            of(
                "plain",
                vec![
                    change(What::Added, index, "plain-1.whl", &[attested("ci", true)]),
                    change(
                        What::Added,
                        index,
                        "plain-2.whl",
                        &[attested("thief", false)],
                    ),
                    change(
                        What::Added,
                        index,
                        "plain-3.whl",
                        &[Support::Copies { count: 2 }],
                    ),
                    change(What::Added, index, "plain-4.whl", &[]),
                ],
            ),
            of(
                "owned",
                vec![
                    change(What::State, index, "", &[]),
                    change(
                        What::Entry,
                        Signer::Project,
                        "owned-1.whl",
                        &[Support::Developer],
                    ),
                    change(
                        What::Added,
                        Signer::Project,
                        "owned-2.whl",
                        &[Support::Developer],
                    ),
                ],
            ),
        ],
    )
}

/// The decisions, in order: `k`eep, `d`rop, `-` none; claims first.
fn decisions(plan: &Plan) -> String {
    let claims = plan.claims.iter().map(|claim| claim.decision);
    let changes = plan.projects.iter().flat_map(|project| &project.changes);
    let all = claims.chain(changes.map(|change| change.decision));
    all.map(|decision| match decision {
        Some(Decision::Keep) => 'k',
        Some(Decision::Drop) => 'd',
        None => '-',
    })
    .collect()
}

#[test]
fn a_rule_decides_about_what_it_names_and_nothing_else() {
    let check = |rule: Rule, expected: &str| {
        let mut plan = sample();
        let decided = plan.decide(&rule, Decision::Keep);
        assert_eq!(decisions(&plan), expected, "{rule:?}");
        assert_eq!(decided, 9 - expected.matches('-').count(), "{rule:?}");
        assert_eq!(plan.conflicts(), []);
    };
    // A claim that is new goes, whatever is said.
    check(Rule::All, "dkkkkkkkk");
    // The thief's attestation holds, too; and a copy may have followed him.
    check(Rule::Supported, "--k----kk");
    check(Rule::Unsupported, "dk-kkkk--");
    check(Rule::Sealed, "---------");
    check(Rule::Developer, "-------kk");
    check(Rule::Attested("thief".to_owned()), "---k-----");
    check(Rule::Copies(2), "----k----");
    check(Rule::Copies(3), "---------");
}

#[test]
fn what_is_decided_stays_until_somebody_says_otherwise() {
    let mut plan = sample();
    plan.decide(&Rule::Supported, Decision::Keep);
    plan.decide(&Rule::All, Decision::Drop);
    assert_eq!(decisions(&plan), "ddkddddkk");
    assert_eq!(plan.undecided(), 0);
    assert_eq!(plan.decide_project(&name("plain"), Decision::Drop), Some(4));
    assert_eq!(decisions(&plan), "dddddddkk");
    assert_eq!(plan.decide_project(&name("other"), Decision::Drop), None);
    plan.undecide();
    assert_eq!(decisions(&plan), "---------");
    plan.decide_the_usual();
    assert_eq!(decisions(&plan), "d--------");
}

#[test]
fn what_sealed_keys_signed_is_kept_unless_somebody_said_otherwise_before() {
    let sealed = |claims| {
        let changes = vec![
            change(What::State, Signer::Index, "", &[]),
            change(
                What::Added,
                Signer::Project,
                "owned-2.whl",
                &[Support::Sealed],
            ),
        ];
        plan(claims, vec![of("owned", changes)])
    };
    let mut usual = sealed(Vec::new());
    usual.decide_the_usual();
    assert_eq!(decisions(&usual), "-k");
    usual.undecide();
    usual.decide(&Rule::All, Decision::Drop);
    usual.decide_the_usual();
    assert_eq!(decisions(&usual), "dd");
    // Keys that came since are cleared, with what they signed.
    let mut handed = sealed(vec![claim("owned", ClaimWhat::Keys, &[Support::Sealed])]);
    handed.decide_the_usual();
    assert_eq!(decisions(&handed), "---");
    assert_eq!(
        handed.decide_project(&name("owned"), Decision::Keep),
        Some(3)
    );
    assert_eq!(decisions(&handed), "ddd");
}

#[test]
fn what_no_index_does_is_never_kept() {
    let index = Signer::Index;
    let changes = vec![
        change(What::Changed, index, "plain-1.whl", &[]),
        change(What::Vanished, index, "plain-2.whl", &[]),
        change(What::Target, index, "plain-3.whl", &[]),
        change(What::Added, index, "plain-4.whl", &[]),
    ];
    let mut plan = plan(Vec::new(), vec![of("plain", changes)]);
    plan.decide(&Rule::All, Decision::Keep);
    assert_eq!(decisions(&plan), "dddk");
    plan.decide_project(&name("plain"), Decision::Keep);
    assert_eq!(decisions(&plan), "dddk");
    plan.undecide();
    plan.decide_the_usual();
    assert_eq!(decisions(&plan), "ddd-");
    // By hand.
    plan.projects[0].changes[2].decision = Some(Decision::Keep);
    assert_eq!(plan.conflicts().len(), 1);
}

#[test]
fn one_entry_goes_one_way() {
    let changes = vec![
        change(What::Entry, Signer::Index, "plain-1.whl", &[]),
        change(What::Unyanked, Signer::Index, "plain-1.whl", &[]),
    ];
    let mut plan = plan(Vec::new(), vec![of("plain", changes)]);
    plan.projects[0].changes[0].decision = Some(Decision::Drop);
    plan.projects[0].changes[1].decision = Some(Decision::Keep);
    assert_eq!(plan.conflicts().len(), 1);
    plan.projects[0].changes[1].decision = Some(Decision::Drop);
    assert_eq!(plan.conflicts(), []);
}

#[test]
fn a_page_that_a_project_signs_goes_one_way() {
    let mut plan = sample();
    plan.projects[2].changes[1].decision = Some(Decision::Keep);
    plan.projects[2].changes[2].decision = Some(Decision::Drop);
    let conflicts = plan.conflicts();
    assert_eq!(conflicts.len(), 1);
    assert_eq!(conflicts[0].project, name("owned"));
    // What the index says of it goes its own way.
    plan.projects[2].changes[2].decision = Some(Decision::Keep);
    plan.projects[2].changes[0].decision = Some(Decision::Drop);
    assert_eq!(plan.conflicts(), []);
}

#[test]
fn a_claim_and_its_page_fit() {
    let check = |what, claimed, changed, expected: usize| {
        let mut one = plan(
            vec![claim("owned", what, &[])],
            vec![of(
                "owned",
                vec![change(What::Added, Signer::Project, "owned-9.whl", &[])],
            )],
        );
        one.claims[0].decision = Some(claimed);
        one.projects[0].changes[0].decision = Some(changed);
        assert_eq!(
            one.conflicts().len(),
            expected,
            "{what:?} {claimed:?} {changed:?}"
        );
    };
    let (keep, drop) = (Decision::Keep, Decision::Drop);
    check(ClaimWhat::Added, keep, keep, 1);
    check(ClaimWhat::Added, drop, keep, 0);
    check(ClaimWhat::Added, drop, drop, 0);
    check(ClaimWhat::Keys, keep, drop, 1);
    check(ClaimWhat::Keys, drop, keep, 1);
    check(ClaimWhat::Keys, drop, drop, 0);
    check(ClaimWhat::Removed, drop, keep, 1);
    check(ClaimWhat::Removed, drop, drop, 0);
    check(ClaimWhat::Removed, keep, keep, 0);
}

#[test]
fn a_file_of_a_project_is_kept_by_a_rule_only_with_all_that_is_signed_with_it() {
    let mut plan = sample();
    plan.projects[2].changes[1]
        .supports
        .push(attested("ci", true));
    assert_eq!(
        plan.decide(&Rule::Attested("ci".to_owned()), Decision::Keep),
        1
    );
    assert_eq!(decisions(&plan), "--k------");
    plan.projects[2].changes[2]
        .supports
        .push(attested("ci", true));
    assert_eq!(
        plan.decide(&Rule::Attested("ci".to_owned()), Decision::Keep),
        2
    );
}

#[test]
fn decisions_are_taken_over_for_the_very_same_changes() {
    let mut earlier = sample();
    earlier.decide(&Rule::All, Decision::Drop);
    let mut again = sample();
    again.projects[1].changes[0].now = Some(Sha256::of(b"other bytes by now"));
    again.claims[0].now.as_mut().unwrap().threshold = 2;
    assert_eq!(again.take_over(&earlier), 7);
    assert_eq!(decisions(&again), "-d-dddddd");
}

#[test]
fn that_something_is_kept_holds_for_the_page_that_somebody_saw() {
    let mut earlier = sample();
    earlier.decide(&Rule::All, Decision::Keep);
    let mut again = sample();
    // The files have the same bytes, and the page says something else of one of them.
    again.projects[1].page = Some(Sha256::of(b"another page"));
    assert_eq!(again.take_over(&earlier), 5);
    assert_eq!(decisions(&again), "dk----kkk");
}

#[test]
fn a_million_changes_of_a_thief_leave_a_plan_that_can_be_read() {
    let mut long = sample();
    let evil = |n: usize| change(What::Added, Signer::Index, &format!("evil-{n}.whl"), &[]);
    long.projects
        .push(of("evil", (0..1_000).map(evil).collect()));
    let most = sample().to_json().unwrap().len() as u64 * 2;
    let mut short = sample();
    short.shorten_to(most).unwrap();
    assert_eq!(short, sample());
    long.shorten_to(most).unwrap();
    // What nothing speaks for in the others, too: of `stolen` everything, though its keys have signed it.
    // And its claim, which is new.
    assert_eq!(long.left_out, 1_004);
    assert_eq!(long.project(&name("evil")), None);
    let kept: Vec<usize> = long.projects.iter().map(|one| one.changes.len()).collect();
    assert_eq!(kept, [3, 2]);
    let json = long.to_json().unwrap();
    assert_eq!(Plan::from_json(&json).unwrap(), long);
}

/// Somebody with the online key can let as many projects claim as he likes, sign for them with his own keys, and
/// attest to all of it.
#[test]
fn neither_do_a_thiefs_own_projects_make_it_too_long() {
    let mut long = sample();
    let before = long.claims.len();
    for number in 0..1_000 {
        let (claimed, open) = (format!("claimed-{number}"), format!("open-{number}"));
        long.claims.push(claim(&claimed, ClaimWhat::Added, &[]));
        let own = change(What::Added, Signer::Project, "own.whl", &[]);
        let his = change(
            What::Added,
            Signer::Index,
            "his.whl",
            &[attested("he", false)],
        );
        long.projects.push(of(&claimed, vec![own]));
        long.projects.push(of(&open, vec![his]));
    }
    long.decide_the_usual();
    let most = sample().to_json().unwrap().len() as u64 * 2;
    long.shorten_to(most).unwrap();
    let json = long.to_json().unwrap();
    assert!(json.len() as u64 <= most);
    assert_eq!(Plan::from_json(&json).unwrap(), long);
    assert!(long.claims.len() <= before && long.left_out >= 3_000);
    assert!(long.projects.iter().all(|one| {
        let name = one.project.as_str();
        !name.starts_with("claimed-") && !name.starts_with("open-")
    }));
    assert!(long.conflicts().is_empty());
}

#[test]
fn a_plan_is_read_as_it_was_written_and_mistakes_are_told() {
    let mut plan = sample();
    plan.decide(&Rule::Supported, Decision::Keep);
    let json = String::from_utf8(plan.to_json().unwrap()).unwrap();
    assert_eq!(Plan::from_json(json.as_bytes()).unwrap(), plan);

    let refused = |from: &str, to: &str| {
        let changed = json.replacen(from, to, 1);
        assert_ne!(changed, json);
        Plan::from_json(changed.as_bytes()).unwrap_err().to_string()
    };
    let json_of = "this is not the plan of a recovery";
    assert_eq!(
        refused("\"decision\": null", "\"decison\": \"keep\""),
        json_of
    );
    assert_eq!(
        refused("\"decision\": null", "\"decision\": \"maybe\""),
        json_of
    );
    assert_eq!(
        refused("\"form\": 1", "\"form\": 2"),
        "the plan has form 2, and this version knows form 1"
    );
    assert_eq!(
        refused("\"file\": \"plain-2.whl\"", "\"file\": \"plain-1.whl\""),
        "the plan names plain-1.whl of plain twice"
    );
    assert_eq!(
        refused("\"project\": \"owned\"", "\"project\": \"plain\""),
        "the plan names the project plain twice"
    );
}
