"""What a project's own people have signed holds for a time: said before, renewed, and nobody else's trouble after."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.copying import Copy
from harness.developer import Developer
from harness.distributions import wheel
from harness.index import Index
from harness.mirror import Mirror
from harness.sandbox import Outcome, Sandbox
from harness.tuf_reader import TufReader

FakeClock = Callable[[str], dict[str, str]]

# A developer whose clock is so far behind signs what holds for 35 more days.
BEHIND = "-330d"


@pytest.fixture
def index(make_index) -> Index:
    return make_index(env={"WHEELMARK_INDEX_CLAIMS": "on"}).start()


@pytest.fixture
def developer(index: Index, tmp_path: Path, binary: Path, fake_clock: FakeClock) -> Developer:
    """Somebody who has claimed a project, for 35 days, among others."""
    first = wheel("acme-tools", "1.0", says="acme")
    index.publish(first, wheel("other", "1.0", says="other"))
    developer = Developer(tmp_path / "developer", binary, index)
    developer.claim("acme-tools", "--compare", developer.copies(first), env=fake_clock(BEHIND)).ok()
    return developer


def at(index: Index, clock: dict[str, str]) -> None:
    """The index at another time."""
    index.stop()
    index.env.update(clock)
    index.start()


def seconds_left(index: Index) -> float:
    """What the metrics say of the next end of a project's own role."""
    (line,) = [line for line in index.get("metrics").body.decode().splitlines() if 'role="projects"' in line]
    return float(line.rsplit(" ", 1)[1])


def status(index: Index, sandbox: Sandbox, clock: dict[str, str]) -> dict:
    done = sandbox.wheelmark("index", "status", "--json", "--data", index.data, env=clock)
    return json.loads(done.out)["projects"]


def test_what_ends_soon_is_said_and_renewed(
    index: Index, developer: Developer, sandbox: Sandbox, fake_clock: FakeClock
) -> None:
    sandbox.trust(index)
    shown = sandbox.wheelmark("explain", "acme-tools").ok().out
    assert "(in 34 days)" in shown and "wheelmark project renew acme-tools" in shown, shown
    claim = json.loads(sandbox.wheelmark("explain", "acme-tools", "--json").ok().out)["answers"]["claim"]
    assert claim["ends_soon"] is True
    told = status(index, sandbox, {})
    assert [(entry["project"], entry["ended"]) for entry in told["soon"]] == [("acme-tools", False)]
    assert "acme-tools ends at" in sandbox.wheelmark("index", "status", "--data", index.data).out
    assert 34 * 86_400 < seconds_left(index) < 35 * 86_400

    renewed = developer.signs("project", "renew", "acme-tools", "--if-needed", "--json").ok()
    assert json.loads(renewed.out)["renewed"] is True
    again = developer.signs("project", "renew", "acme-tools", "--if-needed", "--json").ok()
    assert json.loads(again.out)["renewed"] is False
    claim = json.loads(sandbox.wheelmark("explain", "acme-tools", "--json").ok().out)["answers"]["claim"]
    assert (claim["ends_soon"], claim["role_version"]) == (False, 2)
    assert status(index, sandbox, {})["soon"] == []
    assert seconds_left(index) > 300 * 86_400
    sandbox.install("pip", sandbox.venv(), "acme-tools").ok()


def test_what_has_ended_is_one_project_s_end(
    index: Index, developer: Developer, sandbox: Sandbox, fake_clock: FakeClock
) -> None:
    """Readers refuse the project; copies, checks and everything else go on, and its people come back."""
    later = fake_clock("+36d")
    sandbox.trust(index)
    copy = Copy(sandbox, index.index_url, index.root_file)
    copy.run().ok()
    at(index, later)
    index.publish(wheel("other", "2.0", says="newer"))

    refused = sandbox.install("pip", sandbox.venv(), "acme-tools", env=later).failed()
    assert "expired at" in refused.text, refused
    venv = sandbox.venv()
    sandbox.install("pip", venv, "other", env=later).ok()
    assert venv.says("other") == "newer"
    assert [(e["project"], e["ended"]) for e in status(index, sandbox, later)["soon"]] == [("acme-tools", True)]

    # A copy of before, and a new one.
    for copy in (copy, Copy(sandbox, index.index_url, index.root_file, "second")):
        told = copy.complete(env=later)
        assert [role["role"] for role in told["ended"]] == ["project-acme-tools"], told
        assert (told["state"]["projects"], told["state"]["files"]) == (2, 3)
        done = copy.run(env=later).ok()
        assert "warning: acme-tools" in done.err, done
        role = "metadata/1.project-acme-tools.json"
        assert (copy.directory / role).read_bytes() == (index.tree / role).read_bytes()
    verified = sandbox.wheelmark("verify", copy.directory, "--root", index.root_file, env=later)
    assert verified.code == 1 and "project-acme-tools" in verified.out and "1 project ENDED" in verified.out, verified
    assert "NOT whole" not in verified.out and "STALE" not in verified.out
    audit = sandbox.wheelmark("index", "audit", "--json", "--data", index.data, env=later).ok()
    told = json.loads(audit.out)
    assert (told["sound"], told["expired_roles"], told["ended_projects"]["count"]) == (True, 0, 1)
    with Mirror(index) as mirror:
        sources = (index.index_url, mirror.url())
        done = sandbox.wheelmark("cross-check", *sources, "--root", index.root_file, "--json", env=later).ok()
        assert [source["ended"] for source in json.loads(done.out)["sources"][:2]] == [["project-acme-tools"]] * 2, done

    # Nobody else can renew it; its people can, though they cannot read it as others do.
    developer.signs("project", "renew", "acme-tools", env=later).ok()
    venv = sandbox.venv()
    sandbox.install("pip", venv, "acme-tools", env=later).ok()
    assert venv.says("acme_tools") == "acme"
    assert copy.complete(env=later)["ended"] == []
    copy.run(env=later).ok()
    assert sandbox.wheelmark("verify", copy.directory, "--root", index.root_file, env=later).code == 0


def test_claims_made_since_a_break_in_end_in_one_snapshot(index: Index, sandbox: Sandbox, tmp_path: Path, binary: Path) -> None:
    projects = ["before", "stolen-one", "stolen-two", "open-one"]
    index.publish(*(wheel(project, "1.0", says="good") for project in projects))
    developer = Developer(tmp_path / "developer", binary, index)
    developer.claim("before").ok()
    time.sleep(1.1)  # claims are dated by the second
    since = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    for project in projects[1:3]:
        developer.claim(project).ok()
    developer.publish(wheel("stolen-one", "2.0", says="evil")).ok()

    def unclaim(*words: str) -> Outcome:
        return sandbox.wheelmark("index", "project", "unclaim", *words, "--data", index.data)

    asked = unclaim("--since", since).failed()
    assert "stolen-one" in asked.err and "stolen-two" in asked.err and "--yes" in asked.err, asked
    assert "\nbefore" not in asked.err and "operator" in asked.err, asked
    unclaim("before", "--since", since).failed()
    told = json.loads(unclaim("--since", since, "--quarantine", "a break-in", "--yes", "--json").ok().out)
    assert {order["snapshot_version"] for order in told["orders"]} == {told["orders"][0]["snapshot_version"]}
    assert sorted({order["subject"] for order in told["orders"]}) == ["stolen-one", "stolen-two"]
    assert "no claim was made" in unclaim("--since", since, "--yes").failed().err

    # The index answers for them again; the claim of before stands, and its people go on.
    fresh = Sandbox(tmp_path / "fresh", binary)
    fresh.trust(index)
    assert fresh.install("pip", fresh.venv(), "stolen-one").failed()
    developer.publish(wheel("before", "2.0", says="better")).ok()
    venv = fresh.venv()
    fresh.install("pip", venv, "before", "open-one").ok()
    assert (venv.says("before"), venv.says("open_one")) == ("better", "good")
    # Of the time of the break-in, nothing is registered any more.
    rows = index.rows()
    assert [row[0] for row in rows["claim"]] == ["before"]
    assert {row[1] for row in rows["developer_key"]} == {"before"}
    assert "no longer claimed" in unclaim("--all", "--yes").ok().out
    assert index.rows()["claim"] == []


def test_a_planted_next_version_is_passed_over_where_a_person_says_so(index: Index, sandbox: Sandbox, tmp_path: Path, binary: Path) -> None:
    index.publish(wheel("acme-tools", "1.0"))
    developer = Developer(tmp_path / "developer", binary, index)
    developer.claim("acme-tools").ok()
    for version in (2, 3):
        (index.tree / "metadata" / f"{version}.project-acme-tools.json").write_bytes(b"planted")
    # What the index shows is not enough to sign a version ahead: somebody could keep that for later.
    two = wheel("acme-tools", "2.0", says="two")
    for options in [(), ("--pass-over", "3"), ("--pass-over", "5")]:
        refused = developer.publish(two, options=options).failed()
        assert "under versions 2 to 3 of acme-tools's role" in refused.err, refused
        assert "--pass-over 4" in refused.err and "nothing was signed" in refused.err, refused
    told = developer.publish(two, options=("--json", "--pass-over", "4")).ok()
    assert json.loads(told.out)["role_version"] == 4
    developer.publish(wheel("acme-tools", "3.0", says="three")).ok()
    sandbox.trust(index)
    venv = sandbox.venv()
    sandbox.install("pip", venv, "acme-tools").ok()
    assert venv.says("acme_tools") == "three"
    reader = TufReader(index, tmp_path / "reader")
    assert json.loads(reader.page("acme-tools"))["versions"] == ["1.0", "2.0", "3.0"]
