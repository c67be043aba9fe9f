"""A release is one transaction, wherever the processes that take it in are killed (PEP 480).

Thirty wheels of a claimed project, sent by `wheelmark publish`. The web process, or the snapshot
process, is killed with signal 9 right before a step by which it changes a file: one of each kind of
step, from the middle of it. At every moment readers see all thirty or none, and the same `publish`
once more succeeds.

`WHEELMARK_STEPS=three` takes the first and the last of each kind, too, and `WHEELMARK_STEPS=all` every
single step, which is hours; other words there, three of the kinds with them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tuf.ngclient import Updater

from harness import steps
from harness.apart import SNAPSHOTS, WEB, Apart
from harness.distributions import wheel
from harness.index import Index, open_database
from harness.sandbox import Outcome, Sandbox
from harness.site import Site
from test_claims import Developer

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(steps.why_not() is not None, reason=steps.why_not() or ""),
]

WHEELS = 30
PROJECT = "acme-tools"
OLD = wheel(PROJECT, "1.0")
# Two of them are not kept in memory or in the journal: one with a chunk list, one above 128 KiB.
SIZES = {0: 5 << 20, 1: 200 << 10}
NEW = [wheel(PROJECT, "2.0", tag=f"py3-none-any.m{n}".replace(".", "_"), payload=SIZES.get(n, 500)) for n in range(WHEELS)]
# How long behind its answer a process is given to take a step, in seconds: names, copies, the flush.
PATIENCE = 8.0


class Readers:
    """Who reads the tree from a static host, so that they go on while a process is dead."""

    def __init__(self, index: Apart, folder: Path, binary: Path, site: Site) -> None:
        self._index, self._folder, self._site = index, folder, site
        self._count = 0
        # Trust of our client's, as it is before a round.
        self.ours = Sandbox(folder / "ours", binary)
        root = index.published / "metadata/1.root.json"
        self.ours.wheelmark("trust", "add", site.url("simple/"), "--root", root).ok()
        self.ours.wheelmark("explain", PROJECT, "--json").ok()
        self._trust = folder / "trust"
        shutil.copytree(self.ours.folder / "wheelmark", self._trust)

    def begin(self) -> None:
        """As before the first round."""
        shutil.rmtree(self.ours.folder / "wheelmark")
        shutil.copytree(self._trust, self.ours.folder / "wheelmark")

    def _updater(self) -> Updater:
        self._count += 1
        folder = self._folder / f"tuf-{self._count}-{threading.get_ident()}"
        (folder / "targets").mkdir(parents=True)
        return Updater(
            metadata_dir=str(folder),
            metadata_base_url=self._site.url("metadata/"),
            target_dir=str(folder / "targets"),
            target_base_url=self._site.url("targets/"),
            bootstrap=(self._index.published / "metadata/1.root.json").read_bytes(),
        )

    def python_tuf(self) -> bool:
        """Whether python-tuf sees the release, by the page; which says all of it, or nothing."""
        updater = self._updater()
        found = updater.get_targetinfo(f"simple/{PROJECT}/index.json")
        assert found is not None, "the project is gone"
        page = json.loads(Path(updater.download_target(found)).read_bytes())
        names = {file["filename"]: file["hashes"]["sha256"] for file in page["files"]}
        assert names.pop(OLD.filename) == OLD.sha256
        wanted = {dist.filename: dist.sha256 for dist in NEW}
        assert names in ({}, wanted), f"{len(names)} of {WHEELS} are listed"
        return bool(names)

    def each_file(self) -> bool:
        """Whether the wheels are there by targets of their own, through python-tuf: whole, or none of them."""
        updater = self._updater()
        found = [updater.get_targetinfo(f"packages/{PROJECT}/{dist.filename}") for dist in NEW]
        listed = [info is not None for info in found]
        assert all(listed) or not any(listed), listed
        for dist, info in zip(NEW, found, strict=True):
            assert info is None or Path(updater.download_target(info)).read_bytes() == dist.content
        return all(listed)

    def all_of_them(self) -> list[bool]:
        """What each reader sees, one after the other: what was there once does not go again."""
        seen = [self.python_tuf(), self.each_file(), self.our_client()]
        assert seen == sorted(seen), seen
        return seen

    def our_client(self) -> bool:
        """Whether our own client sees the release, as a person's trust store stands."""
        done = self.ours.wheelmark("explain", f"{PROJECT}==2.0", "--json")
        said = json.loads(done.out)
        assert said["verified"] and not said["refused"], f"{done}"
        files = said["files"]
        assert len(files) in (0, WHEELS), f"{len(files)} of {WHEELS}: {done}"
        return bool(files)


class Watcher:
    """Reads as fast as it can beside everything else."""

    def __init__(self, readers: Readers) -> None:
        self._readers, self._over, self.seen = readers, threading.Event(), Counter()
        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(self._watch)

    def _watch(self) -> None:
        was_there = False
        while not self._over.is_set():
            is_there = self._readers.python_tuf()
            assert is_there or not was_there, "what was published is gone"
            was_there = is_there
            self.seen[is_there] += 1
            time.sleep(0.05)

    def end(self) -> Counter:
        self._over.set()
        self._pool.shutdown()
        self._future.result()
        return self.seen


class Claimed:
    """A claimed project, which can be brought back to how it was before its release."""

    def __init__(self, index: Index, folder: Path, binary: Path) -> None:
        index.start()
        index.publish(OLD)
        self.developer = Developer(folder / "developer", binary, index)
        self.developer.claim(PROJECT).ok()
        assert index.stop() is not None
        self.index = Apart(index)
        self._kept = folder / "kept"
        shutil.copytree(index.data, self._kept / "data", symlinks=True)
        shutil.copytree(self.developer.sandbox.folder / "wheelmark", self._kept / "wheelmark")

    def begin(self) -> None:
        self.index.stop()
        for kept, at in (("data", self.index.data), ("wheelmark", self.developer.sandbox.folder / "wheelmark")):
            shutil.rmtree(at)
            shutil.copytree(self._kept / kept, at, symlinks=True)

    def publish(self) -> Outcome:
        return self.developer.publish(*NEW)

    def left_over(self) -> list[str]:
        """Files of the project in the tree that its page does not list."""
        names = {dist.filename for dist in NEW}
        folder = self.index.published / "targets/packages" / PROJECT
        return sorted(path.name for path in folder.iterdir() if any(name in path.name for name in names))

    def rows(self) -> int:
        """How many files of the release the catalogue lists."""
        with open_database(self.index.database) as database:
            asked = "select count(*) from file where filename like '%-2.0-%'"
            return database.execute(asked).fetchone()[0]


@pytest.fixture
def claimed(make_index, tmp_path: Path, binary: Path):
    claimed = Claimed(make_index(env={"WHEELMARK_INDEX_CLAIMS": "on"}), tmp_path, binary)
    yield claimed
    claimed.index.stop()


@pytest.fixture
def readers(claimed: Claimed, tmp_path: Path, binary: Path):
    tree = claimed.index.published

    def pages(path: str) -> tuple[str, bytes] | None:
        with contextlib.suppress(OSError):
            return "application/octet-stream", (tree / path.lstrip("/")).read_bytes()
        return None

    with Site(pages) as site:
        yield Readers(claimed.index, tmp_path / "readers", binary, site)


def rehearsal(claimed: Claimed, readers: Readers, part: str) -> list[str]:
    """The steps that a process takes for the release when nobody stops it."""
    claimed.begin()
    claimed.index.stop_at(part)
    claimed.index.start()
    claimed.index.arm()
    claimed.publish().ok()
    assert all(readers.all_of_them())
    # What it does behind its answer belongs to it: names, copies, the flush.
    time.sleep(PATIENCE)
    # What it does when it is told to end is none of the release's steps.
    taken = steps.steps(claimed.index.steps)
    claimed.index.stop()
    return taken


def chosen(taken: list[str]) -> list[tuple[str, int]]:
    """Which steps are to be the last ones."""
    wanted = os.environ.get("WHEELMARK_STEPS", "")
    counts = Counter(step for step in taken if wanted in ("all", "three") or wanted in step)
    if not wanted:
        return [(kind, (count + 1) // 2) for kind, count in counts.items()]
    if wanted == "all":
        return [(kind, n) for kind, count in counts.items() for n in range(1, count + 1)]
    return [(kind, n) for kind, count in counts.items() for n in sorted({1, (count + 1) // 2, count})]


def killed_at(claimed: Claimed, readers: Readers, part: str, kind: str, number: int) -> str | None:
    """One round: what readers saw right after the kill; `None` if the step never came."""
    index = claimed.index
    claimed.begin()
    readers.begin()
    index.stop_at(part, kind, number)
    index.start()
    watcher = Watcher(readers)
    index.arm()
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(claimed.publish)
        # A step behind the answer comes within seconds; one that was passed over, never.
        deadline = None
        while not (died := index.died(0.05)) and (deadline is None or time.monotonic() < deadline):
            if deadline is None and sending.done():
                deadline = time.monotonic() + PATIENCE
        if not died:
            sending.result().ok()
            watcher.end()
            return None
        where = f"killed before {kind}, number {number}"
        # The other process goes on: it may publish what it has just then.
        between = readers.all_of_them()[-1]

        index.go_on()
        index.start()
        first = sending.result()
        assert "panicked" not in first.text, first
    after = readers.python_tuf()
    assert after or not between, where
    # Whoever was told that it is published finds it.
    assert first.code != 0 or after, f"{where}: {first}"
    if part == WEB and not after and claimed.rows() == 0:
        assert not claimed.left_over(), f"{where}: {claimed.left_over()}"

    # The same once more, by the same person.
    claimed.publish().ok()
    assert watcher.end()[False] > 0, "somebody looked before"
    assert all(readers.all_of_them()), where
    assert claimed.rows() == WHEELS, where
    # The next start clears what the killed one was writing.
    index.stop()
    index.start()
    index.stop()
    unfinished = [path for path in (index.published / ".incoming").rglob("*") if path.is_file()]
    assert not unfinished, f"{where}: {unfinished}"
    return "all" if between else "none"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", [WEB, SNAPSHOTS])
def test_thirty_wheels_or_none_wherever_a_process_is_killed(claimed: Claimed, readers: Readers, part: str) -> None:
    taken = rehearsal(claimed, readers, part)
    rounds = chosen(taken)
    print(f"{len(taken)} steps of {len(Counter(taken))} kinds; {len(rounds)} of them are the last one")
    seen: dict[str, list[str]] = {}
    passed_over = 0
    for kind, number in rounds:
        saw = killed_at(claimed, readers, part, kind, number)
        if saw is None:
            passed_over += 1
            continue
        seen.setdefault(kind, []).append(saw)
        print(f"{kind}, number {number}: {saw}", flush=True)
    for kind, outcomes in seen.items():
        print(f"| {part} | {kind} | {Counter(taken)[kind]} | {', '.join(outcomes)} |")
    print(f"{passed_over} steps did not come again")
    # Threads take turns as they like, so that a few steps come less often than they did.
    assert passed_over <= 1 + len(rounds) // 5
    outcomes = {outcome for saw in seen.values() for outcome in saw}
    if len(seen) < 10:  # a part of them was asked for
        return
    assert "none" in outcomes and (part == WEB or "all" in outcomes), "before it is published, and after"
