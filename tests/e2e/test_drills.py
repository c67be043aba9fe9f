"""Drills: an index is broken into, and put right; its clients go on without a step of theirs.

The index is made by the tests with a key for every role (`harness/world.py`), and so is its recovery
(`harness/recovered.py`): what clients make of it does not depend on who wrote it. Each drill mounts what a
thief can do with some stolen keys, as far as PEP 458's Table 4 and PEP 480's Table 1 have it, and then
recovers. Three people ask for every project: one who was there during the attack and saw what there
was to see, one who knew the index and was away, and one who begins afterwards. All of them get the good files,
none of them the thief's, and what they remember is the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.drill import ONLINE_KEY, Drill, claims
from harness.recovered import recovered
from harness.thief import TOP, Thief
from harness.world import EVIL, GOOD, PROJECTS, RECENT, REFUSED, SEALED, UNCLAIMED, Mirrored, World, two_days

# The highest version that a number of JSON has without loss.
HIGHEST = 2**53 - 1


@pytest.fixture
def world(tmp_path: Path, binary: Path) -> Iterator[World]:
    with two_days(tmp_path, binary, "uv") as made:
        yield made


def test_online_key_stolen_and_a_malicious_wheel_published(world: World) -> None:
    drill = Drill(world)
    got = drill.attack(Thief(world.today, *ONLINE_KEY).update(wheel(UNCLAIMED, EVIL, says="evil")))
    # PEP 458 and PEP 480, row 6: malicious updates of what is not claimed, and of nothing else.
    assert got == {UNCLAIMED: EVIL, RECENT: GOOD, SEALED: GOOD}
    drill.ends_well(drill.recovered(*ONLINE_KEY))


def test_online_key_stolen_and_claims_filled_in(world: World) -> None:
    drill = Drill(world)
    evil = [wheel(project, EVIL, says="evil") for project in (UNCLAIMED, RECENT)]
    got = drill.attack(Thief(world.today, *ONLINE_KEY).update(*evil, through="recently-claimed"))
    # Who knows a claim refuses other keys for it; a project without one is the thief's from then on.
    assert got == {UNCLAIMED: EVIL, RECENT: REFUSED, SEALED: GOOD}
    assert UNCLAIMED in {claim["project"] for claim in claims(drill.saw)}
    drill.ends_well(drill.recovered(*ONLINE_KEY))


def test_without_a_statement_what_a_thief_had_clients_remember_would_stay(world: World) -> None:
    """The same, put right by other keys alone, as every index could before there were statements."""
    drill = Drill(world)
    drill.attack(Thief(world.today, *ONLINE_KEY).update(wheel(UNCLAIMED, EVIL, says="evil"), through="recently-claimed"))
    forge = recovered(world.today, *ONLINE_KEY, since=drill.since)
    del forge.role("targets").unrecognized_fields["_wheelmark"]["recovery"]
    with Mirrored(world.mirror, forge.publish()):
        assert world.gets(drill.saw, UNCLAIMED) == REFUSED
        assert world.gets(drill.away, UNCLAIMED) == GOOD


def test_online_key_stolen_and_versions_driven_up(world: World) -> None:
    drill = Drill(world)
    thief, evil = Thief(world.today, *ONLINE_KEY), wheel(UNCLAIMED, EVIL, says="evil")
    paths = (f"simple/{UNCLAIMED}/index.json", f"packages/{UNCLAIMED}/{evil.filename}")
    for name in TOP | {thief.forge.role_of(path) for path in paths}:
        thief.forge.role(name).version = HIGHEST - 1
    got = drill.attack(thief.update(evil))
    assert got[UNCLAIMED] == EVIL
    drill.ends_well(drill.recovered(*ONLINE_KEY))


def test_online_key_stolen_and_old_states_replayed(world: World) -> None:
    drill = Drill(world)
    # No client goes back behind what it has seen.
    got = drill.attack(dict(world.yesterday._tree))
    assert got == dict.fromkeys(PROJECTS, REFUSED)
    drill.ends_well(drill.recovered(*ONLINE_KEY))


@pytest.mark.parametrize("offline", ["targets", "claimed"])
def test_keys_of_targets_or_claimed_stolen_as_well(world: World, offline: str) -> None:
    drill = Drill(world)
    thief = Thief(world.today, *ONLINE_KEY, offline)
    thief.forge.role(offline).version = HIGHEST - 1
    evil = [wheel(project, EVIL, says="evil") for project in PROJECTS]
    got = drill.attack(thief.update(*evil, through=offline))
    # Row 7: every project.
    assert got == dict.fromkeys(PROJECTS, EVIL)
    replaced = (*ONLINE_KEY, "targets", "claimed")
    drill.ends_well(drill.recovered(*replaced))


@pytest.mark.parametrize("project", [RECENT, SEALED])
def test_a_developers_key_stolen_with_the_online_key(world: World, project: str) -> None:
    drill = Drill(world)
    role = f"project-{project}"
    thief = Thief(world.today, *ONLINE_KEY, role)
    thief.forge.role(role).version = HIGHEST - 1
    got = drill.attack(thief.update(wheel(project, EVIL, says="evil")))
    # Row 5: of this project, which its key is for.
    assert got == {name: EVIL if name == project else GOOD for name in PROJECTS}
    # Its people have another key, which the index registers, and their first version with it is lower.
    good = world.today.copy()
    good.role(role).version += 1
    drill.ends_well(drill.recovered(*ONLINE_KEY, role, good=good))


def test_one_root_key_stolen(world: World) -> None:
    drill = Drill(world)
    # One of the two that are needed signs another root.
    forge = world.today.copy()
    forge.role("root").version += 1
    forge.signers["root"] = forge.signers["root"][:1]
    got = drill.attack(world.today._tree | {"metadata/2.root.json": forge._sign("root")})
    assert got == dict.fromkeys(PROJECTS, REFUSED)
    drill.ends_well(drill.recovered(*ONLINE_KEY, "root"))


def test_root_threshold_stolen_and_the_way_out_of_band(world: World, tmp_path: Path) -> None:
    drill = Drill(world)
    # An index that is well is not replaced, whoever asks for it.
    other = tmp_path / "other.json"
    other.write_bytes(recovered(world.today, "root", since=drill.since)._sign("root"))
    refused = drill.away.sandbox.wheelmark("trust", "add", world.mirror.index_url, "--replace", "--root", other)
    assert refused.code != 0 and "nothing is to be replaced" in refused.text, refused
    evil = [wheel(project, EVIL, says="evil") for project in PROJECTS]
    got = drill.attack(Thief(world.today, "root").everything(*evil))
    # Row 8: everything, and no signature undoes it.
    assert got == dict.fromkeys(PROJECTS, EVIL)
    tree = drill.begins_anew()
    with Mirrored(world.mirror, tree):
        person = drill.saw
        for project in PROJECTS:
            done, venv = person.verified(project)
            done.failed()
            assert venv.installed() == {}, done
            assert "ask its people" in done.text and "trust add --replace" in done.text, done
        trust = ("trust", "add", world.mirror.index_url, "--replace")
        refused = person.sandbox.wheelmark(*trust, "--first-use")
        assert refused.code != 0 and "cannot be used with" in refused.text, refused
        # Back to the stolen root: whoever asks for that has its keys.
        stolen = tmp_path / "stolen.json"
        stolen.write_bytes(world.today._tree["metadata/1.root.json"])
        refused = person.sandbox.wheelmark(*trust, "--root", stolen)
        assert refused.code != 0 and "has come through" in refused.text, refused
        new = tmp_path / "new.json"
        new.write_bytes(tree["metadata/1.root.json"])
        drill.takes_another_root(person, new)


def test_trust_handed_over_before_the_recovery_is_undone_as_well(world: World) -> None:
    drill = Drill(world)
    thief = Thief(world.today, *ONLINE_KEY)
    tree = thief.update(wheel(UNCLAIMED, EVIL, says="evil"), through="recently-claimed")
    assert drill.attack(tree)[UNCLAIMED] == EVIL
    file = drill.saw.sandbox.folder / "trust.json"
    drill.saw.sandbox.wheelmark("trust", "export", world.mirror.index_url, "--output", file).ok()
    with Mirrored(world.mirror, drill.recovered(*ONLINE_KEY)._tree):
        heir = world._somebody()
        heir.sandbox.wheelmark("trust", "import", file).ok()
        assert UNCLAIMED in {claim["project"] for claim in claims(heir)}
        heir.installs(UNCLAIMED, GOOD)
        assert UNCLAIMED not in {claim["project"] for claim in claims(heir)}
