"""What the index takes away from projects whose own people sign for them, and that it cannot add anything."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_claims import BOTH, Developer, Thief, explained, newest
from test_orders import listed, order, page
from tuf.api.metadata import Metadata, TargetFile, Targets

from harness.distributions import Distribution, wheel
from harness.index import Index
from harness.sandbox import Outcome, Sandbox
from harness.tuf_reader import TufReader

OLD = wheel("acme-tools", "1.0", says="old")
NEW = wheel("acme-tools", "2.0", says="new")
EVIL = wheel("acme-tools", "99.0", says="evil")
PROJECT = "acme-tools"


@pytest.fixture
def index(make_index) -> Index:
    """One whose owners may claim their projects."""
    return make_index(env={"WHEELMARK_INDEX_CLAIMS": "on"}).start()


@pytest.fixture
def developer(index: Index, tmp_path: Path, binary: Path) -> Developer:
    """Somebody who has claimed a project with two versions."""
    developer = Developer(tmp_path / "developer", binary, index)
    index.publish(OLD)
    developer.claim(PROJECT).ok()
    developer.publish(NEW).ok()
    return developer


def installs(sandbox: Sandbox, tool: str, *what: object) -> tuple[Outcome, str | None]:
    """The answer, and which of the files was installed."""
    venv = sandbox.venv()
    done = sandbox.install(tool, venv, *(what or (PROJECT,)))
    return done, venv.says("acme_tools") if venv.installed() else None


ASK = """
import os, sys, urllib.error, urllib.request
base = os.environ["PIP_INDEX_URL"].rstrip("/").removesuffix("/simple")
try:
    print(urllib.request.urlopen(base + sys.argv[1]).status)
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
"""


def asks_for(sandbox: Sandbox, dist: Distribution) -> str:
    """What the client answers to an installer that knows a file by its name alone."""
    path = f"/packages/{dist.project}/{dist.filename}"
    return sandbox.wheelmark("exec", "--", sandbox.venv().python, "-c", ASK, path).out


@BOTH
def test_withdrawn_yanked_restored_and_quarantined(
    index: Index, developer: Developer, sandbox: Sandbox, tmp_path: Path, tool: str
) -> None:
    sandbox.trust(index)
    done, said = installs(sandbox, tool)
    assert done.ok() and said == "new"
    signed = index.get(f"metadata/2.project-{PROJECT}.json").body

    # Withdrawn, as after a theft of keys: what came since then. Nobody is given it, by whichever way they ask.
    times = {file["filename"]: file["upload-time"] for file in page(index, PROJECT)["files"]}
    assert times[OLD.filename] < times[NEW.filename]
    none = order(index, "remove", PROJECT, "--since", "2999-01-01T00:00:00Z", "--yes", code=1)["said"]
    assert "no file that came in since 2999" in none, none
    order(index, "remove", PROJECT, "--since", times[NEW.filename], "--yes", "--reason", "it eats the disk")
    assert listed(index, PROJECT) == [OLD.filename]
    assert index.get(f"packages/{PROJECT}/{NEW.filename}").status == 404
    assert "2.0" not in index.get(f"pypi/{PROJECT}/json").json()["releases"]
    done, said = installs(sandbox, tool)
    assert done.ok() and said == "old"
    done, said = installs(sandbox, tool, f"{PROJECT}==2.0")
    assert done.failed() and said is None
    told = asks_for(sandbox, NEW)
    assert told.startswith("409") and "has withdrawn it" in told and "it eats the disk" in told, told
    shown = sandbox.wheelmark("explain", PROJECT).ok()
    assert "Taken away by the index" in shown.out and "it eats the disk" in shown.out, shown
    assert "1 version that is newer is not to be had: 2.0" in shown.out, shown
    taken = explained(sandbox, PROJECT)["taken_away"]
    assert [(f["file"], f["sha256"], f["reason"]) for f in taken["withdrawn"]] == [
        (NEW.filename, NEW.sha256, "it eats the disk")
    ]
    assert taken["newer_versions"] == ["2.0"]

    # What its people have signed stands as it did: other clients find it there.
    assert index.get(f"metadata/2.project-{PROJECT}.json").body == signed
    reader = TufReader(index, tmp_path / "reader")
    names = [file["filename"] for file in json.loads(reader.page(PROJECT))["files"]]
    assert names == [OLD.filename, NEW.filename]

    # It comes back as it was, is yanked, and is not.
    order(index, "unremove", PROJECT, "2.0", "--yes")
    assert index.get(f"packages/{PROJECT}/{NEW.filename}").body == NEW.content
    order(index, "yank", PROJECT, "2.0", "--reason", "breaks")
    assert {f["filename"]: f["yanked"] for f in page(index, PROJECT)["files"]} == {OLD.filename: False, NEW.filename: "breaks"}
    done, said = installs(sandbox, tool)
    assert done.ok() and said == "old"
    done, said = installs(sandbox, tool, f"{PROJECT}==2.0")
    assert done.ok() and said == "new"
    order(index, "unyank", PROJECT, "2.0")

    # A quarantined project lists nothing, and takes nothing.
    order(index, "status", PROJECT, "quarantined", "--reason", "malware")
    assert listed(index, PROJECT) == []
    done, said = installs(sandbox, tool)
    assert done.failed() and said is None
    told = asks_for(sandbox, OLD)
    assert told.startswith("409") and "has quarantined the project" in told and "malware" in told, told
    refused = developer.publish(wheel("acme-tools", "3.0")).failed()
    assert "quarantined" in refused.text, refused
    order(index, "status", PROJECT, "active")
    done, said = installs(sandbox, tool)
    assert done.ok() and said == "new"
    assert explained(sandbox, PROJECT)["taken_away"] is None


def test_the_project_goes_on_with_what_it_has_signed(index: Index, developer: Developer, sandbox: Sandbox) -> None:
    order(index, "remove", PROJECT, "2.0", "--yes")
    refused = developer.publish(NEW).failed()
    assert "the index has taken it away" in refused.err, refused
    third = wheel("acme-tools", "3.0", says="third")
    done = developer.publish(third).ok()
    assert "keeps 2 files as they are" in done.out, "its next page has what it had signed"
    assert listed(index, PROJECT) == [OLD.filename, third.filename]
    # When the claim ends, the page that the index signs is the one that everybody saw.
    order(index, "project", "unclaim", PROJECT)
    assert listed(index, PROJECT) == [OLD.filename, third.filename]
    sandbox.trust(index)
    done, said = installs(sandbox, "pip", f"{PROJECT}==2.0")
    assert done.failed() and said is None
    order(index, "unremove", PROJECT, "2.0", "--yes")
    done, said = installs(sandbox, "pip", f"{PROJECT}==2.0")
    assert done.ok() and said == "new"


def test_a_lock_says_what_was_taken_away(index: Index, developer: Developer, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.trust(index)
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"acme-tools==2.0 --hash=sha256:{NEW.sha256}\n")
    sandbox.wheelmark("verify", lock).ok()
    order(index, "remove", PROJECT, "2.0", "--yes")
    told = sandbox.wheelmark("verify", lock).failed()
    assert "took it away" in told.text, told


def test_the_tree_is_sound_and_a_copy_of_it_shows_the_same(
    index: Index, developer: Developer, sandbox: Sandbox, tmp_path: Path
) -> None:
    order(index, "remove", PROJECT, "2.0", "--yes")
    order(index, "yank", PROJECT, "1.0", "--reason", "old")
    audited = sandbox.run(index.binary, "index", "audit", "--data", index.data).ok()
    assert audited
    sandbox.trust(index)
    copy = tmp_path / "copy"
    sandbox.wheelmark("mirror", index.index_url, copy).ok()
    tree = copy if (copy / "metadata").exists() else copy / "tree"
    shown = json.loads((tree / "simple" / PROJECT / "index.json").read_text())
    assert [(file["filename"], file["yanked"]) for file in shown["files"]] == [(OLD.filename, "old")]
    assert not (tree / "packages" / PROJECT / NEW.filename).exists()
    order(index, "unremove", PROJECT, "2.0", "--yes")
    sandbox.wheelmark("mirror", index.index_url, copy).ok()
    assert (tree / "packages" / PROJECT / NEW.filename).read_bytes() == NEW.content


class StatusThief(Thief):
    """Has the online key, and says through `status` what an honest index would not."""

    def says(self, content: bytes) -> None:
        path = f"status/{PROJECT}.json"
        folder = self.index.tree / "targets" / "status"
        folder.mkdir(exist_ok=True)
        (folder / f"{hashlib.sha256(content).hexdigest()}.{PROJECT}.json").write_bytes(content)
        target = TargetFile.from_data(path, content, ["sha256"])
        self.publish({"status": lambda role: role.targets.update({path: target})})

    def shows(self, change: Callable[[dict], None], dist: Distribution | None = None) -> None:
        """What installers get that verify nothing: the copy of the page, and a file."""
        copy = self.index.tree / "simple" / PROJECT
        shown = json.loads((copy / "index.json").read_text())
        change(shown)
        (copy / "index.json").write_text(json.dumps(shown))
        (copy / "index.html").unlink()
        if dist:
            name = self.index.tree / "packages" / PROJECT / dist.filename
            name.unlink(missing_ok=True)
            name.write_bytes(dist.content)


def entry(dist: Distribution) -> dict:
    return {
        "filename": dist.filename,
        "url": f"../../packages/{PROJECT}/{dist.filename}",
        "hashes": {"sha256": dist.sha256},
        "size": len(dist.content),
        "upload-time": "2026-01-01T00:00:00Z",
        "yanked": False,
    }


@pytest.fixture
def thief(index: Index, developer: Developer) -> StatusThief:
    return StatusThief(index)


def plainly(sandbox: Sandbox, index: Index) -> str | None:
    venv = sandbox.venv()
    sandbox.plain_pip(venv, index.index_url, "--no-deps", "--no-cache-dir", PROJECT)
    return venv.says("acme_tools") if venv.installed() else None


@BOTH
def test_status_adds_no_file(index: Index, thief: StatusThief, sandbox: Sandbox, tool: str) -> None:
    sandbox.trust(index)
    index.stop()
    forged = {"files": [entry(EVIL)], "project": PROJECT}
    thief.says(json.dumps(forged, separators=(",", ":"), sort_keys=True).encode())
    thief.shows(lambda shown: shown["files"].append(entry(EVIL)), EVIL)
    index.start()
    assert plainly(sandbox, index) == "evil", "who verifies nothing takes what the copy shows"
    done, said = installs(sandbox, tool)
    assert said is None and "which this version does not know" in done.failed().text, done


@BOTH
def test_status_changes_no_hash(index: Index, thief: StatusThief, sandbox: Sandbox, tool: str) -> None:
    sandbox.trust(index)
    index.stop()
    other = wheel("acme-tools", "2.0", says="other")
    taken = {"at": "2026-01-01T00:00:00Z", "sha256": other.sha256}
    forged = {"project": PROJECT, "withdrawn": {NEW.filename: taken}, "yanked": {NEW.filename: taken}}
    thief.says(json.dumps(forged, separators=(",", ":"), sort_keys=True).encode())

    def swap(shown: dict) -> None:
        shown["files"] = [f for f in shown["files"] if f["filename"] != NEW.filename] + [entry(other)]

    thief.shows(swap, other)
    index.start()
    assert plainly(sandbox, index) == "other", "who verifies nothing takes what the copy shows"
    done, said = installs(sandbox, tool)
    assert done.ok() and said == "new", "the list is about another file of that name"


@BOTH
def test_status_takes_no_yank_back_that_the_project_has_signed(
    index: Index, sandbox: Sandbox, tmp_path: Path, binary: Path, tool: str
) -> None:
    index.publish(OLD, NEW)
    order(index, "yank", PROJECT, "2.0", "--reason", "breaks")
    Developer(tmp_path / "developer", binary, index).claim(PROJECT).ok()
    refused = order(index, "unyank", PROJECT, "2.0", code=1)
    assert "their keys must sign this change" in refused["orders"][0]["refused"]
    sandbox.trust(index)
    thief = StatusThief(index)
    index.stop()
    thief.says(json.dumps({"project": PROJECT}, separators=(",", ":")).encode())
    thief.shows(lambda shown: [file.update(yanked=False) for file in shown["files"]])
    index.start()
    assert plainly(sandbox, index) == "new", "who verifies nothing takes what the copy shows"
    done, said = installs(sandbox, tool)
    assert done.ok() and said == "old"


def test_without_the_role_the_project_is_refused_and_an_empty_one_gives_back(
    index: Index, developer: Developer, sandbox: Sandbox, tmp_path: Path, binary: Path
) -> None:
    sandbox.trust(index)
    order(index, "remove", PROJECT, "2.0", "--yes")
    done, said = installs(sandbox, "pip")
    assert done.ok() and said == "old"
    # Who keeps the role from readers keeps the project from them.
    (role,) = index.tree.glob(f"metadata/{newest(index)['status']}.status.json")
    kept = role.read_bytes()
    older = Metadata[Targets].from_bytes(kept)
    older.signed.targets.clear()
    for number, content in enumerate([None, older.to_bytes()]):
        role.unlink(missing_ok=True)
        # An older list, which somebody in between shows, is not the one that the snapshot names.
        if content is not None:
            role.write_bytes(content)
        fresh = Sandbox(tmp_path / f"fresh-{number}", binary)
        fresh.trust(index)
        done, said = installs(fresh, "pip")
        assert said is None and "status" in done.failed().text, done
    role.unlink()
    role.write_bytes(kept)
    # Whoever has the online key can take back what was taken away: docs/threat-model.md says so.
    index.stop()
    thief = StatusThief(index)
    thief.publish({"status": lambda role: role.targets.clear()})
    index.start()
    done, said = installs(sandbox, "pip")
    assert done.ok() and said == "new"
