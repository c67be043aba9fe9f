"""A recovery killed before each kind of its steps: the same command goes on, or it is given up without harm.

Every command of a recovery is run once under the tracer of `harness.steps`, and then killed with signal 9 right
before a step by which it changes a file: one of each kind, from the middle of it. What readers see then is what
was published, or all of the recovery.

`WHEELMARK_STEPS=three` takes the first and the last of each kind, too; `WHEELMARK_STEPS=all` takes every single step.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface, Updater

from harness import steps
from harness.distributions import wheel
from harness.holders import OFFLINE, Cast
from harness.index import Index
from harness.sandbox import Sandbox

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(steps.why_not() is not None, reason=steps.why_not() or ""),
]

GOOD, EVIL, KEPT = wheel("demo", "1.0"), wheel("demo", "6.6"), wheel("demo", "1.1")
# What the page of `demo` lists before a recovery, and after it.
ROBBED = {GOOD.filename, EVIL.filename, KEPT.filename}
PUT_RIGHT = {GOOD.filename, KEPT.filename}
# Sorts of steps that are left out of the short run: what they write is nobody's yet, or nobody's any more.
DULL = re.compile(
    r"\.lock$|(mkdir|unlink|write) \S*\.incoming/|(create|truncate|unlink) \S*\.sqlite|write \S+\.sqlite$"
    r"|(create|write) (data|recovery)/\S*\*$"
)
# Steps of `recover publish` before which it is given up, too: around the record, and around the timestamp.
AROUND = re.compile(r"mkdir data/operator|catalogue\.sqlite-wal|signing-log/|metadata/|simple/\*")
# How python-tuf names a tree that it reads from a folder.
TREE = "http://tree/"


class FromFolder(FetcherInterface):
    def __init__(self, tree: Path) -> None:
        self._tree = tree

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            yield (self._tree / url.removeprefix(TREE)).read_bytes()
        except FileNotFoundError:
            raise DownloadHTTPError("not there", 404) from None


class Readers:
    """python-tuf: one who has seen the theft, and one who begins now."""

    def __init__(self, index: Index, folder: Path) -> None:
        self._tree, self._folder, self._count = index.data / "repository", folder, 0
        self._robbed = folder / "robbed"
        assert self._seen(self._robbed) == ROBBED

    def _seen(self, metadata: Path) -> set[str]:
        pages = metadata / "pages"
        pages.mkdir(parents=True, exist_ok=True)
        updater = Updater(
            metadata_dir=str(metadata), metadata_base_url=f"{TREE}metadata/",
            target_dir=str(pages), target_base_url=f"{TREE}targets/",
            fetcher=FromFolder(self._tree), bootstrap=(self._tree / "metadata/1.root.json").read_bytes(),
        )  # fmt: skip
        found = updater.get_targetinfo("simple/demo/index.json")
        assert found is not None
        names = {file["filename"] for file in json.loads(Path(updater.download_target(found)).read_bytes())["files"]}
        is_evil_there = updater.get_targetinfo("simple/evil/index.json") is not None
        assert is_evil_there == (EVIL.filename in names), names
        for filename in names:
            info = updater.get_targetinfo(f"packages/demo/{filename}")
            assert info is not None and updater.download_target(info), filename
        return names

    def look(self) -> set[str]:
        """What both of them see."""
        self._count += 1
        copy = self._folder / f"reader-{self._count}"
        shutil.copytree(self._robbed, copy / "robbed")
        robbed, fresh = self._seen(copy / "robbed"), self._seen(copy / "fresh")
        shutil.rmtree(copy)
        assert robbed == fresh, (robbed, fresh)
        return robbed


class Robbed:
    """A stopped index that somebody had the key of, with a last good copy; and its recovery, from the plan on."""

    def __init__(self, index: Index, folder: Path) -> None:
        self.index, self.folder = index, folder
        self.root = index.data.parent
        self.recovery, self.good = self.root / "recovery", folder / "good"
        index.start()
        index.publish(GOOD)
        self.cast = Cast(index, folder)
        self.operator = self.cast.operator
        shutil.copytree(index.tree, self.good)
        index.publish(EVIL, wheel("evil", "1.0"), KEPT)
        assert index.stop() == 0
        self.readers = Readers(index, folder)

    # Its commands.

    @property
    def commands(self) -> dict[str, list[object]]:
        data = ["--data", self.index.data]
        return {
            "plan": ["recover", "plan", *data, "--last-good", self.good, "-o", self.recovery],
            "decide": ["recover", "decide", self.recovery, "--drop", "unsupported"],
            "ceremony": ["recover", "ceremony", self.recovery, *data],
            "finish": ["ceremony", "finish", self.recovery / "ceremony"],
            "publish": ["recover", "publish", self.recovery, *data],
            "abandon": ["recover", "abandon", self.recovery, *data],
        }

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        return self.operator.run(*self.commands[name])

    def told(self, name: str) -> dict:
        return self.operator.told(*self.commands[name])

    def keep_one(self) -> None:
        """By hand, as the operator may: 1.1 stays."""
        plan = self.plan()
        for change in (change for project in plan["projects"] for change in project["changes"]):
            if change["file"] == KEPT.filename:
                change["decision"] = "keep"
        (self.recovery / "plan.json").write_text(json.dumps(plan))

    def sign(self, holders: int = 2) -> None:
        ceremony = self.recovery / "ceremony"
        words = self.operator.told("ceremony", "review", ceremony)["words"]
        self.cast.collect(ceremony, words, self.cast.holders[:holders])

    def plan(self) -> dict:
        return json.loads((self.recovery / "plan.json").read_bytes())

    # Its state.

    @property
    def mark(self) -> Path:
        return self.index.data / "recovering"

    @property
    def began(self) -> bool:
        """Whether anything keeps the index from starting as it was, or would sign along."""
        return self.mark.exists() or (self.index.data / "online-key.next").exists()

    def save(self, name: str) -> None:
        shutil.copytree(self.root, self.folder / "saved" / name, symlinks=True)

    def back_to(self, name: str) -> None:
        for place in (self.index.data, self.recovery):
            shutil.rmtree(place, ignore_errors=True)
            kept = self.folder / "saved" / name / place.name
            if kept.exists():
                shutil.copytree(kept, place, symlinks=True)

    def steps_of(self, name: str, die: tuple[str, int] | None = None) -> tuple[int, list[str], str]:
        """Runs a command under the tracer: how it ends, its steps, and what it says."""
        log = self.folder / "steps.log"
        log.unlink(missing_ok=True)
        command = [self.index.binary, *self.commands[name]]
        words = steps.traced(self.root, log, command, die, armed=True)
        done = subprocess.run(words, capture_output=True, text=True, env=self.index.env)
        return done.returncode, steps.steps(log), done.stdout + done.stderr


@pytest.fixture
def robbed(make_index, tmp_path: Path) -> Robbed:
    return Robbed(make_index(fresh=True, bins=2, at=tmp_path / "index"), tmp_path)


def sort_of(step: str) -> str | None:
    """Steps that differ in nothing but a name are of one sort. The shared memory of a database is none."""
    if step.endswith("-shm"):
        return None
    # Of what is published, the order counts: what comes before the timestamp, and the root behind it.
    step = re.sub(r"(repository/metadata)/N\.(?!snapshot|root)[\w-]+\.json", r"\1/N.ROLE.json", step)
    # What is put together elsewhere, and gets its name in one step.
    step = re.sub(r"recovery/abandoned-\w+", "recovery/abandoned", step)
    step = re.sub(r"(recovery/(?:\.last-good\.part|last-good|\.ceremony\.part|ceremony|abandoned))/.*", r"\1/*", step)
    return re.sub(r"(repository/(?:simple|packages))/.*", r"\1/*", step)


def chosen(taken: list[str]) -> list[tuple[str, int]]:
    """Which steps are to be the last ones, each as the n-th of its kind."""
    counts: Counter[str] = Counter()
    numbered: dict[str, list[tuple[str, int]]] = {}
    for step in taken:
        counts[step] += 1
        if sort := sort_of(step):
            numbered.setdefault(sort, []).append((step, counts[step]))
    wanted = os.environ.get("WHEELMARK_STEPS", "")
    if wanted == "all":
        return [one for some in numbered.values() for one in some]
    if wanted == "three":
        return [one for some in numbered.values() for one in dict.fromkeys((some[0], some[len(some) // 2], some[-1]))]
    return [some[len(some) // 2] for sort, some in numbered.items() if not DULL.search(sort)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Killed:
    """One command of the recovery, killed before steps of it."""

    def __init__(self, robbed: Robbed, name: str, stage: str) -> None:
        self.robbed, self.name, self.stage = robbed, name, stage
        robbed.save(stage)
        code, self.taken, said = robbed.steps_of(name)
        assert code == 0, said
        self.result = self.outcome()

    def outcome(self) -> object:
        """What a run that nobody stopped has come to; what differs from run to run is left out."""
        robbed = self.robbed
        match self.name:
            case "plan" | "decide":
                plan = robbed.plan()
                del plan["made"]
                return plan, contents(robbed.recovery / "last-good")
            case "ceremony":
                robbed.operator.told("ceremony", "status", robbed.recovery / "ceremony", code=3)
                next_key = json.loads((robbed.recovery / "next-online-key.json").read_bytes())
                assert (robbed.index.data / "online-key.next").exists()
                return next_key["index"], sorted(contents(robbed.recovery / "ceremony"))
            case "finish":
                return sorted(contents(robbed.recovery / "ceremony" / "finished"))
            case "abandon":
                assert robbed.told("abandon")["abandoned"] is False
                assert not robbed.began
                (aside,) = robbed.recovery.glob("abandoned-*")
                kept = sorted(name for name in contents(aside) if "/p" not in name and "/." not in name)
                assert kept == ["ceremony/aborted", "ceremony/ceremony.json", "next-online-key.json"]
                assert len(list(robbed.index.data.glob("online-key.abandoned-*"))) == 1
                return robbed.plan()
        assert robbed.told("publish")["before"] and not robbed.mark.is_file()
        return robbed.readers.look()

    def demand_each_goes_on(self, seen_before: Sequence[str] = ()) -> None:
        known = {sort_of(step) for step in seen_before}
        rounds = [(kind, number) for kind, number in chosen(self.taken) if sort_of(kind) not in known]
        passed_over = given_up = 0
        for kind, number in rounds:
            where = f"{self.stage}: killed before {kind}, number {number}"
            self.robbed.back_to(self.stage)
            code, _, said = self.robbed.steps_of(self.name, (kind, number))
            if code == 0:
                passed_over += 1
                continue
            assert code == -signal.SIGKILL, f"{where}: {said}"
            seen = self.robbed.readers.look() if self.name == "publish" else ROBBED
            assert seen in (ROBBED, PUT_RIGHT), where
            # The index cannot come upon the next key without being told of the recovery.
            is_told = self.robbed.mark.exists() or seen == PUT_RIGHT
            assert is_told or not (self.robbed.index.data / "online-key.next").exists(), where
            if self.name in ("ceremony", "finish") or self.name == "publish" and AROUND.search(kind):
                given_up += self.is_given_up(where, seen)
            done = self.robbed.run(self.name)
            # A ceremony that is whole is gone on with.
            is_whole = self.name == "ceremony" and "is there already" in done.stderr
            assert done.returncode == 0 or is_whole, f"{where}: {done.stdout}{done.stderr}"
            assert self.outcome() == self.result, where
        print(f"{self.stage}: {len(self.taken)} steps, {len(rounds)} of them the last one, {given_up} given up")
        # What threads do in turn comes less often at times.
        assert passed_over <= 1 + len(rounds) // 5

    def is_given_up(self, where: str, seen: set[str]) -> bool:
        """Gives a killed recovery up, and comes back to it; not where it is published, or recorded."""
        self.robbed.save("killed")
        done = self.robbed.run("abandon")
        if done.returncode != 0:
            assert self.name == "publish" and "recover publish" in done.stderr, f"{where}: {done.stderr}"
        else:
            assert seen == self.robbed.readers.look() == ROBBED, where
            assert not self.robbed.began, where
            # Another ceremony can be begun.
            self.robbed.told("ceremony")
        self.robbed.back_to("killed")
        shutil.rmtree(self.robbed.folder / "saved" / "killed")
        return done.returncode == 0


@pytest.mark.timeout(600)
def test_wherever_it_is_killed_the_same_command_goes_on_or_it_is_given_up(robbed: Robbed) -> None:
    known: list[str] = []
    for name, stage in (
        ("plan", "plan"), ("decide", "decide"), ("plan", "plan again"), ("ceremony", "ceremony"), ("finish", "finish"),
        ("publish", "publish"),
    ):  # fmt: skip
        if stage == "decide":
            robbed.keep_one()
        if stage == "finish":
            robbed.sign()
        killed = Killed(robbed, name, stage)
        robbed.save(f"{stage}: done")
        # Of the plan that is made again, what differs from the first.
        killed.demand_each_goes_on(known if stage == "plan again" else ())
        known += [step for step in killed.taken if stage == "plan" and "plan.json" not in step]
        robbed.back_to(f"{stage}: done")
    robbed.back_to("publish")
    Killed(robbed, "abandon", "abandon").demand_each_goes_on()

    # The root alone is missing, and so is the record: what is published says it.
    robbed.back_to("publish")
    robbed.steps_of("publish", ("rename data/repository/metadata/N.root.json", 1))
    for file in robbed.index.data.glob("catalogue.sqlite*"):
        file.unlink()
    refused = robbed.run("abandon")
    assert refused.returncode == 1 and "half published" in refused.stderr, refused.stderr

    # One that was killed while it was published, on a running index.
    robbed.back_to("publish")
    robbed.steps_of("publish", ("rename data/repository/metadata/timestamp.json", 1))
    robbed.told("publish")
    robbed.index.start()
    robbed.index.publish(wheel("demo", "1.2"))
    audit = robbed.operator.run("index", "--data", robbed.index.data, "audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


@pytest.mark.timeout(300)
def test_a_recovery_is_given_up_at_any_stage_and_another_one_works(robbed: Robbed, sandbox: Sandbox) -> None:
    index = robbed.index
    index.start()
    sandbox.trust(index)
    sandbox.wheelmark("explain", "demo", "--json").ok()
    assert index.stop() == 0
    there = set(ROBBED)
    for number, signatures in enumerate((None, 0, 1, 2)):
        robbed.told("plan")
        robbed.told("decide")
        if signatures is not None:
            robbed.told("ceremony")
            refused = robbed.operator.run("up", "--data", index.data, "--listen", f"127.0.0.1:{index.port}")
            assert refused.returncode == 1 and "wheelmark recover abandon" in refused.stderr, refused.stderr
        if signatures:
            robbed.sign(signatures)
        given_up = robbed.told("abandon")
        assert given_up["abandoned"] == (signatures is not None)
        assert given_up.get("signatures", 0) == (signatures or 0) * len(OFFLINE)
        if signatures:
            # Nobody goes on with what was broken off, and the key is nobody's but its owner's.
            aside = Path(given_up["ceremony"]) / "ceremony"
            for words in (["ceremony", "finish", aside], robbed.commands["finish"]):
                assert robbed.operator.run(*words).returncode == 1
            assert Path(given_up["key_file"]).stat().st_mode & 0o077 == 0
        assert robbed.plan()["projects"], "what was decided stays"

        index.start()
        more = wheel("demo", f"2.{number}")
        index.publish(more)
        there.add(more.filename)
        told = json.loads(sandbox.wheelmark("explain", f"demo=={more.version}", "--json").ok().out)
        assert told["verified"] and len(told["files"]) == 1
        assert robbed.readers.look() == there
        assert index.stop() == 0

    # The next key is found where it was made; and one that somebody has taken away is in nobody's way.
    robbed.told("plan")
    robbed.told("decide")
    elsewhere = robbed.folder / "elsewhere" / "key.pem"
    elsewhere.parent.mkdir()
    shutil.copy(index.data / "online-key", elsewhere)
    robbed.operator.told(*robbed.commands["ceremony"], "--online-key", elsewhere)
    given_up = robbed.told("abandon")
    assert sorted(path.name for path in elsewhere.parent.iterdir()) == sorted(["key.pem", Path(given_up["key_file"]).name])
    robbed.told("ceremony")
    shutil.rmtree(robbed.recovery / "ceremony")
    for lost in (index.data / "online-key.next", robbed.recovery / "next-online-key.json"):
        lost.unlink()
    assert robbed.told("abandon")["abandoned"] and not robbed.began
    # What stands in the place of the next root may have been the recovery's.
    robbed.told("ceremony")
    odd = index.data / "repository/metadata/2.root.json"
    odd.write_text("{}")
    unclear = robbed.run("abandon")
    assert unclear.returncode == 1 and "cannot be told" in unclear.stderr, unclear.stderr
    odd.unlink()
    robbed.told("abandon")

    # Whoever names another folder gives nothing up.
    shutil.copytree(robbed.recovery, robbed.folder / "other")
    robbed.told("ceremony")
    other = robbed.operator.run("recover", "abandon", robbed.folder / "other", "--data", index.data)
    assert other.returncode == 1 and str(robbed.recovery) in other.stderr, other.stderr
    robbed.sign()
    robbed.told("finish")
    robbed.told("publish")
    published = robbed.run("abandon")
    assert published.returncode == 1 and "it is published" in published.stderr, published.stderr
    assert robbed.readers.look() == {GOOD.filename}
    index.start()
    venv = sandbox.venv()
    sandbox.install("pip", venv, "demo").ok()
    assert venv.installed()["demo"] == GOOD.version
