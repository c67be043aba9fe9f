"""`wheelmark index gc`: room comes back, and nobody who installs notices."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import Distribution, wheel
from harness.index import Index, open_database
from harness.sandbox import Sandbox
from harness.tuf_reader import TufReader

TWO_HOURS = 2 * 60 * 60

# Unmodified pips at a time; the other readers are TUF clients of their own in this process.
PIPS = 4
READERS = 50


def gc(index: Index, *words: str, code: int = 0) -> dict:
    """`wheelmark index gc` for this index; what it says as JSON."""
    command = [str(index.binary), "index", "gc", *words, "--data", str(index.data), "--json"]
    run = subprocess.run(command, env=index.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180)
    assert run.returncode == code, f"{run.returncode}: {run.stdout}{run.stderr}"
    return json.loads(run.stdout) if run.stdout.strip() else {"said": run.stderr}


def age(index: Index, seconds: float = TWO_HOURS) -> None:
    """Makes everything in the tree look as if it had been written that long ago."""
    then = time.time() - seconds
    for path in index.tree.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            os.utime(path, (then, then))


def on_disk(index: Index) -> int:
    """Bytes of the tree, those of a file with two names once."""
    seen, total = set(), 0
    for path in index.tree.rglob("*"):
        if path.is_file():
            status = path.stat()
            if (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def versions(project: str, count: int) -> list[Distribution]:
    return [wheel(project, f"{number}.0", says=f"{project} {number}") for number in range(1, count + 1)]


@pytest.fixture
def old(index: Index) -> Index:
    """An index with a history of two dozen snapshots, two hours ago."""
    for project in ("tool", "part"):
        for dist in versions(project, 12):
            index.publish(dist)
    age(index)
    return index


def snapshots(index: Index) -> list[int]:
    found = (index.tree / "metadata").glob("*.snapshot.json")
    return sorted(int(path.name.split(".")[0]) for path in found)


def test_a_dry_run_says_what_would_go(old: Index) -> None:
    before = old.files()
    dry = gc(old, "--dry-run")
    assert dry["dry_run"] is True
    assert dry["kept_snapshots"] == 5
    assert dry["snapshots"]["objects"] == len(snapshots(old)) - 5
    assert dry["total"]["objects"] > 0 and dry["total"]["bytes"] > 0
    assert old.files() == before


def test_the_running_index_does_it_and_goes_on(old: Index, sandbox: Sandbox) -> None:
    before = on_disk(old)
    roots = sorted(path.name for path in (old.tree / "metadata").glob("*.root.json"))
    done = gc(old)
    assert len(snapshots(old)) == 5
    assert before - on_disk(old) == done["total"]["bytes"]
    assert sorted(path.name for path in (old.tree / "metadata").glob("*.root.json")) == roots
    assert gc(old)["total"]["objects"] == 0, "nothing is left to be done"
    old.publish(wheel("tool", "99.0"))
    sandbox.trust(old)
    venv = sandbox.venv()
    sandbox.install("pip", venv, "tool", "part==3.0").ok()
    assert venv.installed() == {"tool": "99.0", "part": "3.0"}


def test_people_read_it_too(old: Index) -> None:
    command = [str(old.binary), "index", "gc", "--data", str(old.data)]
    run = subprocess.run(command, env=old.env, capture_output=True, text=True, timeout=180, check=True)
    assert run.stdout.startswith("went: ") and "snapshots" in run.stdout and "kept: 5 snapshots" in run.stdout


def test_by_the_clock_it_needs_nobody(old: Index) -> None:
    assert old.stop() == 0
    old.env["WHEELMARK_INDEX_GC_EVERY"] = "1h"
    old.start()
    deadline = time.monotonic() + 60
    while len(snapshots(old)) > 5 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(snapshots(old)) == 5
    # Another start does not begin the time anew.
    assert old.stop() == 0
    age(old)
    old.start().publish(wheel("tool", "99.0"))
    time.sleep(2)
    with open_database(old.data / "operator" / "orders.sqlite") as orders:
        asked = orders.execute("SELECT asked_by, done IS NOT NULL FROM collection").fetchall()
    assert asked == [("gc-every in the settings", 1)]


def test_less_than_readers_need_cannot_be_asked_for(old: Index) -> None:
    before = old.files()
    for words in (["--older-than", "59m"], ["--snapshots", "0"], ["--removed-after", "1m"]):
        refused = gc(old, *words, code=1)
        assert "hint:" in refused["said"]
    assert old.files() == before


def test_while_fifty_readers_install(old: Index, sandbox: Sandbox, tmp_path: Path) -> None:
    """No 404 that a retry does not mend, and the disk is back to the files and the last snapshots."""
    everything = on_disk(old)
    sandbox.trust(old)
    venvs = [sandbox.venv() for _ in range(PIPS)]
    over = threading.Event()
    failed: list[str] = []
    rounds = [0]

    def read(number: int) -> None:
        turn = 0
        while not over.is_set() or turn == 0:
            turn += 1
            folder = tmp_path / f"reader-{number}-{turn}"
            for attempt in (1, 2):
                try:
                    reader = TufReader(old, folder / str(attempt))
                    for project in ("tool", "part"):
                        files = json.loads(reader.page(project) or "")["files"]
                        name = files[(number + turn) % len(files)]["filename"]
                        assert reader.file(project, name), f"{name} is not listed"
                    break
                except Exception as error:  # a reader that fails twice running is what must not be
                    if attempt == 2:
                        failed.append(f"reader {number}: {error!r}")
            rounds[0] += 1

    def install(number: int) -> None:
        done = sandbox.install("pip", venvs[number], "tool", "part")
        if done.code != 0:
            failed.append(str(done))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(READERS - PIPS)]
    threads += [threading.Thread(target=install, args=(number,)) for number in range(PIPS)]
    for thread in threads:
        thread.start()
    try:
        first = gc(old)
        # They install on, and the index publishes on, and what that leaves is collected as well.
        for dist in versions("late", 6):
            old.publish(dist)
        age(old)
        second = gc(old, "--snapshots", "2")
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert not failed, "\n".join(failed[:5])
    assert rounds[0] >= READERS - PIPS
    assert first["total"]["objects"] > 0 and second["total"]["objects"] > 0
    assert len(snapshots(old)) == 2
    print(json.dumps({"before": everything, "after": on_disk(old), "first": first["total"], "second": second["total"]}))

    # Files, and what the last two snapshots name: nothing else is there.
    named = set()
    for version in snapshots(old):
        snapshot = json.loads((old.tree / "metadata" / f"{version}.snapshot.json").read_bytes())
        named.add(f"{version}.snapshot.json")
        for name, listed in snapshot["signed"]["meta"].items():
            named.add(f"{listed['version']}.{name}")
    there = {p.name for p in (old.tree / "metadata").iterdir()} - {"timestamp.json"}
    assert {name for name in there if not name.endswith(".root.json")} == named


@pytest.mark.parametrize("moment", [0.0, 0.05, 0.2])
def test_killed_in_the_middle_nothing_is_lost(old: Index, sandbox: Sandbox, moment: float) -> None:
    command = [str(old.binary), "index", "gc", "--snapshots", "1", "--data", str(old.data), "--json"]
    asking = subprocess.Popen(command, env=old.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(moment)
    old.kill()
    asking.wait(180)
    old.start()
    age(old)
    gc(old, "--snapshots", "1")
    assert len(snapshots(old)) == 1
    sandbox.trust(old)
    venv = sandbox.venv()
    sandbox.install("pip", venv, "tool", "part==1.0").ok()
    old.publish(wheel("tool", "99.0"))


def test_a_stopped_index_needs_no_key(old: Index, sandbox: Sandbox) -> None:
    old.stop()
    key = old.data / "online-key"
    key.rename(old.data / "kept")
    assert gc(old)["total"]["objects"] > 0
    (old.data / "kept").rename(key)
    old.start()
    sandbox.trust(old)
    sandbox.install("pip", sandbox.venv(), "tool", "part").ok()


def test_a_removed_file_goes_when_its_time_is_over(old: Index) -> None:
    command = [str(old.binary), "index", "remove", "tool", "1.0", "--yes", "--data", str(old.data), "--json"]
    subprocess.run(command, env=old.env, check=True, capture_output=True, timeout=120)
    age(old)
    gone = versions("tool", 1)[0]
    object_ = old.tree / "targets" / "packages" / "tool" / f"{gone.sha256}.{gone.filename}"
    assert gc(old)["removed"]["objects"] == 0 and object_.exists()
    assert gc(old, "--removed-after", "90d")["removed"]["objects"] == 0 and object_.exists()
    # Whoever asks for it back finds that the bytes are there.
    bring_back = ["index", "unremove", "tool", "1.0", "--yes", "--data", str(old.data), "--json"]
    subprocess.run([str(old.binary), *bring_back], env=old.env, check=True, capture_output=True, timeout=120)


def test_what_no_upload_named_goes_and_what_waits_stays(old: Index) -> None:
    left = old.tree / "targets" / "packages" / "tool" / f"{'0' * 64}.tool-77.0.tar.gz"
    left.write_bytes(b"left by an upload that was cut off")
    young = left.with_name(f"{'1' * 64}.tool-78.0.tar.gz")
    age(old)
    young.write_bytes(b"an upload that is under way")
    done = gc(old)
    assert done["unnamed"] == {"objects": 1, "bytes": 34}
    assert not left.exists() and young.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is soon full; only root can make one."""
    if os.geteuid() != 0:
        pytest.skip("skipped: needs root, to mount a small file system")
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"skipped: needs mount ({mounted.stderr.strip()})")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk_is_no_obstacle(small_disk: Path, make_index, sandbox: Sandbox) -> None:
    index: Index = make_index(at=small_disk).start()
    try:
        for dist in versions("tool", 30):
            index.publish(dist)
        age(index)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
        index.stop()
        done = gc(index)
        assert done["total"]["bytes"] > 0
        # With the room that the other objects left, the snapshots could be written down, and went.
        assert len(snapshots(index)) == 5, done
        with open_database(index.data / "operator" / "orders.sqlite") as database:
            logged = database.execute("select count(*) from snapshot").fetchone()[0]
        assert logged == max(snapshots(index)) - 5
        filler.unlink()
        index.start()
        index.publish(wheel("tool", "99.0"))
        sandbox.trust(index)
        sandbox.install("pip", sandbox.venv(), "tool").ok()
    finally:
        index.stop()
