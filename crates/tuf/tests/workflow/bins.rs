//! Delegation by the hash of a path: hash prefixes (TUF §4.5) and succinct roles (TAP 15).

use wheelmark_tuf::{DelegatedRoles, PathSet, RoleKeys, Sha256, SuccinctRoles, TargetPath};

use crate::client::{Client, outcome};
use crate::repo::{Repo, Signer, role};
use crate::search::{patterns, search};

fn prefixes(prefixes: &[&str]) -> PathSet {
    PathSet::HashPrefixes(prefixes.iter().map(|prefix| (*prefix).to_owned()).collect())
}

#[test]
fn hash_prefixes_choose_by_the_hash_of_the_path() {
    let mut repo = Repo::new();
    let digest = Sha256::of(b"dir/x").to_string();
    let other = if digest.starts_with('0') { "1" } else { "0" };
    repo.delegate("targets", "other", prefixes(&[other]));
    repo.delegate("targets", "none", prefixes(&[]));
    repo.delegate("targets", "whole", prefixes(&[other, &digest]));
    repo.delegate("targets", "short", prefixes(&[&digest[..1]]));
    repo.add("short", "dir/x", b"content");
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    assert_eq!(
        search(&mut client, &set, &repo, "dir/x"),
        "[1.whole 1.short] targets 2 by short 1"
    );
}

#[test]
fn bins_are_named_as_tap_15_says() {
    let bins = |bit_length| {
        SuccinctRoles::new(
            RoleKeys::new([Signer::new("a").key()], 1),
            bit_length,
            "bin",
        )
        .unwrap()
    };
    let names = |bit_length| {
        bins(bit_length)
            .bins()
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(1), ["bin-0", "bin-1"]);
    assert_eq!(names(4).last().unwrap(), "bin-f");
    assert_eq!(names(5)[..2], ["bin-00", "bin-01"]);
    assert_eq!(names(5).last().unwrap(), "bin-1f");
    assert_eq!(names(8).len(), 256);
    assert_eq!(names(14).last().unwrap(), "bin-3fff");
    assert_eq!(bins(32).bins().next().unwrap().as_str(), "bin-00000000");
    assert_eq!(bins(32).count(), 1 << 32);
    let path: TargetPath = "simple/flask/index.json".parse().unwrap();
    let digest = "26f1cc63e5bc87544e52ba9bc80a64e74f6cc445b10c52e8fb3306e96b4a6037";
    for (bit_length, digits) in [(4, 1), (8, 2), (16, 4), (32, 8)] {
        let expected = format!("bin-{}", &digest[..digits]);
        assert_eq!(bins(bit_length).bin_for(&path).as_str(), expected);
    }
    let first = u32::from_str_radix(&digest[..8], 16).unwrap();
    assert_eq!(
        bins(14).bin_for(&path).as_str(),
        format!("bin-{:04x}", first >> 18)
    );
    assert_eq!(
        bins(1).bin_for(&path).as_str(),
        format!("bin-{:x}", first >> 31)
    );
    let role = RoleKeys::new([Signer::new("a").key()], 1);
    assert!(SuccinctRoles::new(role.clone(), 0, "bin").is_err());
    assert!(SuccinctRoles::new(role, 33, "bin").is_err());
}

#[test]
fn a_path_costs_one_bin() {
    let mut repo = Repo::new();
    repo.delegate("targets", "simple!", patterns("simple/*/*"));
    repo.delegate("targets", "late", patterns("simple/*/*"));
    repo.delegate_to_bins("simple", 4, "simple");
    let bins = match &repo.delegated["simple"].delegations.as_ref().unwrap().roles {
        DelegatedRoles::Succinct(bins) => bins.clone(),
        DelegatedRoles::Listed(_) => panic!("listed"),
    };
    let path = "simple/flask/index.json";
    let bin = bins.bin_for(&path.parse().unwrap()).to_string();
    repo.add(&bin, path, b"content");
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    assert_eq!(
        search(&mut client, &set, &repo, path),
        format!("[1.simple 1.{bin}] targets 2, simple 1 by {bin} 1")
    );
    let other = "simple/django/index.json";
    let bin = bins.bin_for(&other.parse().unwrap());
    client.cache.clear();
    assert_eq!(
        search(&mut client, &set, &repo, other),
        format!("[1.{bin}] none of targets simple {bin}")
    );
    assert_eq!(
        search(&mut client, &set, &repo, "packages/x/y"),
        "[] none of targets"
    );
}

#[test]
fn the_search_goes_on_behind_a_bin_that_is_not_terminated() {
    let mut repo = Repo::new();
    repo.delegate("targets", "binned", patterns("*"));
    repo.delegate("targets", "late", patterns("*"));
    repo.delegate_to_bins("binned", 1, "bin");
    repo.add("late", "x", b"content");
    repo.publish_all();
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    assert!(search(&mut client, &set, &repo, "x").ends_with("targets 2 by late 1"));
}

#[test]
fn a_bin_handed_out_for_another_is_refused_where_it_states_its_name() {
    for states_its_name in [false, true] {
        let mut repo = Repo::new();
        repo.delegate_to_bins("targets", 1, "bin");
        let bin = ["bin-0", "bin-1"]
            .into_iter()
            .find(|bin| is_bin_of(&repo, bin, "x"))
            .unwrap();
        let other = if bin == "bin-0" { "bin-1" } else { "bin-0" };
        repo.add(bin, "x", b"content");
        if states_its_name {
            for name in [bin, other] {
                repo.role_mut(name).state_role(&role(name));
            }
        }
        repo.publish_all();
        let mut client = Client::new(&repo);
        let set = client.refresh(&repo).unwrap();
        assert_eq!(
            search(&mut client, &set, &repo, "x"),
            format!("[1.{bin}] targets 2 by {bin} 1")
        );

        // A mirror without any key: same signer, same version, another role.
        let swapped = repo.files[&format!("1.{other}.json")].clone();
        repo.files.insert(format!("1.{bin}.json"), swapped);
        let mut client = Client::new(&repo);
        let set = client.refresh(&repo).unwrap();
        let found = search(&mut client, &set, &repo, "x");
        if states_its_name {
            assert!(
                found.ends_with(&format!("it is the metadata of {other}")),
                "{found}"
            );
        } else {
            assert_eq!(found, format!("[1.{bin}] none of targets {bin}"));
        }
    }
}

fn is_bin_of(repo: &Repo, name: &str, path: &str) -> bool {
    match &repo.targets.delegations.as_ref().unwrap().roles {
        DelegatedRoles::Succinct(bins) => bins.bin_for(&path.parse().unwrap()) == role(name),
        DelegatedRoles::Listed(_) => false,
    }
}

#[test]
fn every_bin_must_be_listed() {
    let mut repo = Repo::new();
    repo.delegate_to_bins("targets", 1, "bin");
    repo.publish_all();
    for bin in ["bin-0", "bin-1"] {
        repo.snapshot.meta.remove(&format!("{bin}.json"));
    }
    repo.publish("snapshot timestamp");
    let mut client = Client::new(&repo);
    let set = client.refresh(&repo).unwrap();
    let result = client.lookup(&set, &repo, "x");
    assert!(
        outcome(&result).ends_with("which the snapshot does not list"),
        "{result:?}"
    );
}
