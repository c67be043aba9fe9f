"""`wheelmark index rebuild` makes an index out of its tree, and it goes on publishing; the log of snapshots."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from harness.developer import Developer
from harness.distributions import sdist, wheel
from harness.index import Index
from harness.sandbox import Sandbox

FIRST = wheel("tool", "1.0", says="one")
SECOND = wheel("tool", "2.0", says="two")
SOURCE = sdist("part", "1.0")
GONE = wheel("part", "0.9", says="gone")
HELD = wheel("held", "1.0")
CLAIMS = {"WHEELMARK_INDEX_CLAIMS": "on"}


def run(index: Index, *words: str, data: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [str(index.binary), "index", *words, "--data", str(data or index.data)]
    return subprocess.run(command, env=index.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180)


def ok(index: Index, *words: str, data: Path | None = None) -> dict:
    done = run(index, *words, "--json", data=data)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return json.loads(done.stdout)


@pytest.fixture
def lived(index: Index) -> Index:
    """An index with a history."""
    index.publish(FIRST, SECOND, SOURCE, GONE, HELD)
    ok(index, "remove", "part", "0.9", "--yes")
    ok(index, "yank", "tool", "1.0", "--reason", "old")
    ok(index, "status", "held", "quarantined", "--reason", "looked into")
    return index


def rebuilt(lived: Index, make_index, copy: Path, *words: str) -> Index:
    """A new index out of a copy of the tree, in another place."""
    new: Index = make_index(fresh=True)
    told = ok(lived, "rebuild", str(copy), *words, data=new.data)
    assert (told["projects"], told["files"], told["removed"]) == (3, 4, 1)
    return new


def test_a_copied_tree_becomes_an_index_that_goes_on(lived: Index, make_index, sandbox: Sandbox, tmp_path: Path) -> None:
    copy, root = tmp_path / "copy", tmp_path / "root.json"
    subprocess.run(["cp", "-a", str(lived.tree), str(copy)], check=True)
    root.write_bytes(lived.root_file.read_bytes())
    key = lived.data / "online-key"
    lived.stop()
    timestamp = json.loads((copy / "metadata" / "timestamp.json").read_bytes())["signed"]
    new = rebuilt(lived, make_index, copy, "--trust", str(root), "--online-key", str(key))
    shutil.rmtree(lived.data)
    assert ok(new, "audit")["sound"] is True
    new.start()

    # The token of before is unknown, the new one may do everything.
    dist = tmp_path / "dist"
    third = wheel("tool", "3.0", says="three")
    third.write(dist)
    sandbox.twine(new, dist / third.filename).ok()
    sandbox.trust(new)
    venv = sandbox.venv()
    sandbox.install("pip", venv, "tool", "part").ok()
    assert venv.installed() == {"tool": "3.0", "part": "1.0"}
    now = json.loads((new.tree / "metadata" / "timestamp.json").read_bytes())["signed"]
    assert now["_wheelmark"]["journal"] == timestamp["_wheelmark"]["journal"] + 1, "behind what was followed"
    assert now["version"] > timestamp["version"]

    # What was decided holds: names stay taken, states and yanks are what they were.
    other = wheel("part", "0.9", says="other bytes")
    other.write(dist)
    sandbox.twine(new, dist / other.filename).failed()
    files = {f["filename"]: f for f in ok(new, "files", "tool")["files"]}
    assert files[FIRST.filename]["yanked"] == "old"
    assert ok(new, "status", "held")["status"] == "quarantined"
    ok(new, "status", "held", "active")
    ok(new, "unremove", "part", "0.9", "--yes")
    sandbox.install("pip", sandbox.venv(), "held", "part==0.9").ok()
    assert ok(new, "audit")["sound"] is True


@pytest.fixture
def released(make_index, binary: Path, tmp_path: Path) -> tuple[Index, Developer]:
    """An index with a claimed project, whose release brought more files than the journal has rows."""
    index: Index = make_index(env=CLAIMS).start()
    index.publish(wheel("acme-tools", "1.0", says="one"), HELD)
    developer = Developer(tmp_path / "developer", binary, index)
    developer.claim("acme-tools").ok()
    developer.publish(*(wheel("acme-tools", f"2.{n}", says=f"two.{n}") for n in range(6))).ok()
    return index, developer


def test_claimed_projects_and_what_their_people_released_are_known(
    released: tuple[Index, Developer], make_index, binary: Path, tmp_path: Path
) -> None:
    index, developer = released
    copy, root = tmp_path / "copy", tmp_path / "root.json"
    subprocess.run(["cp", "-a", str(index.tree), str(copy)], check=True)
    root.write_bytes(index.root_file.read_bytes())
    index.stop()
    new: Index = make_index(fresh=True, env=CLAIMS)
    key = index.data / "online-key"
    told = ok(index, "rebuild", str(copy), "--trust", str(root), "--online-key", str(key), data=new.data)
    assert (told["projects"], told["files"], told["claimed"]) == (2, 8, 1)
    assert ok(new, "audit")["sound"] is True
    keys = new.rows()
    assert [(row[0], row[1]) for row in keys["claim"]] == [("acme-tools", "operator")]
    assert {row[0] for row in keys["developer_key"]} == {developer.keyid}
    new.start()

    # What nobody signed is not published, and what its people sign goes on where it was.
    again = Developer(tmp_path / "again", binary, new)
    late = wheel("acme-tools", "3.0", says="by twine")
    waits = again.sandbox.twine(new, late.write(tmp_path / "late"), "--verbose").ok()
    assert "acme-tools is claimed" in " ".join(waits.text.split()), waits
    assert late.filename not in new.get("simple/acme-tools/").body.decode()
    assert "claimed already" in again.claim("acme-tools").failed().text
    again.key = developer.key
    third = wheel("acme-tools", "3.0", says="three")
    again.publish(third, options=("--key", developer.keyid)).ok()
    venv = again.sandbox.venv()
    again.sandbox.install("pip", venv, "acme-tools", "held").ok()
    assert venv.says("acme_tools") == "three"
    assert ok(new, "audit")["sound"] is True


def test_without_the_key_it_says_so_and_serves(lived: Index, make_index, tmp_path: Path) -> None:
    copy, root = tmp_path / "copy", tmp_path / "root.json"
    subprocess.run(["cp", "-a", str(lived.tree), str(copy)], check=True)
    root.write_bytes(lived.root_file.read_bytes())
    fresh: Index = make_index(fresh=True)
    done = run(lived, "rebuild", str(copy), "--trust", str(root), data=fresh.data)
    assert done.returncode == 0, done
    assert "without the online key nothing is published" in done.stdout and "begin anew" in done.stdout
    assert not (fresh.data / "online-key").exists()
    again = run(lived, "rebuild", str(copy), "--trust", str(root), data=fresh.data)
    assert again.returncode == 1 and "is there already" in again.stderr


def test_what_is_not_whole_or_not_trusted_becomes_none(lived: Index, make_index, tmp_path: Path) -> None:
    copy, root = tmp_path / "copy", tmp_path / "root.json"
    subprocess.run(["cp", "-a", str(lived.tree), str(copy)], check=True)
    root.write_bytes(lived.root_file.read_bytes())
    fresh: Index = make_index(fresh=True)

    def refused(*words: str) -> str:
        done = run(lived, "rebuild", str(copy), *words, data=fresh.data)
        assert done.returncode != 0 and not fresh.data.exists(), done
        return done.stderr

    assert "required" in refused()
    assert "has the fingerprint" in refused("--fingerprint", "0" * 64)
    stranger: Index = make_index(fresh=True).start()
    assert "not whole" in refused("--trust", str(stranger.root_file))
    assert "not the online key" in refused("--trust", str(root), "--online-key", str(stranger.data / "online-key"))
    folder = copy / "targets" / "packages" / "part"
    source = next(p for p in folder.iterdir() if p.name.endswith(SOURCE.filename))
    good = source.read_bytes()
    source.write_bytes(good.replace(good[:1], b"x", 1))
    assert "not whole: 1 finding" in refused("--trust", str(root))
    source.unlink()
    assert "not whole" in refused("--trust", str(root))


def test_behind_a_copy_that_is_newer_nothing_is_built(lived: Index, make_index, tmp_path: Path) -> None:
    copy, backup = tmp_path / "copy", tmp_path / "backup"
    subprocess.run(["cp", "-a", str(lived.tree), str(copy)], check=True)
    assert run(lived, "backup", str(backup)).returncode == 0
    root = tmp_path / "root.json"
    root.write_bytes(lived.root_file.read_bytes())
    fresh: Index = make_index(fresh=True)
    for words in (["rebuild", str(copy), "--trust", str(root)], ["restore", str(backup)]):
        # As new as each other: nothing is said against it.
        done = run(lived, *words, "--newest", str(lived.data), "--newest", lived.index_url, data=fresh.data)
        assert done.returncode == 0, done.stderr
        shutil.rmtree(fresh.data)
    lived.publish(wheel("late", "1.0"))
    for words in (["rebuild", str(copy), "--trust", str(root)], ["restore", str(backup)]):
        for newer in (str(lived.data), lived.index_url):
            done = run(lived, *words, "--newest", newer, data=fresh.data)
            assert done.returncode == 1 and "has a newer state" in done.stderr, done.stderr
            assert not fresh.data.exists()
        done = run(lived, *words, "--newest", "http://127.0.0.1:9/simple/", data=fresh.data)
        assert done.returncode == 1 and "is not known" in done.stderr, done.stderr
        assert not fresh.data.exists()


def test_the_log_of_snapshots_outlives_them(lived: Index, make_index, tmp_path: Path) -> None:
    printed = run(lived, "snapshot-log")
    assert printed.returncode == 0
    log = tmp_path / "published.log"
    log.write_text(printed.stdout)
    lines = printed.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, len(lines) + 1))
    then = time.time() - 7200
    for path in lived.tree.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            os.utime(path, (then, then))
    assert ok(lived, "gc", "--snapshots", "2")["snapshots"]["objects"] == len(lines) - 2
    lived.publish(wheel("late", "1.0"))
    now = run(lived, "snapshot-log").stdout.splitlines()
    assert now[: len(lines)] == lines and len(now) == len(lines) + 1
    assert run(lived, "snapshot-log", "--since", str(len(lines))).stdout.splitlines() == now[len(lines) :]
    assert ok(lived, "snapshot-log", "--check", str(log))["agrees"] is True
    command = [str(lived.binary), "index", "snapshot-log", "--check", "-", "--data", str(lived.data)]
    for text, code in [(log.read_text(), 0), (f"99 {'1' * 64} x\n", 1), ("what?\n", 2)]:
        piped = subprocess.run(command, input=text, env=lived.env, capture_output=True, text=True, timeout=60)
        assert piped.returncode == code, piped.stdout + piped.stderr

    # Somebody rewrote the third one, or put the index back.
    log.write_text("\n".join([*lines[:2], "3 " + "0" * 64 + " x", *lines[3:], "99 " + "1" * 64 + " x"]))
    differs = run(lived, "snapshot-log", "--check", str(log))
    assert differs.returncode == 1 and "differs from line 3 on" in differs.stdout
    assert "put back to an older state" in differs.stdout
    log.write_text("what is this?\n")
    assert run(lived, "snapshot-log", "--check", str(log)).returncode == 2
