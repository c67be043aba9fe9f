"""Drills: a developer's key is stolen, and the project is put right by the commands of docs/recovery.md."""

from __future__ import annotations

import json
import shutil
import time
from datetime import UTC, datetime

from harness.distributions import Distribution, wheel
from harness.people import administer
from harness.reached import table_one
from harness.siege import REFUSED, Siege
from test_project_keys import Person

ENOUGH, ALONE, SEALED = "two-keys", "one-key", "sealed-one-key"
PROJECTS = (ENOUGH, ALONE, SEALED)


def one(project: str, version: str, says: str) -> Distribution:
    return wheel(project, version, says=says)


class Signs(Person):
    """Somebody with keys of a project, on a machine of their own."""

    def claims(self, project: str, by: str) -> None:
        self.signing("project", "claim", project, by=by).ok()

    def ids(self, project: str) -> list[str]:
        told = self.sandbox.wheelmark("project", "keys", "list", project, "--json").ok()
        return sorted(json.loads(told.out)["keys"])


def robbed_of(name: str, robbed: Signs, thief: Signs) -> str:
    """A copy of a key is the thief's as well."""
    (thief.folder / f"{name}.pem").write_bytes((robbed.folder / f"{name}.pem").read_bytes())
    return name


def test_a_key_with_and_without_enough_others_left(make_siege) -> None:
    siege: Siege = make_siege()
    index = siege.index
    index.publish(*(one(project, "1.0", "good") for project in PROJECTS))
    alice, thief = (Signs(siege.folder / name, index.binary, index) for name in ("alice", "thief"))
    alice.claims(ENOUGH, by="a b")
    alice.claims(ALONE, by="c")
    alice.claims(SEALED, by="s")
    time.sleep(1)  # claims are dated by the second
    siege.cast.hold("seal", "--role", "claimed", "--claim-pending", "--older-than", "1s", "--project", SEALED)
    siege.knows(*PROJECTS)
    siege.keep_good()
    siege.keeps_installing(ENOUGH)

    # One key of each, and a token, which whoever has the key's machine has, too.
    time.sleep(1)  # uploads are dated by the second
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for project, name in ((ENOUGH, "a"), (ALONE, "c"), (SEALED, "s")):
        known = [word for id in alice.ids(project) for word in ("--key", id)]
        thief.publish(one(project, "66.0", "evil"), *known, by=robbed_of(name, alice, thief)).ok()
    seen = siege.reached(*PROJECTS)
    everybody = dict.fromkeys(("plain", "old", "there", "fresh"), "evil")
    assert seen == dict.fromkeys(PROJECTS, everybody)
    row = table_one(5, "yes, this project alone")
    siege.tells("a developer's key and token", "a release, others can outvote the key", row, seen[ENOUGH])
    siege.tells("a developer's key and token", "a release, no other key is left", row, seen[ALONE])
    siege.tells("a developer's key and token", "the same of a sealed project", row, seen[SEALED])

    # Others are enough: they replace the key, and whoever runs the index takes away what came since.
    stolen = alice.id("a")
    alice.signing("project", "keys", "replace", ENOUGH, stolen[:10], by="b", new="d").ok()
    administer(index, "remove", ENOUGH, "--since", since, "--reason", "a stolen key signed it", "--yes").ok()
    refused = thief.publish(one(ENOUGH, "67.0", "evil"), by="a").failed()
    assert "none of these keys signs" in refused.text, refused
    # Not enough: nobody gets anything of it from now on, and the claim ends.
    for project in (ALONE, SEALED):
        administer(index, "status", project, "quarantined", "--reason", "its key was stolen").ok()
    for person in siege.people:
        done, venv = person.tries(ALONE)
        assert done.failed() and venv.installed() == {}, done
    # Of a sealed project, a ceremony says so first.
    siege.cast.hold("unseal", "--role", "claimed", "--unseal", SEALED)
    for project in (ALONE, SEALED):
        administer(index, "project", "unclaim", project).ok()
        administer(index, "remove", project, "--since", since, "--reason", "a stolen key signed it", "--yes").ok()
        administer(index, "status", project, "active").ok()
    alice.publish(one(ENOUGH, "2.0", "better"), by="d").ok()
    for person in siege.people:
        person.installs({ENOUGH: "better"})
    assert siege.fresh().gets(ALONE) == "good"
    # Alice has another key for it by now, and says so on her own machine.
    for project, name in ((ALONE, "e"), (SEALED, "f")):
        alice.sandbox.wheelmark("trust", "claims", "forget", project).ok()
        alice.claims(project, by=name)
        alice.publish(one(project, "2.0", "better"), by=name).ok()
    # Whoever knew the stolen key takes no other, and is told what to do.
    assert [person.gets(ALONE) for person in siege.people] == [REFUSED] * 4
    told, _ = siege.there.tries(ALONE)
    assert "trust claims forget" in told.text and "by another way than the index" in told.text, told

    # The holders can say it to all of them at once: a recovery that goes back to the state of now.
    shutil.rmtree(siege.good)
    siege.keep_good()
    siege.recovery().by_the_book("--drop", "all")
    siege.ends_well(dict.fromkeys(PROJECTS, "better"))
    # Both go on by keys that were not stolen.
    keys = {claim["project"]: claim["keys"] for claim in siege.away.remembers()["claims"]}
    assert keys == {ENOUGH: sorted([alice.id("b"), alice.id("d")]), ALONE: [alice.id("e")], SEALED: [alice.id("f")]}
