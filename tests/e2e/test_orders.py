"""What whoever runs an index does to files and projects, and what pip, uv, twine and uv publish see of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from harness.distributions import Distribution, sdist, wheel
from harness.index import Index
from harness.sandbox import Sandbox
from harness.tuf_reader import TufReader
from harness.upload import upload

OLD = wheel("tool", "1.0", says="old")
NEW = wheel("tool", "2.0", says="new")
SOURCE = sdist("tool", "2.0")


def order(index: Index, *words: str, code: int = 0) -> dict:
    """`wheelmark index …` for this index; what it says as JSON."""
    command = [str(index.binary), "index", *words, "--data", str(index.data), "--json"]
    run = subprocess.run(command, env=index.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    assert run.returncode == code, f"{run.returncode}: {run.stdout}{run.stderr}"
    return json.loads(run.stdout) if run.stdout.strip() else {"said": run.stderr}


def page(index: Index, project: str = "tool") -> dict:
    return index.get(f"simple/{project}/", Accept="application/vnd.pypi.simple.v1+json").json()


def listed(index: Index, project: str = "tool") -> list[str]:
    return [file["filename"] for file in page(index, project)["files"]]


def uploads_say(index: Index, sandbox: Sandbox, dist: Distribution, *expected: str) -> None:
    """twine and uv publish show the reason to whoever uploads."""
    folder = sandbox.work / f"dist-{dist.sha256[:12]}"
    dist.write(folder)
    file = folder / dist.filename
    for run in (sandbox.twine(index, file), sandbox.uv_publish(index, file)):
        said = " ".join(run.failed().text.split())
        for words in expected:
            assert words in said, f"{words!r} is not in: {run}"


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_yank_is_respected(index: Index, sandbox: Sandbox, tool: str) -> None:
    index.publish(OLD, NEW)
    told = order(index, "yank", "tool", "2.0", "--reason", "eats the disk")
    assert [entry["published"] for entry in told["orders"]] == [True]
    assert {f["filename"]: f["yanked"] for f in page(index)["files"]} == {OLD.filename: False, NEW.filename: "eats the disk"}
    info = index.get("pypi/tool/json").json()
    assert info["info"]["version"] == "1.0"
    assert info["releases"]["2.0"][0]["yanked_reason"] == "eats the disk"
    sandbox.trust(index)
    venv = sandbox.venv()
    sandbox.install(tool, venv, "tool").ok()
    assert venv.installed() == {"tool": "1.0"}
    sandbox.install(tool, venv, "tool==2.0").ok()
    assert venv.installed() == {"tool": "2.0"}, "by its exact version it is still there"

    order(index, "unyank", "tool", NEW.filename)
    assert not any(f["yanked"] for f in page(index)["files"])


def test_removed_is_gone_and_the_name_is_never_free(index: Index, sandbox: Sandbox, tmp_path: Path) -> None:
    index.publish(OLD, NEW, SOURCE)
    refused = order(index, "remove", "tool", "2.0", code=1)
    assert "--yes" in refused["said"], "nobody is there to be asked"
    told = order(index, "remove", "tool", "2.0", "--yes")
    assert {entry["subject"] for entry in told["orders"]} == {NEW.filename, SOURCE.filename}
    assert len({entry["snapshot_version"] for entry in told["orders"]}) == 1, "in one snapshot"
    assert listed(index) == [OLD.filename]
    assert index.get(f"packages/tool/{NEW.filename}").status == 404
    reader = TufReader(index, tmp_path)
    assert reader.lists(f"packages/tool/{NEW.filename}") is None
    assert "2.0" not in index.get("pypi/tool/json").json()["releases"]
    sandbox.trust(index)
    venv = sandbox.venv()
    assert sandbox.install("pip", venv, "tool==2.0").code != 0
    assert sandbox.install("uv", venv, "tool==2.0").code != 0

    uploads_say(index, sandbox, wheel("tool", "2.0", says="other"), "there with other contents")
    uploads_say(index, sandbox, NEW, "was removed from this index")
    # Whatever happens to the catalogue, the signed page remembers.
    rows = order(index, "files", "tool")["files"]
    assert [(r["filename"], r["removed_at"] is not None) for r in rows] == [
        (OLD.filename, False), *sorted([(NEW.filename, True), (SOURCE.filename, True)])
    ]

    order(index, "unremove", "tool", NEW.filename)
    assert listed(index) == [OLD.filename, NEW.filename]
    sandbox.install("uv", venv, "tool==2.0").ok()
    assert venv.says("tool") == "new"
    order(index, "remove", "tool", "--yes")
    assert listed(index) == []
    assert "has no file" in order(index, "remove", "tool", "--yes", code=1)["said"]


def test_archived_takes_no_files(index: Index, sandbox: Sandbox) -> None:
    index.publish(OLD)
    order(index, "status", "tool", "archived", "--reason", "use the other one")
    said = page(index)
    assert said["project-status"] == {"status": "archived", "reason": "use the other one"}
    assert said["meta"]["api-version"] == "1.4"
    assert listed(index) == [OLD.filename]
    html = index.get("simple/tool/", Accept="text/html").body.decode()
    assert '<meta name="pypi:project-status" content="archived">' in html
    assert '<meta name="pypi:project-status-reason" content="use the other one">' in html
    uploads_say(index, sandbox, NEW, "archived", "use the other one")
    assert upload(index.upload_url, index.token, OLD).status == 200, "it is there"
    sandbox.trust(index)
    for tool in ("pip", "uv"):
        venv = sandbox.venv()
        sandbox.install(tool, venv, "tool").ok()
        assert venv.installed() == {"tool": "1.0"}
    shown = sandbox.wheelmark("explain", "tool").ok().text
    assert "archived" in shown and "use the other one" in shown
    order(index, "status", "tool", "active")
    assert "project-status" not in page(index)
    index.publish(NEW)


def test_quarantined_lists_nothing_and_comes_back(index: Index, sandbox: Sandbox, tmp_path: Path) -> None:
    index.publish(OLD, NEW)
    sandbox.trust(index)
    order(index, "status", "tool", "quarantined", "--reason", "malware")
    assert listed(index) == []
    assert page(index)["versions"] == []
    assert index.get("pypi/tool/json").json()["releases"] == {}
    assert index.get(f"packages/tool/{OLD.filename}").status == 404
    assert TufReader(index, tmp_path / "now").lists(f"packages/tool/{OLD.filename}") is None
    for tool in ("pip", "uv"):
        assert sandbox.install(tool, sandbox.venv(), "tool").code != 0
    uploads_say(index, sandbox, wheel("tool", "3.0"), "quarantined", "malware")
    assert order(index, "status", "tool")["withheld"] == 2
    assert all(row["withheld"] for row in order(index, "files", "tool")["files"])

    order(index, "status", "tool", "deprecated", "--reason", "it was a mistake")
    assert listed(index) == [OLD.filename, NEW.filename]
    assert page(index)["project-status"]["status"] == "deprecated"
    for tool in ("pip", "uv"):
        venv = sandbox.venv()
        sandbox.install(tool, venv, "tool").ok()
        assert venv.says("tool") == "new"


def test_without_a_running_index(index: Index) -> None:
    """The command publishes by itself; without the key, the next start does."""
    index.publish(OLD, NEW)
    index.stop()
    told = order(index, "yank", "tool", "1.0")
    assert told["waiting"] == 0 and told["orders"][0]["published"]
    key = index.data / "online-key"
    key.rename(index.data.parent / "elsewhere")
    told = order(index, "remove", "tool", "1.0", "--yes", code=3)
    assert told["waiting"] == 1
    (index.data.parent / "elsewhere").rename(key)
    index.start()
    # An order that comes after it is answered when both are done.
    order(index, "yank", "tool", "2.0")
    assert listed(index) == [NEW.filename]
    refused = order(index, "yank", "tool", "2.0", "--online-key", str(key) + ".typo", code=1)
    assert "online-key.typo" in refused["said"], "a key that is named has to be there"
    refused = order(index, "unremove", "tool", "1.0", code=1)
    assert "--yes" in refused["said"], "nobody is there to be shown what comes back"
    order(index, "unremove", "tool", "1.0", "--yes")
    by_name = {file["filename"]: file["yanked"] for file in page(index)["files"]}
    assert by_name[OLD.filename], "it comes back yanked, as it was"
    refused = order(index, "yank", "tool", "9.0", code=1)
    assert "has no version 9.0" in refused["said"]
    assert "no project nothing" in order(index, "files", "nothing", code=1)["said"]


def test_who_asked_is_in_the_log(index: Index) -> None:
    index.publish(OLD)
    order(index, "yank", "tool", "1.0", "--reason", "broken")
    order(index, "status", "tool", "archived")
    rows = index.rows()["audit"]
    said = [row for row in rows if "file-yanked" in row or "status-changed" in row]
    assert len(said) == 2 and OLD.filename in said[0] and "broken" in said[0]
