"""The eight rows of PEP 480's Table 1: what somebody gets who has the keys of these roles.

The index is made by the tests (`harness/forge.py`) with a key for every role, since an index of ours
has one key for all that is signed online: there, rows 1, 2, 3 and 6 are one. It has a project that
nobody has claimed, one that is claimed and not yet sealed, and one that an offline key has sealed.

For each row the thief answers clients as a mirror does, and tries three things: a malicious update, a
freeze, and a mix of states that never was. Each is first shown to work on plain pip and uv. Then come
a client that knows the index, and one that begins now. `docs/threat-model.md` has the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import wheel
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


def no_update(world: World, *stolen: str) -> None:
    for project in PROJECTS:
        assert world.update(project, *stolen) == both(REFUSED), project


def test_row_1_timestamp(world: World, fake_clock: FakeClock) -> None:
    no_update(world, "timestamp")
    # Until the snapshot ends, which is a day.
    assert world.freeze(fake_clock, (0, 2), "timestamp") == {0: all_of(OLD), 2: all_of(REFUSED)}
    assert world.mixture("timestamp") == NOBODY


def test_row_2_snapshot(world: World, fake_clock: FakeClock) -> None:
    no_update(world, "snapshot")
    # No longer than any mirror can.
    assert world.freeze(fake_clock, (2,), "snapshot") == {2: all_of(REFUSED)}
    assert world.mixture("snapshot") == NOBODY


def test_row_3_timestamp_and_snapshot(world: World, fake_clock: FakeClock) -> None:
    stolen = ("timestamp", "snapshot")
    no_update(world, *stolen)
    # Until the bins, `recently-claimed` and `status` end, which is a day.
    assert world.freeze(fake_clock, (0, 2), *stolen) == {0: all_of(OLD), 2: all_of(REFUSED)}
    assert world.mixture(*stolen) == WHO_HAS_NOT_SEEN_IT


ONE_ALONE = [
    ("targets", SEALED, "targets"),
    ("claimed", SEALED, "claimed"),
    ("recently-claimed", RECENT, "recently-claimed"),
    ("unclaimed", UNCLAIMED, None),
    (f"project-{RECENT}", RECENT, None),
    (f"project-{SEALED}", SEALED, None),
]


@pytest.mark.parametrize(("stolen", "project", "through"), ONE_ALONE, ids=[row[0] for row in ONE_ALONE])
def test_row_4_one_that_delegates_or_lists(world: World, stolen: str, project: str, through: str | None) -> None:
    assert world.update(project, stolen, through=through) == both(REFUSED)
    # Another file of the version that the snapshot lists has not the digest that it lists. Who has the
    # good one already keeps it.
    outcome = world.update(project, stolen, through=through, same_version=True)
    assert outcome == {"knows": GOOD, "fresh": REFUSED}


def test_row_5_timestamp_snapshot_and_a_project(world: World, fake_clock: FakeClock) -> None:
    top = ("timestamp", "snapshot")
    for project, other in ((RECENT, SEALED), (SEALED, RECENT)):
        stolen = (*top, f"project-{project}")
        assert world.update(project, *stolen) == both(EVIL)
        for another in (other, UNCLAIMED):
            assert world.update(another, *stolen) == both(REFUSED)
    stolen = (*top, f"project-{SEALED}")
    assert world.freeze(fake_clock, (2,), *stolen) == {2: all_of(REFUSED)}
    assert world.mixture(*stolen) == WHO_HAS_NOT_SEEN_IT


def test_row_6_timestamp_snapshot_and_recently_claimed_or_unclaimed(world: World, fake_clock: FakeClock) -> None:
    # And `status`, which has the same key.
    stolen = ("timestamp", "snapshot", "recently-claimed", "unclaimed", "status")
    assert world.update(UNCLAIMED, *stolen) == both(EVIL)
    # Other keys for a project that is not yet sealed, which who knows it refuses: less than the table has.
    assert world.update(RECENT, *stolen, through="recently-claimed") == {"knows": REFUSED, "fresh": EVIL}
    # Nothing of that leads to a sealed project.
    assert world.update(SEALED, *stolen, through="recently-claimed") == both(REFUSED)
    # Until `claimed` ends.
    assert world.freeze(fake_clock, (2, CLAIMED_DAYS + 1), *stolen) == {2: all_of(OLD), CLAIMED_DAYS + 1: all_of(REFUSED)}
    assert world.mixture(*stolen) == WHO_HAS_NOT_SEEN_IT


@pytest.mark.parametrize("offline", ["targets", "claimed"])
def test_row_7_timestamp_snapshot_and_targets_or_claimed(world: World, fake_clock: FakeClock, offline: str) -> None:
    stolen = ("timestamp", "snapshot", offline)
    for project in PROJECTS:
        assert world.update(project, *stolen, through=offline) == both(EVIL), project
    # Until what is signed online and is not theirs ends.
    assert world.freeze(fake_clock, (2,), *stolen) == {2: all_of(REFUSED)}
    assert world.mixture(*stolen) == WHO_HAS_NOT_SEEN_IT


def test_row_8_root(world: World, fake_clock: FakeClock) -> None:
    evil = [wheel(project, EVIL, says="evil") for project in PROJECTS]
    with Mirrored(world.mirror, Thief(world.today, "root").everything(*evil)):
        for project in PROJECTS:
            assert world.plain(project) == EVIL
            assert [world.gets(person, project) for person in (world.knows(), world.fresh())] == [EVIL, EVIL]
    # Without an end.
    assert world.freeze(fake_clock, (400,), "root") == {400: all_of(OLD)}
    assert world.mixture("root", "timestamp", "snapshot") == WHO_HAS_NOT_SEEN_IT
