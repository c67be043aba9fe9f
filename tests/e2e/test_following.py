"""What the journal of an index that `wheelmark up` runs cannot ask for: changes to published files.

Files that go, come back and are yanked where whoever runs the index says so: `test_sign_tree.py`.
"""

from __future__ import annotations

import json
import time

import pytest

from harness.distributions import Distribution, wheel
from harness.index import Index, open_database

OLD, NEW = wheel("demo", "1.0"), wheel("demo", "2.0")
JSON = "application/vnd.pypi.simple.v1+json"


def refusal(index: Index, kind: str, **change: object) -> str:
    """Appends to the journal, and waits for the reason of the refusal."""
    with open_database(index.database) as database:
        row = database.execute(
            "insert into journal (change) values (?)", (json.dumps({"kind": kind, **change}),)
        ).lastrowid
        database.commit()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            found = database.execute("select refused from outcome where seq = ?", (row,)).fetchone()
            if found:
                assert found[0], f"{kind} {change} was taken"
                return found[0]
            time.sleep(0.05)
    raise AssertionError(f"{kind} {change}: no outcome")


def page(index: Index) -> dict:
    return index.get("simple/demo/", Accept=JSON).json()


@pytest.fixture
def two(index: Index) -> Index:
    index.publish(OLD, NEW)
    return index


def placed(index: Index, dist: Distribution) -> dict:
    """Puts a file into the tree, and says of it what a row of the journal says."""
    place = index.tree / "targets" / "packages" / "demo" / f"{dist.sha256}.{dist.filename}"
    place.write_bytes(dist.content)
    return {
        "project": dist.project,
        "filename": dist.filename,
        "sha256": dist.sha256,
        "size": len(dist.content),
        "uploaded_at": "2019-03-01T12:00:00Z",
        "uploaded_by": "an intruder",
    }


def test_the_journal_of_uploads_changes_nothing_that_is_published(two: Index) -> None:
    before = page(two)
    of_new = {"project": "demo", "filename": NEW.filename}
    assert "whoever runs the index" in refusal(two, "file-removed", **of_new)
    assert "whoever runs the index" in refusal(two, "file-yanked", **of_new, yanked="broken")
    row = placed(two, wheel("demo", "0.9"))
    assert "an upload is neither" in refusal(two, "file-added", **row, back_signed=True)
    assert "an upload is neither" in refusal(two, "file-added", **row, yanked="")
    assert page(two) == before
