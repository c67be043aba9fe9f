"""The eight rows of PEP 480's Table 1, and the three of PEP 458's Table 4: what somebody gets who has these keys.

The index is made by the tests (`harness/forge.py`) with a key for every role, since an index of ours
has one key for all that is signed online: there, rows 1, 2, 3 and 6 are one. It has a project that
nobody has claimed, one that is claimed and not yet sealed, and one that an offline key has sealed.

For each row the thief answers clients as a mirror does, and tries three things: a malicious update, a
freeze, and a mix of states that never was. Each is first shown to work on plain pip and uv. Then come
a client that knows the index, and one that begins now. Then the index is put right, and those who were there, were
away or begin afterwards get what is good. `docs/threat-model.md` has the table; the run prints it, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.drill import ONLINE_KEY, Drill
from harness.reached import T4_OFFLINE, T4_ONLINE, T4_ROOT, Table, table_one
from harness.thief import Thief
from harness.world import (
    CLAIMED_DAYS,
    EVIL,
    GOOD,
    OLD,
    PROJECTS,
    RECENT,
    REFUSED,
    SEALED,
    UNCLAIMED,
    FakeClock,
    Mirrored,
    Outcomes,
    World,
    two_days,
)


@pytest.fixture(params=["pip", "uv"])
def world(request: pytest.FixtureRequest, tmp_path: Path, binary: Path) -> Iterator[World]:
    with two_days(tmp_path, binary, request.param) as made:
        yield made


def both(outcome: str | None) -> Outcomes:
    return {"knows": outcome, "fresh": outcome}


def all_of(outcome: str | None) -> Outcomes:
    return dict.fromkeys(PROJECTS, outcome)


NOBODY = {"knows": False, "knew": False, "fresh": False}
# Nothing goes back behind what a client has seen. Who has not seen it cannot tell.
WHO_HAS_NOT_SEEN_IT = {"knows": False, "knew": True, "fresh": True}


UNTIL = "yes, until root, targets or a bin ends"


class Row:
    """What is told of one row of a table, and the recovery at its end."""

    def __init__(self, world: World, table: Table, stolen: tuple[str, ...], says: str = "") -> None:
        self.world, self.table, self.stolen, self.says = world, table, stolen, says

    def tell(self, does: str, says: str, plain: object, old: object, fresh: object) -> None:
        # What both tools get is told once.
        if self.world.tool == "uv":
            says = f"{self.says}; {says}" if self.says else says
            self.table.row(" + ".join(self.stolen), does, says, plain=plain, old=old, fresh=fresh)

    def updates(self, does: str, says: str, seen: Outcomes) -> None:
        got = {who: "evil" if version == EVIL else version and "the good one" for who, version in seen.items()}
        self.tell(does, says, "evil", got["knows"], got["fresh"])

    def freezes(self, says: str, ends: str | None) -> None:
        """`ends`: when it does; nothing, if it is no more than any mirror can do."""
        self.tell("an old state, two days later", says, "old", ends, "not asked")

    def mixes(self, says: str, seen: dict[str, bool]) -> None:
        self.tell("parts that never were together", says, True, seen["knows"], seen["fresh"])

    def put_right(self, *more: str, project: str = UNCLAIMED, through: str | None = None) -> None:
        """Other keys for all that is signed online, and for these, when somebody has seen an update of a project."""
        if self.world.tool != "uv":
            return
        drill, good = Drill(self.world), self.world.today.copy()
        evil = wheel(project, EVIL, says="evil")
        drill.attack(Thief(self.world.today, *self.stolen).update(evil, through=through), (project,))
        for role in more:
            # A project's people sign with another key, and their versions go on.
            if role.startswith("project-"):
                good.role(role).version += 1
        drill.ends_well(drill.recovered(*ONLINE_KEY, *more, good=good))
        self.table.afterwards()


def no_update(world: World, *stolen: str) -> None:
    for project in PROJECTS:
        assert world.update(project, *stolen) == both(REFUSED), project


def test_row_1_timestamp(world: World, fake_clock: FakeClock, table: Table) -> None:
    row = Row(world, table, ("timestamp",))
    no_update(world, "timestamp")
    row.updates("a malicious update", table_one(1, "no"), both(REFUSED))
    # Until the snapshot ends, which is a day.
    assert world.freeze(fake_clock, (0, 2), "timestamp") == {0: all_of(OLD), 2: all_of(REFUSED)}
    row.freezes(table_one(1, UNTIL), "until the snapshot ends, a day")
    assert world.mixture("timestamp") == NOBODY
    row.mixes(table_one(1, "no"), NOBODY)
    row.put_right()


def test_row_2_snapshot(world: World, fake_clock: FakeClock, table: Table) -> None:
    row = Row(world, table, ("snapshot",))
    no_update(world, "snapshot")
    row.updates("a malicious update", table_one(2, "no"), both(REFUSED))
    # No longer than any mirror can.
    assert world.freeze(fake_clock, (2,), "snapshot") == {2: all_of(REFUSED)}
    row.freezes(table_one(2, "no"), REFUSED)
    assert world.mixture("snapshot") == NOBODY
    row.mixes(table_one(2, "no"), NOBODY)
    row.put_right()


def test_row_3_timestamp_and_snapshot(world: World, fake_clock: FakeClock, table: Table) -> None:
    stolen = ("timestamp", "snapshot")
    row = Row(world, table, stolen)
    no_update(world, *stolen)
    row.updates("a malicious update", table_one(3, "no"), both(REFUSED))
    # Until the bins, `recently-claimed` and `status` end, which is a day.
    assert world.freeze(fake_clock, (0, 2), *stolen) == {0: all_of(OLD), 2: all_of(REFUSED)}
    row.freezes(table_one(3, UNTIL), "until a bin ends, a day")
    assert world.mixture(*stolen) == WHO_HAS_NOT_SEEN_IT
    row.mixes(table_one(3, UNTIL), WHO_HAS_NOT_SEEN_IT)
    row.put_right()


ONE_ALONE = [
    ("targets", SEALED, "targets"),
    # PEP 458's `bins`: what hands out the bins.
    ("simple", UNCLAIMED, "simple"),
    ("claimed", SEALED, "claimed"),
    ("recently-claimed", RECENT, "recently-claimed"),
    ("unclaimed", UNCLAIMED, None),
    (f"project-{RECENT}", RECENT, None),
    (f"project-{SEALED}", SEALED, None),
]


@pytest.mark.parametrize(("stolen", "project", "through"), ONE_ALONE, ids=[row[0] for row in ONE_ALONE])
def test_row_4_one_that_delegates_or_lists(
    world: World, table: Table, stolen: str, project: str, through: str | None
) -> None:
    row = Row(world, table, (stolen,), T4_OFFLINE if stolen in ("targets", "simple") else "")
    assert world.update(project, stolen, through=through) == both(REFUSED)
    # Another file of the version that the snapshot lists has not the digest that it lists. Who has the
    # good one already keeps it.
    outcome = world.update(project, stolen, through=through, same_version=True)
    assert outcome == {"knows": GOOD, "fresh": REFUSED}
    row.updates("a malicious update", table_one(4, "no"), both(REFUSED))
    row.updates("another file of the listed version", table_one(4, "no"), outcome)
    row.put_right(stolen, project=project, through=through)


def test_row_5_timestamp_snapshot_and_a_project(world: World, fake_clock: FakeClock, table: Table) -> None:
    top = ("timestamp", "snapshot")
    for project, other in ((RECENT, SEALED), (SEALED, RECENT)):
        stolen = (*top, f"project-{project}")
        assert world.update(project, *stolen) == both(EVIL)
        for another in (other, UNCLAIMED):
            assert world.update(another, *stolen) == both(REFUSED)
    stolen = (*top, f"project-{SEALED}")
    row = Row(world, table, stolen)
    row.updates("a malicious update of this project", table_one(5, "yes"), both(EVIL))
    row.updates("a malicious update of another", table_one(5, "yes"), both(REFUSED))
    assert world.freeze(fake_clock, (2,), *stolen) == {2: all_of(REFUSED)}
    row.freezes(table_one(5, UNTIL), "until a bin ends, a day")
    assert world.mixture(*stolen) == WHO_HAS_NOT_SEEN_IT
    row.mixes(table_one(5, UNTIL), WHO_HAS_NOT_SEEN_IT)
    row.put_right(f"project-{SEALED}", project=SEALED)


def test_row_6_timestamp_snapshot_and_recently_claimed_or_unclaimed(
    world: World, fake_clock: FakeClock, table: Table
) -> None:
    # The bins alone, which is all that PEP 458 has.
    bins = ("timestamp", "snapshot", "unclaimed")
    row = Row(world, table, bins, T4_ONLINE)
    assert world.update(UNCLAIMED, *bins) == both(EVIL)
    row.updates("a malicious update", table_one(6, "yes, of what claimed does not delegate"), both(EVIL))
    for project in (RECENT, SEALED):
        assert world.update(project, *bins) == both(REFUSED)
    row.updates("one of a project that signs for itself", table_one(6, "yes, of what claimed does not delegate"), both(REFUSED))
    # And `recently-claimed` and `status`, which have the same key.
    stolen = ("timestamp", "snapshot", "recently-claimed", "unclaimed", "status")
    assert world.update(UNCLAIMED, *stolen) == both(EVIL)
    # Other keys for a project that is not yet sealed, which who knows it refuses: less than the table has.
    assert world.update(RECENT, *stolen, through="recently-claimed") == {"knows": REFUSED, "fresh": EVIL}
    row = Row(world, table, stolen)
    says = table_one(6, "yes, of what claimed does not delegate")
    row.updates("other keys for a claim not yet sealed", says, {"knows": REFUSED, "fresh": EVIL})
    # Nothing of that leads to a sealed project.
    assert world.update(SEALED, *stolen, through="recently-claimed") == both(REFUSED)
    # Until `claimed` ends.
    assert world.freeze(fake_clock, (2, CLAIMED_DAYS + 1), *stolen) == {2: all_of(OLD), CLAIMED_DAYS + 1: all_of(REFUSED)}
    row.updates("other keys for a sealed project", says, both(REFUSED))
    row.freezes(table_one(6, "yes, until the earliest end"), "until claimed ends")
    assert world.mixture(*stolen) == WHO_HAS_NOT_SEEN_IT
    row.mixes(table_one(6, "yes, until the earliest end"), WHO_HAS_NOT_SEEN_IT)
    row.put_right()


@pytest.mark.parametrize("offline", ["targets", "claimed"])
def test_row_7_timestamp_snapshot_and_targets_or_claimed(
    world: World, fake_clock: FakeClock, table: Table, offline: str
) -> None:
    stolen = ("timestamp", "snapshot", offline)
    row = Row(world, table, stolen)
    for project in PROJECTS:
        assert world.update(project, *stolen, through=offline) == both(EVIL), project
    row.updates("a malicious update of any project", table_one(7, "yes"), both(EVIL))
    # Until what is signed online and is not theirs ends.
    assert world.freeze(fake_clock, (2,), *stolen) == {2: all_of(REFUSED)}
    row.freezes(table_one(7, "yes, until the earliest end"), "until a bin ends, a day")
    assert world.mixture(*stolen) == WHO_HAS_NOT_SEEN_IT
    row.mixes(table_one(7, "yes, until the earliest end"), WHO_HAS_NOT_SEEN_IT)
    row.put_right("targets", "claimed", project=SEALED, through=offline)


def test_row_8_root(world: World, fake_clock: FakeClock, table: Table, tmp_path: Path) -> None:
    row, saw = Row(world, table, ("root",), T4_ROOT), world.knows()
    evil = [wheel(project, EVIL, says="evil") for project in PROJECTS]
    with Mirrored(world.mirror, Thief(world.today, "root").everything(*evil)):
        for project in PROJECTS:
            assert world.plain(project) == EVIL
            assert [world.gets(person, project) for person in (saw, world.fresh())] == [EVIL, EVIL]
    row.updates("a malicious update of any project", table_one(8, "yes"), both(EVIL))
    # Without an end.
    assert world.freeze(fake_clock, (400,), "root") == {400: all_of(OLD)}
    row.freezes(table_one(8, "yes"), "without an end")
    assert world.mixture("root", "timestamp", "snapshot") == WHO_HAS_NOT_SEEN_IT
    row.mixes(table_one(8, "yes"), WHO_HAS_NOT_SEEN_IT)
    if world.tool == "uv":
        # No signature undoes it: who was there needs another root, which comes by another way.
        drill = Drill(world)
        tree, another = drill.begins_anew(), tmp_path / "another.json"
        another.write_bytes(tree["metadata/1.root.json"])
        with Mirrored(world.mirror, tree):
            drill.takes_another_root(saw, another)
        table.afterwards("by another root")
