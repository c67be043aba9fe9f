"""A real index that is broken into and put right, and the people who go on installing from it all the while.

    siege = make_siege()                         a fixture: its first run is over, both holders have their files
    siege.knows(*good)                           everybody who is there installs all of it
    siege.keep_good()                            the last good state, where no thief can write
    siege.keeps_installing("victim")             from here on somebody installs it without a pause
    …                                            the thief publishes
    siege.reached("victim")                      what plain pip, the old clients and a new one get of it
    siege.recovery().by_the_book(…)              harness/runbook.py
    siege.ends_well({project: says, …})

Four people verify: `old` has a `wheelmark proxy` that runs from before the attack to the end, and asks it with
pip; `there` installed before and during the attack with `wheelmark exec`; `away` knew the index, and was not
there; `begun` began during the attack. `ends_well` adds somebody who begins afterwards. What one of them gets
of a project is what the installed module says (`SAYS`), or `REFUSED`.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from .distributions import Distribution
from .holders import Cast
from .index import Index
from .mirror import Mirror, Tree
from .reached import Table
from .runbook import Recovery
from .sandbox import Outcome, Sandbox, Venv
from .service import Service

REFUSED = None
# What plain pip kept from before is not what is asked here.
NOTHING_KEPT = {"PIP_NO_CACHE_DIR": "1"}
# How long a daemon keeps a state, and a little more (`wheelmark proxy --help`: a minute).
A_WHILE = 65
# Between two installations of whoever goes on installing.
PAUSE = 2.0


def said(venv: Venv, project: str) -> str | None:
    """What the module of an installed project says, read without running it."""
    (module,) = [*venv.path.glob(f"lib/*/site-packages/{project.replace('-', '_')}.py")] or [None]
    return re.search(r"SAYS = '(.*)'", module.read_text())[1] if module else None


class Somebody:
    """Installs with uv through `wheelmark exec`."""

    tool = "uv"

    def __init__(self, siege: "Siege", name: str, env: Mapping[str, str] | None = None) -> None:
        self.siege, self.name = siege, name
        self.sandbox = Sandbox(siege.folder / name, siege.index.binary, env)
        if siege.trusted_root is not None:
            home = Path(self.sandbox.env["WHEELMARK_HOME"])
            home.mkdir(parents=True, exist_ok=True)
            (home / "wheelmark.toml").write_text(f"sigstore-roots = [{json.dumps(str(siege.trusted_root))}]\n")

    def begins(self, root: Path) -> "Somebody":
        self.sandbox.wheelmark("trust", "add", self.siege.index.index_url, "--root", root).ok()
        return self

    def tries(self, *projects: str) -> tuple[Outcome, Venv]:
        venv = self.sandbox.venv()
        return self.sandbox.install(self.tool, venv, *projects), venv

    def gets(self, project: str) -> str | None:
        done, venv = self.tries(project)
        assert "panicked" not in done.text, f"{done}"
        if (content := said(venv, project)) is not None:
            done.ok()
            return content
        done.failed()
        assert self._was_told(done), f"{self.name}: {done}"
        return REFUSED

    def gets_each(self, *projects: str) -> dict[str, str | None]:
        """What it gets of each: by one command, unless that fails."""
        done, venv = self.tries(*projects)
        if done.code == 0:
            return {project: said(venv, project) for project in projects}
        return {project: self.gets(project) for project in projects}

    def _was_told(self, done: Outcome) -> bool:
        return "failed verification" in done.text or "REFUSED" in done.text

    def installs(self, expected: Mapping[str, str]) -> None:
        """All of them at once."""
        done, venv = self.tries(*expected)
        assert done.code == 0, f"{self.name}: {done}"
        got = {project: said(venv, project) for project in expected}
        assert got == expected, f"{self.name}: {done}"

    def remembers(self) -> dict:
        """Whose keys sign for which projects, who attests to them, and the newest state that was seen."""
        index = self.shown()
        state = {role: index[role] for role in ("root", "snapshot", "timestamp")}
        identities = self._trust("identities", "list")
        for accepted in [accepted for project in identities for accepted in project["accepted"]]:
            # When each of them saw it first is their own.
            del accepted["at"]
        return {"claims": self._trust("claims", "list"), "identities": identities, "state": state}

    def shown(self) -> dict:
        """What `trust show` tells of the index."""
        return self._trust("show", self.siege.index.index_url)

    def _trust(self, *words: object):
        return json.loads(self.sandbox.wheelmark("trust", *words, "--json").ok().out)


class Old(Somebody):
    """pip, without a word of Wheelmark, behind a proxy that nobody starts anew. Its clock is the test's."""

    tool = "pip"

    def __init__(self, siege: "Siege", name: str, clock: Mapping[str, str]) -> None:
        super().__init__(siege, name)
        self._clock, self._seconds = self.sandbox.folder / "clock", 0
        self.time_passes(0)
        running = {word: value for word, value in clock.items() if word != "FAKETIME"}
        running |= {"FAKETIME_TIMESTAMP_FILE": str(self._clock), "FAKETIME_NO_CACHE": "1"}
        self._of_the_proxy = running
        self._lock, self._running = threading.Lock(), ExitStack()

    def time_passes(self, seconds: int = A_WHILE) -> None:
        """For the proxy: until it asks the index for a newer state."""
        self._seconds += seconds
        self._clock.write_text(f"+{self._seconds}s\n")

    def runs(self) -> None:
        """The proxy begins."""
        kept = self.sandbox.env
        self.sandbox.env = kept | self._of_the_proxy
        self.proxy = Service(self.sandbox)
        self._running.enter_context(self.proxy)
        self.sandbox.env = kept

    def ends(self) -> None:
        self._running.close()

    def tries(self, *projects: str) -> tuple[Outcome, Venv]:
        with self._lock:
            self.time_passes()
            venv = self.sandbox.venv()
            return self.sandbox.plain_pip(venv, self.proxy.index_url, *projects), venv

    def _was_told(self, done: Outcome) -> bool:
        """By pip, which says what the proxy has answered it."""
        return "wheelmark refused" in done.text


class Siege:
    """An index in its first run with claims on, whoever runs it, its holders, and who reads it."""

    def __init__(
        self,
        index: Index,
        folder: Path,
        clock: Callable[[str], dict[str, str]],
        table: Table,
        trusted_root: Path | None = None,
    ) -> None:
        """`index` runs; `clock` is the fixture `fake_clock`; `trusted_root` that of a Sigstore of the test's own."""
        self.index, self.folder, self.table, self.trusted_root = index, folder, table, trusted_root
        self.cast = Cast(index, folder)
        self.operator = self.cast.operator
        # As people were given it, on the first day.
        self.root = folder / "root.json"
        shutil.copy(index.root_file, self.root)
        self.old = Old(self, "old", clock("+0d"))
        self.there, self.away = Somebody(self, "there"), Somebody(self, "away")
        self.begun: Somebody | None = None
        for person in self.people:
            person.begins(self.root)
        self.good = folder / "good"
        self._strangers = self._recoveries = 0
        self.watched: tuple[str, ...] = ()
        self.keeps: list[tuple[str, str, str | None]] = []
        self.phase, self._ended = "attack", threading.Event()
        self._thread = threading.Thread(target=self._keep_installing, daemon=True)

    @property
    def people(self) -> list[Somebody]:
        """Who verifies and is there by now."""
        return [person for person in (self.old, self.there, self.away, self.begun) if person is not None]

    # Before it happens.

    def knows(self, *good: Distribution | str) -> None:
        """Everybody who is there installs these projects, and the proxy of `old` runs from now on."""
        self.old.runs()
        projects = [one if isinstance(one, str) else one.project for one in good]
        for person in self.people:
            done, venv = person.tries(*projects)
            assert done.code == 0 and set(projects) <= set(venv.installed()), f"{person.name}: {done}"

    def keep_good(self) -> None:
        """The last good state: a backup, where nobody but the test writes."""
        self.operator.told("index", "backup", self.good, "--data", self.index.data)

    # While it lasts.

    def keeps_installing(self, *projects: str) -> None:
        """`old` goes on installing these, one after the other, until the end."""
        self.watched = projects
        self._thread.start()

    def end(self) -> None:
        """Whatever runs for the people ends, and has not ended by itself."""
        self._ended.set()
        if self.watched:
            self._thread.join(120)
        self.old.ends()

    def _keep_installing(self) -> None:
        turn = 0
        while not self._ended.wait(PAUSE):
            project, phase = self.watched[turn % len(self.watched)], self.phase
            _, venv = self.old.tries(project)
            # What began before and ended after says nothing of either.
            if phase == self.phase:
                self.keeps.append((phase, project, said(venv, project)))
            shutil.rmtree(venv.path)
            turn += 1

    def plain(self, *projects: str) -> dict[str, str | None]:
        """What pip installs without Wheelmark."""
        person = self._stranger("plain")
        venv = person.sandbox.venv()
        person.sandbox.plain_pip(venv, self.index.index_url, *projects, env=NOTHING_KEPT).ok()
        return {project: said(venv, project) for project in projects}

    def fresh(self, root: Path | None = None) -> Somebody:
        """Somebody who begins now, with the first root or another."""
        return self._stranger("fresh").begins(root or self.root)

    def _stranger(self, name: str) -> Somebody:
        self._strangers += 1
        return Somebody(self, f"{name}-{self._strangers}")

    def reached(self, *projects: str) -> dict[str, dict[str, str | None]]:
        """What the thief reached, now: plain pip, who was there before, and who begins now, of each project."""
        self.begun = self.begun or Somebody(self, "begun").begins(self.root)
        people = {"old": self.old, "there": self.there, "fresh": self.begun}
        seen = {"plain": self.plain(*projects)} | {who: one.gets_each(*projects) for who, one in people.items()}
        return {project: {who: got[project] for who, got in seen.items()} for project in projects}

    def instead(self, tree: Tree) -> Mirror:
        """For a `with` block: whoever asks the index is answered from this tree, as it was once published."""
        assert self.index.process is None, "it would answer itself"
        return Mirror(tree, port=self.index.port)

    def tells(self, stolen: str, does: str, says: str, seen: Mapping[str, str | None]) -> None:
        """A row of the table, from what `reached` saw of one project."""
        self.table.row(stolen, does, says, plain=seen["plain"], old=seen["there"], fresh=seen["fresh"])

    # Afterwards.

    def recovery(self, *plan: object) -> Recovery:
        """The runbook, as far as it is the same for everybody; `plan`: more options of `recover plan`."""
        if self.trusted_root is not None:
            plan = (*plan, "--trusted-root", self.trusted_root)
        self._recoveries += 1
        return Recovery(self, self.folder / f"recovery-{self._recoveries}", plan)

    def ends_well(self, expected: Mapping[str, str], gone: Iterable[str] = (), *, told: bool = True) -> None:
        """Everybody gets every good file and none of the thief's, without a step, and remembers the same.

        `expected`: what the newest good file of each project says; `gone`: projects that only the thief had;
        `told`: whether there was a recovery of the index, with its bulletin.
        """
        self.phase = "after"
        newest = max((self.index.tree / "metadata").glob("*.root.json"), key=lambda path: int(path.name.split(".")[0]))
        fresh = self.fresh(newest)
        for person in (*self.people, fresh):
            person.installs(expected)
            for project in gone:
                done, venv = person.tries(project)
                assert done.failed() and venv.installed() == {}, f"{person.name}: {done}"
        assert self.plain(*expected) == expected
        # Whatever is listed, older versions too.
        fresh.sandbox.wheelmark("verify", self.index.index_url).ok()
        seen = {person.name: person.remembers() for person in (*self.people, fresh)}
        for name, known in seen.items():
            assert known == seen["away"], f"{name} remembers otherwise than who was away: {known}\n{seen['away']}"
        for person in self.people if told else []:
            assert person.shown()["recovered"]["bulletin"] == self._bulletin(), f"{person.name} was not told"
        self._went_on(expected)
        self.table.afterwards()

    def _bulletin(self) -> str:
        return self.index.get("bulletin.json").json()["bulletin"]

    def _went_on(self, expected: Mapping[str, str]) -> None:
        """Whoever went on installing gets the good files by now, and got nothing else since."""
        if not self.watched:
            return
        deadline = time.monotonic() + 60
        while len(after := [one for one in self.keeps if one[0] == "after"]) < len(self.watched):
            assert time.monotonic() < deadline and self._thread.is_alive(), self.keeps
            time.sleep(0.1)
        assert all(content == expected[project] for _, project, content in after), self.keeps
        # It ran all the time, not only afterwards.
        assert {phase for phase, *_ in self.keeps} >= {"attack", "after"}, self.keeps
