"""`wheelmark cross-check`: an index and its mirrors compared, and the proof of two answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from harness import history as h
from harness.forge import LONG_AGO, Forge, new_key
from harness.history import History
from harness.hostile import Edit, Says, flip
from harness.mirror import EVERYTHING, TIMESTAMP, Mirror
from harness.sandbox import Sandbox

DEAD = "http://127.0.0.1:9/"
EQUAL, DELAYED, FAILED, EQUIVOCATING = 0, 3, 4, 5


def compare(sandbox: Sandbox, *words: object) -> tuple[int, dict]:
    done = sandbox.wheelmark("cross-check", "--json", *words)
    assert done.out.startswith("{"), f"{done}"
    said = json.loads(done.out)
    assert said["exit_code"] == done.code
    return done.code, said


def positions(said: dict) -> list[str]:
    return [source["position"] for source in said["sources"]]


class World:
    """One index with a past, and a twin that holds the same keys and tells something else."""

    def __init__(self, folder: Path) -> None:
        self.forge = Forge(h.OLD, h.BYSTANDER)
        self.root = self.forge.publish() and self.forge.root_file(folder)
        self.yesterday = dict(self.forge._tree)
        twin = self.forge.copy()
        hours = timedelta(hours=3)
        for forge in (self.forge, twin):
            forge.role("timestamp").expires += hours
        # The bins would differ by themselves; the snapshot lists versions, and they are the same.
        twin.role("timestamp").unrecognized_fields["x-for"] = "somebody else"
        self.today = self.forge.release(h.NEW)
        self.lie = twin.release(h.EVIL)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def own(world: World) -> Iterator[Mirror]:
    with Mirror(world.today) as own:
        yield own


def test_honest_copies_are_equal(world: World, own: Mirror, sandbox: Sandbox) -> None:
    with Mirror(world.today) as copy:
        code, said = compare(sandbox, own.index_url, copy.url(), "--root", world.root)
        assert code == EQUAL and positions(said) == ["equal", "equal"], said
        # Four top-level roles, without root, which is the trusted one, and nine others.
        assert [s["roles"] for s in said["sources"]] == [12, 12]
        assert compare(sandbox, own.url(), copy.index_url, "--quick", "--root", world.root)[0] == EQUAL
        assert own.count("packages/*", "targets/*") == 0, "pages and files are not asked for"


def test_who_is_behind_and_by_how_much(world: World, own: Mirror, sandbox: Sandbox) -> None:
    with Mirror(world.yesterday) as lagging:
        words = [own.index_url, lagging.url(), "--root", world.root]
        code, said = compare(sandbox, *words)
        assert code == DELAYED and positions(said) == ["equal", "behind"], said
        assert (said["sources"][1]["versions"], said["sources"][1]["seconds"]) == (1, 3 * 3600)
        assert compare(sandbox, *words, "--max-behind", "2h")[0] == DELAYED
        assert compare(sandbox, *words, "--max-behind", "4h")[0] == EQUAL
        assert "behind by 1 version, 3 h" in sandbox.wheelmark("cross-check", *words).out
        assert sandbox.wheelmark("cross-check", *words, "--max-behind", "soon").code == 2
        # Held against the index itself, a mirror that is newer is ahead.
        sandbox.wheelmark("trust", "add", lagging.index_url, "--root", world.root, "--mirror", own.url()).ok()
        code, said = compare(sandbox, "--index", lagging.index_url)
        assert code == DELAYED and positions(said) == ["equal", "ahead"], said


def test_each_has_its_own_word(world: World, own: Mirror, sandbox: Sandbox, tmp_path: Path) -> None:
    """Equal, behind, expired, altered, dead and lying, all at once: the worst decides."""
    old = world.forge.copy()
    old.role("timestamp").expires = LONG_AGO
    expired = old.publish()
    with (
        Mirror(world.today) as honest,
        Mirror(world.yesterday) as lagging,
        Mirror(expired) as stale,
        Mirror(world.today, Edit(TIMESTAMP, flip)) as altered,
        Mirror(world.today, Says(EVERYTHING, 500)) as broken,
        Mirror(world.today, Says(("metadata/*.simple-0.json",), 404)) as lacking,
        Mirror(world.lie) as lying,
    ):
        mirrors = [honest.url(), lagging.url(), altered.url(), broken.url(), lacking.url(), DEAD]
        code, said = compare(sandbox, own.index_url, *mirrors, "--root", world.root)
        assert code == FAILED and said["equivocations"] == [] and said["evidence"] is None, said
        assert positions(said) == ["equal", "equal", "behind", "refused", "unreachable", "refused", "unreachable"], said
        assert all(s["why"] for s in said["sources"][3:])
        code, said = compare(sandbox, own.index_url, *mirrors, lying.url(), "--root", world.root)
        assert code == EQUIVOCATING and positions(said)[-1] == "equal", said
        assert {"timestamp", "simple-1"} & {e["role"] for e in said["equivocations"]}, said
        # The same version with another end is another content: it was signed twice.
        code, said = compare(sandbox, own.index_url, stale.url(), "--root", world.root)
        assert positions(said) == ["equal", "expired"], said
        assert code == EQUIVOCATING and said["equivocations"][0]["role"] == "timestamp", said


def test_an_expired_copy_is_told(world: World, own: Mirror, sandbox: Sandbox, tmp_path: Path) -> None:
    forge = Forge(h.OLD)
    forge.role("timestamp").expires = LONG_AGO
    stale = forge.publish()
    forge.role("timestamp").expires = forge.expires
    fresh = forge.release()
    with Mirror(fresh) as own, Mirror(stale) as copy:
        code, said = compare(sandbox, own.url(), copy.url(), "--root", forge.root_file(tmp_path))
        assert code == FAILED and positions(said) == ["equal", "expired"], said
        assert "expired at 2024" in said["sources"][1]["why"]


# Two answers.


def equivocation(sandbox: Sandbox, world: World, own: Mirror, *words: object) -> Path:
    with Mirror(world.lie) as lying:
        code, said = compare(sandbox, own.index_url, lying.url(), "--root", world.root, *words)
    assert code == EQUIVOCATING and said["equivocations"][0]["proved"], said
    return sandbox.work / said["evidence"]


@pytest.fixture
def elsewhere(tmp_path: Path, binary: Path) -> Sandbox:
    """Another machine: nothing of the first one but what is handed over."""
    return Sandbox(tmp_path / "elsewhere", binary)


def test_two_answers_are_proved_to_a_third_person(
    world: World, own: Mirror, sandbox: Sandbox, elsewhere: Sandbox
) -> None:
    proof = equivocation(sandbox, world, own)
    assert proof.name == "wheelmark-evidence-2.timestamp.json"
    (elsewhere.work / "proof.json").write_bytes(proof.read_bytes())
    (elsewhere.work / "root.json").write_bytes(world.root.read_bytes())
    done = elsewhere.wheelmark("cross-check", "--evidence", "proof.json", "--root", "root.json").ok()
    assert "PROVED" in done.out and "Version 2 of timestamp" in done.out and own.index_url in done.out
    said = json.loads(
        elsewhere.wheelmark("cross-check", "--evidence", "proof.json", "--root", "root.json", "--json").ok().out
    )
    assert said["proves"] and (said["role"], said["version"]) == ("timestamp", 2)
    assert len({seen["signed_sha256"] for seen in said["seen"]}) == 2
    assert not Path(elsewhere.env["WHEELMARK_HOME"]).exists() or not list(
        Path(elsewhere.env["WHEELMARK_HOME"]).glob("indexes/*")
    ), "it needs no trust store"


def test_every_role_can_be_the_one(sandbox: Sandbox, elsewhere: Sandbox, tmp_path: Path) -> None:
    """Here the two differ in one role alone, and the timestamps have different versions."""
    for role in ("snapshot", "targets", "claimed", "simple-0", "packages-1"):
        forge = Forge(h.OLD, h.BYSTANDER)
        forge.publish()
        twin = forge.copy()
        for index, says in ((forge, "one"), (twin, "other")):
            for name in ("timestamp", "snapshot"):
                index.role(name).version += 1
            if role not in ("timestamp", "snapshot"):
                index.role(role).version += 1
            index.role(role).unrecognized_fields["x-says"] = says
        # The timestamp, and the snapshot where it is not the one, go on beyond it.
        twin.role("timestamp").version += 1
        if role != "snapshot":
            twin.role("snapshot").version += 1
        root = forge.root_file(tmp_path)
        name = f"{role}.json"
        with Mirror(forge.publish()) as one, Mirror(twin.publish()) as other:
            code, said = compare(sandbox, one.url(), other.url(), "--root", root, "--evidence", name)
            assert code == EQUIVOCATING, f"{role}: {said}"
            assert {e["role"] for e in said["equivocations"]} == {role} and said["evidence"] == name, said
            if role not in ("snapshot", "targets"):
                quick = compare(sandbox, one.url(), other.url(), "--root", root, "--quick")[0]
                assert quick == DELAYED, "the top-level roles alone do not show it"
        done = elsewhere.wheelmark("cross-check", "--evidence", sandbox.work / name, "--root", root).ok()
        assert f"of {role} was signed with two contents" in done.out


def test_two_roots(sandbox: Sandbox, elsewhere: Sandbox, tmp_path: Path) -> None:
    forge = Forge(h.OLD)
    forge.publish()
    twin = forge.copy()
    root = forge.root_file(tmp_path)
    for index in (forge, twin):
        index.rotate("timestamp", [new_key()])
    with Mirror(forge.release()) as one, Mirror(twin.release()) as other:
        code, said = compare(sandbox, one.url(), other.url(), "--root", root, "--evidence", "roots.json")
        assert code == EQUIVOCATING and said["equivocations"][0]["role"] == "root", said
    elsewhere.wheelmark("cross-check", "--evidence", sandbox.work / "roots.json", "--root", root).ok()


def test_what_was_accepted_here_is_a_witness(world: World, own: Mirror, sandbox: Sandbox) -> None:
    """The index itself turns to the other answer, and nobody else shows the first one."""
    sandbox.wheelmark("trust", "add", own.index_url, "--root", world.root).ok()
    with Mirror(world.lie) as lying, Mirror(world.lie) as again:
        code, said = compare(sandbox, lying.url(), again.url(), "--root", world.root)
        assert code == EQUAL, "the two of them agree"
        own._source = lying._source
        sandbox.wheelmark("trust", "mirror", "add", own.index_url, again.url()).ok()
        code, said = compare(sandbox, "--index", own.index_url)
        assert code == EQUIVOCATING and "accepted before" in str(said["equivocations"][0]["sources"]), said


def test_the_same_in_other_words_is_no_contradiction(world: World, own: Mirror, sandbox: Sandbox) -> None:
    """Other white space and other signatures beside the good one: what is signed is the same."""

    def rewritten(body: bytes) -> bytes:
        file = json.loads(body)
        file["signatures"].append({"keyid": "ab" * 32, "sig": "00" * 64})
        return json.dumps(file, indent=1).encode()

    with Mirror(world.today, Edit(("metadata/timestamp.json", "metadata/*.simple-*.json"), rewritten)) as copy:
        code, said = compare(sandbox, own.index_url, copy.url(), "--root", world.root)
        assert code == EQUAL and said["equivocations"] == [], said


def test_a_proof_that_was_tampered_with_proves_nothing(
    world: World, own: Mirror, sandbox: Sandbox, elsewhere: Sandbox, tmp_path: Path
) -> None:
    proof = json.loads(equivocation(sandbox, world, own).read_text())

    def said_of(change) -> str:
        changed = json.loads(json.dumps(proof))
        change(changed)
        (elsewhere.work / "proof.json").write_text(json.dumps(changed))
        done = elsewhere.wheelmark("cross-check", "--evidence", "proof.json", "--root", world.root)
        assert done.code == 1 and "proves nothing" in done.err and "PROVED" not in done.out, f"{done}"
        return done.err

    def edit(file: dict, change) -> None:
        file["base64"] = base64.b64encode(change(base64.b64decode(file["base64"]))).decode()

    def timestamp(p: dict, place: int = 1) -> dict:
        return p["seen"][place]["files"][0]

    assert "signed by 0 of the 1 keys" in said_of(lambda p: edit(timestamp(p), lambda b: b.replace(b'"version":2', b'"version":2 ,"x":1')))
    assert "same signed content" in said_of(lambda p: timestamp(p).update(timestamp(p, 0)))
    assert "not strict json" in said_of(lambda p: edit(timestamp(p), lambda b: b[:-1]))
    assert "has version 2, not 3" in said_of(lambda p: p.update(version=3))
    said_of(lambda p: p.update(role="snapshot"))
    said_of(lambda p: p.update(role="simple-0"))
    assert "lacks timestamp.json" in said_of(lambda p: p["seen"][0].update(files=[]))
    assert "not a list of 1 to 256 roots" in said_of(lambda p: p.update(roots=[]))
    said_of(lambda p: p["seen"].pop())
    said_of(lambda p: p.update(more=True))
    assert "expired at" in said_of(lambda p: p["seen"][1].update(at="2040-01-01T00:00:00Z"))

    stranger = Forge(h.OLD)
    stranger.publish()
    (elsewhere.work / "proof.json").write_text(json.dumps(proof))
    other = stranger.root_file(elsewhere.work)
    done = elsewhere.wheelmark("cross-check", "--evidence", "proof.json", "--root", other).failed()
    assert "another root of version 1" in done.err
    (elsewhere.work / "proof.json").write_bytes(b"\x00" * 1000)
    elsewhere.wheelmark("cross-check", "--evidence", "proof.json", "--root", world.root).failed()
    with (elsewhere.work / "proof.json").open("wb") as file:
        file.truncate(1 << 40)
    done = elsewhere.wheelmark("cross-check", "--evidence", "proof.json", "--root", world.root).failed()
    assert "more than" in done.err, "a file without an end is not read to it"


def test_an_honest_past_makes_no_evidence(history: History, elsewhere: Sandbox) -> None:
    """Whoever writes an evidence has every file that the index published, and can rename them."""
    files = {**history.yesterday, **history.today}
    encode = lambda body: base64.b64encode(body).decode()  # noqa: E731
    stamps = [history.yesterday["metadata/timestamp.json"], history.today["metadata/timestamp.json"]]
    versions = [json.loads(s)["signed"]["version"] for s in stamps]
    bins = sorted(p for p in files if ".simple-" in p and p.startswith("metadata/1."))

    def refused(role: str, version: int, first: list, second: list, via: list[str]) -> None:
        seen = [
            {"source": "x", "at": "2026-11-21T00:00:00Z", "via": via, "files": [{"path": p, "base64": encode(b)} for p, b in side]}
            for side in (first, second)
        ]
        evidence = {
            "wheelmark-evidence": 1, "claim": "equivocation", "role": role, "version": version,
            "roots": [encode(history.root.read_bytes())], "seen": seen,
        }
        (elsewhere.work / "proof.json").write_text(json.dumps(evidence))
        done = elsewhere.wheelmark("cross-check", "--evidence", "proof.json", "--root", history.root)
        assert done.code == 1 and "proves nothing" in done.err, f"{done}"

    for version in versions:
        refused("timestamp", version, [("timestamp.json", stamps[0])], [("timestamp.json", stamps[1])], [])
    top = [("timestamp.json", stamps[1])]
    snapshot = json.loads(stamps[1])["signed"]["meta"]["snapshot.json"]["version"]
    top += [(f"{snapshot}.snapshot.json", files[f"metadata/{snapshot}.snapshot.json"])]
    top += [(n, files[f"metadata/{n}"]) for n in ("1.targets.json", "1.simple.json")]
    name = Path(bins[0]).name
    refused(name.split(".")[1], 1, [*top, (name, files[bins[0]])], [*top, (name, files[bins[1]])], ["targets", "simple"])


def test_proofs_are_never_overwritten(world: World, own: Mirror, sandbox: Sandbox) -> None:
    first = equivocation(sandbox, world, own)
    kept = first.read_bytes()
    assert equivocation(sandbox, world, own) == first and first.read_bytes() == kept, "the same is proved there already"
    first.write_text("something else")
    second = equivocation(sandbox, world, own)
    assert second != first and first.read_text() == "something else" and second.name == "wheelmark-evidence-2.timestamp-2.json"


def test_an_index_and_its_mirrors_by_name(history: History, sandbox: Sandbox) -> None:
    with Mirror(history.today) as good, Mirror(history.yesterday) as old:
        sandbox.trust(history.index, "--mirror", good.url(), "--mirror", old.url())
        code, said = compare(sandbox)
        assert code == DELAYED and positions(said) == ["equal", "equal", "behind"], said
        assert [s["source"] for s in said["sources"]] == [history.index.index_url, good.url(), old.url()]
        assert history.index.index_url in said["trust"]
        done = sandbox.wheelmark("cross-check", history.index.index_url, good.url())
        assert done.code == EQUAL and "equal" in done.out


def test_nothing_to_compare(history: History, sandbox: Sandbox) -> None:
    assert sandbox.wheelmark("cross-check").failed().code == 1, "nothing is trusted"
    sandbox.trust(history.index)
    done = sandbox.wheelmark("cross-check").failed()
    assert done.code == 2 and "nothing to compare" in done.err
    stranger = sandbox.wheelmark("cross-check", DEAD, "http://127.0.0.1:7/").failed()
    assert stranger.code == 1 and "copy of none" in stranger.err
