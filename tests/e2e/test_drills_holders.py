"""Drills: keys of holders are stolen, and the index is put right by the commands of docs/recovery.md.

The index is a real one, with the two files of keys of its first run. The thief has such files with their
phrases (`harness/stolen.py`), and signs with them what no ceremony would.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

from harness.developer import Developer
from harness.distributions import Distribution, wheel
from harness.mirror import record
from harness.reached import T4_ROOT, table_one
from harness.sandbox import Sandbox
from harness.siege import REFUSED, Siege, Somebody
from harness.signed_tree import SignedTree
from harness.stolen import Robber

UNCLAIMED, RECENT, SEALED = "unclaimed-one", "recent-one", "sealed-one"
PROJECTS = (UNCLAIMED, RECENT, SEALED)
# So far above what was published that no honest index comes there.
FAR = 1 << 40


def all_of(says: str) -> list[Distribution]:
    version = {"evil": "99.0", "good": "1.0"}[says]
    return [wheel(project, version, says=says) for project in PROJECTS]


def everybody(content: str | None, plain: str = "evil") -> dict[str, str | None]:
    return {"plain": plain} | dict.fromkeys(("old", "there", "fresh"), content)


def sealed(siege: Siege, developer: Developer) -> None:
    """One project that its people have claimed, and one that the holders have sealed as well."""
    for project in (RECENT, SEALED):
        developer.claim(project).ok()
    time.sleep(1)  # claims are dated by the second
    siege.cast.hold("seal", "--role", "claimed", "--claim-pending", "--older-than", "1s", "--project", SEALED)


def root_keys(siege: Siege, version: int) -> set[str]:
    root = json.loads((siege.index.tree / "metadata" / f"{version}.root.json").read_bytes())["signed"]
    return set(root["roles"]["root"]["keyids"])


def test_one_root_key_then_those_of_targets_and_claimed(make_siege, binary: Path) -> None:
    siege: Siege = make_siege()
    index, cast = siege.index, siege.cast
    index.publish(*all_of("good"))
    developer = Developer(siege.folder / "developer", binary, index)
    sealed(siege, developer)
    siege.knows(*PROJECTS)

    # One of two root keys, and the index's address: another root, by which everything is the thief's.
    copy = siege.folder / "copy"
    shutil.copytree(index.tree, copy)
    Robber(cast, "root", holders=1, tree=copy).with_root(*all_of("evil"))
    assert index.stop() == 0
    with siege.instead(record(copy)):
        assert siege.plain(UNCLAIMED, SEALED) == {UNCLAIMED: "evil", SEALED: "evil"}
        assert [person.gets(SEALED) for person in siege.people] == [REFUSED] * 3
        assert siege.away.gets(UNCLAIMED) == REFUSED
        begins = Sandbox(siege.folder / "begins", binary)
        refused = begins.wheelmark("trust", "add", index.index_url, "--root", siege.root).failed()
        assert "signed by 1 of the 2 keys that are needed" in refused.text, refused
    seen = everybody(REFUSED)
    stolen = "one of two root keys, and the index's address"
    siege.tells(stolen, "another root, and all below it", "458 A10: no, too few keys", seen)
    # The runbook: an ordinary ceremony, and the index goes on. Whose key it was still has it, too.
    index.start()
    carol, public = cast.new_holder("carol", siege.folder)
    cast.hold("lost", "--replace", f"1={public}", also=(carol,))
    assert len(root_keys(siege, 1) & root_keys(siege, 2)) == 1
    cast.holders = [carol, cast.holders[1]]
    siege.ends_well(dict.fromkeys(PROJECTS, "good"), told=False)

    # What both hold for `targets` and `claimed`, with the online key; versions driven up as well.
    siege.keep_good()
    siege.phase = "attack"
    siege.keeps_installing(SEALED)
    assert index.stop() == 0
    Robber(cast, "targets", "claimed").through_claimed(*all_of("evil"), above=FAR)
    index.start()
    seen = siege.reached(*PROJECTS)
    assert seen == dict.fromkeys(PROJECTS, everybody("evil"))
    row = table_one(7, "yes, every project")
    siege.tells("targets, claimed and the online key", "other keys for a sealed project", row, seen[SEALED])
    siege.tells("targets, claimed and the online key", "an unclaimed project claimed and sealed", row, seen[UNCLAIMED])
    # The whole run, with others in the place of each of these holders. Their root keys are good.
    replace = {n: cast.new_holder(name, siege.folder) for n, name in ((1, "dave"), (2, "erin"))}
    siege.recovery().by_the_book("--drop", "all", replace=replace)
    assert not root_keys(siege, 2) & root_keys(siege, 3)
    # The seal held, and so does the claim that is not sealed: their people go on.
    developer.token.write_text(index.token)
    # Under the next version of their roles lies what the thief signed: they pass over it, or it is moved away.
    recent, of_the_sealed = (wheel(project, "2.0", says="better") for project in (RECENT, SEALED))
    refused = developer.publish(recent).failed()
    assert "ask whoever runs the index" in refused.text and "--pass-over 3" in refused.text, refused
    developer.publish(recent, options=("--pass-over", "3")).ok()
    (index.tree / "metadata" / f"2.project-{SEALED}.json").rename(siege.folder / "evidence.json")
    developer.publish(of_the_sealed).ok()
    siege.ends_well({UNCLAIMED: "good", RECENT: "better", SEALED: "better"})
    claims = {claim["project"]: claim["keys"] for claim in siege.away.remembers()["claims"]}
    assert claims == {RECENT: [developer.keyid], SEALED: [developer.keyid]}


def test_root_threshold_stolen_and_the_way_out_of_band(make_siege, binary: Path) -> None:
    siege: Siege = make_siege()
    index = siege.index
    index.publish(*all_of("good"))
    developer = Developer(siege.folder / "developer", binary, index)
    developer.claim(RECENT).ok()
    # Somebody whose administrator says which root counts.
    system = siege.folder / "etc"
    (system / "indexes").mkdir(parents=True)
    provided = system / "indexes" / "index.json"
    siege.away.sandbox.wheelmark("trust", "export", index.index_url, "-o", provided).ok()
    managed = Somebody(siege, "managed", {"WHEELMARK_SYSTEM_DIR": str(system)})
    managed.installs(dict.fromkeys(PROJECTS, "good"))
    siege.knows(*PROJECTS)
    siege.keep_good()

    # Both holders' files: the next root names the thief's key alone, signed as it has to be.
    stolen = siege.folder / "stolen"
    shutil.copytree(index.tree, stolen)
    Robber(siege.cast, "root", tree=stolen).with_root(*all_of("evil"))
    trust = ("trust", "add", index.index_url, "--replace")
    assert index.stop() == 0
    with siege.instead(record(stolen)):
        seen = siege.reached(*PROJECTS)
        assert seen == dict.fromkeys(PROJECTS, everybody("evil"))
        assert managed.gets(UNCLAIMED) == "evil"
        # Nobody is led from there to yet another root: to this client, nothing is wrong with the index.
        refused = siege.away.sandbox.wheelmark(*trust, "--fingerprint", "ab" * 32).failed()
        assert "nothing is to be replaced" in refused.text, refused
    siege.tells("as many root keys as sign", "another root, and all below it", T4_ROOT, seen[SEALED])

    # The runbook: an index of its own is made of the files of the last good state, at the same address.
    maker = Sandbox(siege.folder / "maker", binary)
    tree = SignedTree(maker, siege.good / "repository" / "packages").run()
    fingerprint = tree.said["root_fingerprint"]
    with siege.instead(record(tree.out)):
        # What everybody sees until they have asked people: nothing is installed, and nothing else is offered.
        for person in siege.people:
            assert person.gets(UNCLAIMED) == REFUSED
        for person in siege.people[1:]:
            told, _ = person.tries(UNCLAIMED)
            assert "ask its people" in told.text and "trust add --replace URL --fingerprint" in told.text, told
        refused = siege.there.sandbox.wheelmark(*trust, "--first-use").failed()
        assert "cannot be used with" in refused.text, refused
        # Whoever asks for the root that it has come through is the thief, who has its keys.
        refused = siege.there.sandbox.wheelmark(*trust, "--root", siege.root).failed()
        assert "has come through" in refused.text, refused
        refused = siege.there.sandbox.wheelmark(*trust, "--root", stolen / "metadata" / "2.root.json").failed()
        assert "has come through" in refused.text, refused

        # The administrator's file is exchanged, and its user goes on without a step.
        maker.wheelmark("trust", "add", index.index_url, "--fingerprint", fingerprint).ok()
        provided.unlink()
        maker.wheelmark("trust", "export", index.index_url, "-o", provided).ok()
        managed.installs(dict.fromkeys(PROJECTS, "good"))
        # Everybody else says the fingerprint, which they have from people.
        for person in siege.people:
            done = person.sandbox.wheelmark(*trust, "--fingerprint", fingerprint).ok()
            assert "from another root on" in done.out, done
            if person is siege.old:
                # A proxy that runs says so itself: it is begun anew.
                told, _ = person.tries(UNCLAIMED)
                assert "start it again" in told.text, told
                siege.old.ends()
                siege.old.runs()
            person.installs(dict.fromkeys(PROJECTS, "good"))
        fresh = siege.fresh(tree.out / "metadata" / "1.root.json")
        fresh.installs(dict.fromkeys(PROJECTS, "good"))
        assert siege.plain(*PROJECTS) == dict.fromkeys(PROJECTS, "good")
    siege.table.afterwards("by hand")
