"""`wheelmark recover plan`, `show` and `decide` on an index whose online key was stolen."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.developer import Developer
from harness.distributions import Distribution, sdist, wheel
from harness.index import Index
from harness.online_key import OnlineKey

GOOD = wheel("victim", "1.0", says="good")
LATER = wheel("victim", "1.1", says="good, and later")
EVIL = wheel("victim", "2.0", says="evil")
OTHER = wheel("other", "1.0", says="other")
OWN, OWN_LATER = sdist("owned", "1.0"), sdist("owned", "1.1")
QUIET = wheel("quiet", "1.0", says="nothing happens to it")


class Broken:
    """An index, the backup of a good day, a copy of an hour later, and what a thief made of it since."""

    def __init__(self, index: Index, folder: Path, binary: Path) -> None:
        self.index, self.folder = index, folder
        index.publish(GOOD, OTHER, OWN, QUIET)
        developer = Developer(folder / "developer", binary, index)
        developer.claim("owned").ok()
        self.good = folder / "good"
        self.run("index", "backup", str(self.good), "--data", str(index.data))
        index.publish(LATER)
        developer.publish(OWN_LATER).ok()
        self.copy = folder / "copy"
        self.run("index", "backup", str(self.copy), "--data", str(index.data))
        index.stop()
        thief = OnlineKey(index)
        self.before = thief.published().signed.version
        page = thief.page("victim")
        page["files"].append(entry_like(page["files"][0], EVIL))
        page["versions"].append("2.0")
        gone = thief.page("other")
        gone["files"], gone["versions"] = [], []
        evil = {f"packages/victim/{EVIL.filename}": EVIL.content, f"packages/other/{OTHER.filename}": None}
        thief.rewrite([page, gone], evil, above=1 << 30)

    def run(self, *words: str, code: int = 0) -> str:
        command = [str(self.index.binary), *words]
        done = subprocess.run(
            command, env=self.index.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120
        )
        assert done.returncode == code, f"{words}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def plan(self, out: Path, *options: str, good: str | None = None, code: int = 0) -> str:
        words = ["recover", "plan", "--data", str(self.index.data), "--last-good", good or str(self.good)]
        return self.run(*words, "-o", str(out), *options, code=code)


def entry_like(entry: dict, dist: Distribution) -> dict:
    """A file of the thief's, in a page that he signs."""
    entry = copy.deepcopy(entry)
    entry["filename"], entry["hashes"], entry["size"] = dist.filename, {"sha256": dist.sha256}, len(dist.content)
    entry["url"] = f"../../packages/{dist.project}/{dist.filename}"
    entry.pop("core-metadata", None)
    return entry


def read(recovery: Path) -> dict:
    return json.loads((recovery / "plan.json").read_bytes())


def changes(plan: dict) -> set[tuple[str, str, str | None]]:
    return {
        (project["project"], change["what"], change["file"])
        for project in plan["projects"]
        for change in project["changes"]
    }


def supports(plan: dict) -> dict[str | None, list[str]]:
    return {
        change["file"]: [support["by"] for support in change["supports"]]
        for project in plan["projects"]
        for change in project["changes"]
    }


FOUND = {
    ("victim", "added", LATER.filename),
    ("victim", "added", EVIL.filename),
    ("other", "vanished", OTHER.filename),
    ("owned", "added", OWN_LATER.filename),
}


@pytest.fixture(scope="module")
def broken(shared_index: Index, binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Broken:
    shared_index.stop()
    shared_index.env["WHEELMARK_INDEX_CLAIMS"] = "on"
    shared_index.start()
    return Broken(shared_index, tmp_path_factory.mktemp("broken"), binary)


def test_everything_that_changed_is_planned_and_nothing_else(broken: Broken, tmp_path: Path) -> None:
    tree = {path: path.read_bytes() for path in broken.index.tree.rglob("*") if path.is_file()}
    recovery = tmp_path / "recovery"
    said = broken.plan(recovery, "--copy", str(broken.copy))
    plan = read(recovery)
    assert changes(plan) == FOUND
    # The project's own keys are not sealed: nothing is decided by itself.
    told = supports(plan)
    assert told == {
        LATER.filename: ["copies"],
        EVIL.filename: [],
        OTHER.filename: [],
        OWN_LATER.filename: ["developer", "copies"],
    }
    assert {change["role"] for change in plan["roles"] if change["what"] == "fast-forward"} >= {"snapshot", "timestamp"}
    assert plan["claims"] == [] and plan["last-good"]["root"] == 1
    # What is gone without a trace can only come back.
    assert "4 changes in 3 projects" in said and "0 kept, 1 dropped, 3 undecided" in said, said
    assert tree == {path: path.read_bytes() for path in broken.index.tree.rglob("*") if path.is_file()}

    # The tree of the last good state needs nothing but the files that the index lacks.
    good = recovery / "last-good"
    snapshot = plan["last-good"]["snapshot"]["version"]
    assert (good / "metadata" / f"{snapshot}.snapshot.json").is_file()
    assert not (good / "metadata" / "timestamp.json").exists()
    pages = sorted(path.name for path in (good / "targets" / "simple").iterdir())
    assert pages == ["other", "owned", "quiet", "victim"]
    assert not (good / "targets" / "packages").exists()


def test_files_that_the_index_lacks_are_brought(broken: Broken, tmp_path: Path) -> None:
    (quiet,) = (broken.index.tree / "targets" / "packages" / "quiet").glob(f"*.{QUIET.filename}")
    (other,) = (broken.index.tree / "targets" / "packages" / "other").glob(f"*.{OTHER.filename}")
    content = {path: path.read_bytes() for path in (quiet, other)}
    other.chmod(0o644)
    quiet.unlink()
    other.unlink()
    other.write_bytes(b"x" * len(content[other]))
    try:
        recovery = tmp_path / "recovery"
        broken.plan(recovery)
        for path, bytes_of in content.items():
            brought = recovery / "last-good" / path.relative_to(broken.index.tree)
            assert brought.read_bytes() == bytes_of
        lost = broken.plan(tmp_path / "lost", good=str(broken.before), code=1)
        assert "neither in it nor in the index" in lost and QUIET.filename in lost, lost
        assert not (tmp_path / "lost" / "plan.json").exists()
    finally:
        other.unlink()
        for path, bytes_of in content.items():
            path.write_bytes(bytes_of)


def test_decisions_are_made_by_rules_and_kept_when_it_is_planned_again(broken: Broken, tmp_path: Path) -> None:
    recovery = tmp_path / "recovery"
    # A snapshot of the index's own tree: the last one before the thief.
    broken.plan(recovery, "--copy", str(broken.copy), good=str(broken.before))
    assert changes(read(recovery)) == {("victim", "added", EVIL.filename), ("other", "vanished", OTHER.filename)}
    broken.plan(recovery, "--copy", str(broken.copy))
    assert changes(read(recovery)) == FOUND

    said = broken.run("recover", "show", str(recovery), "--undecided", code=3)
    assert f"added        {EVIL.filename}  [index]  nothing speaks for it" in said, said
    broken.run("recover", "decide", str(recovery), "--keep", "copies=2", code=3)
    said = broken.run("recover", "decide", str(recovery), "--keep", "supported", code=3)
    assert said.startswith("1 decided now"), said
    broken.run("recover", "decide", str(recovery), "--keep", "copies=1", code=3)
    said = broken.run("recover", "decide", str(recovery), "--drop", "unsupported")
    assert "2 kept, 2 dropped, 0 undecided" in said and "everything is decided" in said, said
    kept = {
        change["file"]: change["decision"] for project in read(recovery)["projects"] for change in project["changes"]
    }
    expected = {LATER.filename: "keep", OWN_LATER.filename: "keep", EVIL.filename: "drop", OTHER.filename: "drop"}
    assert kept == expected
    broken.run("recover", "show", str(recovery))

    said = broken.plan(recovery, "--copy", str(broken.copy))
    assert "4 as in the plan before" in said, said
    # Where the copy has gone on, out of the folder itself; and a copy that is none is left out, and told of.
    before, good = read(recovery), recovery / "last-good"
    tree = {path.relative_to(good): path.read_bytes() for path in good.rglob("*") if path.is_file()}
    copies = ["--copy", str(tmp_path / "nowhere"), "--copy", str(broken.copy)]
    said = broken.plan(recovery, *copies, good=str(good))
    assert "4 as in the plan before" in said and f"left out  {tmp_path / 'nowhere'}" in said, said
    again = read(recovery)
    # That tree has no timestamp, of whose version nothing can be said then.
    before["roles"] = [change for change in before["roles"] if change["role"] != "timestamp"]
    assert {**again, "made": None} == {**before, "made": None}
    assert tree == {path.relative_to(good): path.read_bytes() for path in good.rglob("*") if path.is_file()}
    # What others could have decided is nobody's decision.
    recovery.chmod(0o777)
    for said in (
        broken.plan(recovery, good=str(good), code=1),
        broken.run("recover", "decide", str(recovery), "--drop", "all", code=1),
    ):
        assert "may be somebody else's word" in said and "chmod go-w" in said, said
    recovery.chmod(0o700)
    broken.run("recover", "decide", str(recovery), "--project", "victim", "--drop")
    assert "1 kept, 3 dropped" in broken.run("recover", "show", str(recovery))
    said = broken.run("recover", "decide", str(recovery), "--project", "quiet", "--keep", code=1)
    assert "nothing of quiet changed" in said, said


def test_what_is_no_last_good_state_is_refused(broken: Broken, tmp_path: Path, first_run: Index) -> None:
    said = broken.plan(tmp_path / "a", good=str(tmp_path / "nowhere"), code=1)
    assert "is no copy of an index" in said, said
    torn = tmp_path / "torn"
    shutil.copytree(broken.good / "repository", torn)
    bin_file = max((torn / "metadata").glob("*.simple-*.json"), key=lambda path: path.stat().st_size)
    bin_file.write_bytes(bin_file.read_bytes().replace(b"simple/", b"sample/", 1))
    said = broken.plan(tmp_path / "b", good=str(torn), code=1)
    assert "is not there as it was signed" in said, said
    assert not (tmp_path / "b" / "plan.json").exists()
    said = broken.plan(tmp_path / "c", good="999999999999", code=1)
    assert "is not before the published one" in said, said
    used = tmp_path / "used"
    used.mkdir()
    (used / "file").write_text("somebody's")
    said = broken.plan(used, code=1)
    assert "is not empty, and no recovery" in said, said
