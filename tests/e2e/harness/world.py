"""An index with a key for every role, as it was yesterday and is today, and people who read it.

It has a project that nobody has claimed, one that is claimed and not yet sealed, and one that an offline
key has sealed. A thief with the keys of some roles answers its people as a mirror does
(`harness/thief.py`): what plain pip or uv makes of that, what somebody gets who knows the index, and
what somebody who begins now.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from .distributions import wheel
from .forge import Forge
from .hostile import Replay
from .mirror import Mirror
from .person import Person
from .sandbox import Sandbox
from .thief import Thief

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


@contextmanager
def two_days(folder: Path, binary: Path, tool: str) -> Iterator[World]:
    """The world that a test begins with: today's index is what its mirror has."""
    projects = (*PROJECTS, PARTNER)
    yesterday = Forge(*(wheel(name, OLD) for name in projects), apart=True)
    yesterday.claim(RECENT)
    yesterday.claim(SEALED, sealed=True)
    yesterday.role("claimed").expires = yesterday.expires + timedelta(days=CLAIMED_DAYS - 1)
    yesterday.publish()
    today = yesterday.copy()
    tree = today.release(*(wheel(name, GOOD) for name in projects))
    with Mirror(tree) as mirror:
        yield World(folder, binary, tool, mirror, yesterday, today)
