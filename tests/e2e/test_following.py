"""Files that go, come back, are yanked, or were there before: what readers of the index see of it.

The journal's rows are written as the part of Wheelmark that follows another index writes them.
"""

from __future__ import annotations

import json
import time

import pytest

from harness.distributions import Distribution, wheel
from harness.index import Index, open_database
from harness.sandbox import Sandbox
from harness.upload import upload

OLD, NEW = wheel("demo", "1.0"), wheel("demo", "2.0")
JSON = "application/vnd.pypi.simple.v1+json"


def ask(index: Index, kind: str, **change: object) -> None:
    """Appends to the journal, and waits for the outcome, which must be good."""
    with open_database(index.database) as database:
        row = database.execute(
            "insert into journal (change) values (?)", (json.dumps({"kind": kind, **change}),)
        ).lastrowid
        database.commit()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = database.execute("select refused from outcome where seq = ?", (row,)).fetchone()
            if found:
                assert found == (None,), found
                return
            time.sleep(0.05)
    raise AssertionError(f"{kind} {change}: no outcome")


def remove(index: Index, dist: Distribution) -> None:
    ask(index, "file-removed", project=dist.project, filename=dist.filename)


def page(index: Index) -> dict:
    return index.get("simple/demo/", Accept=JSON).json()


def listed(index: Index) -> list[str]:
    return [file["filename"] for file in page(index)["files"]]


def plain(dist: Distribution) -> str:
    return f"packages/{dist.project}/{dist.filename}"


@pytest.fixture
def two(index: Index) -> Index:
    index.publish(OLD, NEW)
    return index


def test_a_removed_file_is_gone_for_installers(two: Index, sandbox: Sandbox) -> None:
    sandbox.trust(two)
    remove(two, NEW)
    assert listed(two) == [OLD.filename]
    assert page(two)["versions"] == ["1.0"]
    assert NEW.filename not in two.get("simple/demo/", Accept="text/html").body.decode()
    assert two.get(plain(NEW)).status == two.get(plain(NEW) + ".metadata").status == 404
    assert two.get(plain(OLD)).status == two.get(plain(OLD) + ".metadata").status == 200
    verified, unverified = sandbox.venv(), sandbox.venv()
    sandbox.install("pip", verified, "demo").ok()
    assert verified.installed()["demo"] == "1.0"
    sandbox.plain_pip(unverified, two.index_url, "demo").ok()
    assert unverified.installed()["demo"] == "1.0"

    said = json.loads(sandbox.wheelmark("explain", "--json", "demo==2.0").out)
    assert [file["file"] for file in said["removed"]] == [NEW.filename]
    assert said["page"]["files"] == said["page"]["removed"] == 1
    told = sandbox.wheelmark("explain", "demo==2.0")
    assert told.code == 1 and f"{NEW.filename} was removed on" in told.out

    remove(two, OLD)
    assert listed(two) == [] and page(two)["versions"] == []
    assert "demo" in two.get("simple/", Accept="text/html").body.decode()
    assert "demo" not in sandbox.install("pip", sandbox.venv(), "demo").failed().out.split("Successfully")[1:]


def test_a_removed_name_is_taken_with_its_bytes_alone(two: Index, sandbox: Sandbox) -> None:
    remove(two, NEW)
    other = wheel("demo", "2.0", says="other")
    refused = upload(two.upload_url, two.token, other)
    assert refused.status == 400 and NEW.sha256 in str(refused), refused
    assert listed(two) == [OLD.filename]
    sandbox.twine(two, other.write(sandbox.folder)).failed()

    again = upload(two.upload_url, two.token, NEW)
    assert again.status == 200, again
    assert listed(two) == [OLD.filename, NEW.filename]
    assert two.get(plain(NEW)).body == NEW.content
    # And a restart finds it all as it is.
    two.stop()
    two.start()
    assert listed(two) == [OLD.filename, NEW.filename]


def test_a_yanked_file_is_shown_and_passed_over(two: Index, sandbox: Sandbox) -> None:
    sandbox.trust(two)
    ask(two, "file-yanked", project="demo", filename=NEW.filename, yanked='broken <"&')
    assert [file["yanked"] for file in page(two)["files"]] == [False, 'broken <"&']
    assert 'data-yanked="broken &lt;&quot;&amp;"' in two.get("simple/demo/", Accept="text/html").body.decode()
    assert two.get(plain(NEW)).status == 200
    venv = sandbox.venv()
    sandbox.install("pip", venv, "demo").ok()
    assert venv.installed()["demo"] == "1.0"

    ask(two, "file-yanked", project="demo", filename=NEW.filename)
    assert [file["yanked"] for file in page(two)["files"]] == [False, False]
    assert "data-yanked" not in two.get("simple/demo/", Accept="text/html").body.decode()


def test_explain_tells_what_was_there_before(two: Index, sandbox: Sandbox) -> None:
    before = wheel("demo", "0.9")
    place = two.tree / "targets" / "packages" / "demo" / f"{before.sha256}.{before.filename}"
    place.write_bytes(before.content)
    ask(
        two,
        "file-added",
        project="demo",
        filename=before.filename,
        sha256=before.sha256,
        size=len(before.content),
        uploaded_at="2019-03-01T12:00:00Z",
        uploaded_by="an import",
        back_signed=True,
    )
    sandbox.trust(two)
    said = json.loads(sandbox.wheelmark("explain", "--json", "demo==0.9").ok().out)
    (file,) = said["files"]
    assert (file["signed"], file["upload_time"]) == ("back", "2019-03-01T12:00:00Z")
    assert file["signed_at"] > "2026"
    assert (said["page"]["signed_back"], said["page"]["signed_at_upload"]) == (1, 2)
    told = sandbox.wheelmark("explain", "demo==0.9").ok().out
    assert "3 files: 2 signed at-upload; 1 signed back, on 2" in told
    assert "signed back, first on 2" in told and "uploaded 2019-03-01" in told
    assert "was there before the index was first signed" in told
    assert "was there before" not in sandbox.wheelmark("explain", "demo==2.0").ok().out
