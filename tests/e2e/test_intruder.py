"""The snapshot process is no signing oracle.

Somebody who took over the web process can write every row that this process can write, and
put objects into the tree. Here a program does so, in the ways that could change what is
already published; and nothing of it gets signed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index, open_database
from harness.sandbox import Sandbox
from harness.tuf_reader import TufReader

GOOD = wheel("victim", "1.0", says="good")
OTHER = wheel("victim", "2.0", says="good")
EVIL = wheel("victim", "1.0", says="evil")
ADDED = wheel("victim", "3.0", says="evil")


class Intruder:
    """What the web process may do, turned against the index."""

    def __init__(self, index: Index) -> None:
        self.index = index

    def execute(self, statement: str, *values: object) -> int:
        with open_database(self.index.database) as database:
            return database.execute(statement, values).rowcount

    def rows(self, statement: str, *values: object) -> list[tuple]:
        with open_database(self.index.database) as database:
            return database.execute(statement, values).fetchall()

    def put(self, dist) -> None:
        """Puts a file and its core metadata into the tree, as an upload does."""
        folder = self.index.tree / "targets" / "packages" / dist.project
        (folder / f"{dist.sha256}.{dist.filename}").write_bytes(dist.content)
        digest = hashlib.sha256(dist.metadata).hexdigest()
        (folder / f"{digest}.{dist.filename}.metadata").write_bytes(dist.metadata)

    def change(self, dist) -> dict:
        """The journal's row for a published file, as an object to bend."""
        for (text,) in self.rows("select change from journal"):
            row = json.loads(text)
            if row.get("filename") == dist.filename:
                return row
        raise AssertionError(f"{dist.filename} is not in the journal")

    def append(self, row: dict | str) -> None:
        text = row if isinstance(row, str) else json.dumps(row)
        assert self.execute("insert into journal (change) values (?)", text) == 1


def rehash_the_file_row(i: Intruder) -> None:
    i.put(EVIL)
    assert i.execute("update file set sha256 = ?, size = ? where filename = ?", EVIL.sha256, len(EVIL.content), GOOD.filename) == 1


def add_a_file_row(i: Intruder) -> None:
    i.put(ADDED)
    columns = [name for _, name, *_ in i.rows("pragma table_info(file)")]
    row = dict(zip(columns, i.rows("select * from file where filename = ?", GOOD.filename)[0], strict=True))
    # The row needs some journal row to point at: one that says nothing new.
    i.append(i.change(GOOD))
    seq = i.rows("select max(seq) from journal")[0][0]
    row |= {"filename": ADDED.filename, "sha256": ADDED.sha256, "size": len(ADDED.content), "seq": seq, "published": 1}
    marks = ", ".join("?" * len(row))
    assert i.execute(f"insert into file ({', '.join(row)}) values ({marks})", *row.values()) == 1


def rewrite_the_journal(i: Intruder) -> None:
    i.put(EVIL)
    row = i.change(GOOD) | {"sha256": EVIL.sha256, "size": len(EVIL.content)}
    assert i.execute("update journal set change = ? where change like ?", json.dumps(row), f"%{GOOD.filename}%") == 1


def append_the_same_name_with_another_hash(i: Intruder) -> None:
    i.put(EVIL)
    i.append(i.change(GOOD) | {"sha256": EVIL.sha256, "size": len(EVIL.content)})


def append_the_same_file_with_other_facts(i: Intruder) -> None:
    """The same bytes, but another Python, other metadata, another time: no fact may change."""
    other = hashlib.sha256(EVIL.metadata + b"x").hexdigest()
    i.append(i.change(GOOD) | {"requires_python": "<3", "core_metadata_sha256": other, "uploaded_at": "2001-01-01T00:00:00Z"})


def append_under_a_project_that_is_not_the_files(i: Intruder) -> None:
    i.append(i.change(GOOD) | {"project": "bystander"})
    i.append(i.change(GOOD) | {"project": "../victim"})
    i.append(i.change(GOOD) | {"filename": "../../metadata/timestamp.json"})
    i.append(i.change(GOOD) | {"filename": f"x/{GOOD.filename}"})


def append_a_file_that_is_not_in_the_tree(i: Intruder) -> None:
    i.append(i.change(GOOD) | {"filename": ADDED.filename, "sha256": ADDED.sha256, "size": len(ADDED.content)})


def append_what_is_no_change(i: Intruder) -> None:
    for text in ("", "null", "[]", "{}", '{"kind":"unheard-of"}', "{" * 100_000, "\x00\x01", '{"kind":"file-added"}'):
        i.append(text)


def take_the_rows_away(i: Intruder) -> None:
    """With foreign keys in the way of nobody: the intruder decides how it opens the database."""
    with open_database(i.index.database) as database:
        database.execute("pragma foreign_keys = off")
        for table in ("outcome", "file", "project", "journal"):
            database.execute(f"delete from {table}")


def record_an_intent(i: Intruder) -> None:
    """A snapshot that the intruder wrote, left as if it waited for its publication."""
    metadata = i.index.tree / "metadata"
    timestamp = json.loads((metadata / "timestamp.json").read_bytes())
    timestamp["signed"]["version"] += 1
    evil = json.dumps({"meta": {"api-version": "1.4"}, "name": "victim", "files": []}).encode()
    i.execute(
        "insert into intent (id, fence, snapshot_version, timestamp_version, through, timestamp, after_publish) "
        "values ((select coalesce(max(id), 0) + 1 from intent), (select fence from lease), 1000, ?, 1000, ?, '{\"files\":[],\"pages\":[],\"list\":false,\"published\":[],\"refused\":[]}')",
        timestamp["signed"]["version"],
        json.dumps(timestamp).encode(),
    )
    path = f"targets/simple/victim/{hashlib.sha256(evil).hexdigest()}.index.json"
    i.execute("insert into intent_object (intent, position, path, bytes) values ((select max(id) from intent), 0, ?, ?)", path, evil)


def bring_back_an_old_timestamp(i: Intruder) -> None:
    """Genuine bytes that anybody could keep, as if they waited for their publication."""
    old = json.loads((i.index.tree / "metadata" / "timestamp.json").read_bytes())
    i.index.publish(wheel("newer-than-that", "1.0"))
    i.execute(
        "insert into intent (id, fence, snapshot_version, timestamp_version, through, timestamp, after_publish) "
        "values ((select coalesce(max(id), 0) + 1 from intent), (select fence from lease), 1000, 1000000, 1000, ?, '{\"names\":{\"files\":[],\"pages\":[],\"list\":false,\"published\":[],\"refused\":[]},\"seal\":\"00\"}')",
        json.dumps(old).encode(),
    )


WAYS: list[Callable[[Intruder], None]] = [
    rehash_the_file_row,
    add_a_file_row,
    rewrite_the_journal,
    append_the_same_name_with_another_hash,
    append_the_same_file_with_other_facts,
    append_under_a_project_that_is_not_the_files,
    append_a_file_that_is_not_in_the_tree,
    append_what_is_no_change,
    take_the_rows_away,
    bring_back_an_old_timestamp,
]


def signed_facts(index: Index, folder: Path) -> tuple:
    """Everything that is signed about the two published files and their page."""
    reader = TufReader(index, folder)
    page = reader.page("victim")
    return (
        json.loads(page)["files"],
        reader.file("victim", GOOD.filename),
        reader.file("victim", OTHER.filename),
        reader.lists(f"packages/victim/{ADDED.filename}"),
        reader.page("bystander"),
    )


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_nothing_of_it_gets_signed(index: Index, sandbox: Sandbox, tmp_path: Path, way) -> None:
    index.publish(GOOD, OTHER)
    before = signed_facts(index, tmp_path / "before")
    signed = index.metadata_files()

    way(Intruder(index))
    # The next honest upload makes the snapshot process sign again, first as it runs, …
    index.publish(wheel("honest", "1.0"))
    assert signed_facts(index, tmp_path / "running") == before
    # … then from what it finds when it starts.
    index.stop()
    index.start()
    index.publish(wheel("honest", "2.0"))
    assert signed_facts(index, tmp_path / "restarted") == before

    after = index.metadata_files()
    assert {name: after.get(name) for name in signed} == signed, "no signed file became another"
    listed = [json.loads(p.read_bytes())["signed"].get("targets", {}) for p in (index.tree / "metadata").glob("*.packages-*.json")]
    assert not any(t["hashes"]["sha256"] in (EVIL.sha256, ADDED.sha256) for targets in listed for t in targets.values())

    sandbox.trust(index)
    venv = sandbox.venv()
    sandbox.install("pip", venv, "victim==1.0").ok()
    assert venv.says("victim") == "good"


def test_an_intent_that_was_not_ours(index: Index, tmp_path: Path) -> None:
    """Bytes that the index did not sign are not published for having been recorded."""
    index.publish(GOOD, OTHER)
    before = signed_facts(index, tmp_path / "before")
    signed, timestamp = index.metadata_files(), (index.tree / "metadata/timestamp.json").read_bytes()
    index.stop()
    record_an_intent(Intruder(index))
    index.start()
    assert "not sealed" in index.log_text()
    assert (index.tree / "metadata/timestamp.json").read_bytes() == timestamp
    index.publish(wheel("honest", "1.0"))
    assert signed_facts(index, tmp_path / "after") == before
    after = index.metadata_files()
    assert {name: after.get(name) for name in signed} == signed


def test_what_an_intruder_can_do_and_no_more(index: Index, tmp_path: Path) -> None:
    """Said plainly in the design: while inside, publish new files to unclaimed projects."""
    index.publish(GOOD, OTHER)
    intruder = Intruder(index)
    intruder.put(ADDED)
    digest = hashlib.sha256(ADDED.metadata).hexdigest()
    intruder.append(
        intruder.change(GOOD)
        | {"filename": ADDED.filename, "sha256": ADDED.sha256, "size": len(ADDED.content), "core_metadata_sha256": digest}
    )
    index.publish(wheel("honest", "1.0"))
    deadline = time.monotonic() + 10
    while index.get(f"packages/victim/{ADDED.filename}").status != 200 and time.monotonic() < deadline:
        time.sleep(0.2)
    page = json.loads(TufReader(index, tmp_path).page("victim"))
    assert {f["filename"] for f in page["files"]} == {GOOD.filename, OTHER.filename, ADDED.filename}
    assert {f["hashes"]["sha256"] for f in page["files"]} == {GOOD.sha256, OTHER.sha256, ADDED.sha256}
