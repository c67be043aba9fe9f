"""The eight rows of PEP 480's Table 1: what somebody gets who has the keys of these roles.

The index is made by the tests (`harness/forge.py`) with a key for every role, since an index of ours
has one key for all that is signed online: there, rows 1, 2, 3 and 6 are one. It has a project that
nobody has claimed, one that is claimed and not yet sealed, and one that an offline key has sealed.

For each row the thief answers clients as a mirror does, and tries three things: a malicious update, a
freeze, and a mix of states that never was. Each is first shown to work on plain pip and uv. Then come
a client that knows the index, and one that begins now. `docs/threat-model.md` has the table.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.forge import Forge
from harness.hostile import Replay
from harness.mirror import Mirror
from harness.person import Person
from harness.sandbox import Sandbox
from harness.thief import Thief

UNCLAIMED, RECENT, SEALED = "unclaimed-one", "recent-one", "sealed-one"
PROJECTS = (UNCLAIMED, RECENT, SEALED)
# What happens to who asks for a project.
EVIL, GOOD, OLD, REFUSED = "99.0", "2.0", "1.0", None
CLAIMED_DAYS = 90
FakeClock = Callable[[str], dict[str, str]]
Outcomes = dict[str, str | None]


BIN_OF = Forge().bin_of


def page(project: str) -> str:
    return f"simple/{project}/index.json"


# An unclaimed project whose page lies in another bin than that of `UNCLAIMED`.
PARTNER = next(name for name in ("partner-a", "partner-b", "partner-c") if BIN_OF(page(name)) != BIN_OF(page(UNCLAIMED)))


class World:
    """The index of yesterday and of today, a mirror of it, and who reads there with one tool."""

    def __init__(self, folder: Path, binary: Path, tool: str, mirror: Mirror, yesterday: Forge, today: Forge) -> None:
        self._folder, self._binary, self.tool, self.mirror = folder, binary, tool, mirror
        self.yesterday, self.today = yesterday, today
        self._root = yesterday.root_file(folder)
        self._people = 0
        # What they have seen who installed everything, for as many of them as are wanted.
        self._kept = {"today": self._installed(GOOD)}
        with Mirrored(mirror, yesterday._tree):
            self._kept["yesterday"] = self._installed(OLD)

    def _installed(self, version: str) -> Path:
        person = self.fresh()
        assert person is not None
        for project in PROJECTS:
            person.installs(project, version)
        return Path(person.sandbox.env["WHEELMARK_HOME"])

    def _somebody(self) -> Person:
        self._people += 1
        return Person(Sandbox(self._folder / f"person-{self._people}", self._binary), self.tool)

    def fresh(self) -> Person | None:
        """Somebody who begins now, with the root; nobody, if that is refused already."""
        person = self._somebody()
        done = person.trust(self.mirror, self._root)
        if done.code != 0:
            assert "failed verification" in done.text, done
        return person if done.code == 0 else None

    def knows(self, when: str = "today") -> Person:
        """Somebody who has installed all of it today, or yesterday, and has not asked since."""
        person = self._somebody()
        shutil.copytree(self._kept[when], person.sandbox.env["WHEELMARK_HOME"])
        return person

    def plain(self, project: str, **how) -> str | None:
        """What plain pip or uv installs."""
        done, venv = self._somebody().plain(self.mirror, project, **how)
        return done.ok() and venv.installed().get(project)

    @staticmethod
    def gets(person: Person | None, project: str, **how) -> str | None:
        """What somebody installs through `wheelmark exec`: a version, or nothing, and is told why."""
        if person is None:
            return REFUSED
        done, venv = person.verified(project, **how)
        assert "panicked" not in done.text, done
        if venv.installed():
            done.ok()
            return venv.installed()[project]
        done.failed()
        assert "failed verification" in done.text or "REFUSED" in done.text, done
        return REFUSED

    def update(self, project: str, *stolen: str, **how) -> Outcomes:
        """A malicious update of a project: what who knows the index gets, and who begins now."""
        evil = wheel(project, EVIL, says="evil")
        with Mirrored(self.mirror, Thief(self.today, *stolen).update(evil, **how)):
            assert self.plain(project) == EVIL, "plain: the thief's code, without a word"
            return {"knows": self.gets(self.knows(), project), "fresh": self.gets(self.fresh(), project)}

    def freeze(self, clock: FakeClock, days: Iterable[int], *stolen: str) -> dict[int, Outcomes]:
        """Yesterday's state, held up: what who knows it gets so many days later, of each project."""
        seen = {}
        with Mirrored(self.mirror, Thief(self.yesterday, *stolen).freeze()):
            for number in days:
                env = clock(f"+{number}d")
                assert self.plain(UNCLAIMED, env=env) == OLD, "plain: still the old version, without a word"
                person = self.knows("yesterday")
                seen[number] = {project: self.gets(person, project, env=env) for project in PROJECTS}
        return seen

    def mixture(self, *stolen: str) -> dict[str, bool]:
        """Today's `UNCLAIMED` with yesterday's `PARTNER`, which never were together: who installs the pair."""
        older = BIN_OF(page(PARTNER))
        tree = Thief(self.today, *stolen).mix({older: self.yesterday.role(older).version})
        # What plain tools read.
        unsigned = f"simple/{PARTNER}/"
        tree |= {path: content for path, content in self.yesterday._tree.items() if path.startswith(unsigned)}
        pair = {UNCLAIMED: GOOD, PARTNER: OLD}
        with Mirrored(self.mirror, tree):
            done, venv = self._somebody().plain(self.mirror, UNCLAIMED, PARTNER)
            assert done.ok() and venv.installed() == pair, "plain: the pair that never was"
            seen = {}
            for who, person in (("knows", self.knows()), ("knew", self.knows("yesterday")), ("fresh", self.fresh())):
                seen[who] = False
                if person is not None:
                    done, venv = person.verified(UNCLAIMED, PARTNER)
                    seen[who] = venv.installed() == pair
                    assert seen[who] or not venv.installed() and done.failed(), done
            return seen


class Mirrored:
    """While the block lasts, a mirror has this tree."""

    def __init__(self, mirror: Mirror, tree: dict[str, bytes]) -> None:
        self._mirror, self._tree = mirror, tree

    def __enter__(self) -> None:
        self._mirror.mount(Replay(self._tree))

    def __exit__(self, *_exc: object) -> None:
        self._mirror.end()


@pytest.fixture(params=["pip", "uv"])
def world(request: pytest.FixtureRequest, tmp_path: Path, binary: Path) -> Iterator[World]:
    projects = (*PROJECTS, PARTNER)
    yesterday = Forge(*(wheel(name, OLD) for name in projects), apart=True)
    yesterday.claim(RECENT)
    yesterday.claim(SEALED, sealed=True)
    yesterday.role("claimed").expires = yesterday.expires + timedelta(days=CLAIMED_DAYS - 1)
    yesterday.publish()
    today = yesterday.copy()
    tree = today.release(*(wheel(name, GOOD) for name in projects))
    with Mirror(tree) as mirror:
        yield World(tmp_path, binary, request.param, mirror, yesterday, today)


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
