"""Killed at any moment, the index keeps every promise that it made.

Twenty times: two hundred uploads are on their way, the process is killed with signal 9 at
a random moment, sometimes again while it recovers, and started anew. Nothing here looks at
how recovery is done; only at what a reader sees and at what lies on the disk.

`WHEELMARK_SEED` repeats a run's choices, `WHEELMARK_KILLS` and `WHEELMARK_UPLOADS` change
its size.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from harness.distributions import Distribution, sdist, wheel
from harness.index import Index, NotReady
from harness.sandbox import Sandbox
from harness.tuf_reader import TufReader
from harness.upload import request, upload

KILLS = int(os.environ.get("WHEELMARK_KILLS", "20"))
UPLOADS = int(os.environ.get("WHEELMARK_UPLOADS", "200"))
PROJECTS = 40
WORKERS = 8


@dataclass
class Witness:
    """Remembers what was ever seen under a name that must never change."""

    seen: dict[str, str] = field(default_factory=dict)
    # Files that lie there untouched since they were read: path to what the file system says.
    untouched: dict[Path, tuple[int, ...]] = field(default_factory=dict)

    def saw(self, name: str, content: bytes, where: str) -> None:
        digest = hashlib.sha256(content).hexdigest()
        assert self.seen.setdefault(name, digest) == digest, f"{name} was signed twice with different bytes ({where})"

    def saw_timestamp(self, content: bytes, where: str) -> int:
        version = json.loads(content)["signed"]["version"]
        self.saw(f"{version}.timestamp", content, where)
        return version

    def look(self, index: Index, where: str) -> None:
        """The tree, and what the database holds as signed but not yet published."""
        for path in (index.tree / "metadata").iterdir():
            if path.name == "timestamp.json":
                self.saw_timestamp(path.read_bytes(), where)
                continue
            said = path.stat()
            stamp = (said.st_ino, said.st_size, said.st_mtime_ns, said.st_ctime_ns)
            if self.untouched.get(path) != stamp:
                self.saw(path.name, path.read_bytes(), where)
                self.untouched[path] = stamp
        for path, content in recorded(index):
            if path == "timestamp":
                self.saw_timestamp(content, f"intent, {where}")
            elif path.startswith("metadata/"):
                self.saw(path.removeprefix("metadata/"), content, f"intent, {where}")


def recorded(index: Index) -> list[tuple[str, bytes]]:
    """The recorded intent, read from a copy, so that looking changes nothing."""
    copy = index.data.parent / "looking"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for path in index.data.glob(index.database.name + "*"):
        shutil.copy(path, copy)
    database = sqlite3.connect(copy / index.database.name)
    try:
        objects = database.execute("select path, bytes from intent_object").fetchall()
        timestamps = database.execute("select 'timestamp', timestamp from intent").fetchall()
    finally:
        database.close()
    return [(path, bytes(content)) for path, content in objects + timestamps]


class Uploads:
    """Uploads from several threads until all are through or the index is gone."""

    def __init__(self, index: Index, token: str, files: list[Distribution]) -> None:
        self.acknowledged: list[Distribution] = []
        self.unanswered: list[Distribution] = []
        self.refused: list[str] = []
        self.gone = threading.Event()
        self._index, self._token, self._waiting = index, token, iter(files)
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(WORKERS)
        self._futures = [self._pool.submit(self._work) for _ in range(WORKERS)]

    def _work(self) -> None:
        while not self.gone.is_set():
            with self._lock:
                file = next(self._waiting, None)
            if file is None:
                return
            try:
                answer = upload(self._index.upload_url, self._token, file, timeout=30)
            except OSError:
                with self._lock:
                    self.unanswered.append(file)
                return
            except Exception:  # an answer cut off in the middle is no answer
                with self._lock:
                    self.unanswered.append(file)
                return
            with self._lock:
                if answer.status == 200:
                    self.acknowledged.append(file)
                else:
                    self.unanswered.append(file)
                    self.refused.append(f"{file.filename}: {answer}")

    def wait_for(self, count: int, seconds: float) -> None:
        """Until `count` are acknowledged, or nothing is left to wait for."""
        deadline = time.monotonic() + seconds
        while len(self.acknowledged) < count and time.monotonic() < deadline:
            if all(future.done() for future in self._futures):
                return
            time.sleep(0.001)

    def finish(self) -> None:
        self.gone.set()
        self._pool.shutdown(wait=True)
        for future in self._futures:
            future.result()


def files_of_round(number: int) -> list[Distribution]:
    made = []
    for n in range(UPLOADS):
        name, version = f"killed-{n % PROJECTS}", f"{number}.{n // PROJECTS}"
        made.append(sdist(name, version) if n % 10 == 9 else wheel(name, version, payload=n * 50))
    return made


@pytest.mark.timeout(900)
def test_kill_9_at_random_points(make_index, sandbox: Sandbox, tmp_path: Path) -> None:
    seed = int(os.environ.get("WHEELMARK_SEED", time.time_ns() % 1_000_000))
    print(f"WHEELMARK_SEED={seed}")
    rng = Random(seed)
    index: Index = make_index().start()
    token = index.token
    sandbox.trust(index)
    witness = Witness()
    acknowledged: list[Distribution] = []
    unanswered: list[Distribution] = []
    newest = 0

    for number in range(KILLS):
        uploads = Uploads(index, token, files_of_round(number))
        uploads.wait_for(rng.randrange(UPLOADS), seconds=60)
        time.sleep(rng.random() * 0.03)
        assert index.process is not None and index.process.poll() is None, index.log_text()
        index.kill()
        uploads.finish()
        acknowledged += uploads.acknowledged
        unanswered += uploads.unanswered
        assert not uploads.refused, uploads.refused
        witness.look(index, f"after kill {number}")

        while rng.random() < 0.25:
            index.launch()
            try:
                index.wait_ready(rng.random() * 0.5)
            except NotReady:
                pass
            index.kill()
            witness.look(index, f"killed while recovering from kill {number}")
        index.start()
        witness.look(index, f"after restart {number}")
        served = request("GET", index.metadata_url.rstrip("/") + "/timestamp.json").body
        version = witness.saw_timestamp(served, f"served after restart {number}")
        assert version >= newest, "the timestamp went back"
        newest = version

    print(f"{len(acknowledged)} acknowledged, {len(unanswered)} unanswered, {len(witness.seen)} signed files seen")
    assert len(acknowledged) > KILLS, "the test has to have something to look at"
    # What was in the journal when the process died is published after the start; an upload
    # that is answered comes after all of it.
    last = wheel("the-last-of-all", "1.0")
    index.publish(last)
    acknowledged.append(last)
    check_whole(index, tmp_path / "reader", acknowledged, unanswered)

    # What was not acknowledged can simply be tried again.
    index.publish(*unanswered)
    everything = acknowledged + unanswered
    check_whole(index, tmp_path / "again", everything, [])
    witness.look(index, "at the end")

    by_project = {file.project: file for file in rng.sample(everything, len(everything))}
    wanted = [f"{project}=={file.version}" for project, file in list(by_project.items())[:12]]
    for tool in ("pip", "uv"):
        venv = sandbox.venv()
        sandbox.install(tool, venv, *wanted).ok()
        assert sorted(f"{p}=={v}" for p, v in venv.installed().items()) == sorted(wanted)


def check_whole(index: Index, folder: Path, acknowledged: list[Distribution], unanswered: list[Distribution]) -> None:
    """Acknowledged files are wholly there; the others wholly there or not at all."""
    reader = TufReader(index, folder)
    pages: dict[str, dict[str, str]] = {}
    for project in {file.project for file in acknowledged + unanswered}:
        page = reader.page(project)
        listed = json.loads(page)["files"] if page else []
        pages[project] = {f["filename"]: f["hashes"]["sha256"] for f in listed}
        if page is not None:
            copy = index.get(f"simple/{project}/", Accept="application/vnd.pypi.simple.v1+json")
            assert copy.body == page, f"what is served of {project} is what is signed"

    there = {}
    for file in acknowledged + unanswered:
        on_page = pages[file.project].get(file.filename)
        in_bin = reader.lists(f"packages/{file.project}/{file.filename}")
        plain = index.tree / "packages" / file.project / file.filename
        metadata = plain.with_name(plain.name + ".metadata")
        assert on_page in (None, file.sha256), file.filename
        assert on_page == in_bin, f"{file.filename}: page says {on_page}, bin says {in_bin}"
        assert (on_page is not None) == plain.exists(), f"{file.filename}: plain name {plain.exists()}, page {on_page}"
        if on_page:
            assert plain.read_bytes() == file.content
            stored = index.tree / "targets" / "packages" / file.project / f"{file.sha256}.{file.filename}"
            assert stored.read_bytes() == file.content
            if file.is_wheel:
                assert metadata.read_bytes() == file.metadata
        else:
            assert not metadata.exists()
        there[file.filename] = on_page is not None
    missing = [file.filename for file in acknowledged if not there[file.filename]]
    assert not missing, f"acknowledged, but not there: {missing}"

    # A handful through python-tuf's own download as well.
    for file in Random(1).sample(acknowledged, min(20, len(acknowledged))):
        assert reader.file(file.project, file.filename) == file.content

    expected = {file.filename for file in acknowledged + unanswered}
    for listed in pages.values():
        assert set(listed) <= expected, "nothing is listed that was never sent"
    leftovers = [
        path
        for path in index.tree.rglob("*")
        if path.is_file() and (".incoming" in path.parts or path.name.startswith((".tmp", "tmp")))
    ]
    assert not leftovers, leftovers
    stored = {
        path.name.split(".", 1)[1]: path
        for path in (index.tree / "targets" / "packages").glob("*/*")
        if not path.name.endswith((".metadata", ".chunks"))
    }
    orphans = sorted(set(stored) - {name for name, listed in there.items() if listed})
    assert not orphans, f"stored, but listed nowhere: {orphans}"
