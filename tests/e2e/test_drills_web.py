"""Drill: the web process of an index is taken over, which has another user than the process that signs.

The intruder is a program of the web's user, and whoever has the tokens that passed there. What they bring in is
put right by the section of docs/recovery.md for it, while the process that signs goes on; and what that cannot
undo, the claims that clients have seen meanwhile, by the whole run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from harness.developer import Developer
from harness.distributions import Distribution, wheel
from harness.holders import Operator
from harness.index import Index
from harness.reached import Table
from harness.siege import REFUSED, Siege
from harness.two_users import PUBLISHES, WEB, TwoUsers, why_not
from harness.upload import upload
from test_claims import explained

OPEN, TAKEN, OWNED, OWN = "open-one", "taken-one", "owned-one", "thiefs-own"
GOOD = (OPEN, TAKEN, OWNED)

# Appends a file to a project that nobody has claimed, as an upload of nobody's.
APPENDS = """
import json, sqlite3, sys
from pathlib import Path
tree, database, filename, other, sha256, size, metadata, content, about = sys.argv[1:]
folder = Path(tree) / "targets" / "packages" / "open-one"
(folder / f"{sha256}.{filename}").write_bytes(bytes.fromhex(content))
(folder / f"{metadata}.{filename}.metadata").write_bytes(bytes.fromhex(about))
at = sqlite3.connect(database, timeout=20)
rows = [json.loads(text) for text, in at.execute("select change from journal")]
row = next(row for row in rows if row.get("filename") == other)
row |= {"filename": filename, "sha256": sha256, "size": int(size), "core_metadata_sha256": metadata}
row["uploaded_at"] = __import__("datetime").datetime.now(__import__("datetime").UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
at.execute("insert into journal (change) values (?)", (json.dumps(row),))
at.commit()
"""


def one(project: str, version: str = "1.0", says: str = "good") -> Distribution:
    return wheel(project, version, says=says)


class AsPublisher(Operator):
    """Whoever runs an index gives orders as the user that publishes."""

    index: TwoUsers

    def run(self, *words: object, env: dict[str, str] | None = None):
        return self.index.as_user(PUBLISHES, self.index.binary, *words, timeout=120)


@pytest.fixture
def siege(first_run: Index, fake_clock, table: Table) -> Iterator[Siege]:
    if reason := why_not():
        pytest.skip(f"skipped: {reason}")
    index = TwoUsers(first_run)
    index.env["WHEELMARK_INDEX_CLAIMS"] = "on"
    # What the first run said, the phrase of its holders' files among it.
    shutil.copy(first_run.log, index.log)
    folder = index.place / "people"
    folder.mkdir()
    # Both the publisher and the people who are asked write there.
    folder.chmod(0o777)
    siege = Siege(index.start(), folder, fake_clock, table)
    siege.operator = siege.cast.operator = AsPublisher(index, folder)
    yield siege
    siege.end()
    index.remove()


def appears(index: Index, dist: Distribution) -> None:
    deadline = time.monotonic() + 60
    while index.get(f"packages/{dist.project}/{dist.filename}").status != 200:
        assert time.monotonic() < deadline, index.log_text()
        time.sleep(0.1)


def test_the_web_process_is_taken_over(siege: Siege) -> None:
    index = siege.index
    assert isinstance(index, TwoUsers)
    index.publish(*(one(project) for project in GOOD))
    owner = Developer(siege.folder / "owner", index.binary, index)
    owner.claim(OWNED).ok()
    siege.knows(*GOOD)
    siege.keep_good()
    siege.keeps_installing(OPEN)

    time.sleep(1)  # uploads and claims are dated by the second
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # By what the web's user can write: a file. By a token that passed: a claim, a project, a notice.
    evil = one(OPEN, "66.0", "evil")
    about = hashlib.sha256(evil.metadata).hexdigest()
    index.python(
        WEB, APPENDS, index.tree, index.database, evil.filename, one(OPEN).filename, evil.sha256,
        len(evil.content), about, evil.content.hex(), evil.metadata.hex(),
    )  # fmt: skip
    thief = Developer(siege.folder / "thief", index.binary, index)
    index.publish(one(OWN, says="evil"))
    appears(index, evil)
    thief.claim(TAKEN).ok()
    thief.publish(one(TAKEN, "66.0", "evil")).ok()
    asked = thief._signing("project", "recover", OWNED, "--token-file", thief.token, "--new", f"file:{thief.key}", "--yes")
    assert "everybody can see" in asked.text or asked.ok(), asked
    seen = siege.reached(OPEN, TAKEN, OWN, OWNED)
    everybody = dict.fromkeys(("plain", "old", "there", "fresh"), "evil")
    assert seen == dict.fromkeys((OPEN, TAKEN, OWN), everybody) | {OWNED: dict.fromkeys(everybody, "good")}
    says = "in no row: less than 480 T1 row 6"
    stolen = "the web process, as a user of its own"
    siege.tells(stolen, "a file of an unclaimed project", says, seen[OPEN])
    siege.tells(stolen, "an unclaimed project claimed", says, seen[TAKEN])
    siege.tells(stolen, "a notice that a project's keys are lost", says, seen[OWNED])

    # docs/recovery.md, "The web process was taken over".
    def orders(*words: object) -> str:
        done = siege.operator.run("index", "--data", index.data, *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    # 1: the other process goes on.
    siege.phase = "closed"
    assert Index.stop(index) == 0, index.log_text()
    # 2: what somebody with a token did stands in the log. What was smuggled in does not, and the catalogue lacks it.
    log = [json.loads(line) for line in orders("audit-log", "--all", "--json").splitlines()]
    uploads = {entry["subject"] for entry in log if entry["action"] == "upload-accepted" and entry["at"] >= since.rstrip("Z")}
    assert uploads == {one(OWN).filename}
    assert {entry["project"] for entry in log if entry["action"] == "project-claimed"} == {OWNED, TAKEN}
    audited = siege.operator.run("index", "--data", index.data, "audit", "--against", siege.good)
    assert f"catalogue, {OPEN}/{evil.filename}" in audited.stdout and "there is no row" in audited.stdout, audited
    looked = siege.recovery()
    looked.plan()
    added = {(project, file) for project, what, file in looked.changes if what == "added"}
    assert added == {(dist.project, dist.filename) for dist in (evil, one(TAKEN, "66.0"), one(OWN))}
    # 3 and 4
    orders("project", "unclaim", "--since", since, "--yes")
    for project in (OPEN, TAKEN, OWN):
        orders("remove", project, "--since", since, "--reason", "a break-in", "--yes")
    orders("project", "end-recovery", OWNED)
    # 5
    looked.revoke_tokens()
    index.start_web()
    index.ready["token_file"] = str(looked.token)
    stolen = thief.token.read_text()
    assert upload(index.upload_url, stolen, one(OPEN, "67.0", "evil")).status == 403
    index.publish(one(OPEN, "2.0", "better"))
    good = {OPEN: "better", TAKEN: "good", OWNED: "good"}
    siege.fresh().installs(good)
    siege.away.installs(good)
    assert explained(siege.away.sandbox, OWNED)["taken_away"] is None
    # Whoever saw the thief's claim remembers it, and takes nothing else for this project.
    for person in (siege.old, siege.there, siege.begun):
        assert person.gets_each(OPEN, OWNED) == {OPEN: "better", OWNED: "good"}
        assert person.gets(TAKEN) == REFUSED

    # A recovery that goes back to the state of now tells all of them at once.
    shutil.rmtree(siege.good)
    siege.keep_good()
    recovery = siege.recovery()
    recovery.smuggled = [evil]
    recovery.by_the_book("--drop", "all")
    # Each of the two users has what it needs to go on.
    index.publish(one(TAKEN, "2.0", "better"))
    siege.ends_well(good | {TAKEN: "better"}, gone=[OWN])
