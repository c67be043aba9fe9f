"""Ceremonies: the offline roles renewed and their holders replaced, by files that travel."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.distributions import wheel
from harness.holders import OFFLINE, PHRASE, Cast, Holder, Operator
from harness.index import Index
from harness.sandbox import Sandbox
from harness.signed_tree import SignedTree

@pytest.fixture
def first(make_index, tmp_path: Path) -> Cast:
    """An index on the day of its first run."""
    index: Index = make_index(fresh=True).start()
    index.publish(wheel("demo", "1.0"))
    return Cast(index, tmp_path)


@pytest.fixture
def cast(first: Cast, fake_clock: Callable[[str], dict[str, str]]) -> Cast:
    """An index that is 60 days old."""
    later(first, fake_clock("+60d"))
    return first


def later(cast: Cast, clock: dict[str, str]) -> None:
    """Lets more than a day pass, for the index and for everybody around it."""
    assert cast.index.stop() == 0, cast.index.log_text()
    timestamp = cast.index.tree / "metadata" / "timestamp.json"
    before = timestamp.read_bytes()
    cast.index.env |= clock
    for holder in cast.holders:
        holder.env = cast.index.env
    cast.index.start()
    # What is published has ended meanwhile; it is signed anew beside the first requests.
    deadline = time.monotonic() + 60
    while timestamp.read_bytes() == before:
        assert time.monotonic() < deadline, cast.index.log_text()
        time.sleep(0.05)


class Installing:
    """pip behind the verifying proxy, again and again until the block ends."""

    def __init__(self, sandbox: Sandbox, clock: dict[str, str]) -> None:
        self.sandbox, self.clock = sandbox, clock
        self.ended, self.runs, self.failed = threading.Event(), 0, []

    def _loop(self) -> None:
        venv = self.sandbox.venv()
        while not self.ended.is_set():
            done = self.sandbox.install("pip", venv, "--force-reinstall", "demo", env=self.clock)
            self.runs += 1
            if done.code != 0:
                self.failed.append(str(done))

    def __enter__(self) -> "Installing":
        self.thread = threading.Thread(target=self._loop)
        self.thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self.ended.set()
        self.thread.join()


def snapshot_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_two_holders_who_never_meet_renew_everything_while_pip_installs(
    cast: Cast, sandbox: Sandbox, fake_clock: Callable[[str], dict[str, str]]
) -> None:
    operator = cast.operator
    now = fake_clock("+60d")
    sandbox.trust(cast.index)
    before = {role: operator.signed(role)["expires"] for role in OFFLINE}

    ceremony, begun = operator.begin("march")
    assert [role["role"] for role in begun["roles"]] == OFFLINE
    assert not any(role["changes"] for role in begun["roles"])
    assert len(begun["words"].split()) == 16
    told = operator.told("ceremony", "status", ceremony, code=3)
    assert not told["complete"] and all(len(need["missing"]) == 2 for need in told["needs"])

    cast.collect(ceremony, begun["words"], cast.holders[:1])
    early = operator.run("ceremony", "finish", ceremony)
    assert early.returncode == 1 and "signed by 1 of 2" in early.stderr, early.stderr
    cast.collect(ceremony, begun["words"], cast.holders[1:])
    assert operator.told("ceremony", "status", ceremony)["complete"]
    finished = operator.told("ceremony", "finish", ceremony)
    assert finished["first_to_end"] == "claimed"
    assert operator.version("root") == 1, "nothing is published yet"

    with Installing(sandbox, now) as installing:
        while installing.runs < 1:
            time.sleep(0.1)
        published = operator.told("ceremony", "publish", ceremony, "--data", cast.index.data)
        runs = installing.runs
        while installing.runs < runs + 2:
            time.sleep(0.1)
    assert not installing.failed, installing.failed[0]
    assert published["published"] and published["root_version"] == 2
    for role in OFFLINE:
        assert operator.version(role) == 2
        assert operator.signed(role)["expires"] > before[role], role

    # A day on which nothing of the first run holds any more but what lives a year.
    later(cast, fake_clock("+140d"))
    old = sandbox.install("pip", sandbox.venv(), "demo", env=fake_clock("+140d"))
    assert old.code == 0, str(old)
    new = Sandbox(sandbox.folder / "new", cast.index.binary)
    new.trust(cast.index)
    assert new.install("pip", new.venv(), "demo", env=fake_clock("+140d")).code == 0

    again = operator.told("ceremony", "publish", ceremony, "--data", cast.index.data)
    assert again["published"], "once more is the same"


def test_the_first_keys_go_into_the_hands_of_two_people(first: Cast, sandbox: Sandbox, tmp_path: Path) -> None:
    operator = first.operator
    sandbox.trust(first.index)
    assert sandbox.install("pip", sandbox.venv(), "demo").code == 0
    alice, alice_public = first.new_holder("alice", tmp_path)
    bob, bob_public = first.new_holder("bob", tmp_path)
    ceremony, begun = operator.begin("custody", "--replace", f"1={alice_public}", "--replace", f"2={bob_public}")
    changes = [change for role in begun["roles"] for change in role["changes"]]
    assert any("alice" in change and "comes" in change for change in changes), changes

    # The newcomers alone are not enough: those of before have to agree.
    first.collect(ceremony, begun["words"], [alice, bob])
    needs = operator.told("ceremony", "status", ceremony, code=3)["needs"]
    assert {need["role"] for need in needs if not need["met"]} == {"root", "targets"}
    assert all(need["keys"] == "now" for need in needs if not need["met"])
    assert operator.run("ceremony", "finish", ceremony).returncode == 1
    first.collect(ceremony, begun["words"])
    operator.told("ceremony", "finish", ceremony)
    with Installing(sandbox, {}) as installing:
        operator.told("ceremony", "publish", ceremony, "--data", first.index.data)
        runs = installing.runs
        while installing.runs < runs + 2:
            time.sleep(0.1)
    assert not installing.failed, installing.failed[0]
    root = operator.signed("root")
    assert root["version"] == 2
    gone = json.loads((first.index.tree / "metadata/1.root.json").read_bytes())["signed"]["roles"]["root"]["keyids"]
    assert not set(gone) & set(root["keys"])
    fresh = Sandbox(sandbox.folder / "fresh", first.index.binary)
    fresh.trust(first.index)
    assert fresh.install("pip", fresh.venv(), "demo").code == 0

    # From now on the old files sign nothing, and the new ones hold the next ceremony.
    refused = operator.run("ceremony", "begin", "--data", first.index.data, "--out", tmp_path / "at-once")
    assert refused.returncode == 1 and "would stay as it is" in refused.stderr
    twice = operator.run("ceremony", "begin", "--data", first.index.data, "--out", tmp_path / "twice", "--add", alice_public)
    assert twice.returncode == 1 and "would stand for two holders" in twice.stderr


@pytest.fixture
def three(first: Cast, tmp_path: Path) -> list[Holder]:
    """The holders of an index of which two of three have to sign."""
    carol, public = first.new_holder("carol", tmp_path)
    ceremony, begun = first.operator.begin("third", "--add", public)
    first.collect(ceremony, begun["words"])
    first.operator.told("ceremony", "finish", ceremony)
    first.operator.told("ceremony", "publish", ceremony, "--data", first.index.data)
    return [*first.holders, carol]


def test_of_three_holders_one_can_be_lost(first: Cast, three: list[Holder], sandbox: Sandbox, tmp_path: Path) -> None:
    operator = first.operator
    sandbox.trust(first.index)
    root = operator.signed("root")["roles"]["root"]
    assert (root["threshold"], len(root["keyids"])) == (2, 3)
    dave, public = first.new_holder("dave", tmp_path)
    ceremony, begun = operator.begin("loss", "--replace", f"2={public}")
    first.collect(ceremony, begun["words"], [three[0], three[2]])
    operator.told("ceremony", "finish", ceremony)
    told = operator.told("ceremony", "publish", ceremony, "--data", first.index.data)
    assert told["root_version"] == 3
    assert sandbox.install("pip", sandbox.venv(), "demo").code == 0

    # Whoever was replaced signs nothing any more.
    again, begun = operator.begin("again", "--remove", "3", "--threshold", "2")
    old = three[1].sign(three[1].take(again), operator.fingerprint, begun["words"])
    assert old.returncode == 1 and "none of these keys signs" in old.stderr


def test_a_holder_signs_nothing_that_does_not_fit(cast: Cast, tmp_path: Path) -> None:
    operator, holder = cast.operator, cast.holders[0]
    ceremony, begun = operator.begin("march")
    words, trust = begun["words"], operator.fingerprint

    def refused(mine: Path, *, says: str, trust: str = trust, words: str = words, phrase: str | None = None) -> None:
        before = snapshot_of(mine)
        done = holder.sign(mine, trust, words, phrase=phrase)
        assert done.returncode == 1 and says in done.stderr, done.stderr
        assert "hint:" in done.stderr or says in done.stderr
        assert snapshot_of(mine) == before, "nothing changed"

    mine = holder.take(ceremony)
    refused(mine, trust="0" * 64, says="none of this index's")
    refused(mine, words=" ".join(reversed(words.split())), says="the words do not fit")
    refused(mine, words=words.rsplit(" ", 1)[0], says="16 words")
    refused(mine, phrase="a wrong passphrase", says="the phrase does not open this file")

    payload = mine / "payloads" / "2.root.json"
    payload.write_bytes(payload.read_bytes().replace(b'"version":2', b'"version":3'))
    refused(mine, says="was changed")

    mine = holder.take(ceremony)
    plan = json.loads((mine / "ceremony.json").read_text())

    def planned(change: Callable[[dict], None], says: str) -> None:
        changed = json.loads(json.dumps(plan))
        change(changed)
        (mine / "ceremony.json").write_text(json.dumps(changed))
        refused(mine, says=says)

    planned(lambda p: p["roles"]["root"].update(version=3), "cannot follow on version 1")
    planned(lambda p: p["roles"]["root"].update(version=1), "cannot follow on version 1")
    planned(lambda p: p["roles"]["claimed"].update(expires="2099-01-01T00:00:00Z"), "longer than the 90 days")
    planned(lambda p: p["roles"]["root"].update(expires="2020-01-01T00:00:00Z"), "which is over")
    planned(lambda p: p.update(index="0" * 64), "is a ceremony of the index")
    planned(lambda p: p["roles"].clear(), "signs nothing")
    (mine / "ceremony.json").write_text("{")
    refused(mine, says="not the plan of a ceremony")
    (mine / "ceremony.json").write_text(json.dumps(plan))

    published = mine / "published" / "1.targets.json"
    genuine = published.read_bytes()
    published.write_bytes(genuine.replace(b"packages/*/*", b"packages/*/a"))
    refused(mine, says="targets is not what this index signed")
    published.write_bytes(genuine)
    assert holder.sign(mine, trust, words).returncode == 0

    # The clock of a machine that travels can be off.
    done = cast.operator.run("ceremony", "review", mine, env={"FAKETIME": "-400d"})
    assert done.returncode == 1 and "by this machine's clock" in done.stderr


def test_a_signature_counts_for_what_it_says(cast: Cast, tmp_path: Path) -> None:
    operator = cast.operator
    march, begun = operator.begin("march")
    claimed, other = operator.begin("claimed", "--role", "claimed")
    cast.collect(claimed, other["words"], cast.holders[:1])
    cast.collect(march, begun["words"], cast.holders[:1])

    def refused(change: Callable[[Path], None], says: str) -> None:
        mine = tmp_path / "mine"
        shutil.copytree(march, mine)
        change(mine / "signatures")
        before = snapshot_of(mine)
        told = operator.told("ceremony", "status", mine, code=1)
        assert any(says in refused["why"] for refused in told["refused"]), told
        finish = operator.run("ceremony", "finish", mine)
        assert finish.returncode == 1 and "does not count" in finish.stderr and says in finish.stderr
        done = cast.holders[1].sign(mine, operator.fingerprint, begun["words"])
        assert done.returncode == 1 and says in done.stderr, done.stderr
        assert snapshot_of(mine) == before, "nothing changed"
        shutil.rmtree(mine)

    def a_root_signature(signatures: Path) -> Path:
        return next(path for path in signatures.iterdir() if ".root." in path.name)

    def copied(signatures: Path) -> None:
        shutil.copy(a_root_signature(signatures), signatures / "2.root.copy.sig.json")

    def edited(**fields: object) -> Callable[[Path], None]:
        def change(signatures: Path) -> None:
            path = a_root_signature(signatures)
            path.write_text(json.dumps(json.loads(path.read_text()) | fields))

        return change

    def from_the_other(signatures: Path) -> None:
        shutil.copy(next((claimed / "signatures").iterdir()), signatures / "other.sig.json")

    refused(from_the_other, "belongs to the ceremony")
    refused(copied, "has signed root already")
    refused(edited(sig="00" * 64), "does not verify")
    refused(edited(keyid="0" * 64), "does not sign root")
    refused(edited(version=7), "does not sign version 7 of root")
    refused(edited(role="timestamp"), "does not sign version 2 of timestamp")
    refused(edited(**{"payload-sha256": "0" * 64}), "another payload")
    refused(lambda signatures: a_root_signature(signatures).write_text("[]"), "no signature of a ceremony")


def test_what_the_index_is_handed_has_to_fit(cast: Cast, tmp_path: Path) -> None:
    operator, index = cast.operator, cast.index
    ceremony, begun = operator.begin("march")
    unfinished = operator.run("ceremony", "publish", ceremony, "--data", index.data)
    assert unfinished.returncode == 1 and "not finished" in unfinished.stderr
    cast.collect(ceremony, begun["words"])
    operator.told("ceremony", "finish", ceremony)
    root = ceremony / "finished" / "2.root.json"
    genuine = root.read_bytes()
    root.write_bytes(genuine.replace(b'"signatures":[{', b'"signatures":[{"x":1,'))
    changed = operator.run("ceremony", "publish", ceremony, "--data", index.data)
    assert changed.returncode == 1 and "are not what this ceremony ends with" in changed.stderr
    root.write_bytes(genuine)

    # Another ceremony on the same ground came first.
    late, begun_late = operator.begin("late", "--role", "claimed")
    cast.collect(late, begun_late["words"])
    operator.told("ceremony", "finish", late)
    operator.told("ceremony", "publish", late, "--data", index.data)
    before = index.metadata_files()
    overtaken = operator.run("ceremony", "publish", ceremony, "--data", index.data)
    assert overtaken.returncode == 1 and "does not follow on version 2" in overtaken.stderr, overtaken.stderr
    assert {name for name in index.metadata_files() if "root" in name or "targets" in name} <= set(before)
    # Once more is the same.
    told = operator.told("ceremony", "publish", late, "--data", index.data)
    assert told["published"]
    index.publish(wheel("demo", "2.0"))

    aborted = operator.told("ceremony", "abort", ceremony, "--data", index.data)
    assert aborted["aborted"] and not (ceremony / "signatures").exists()
    done = cast.holders[0].sign(ceremony, operator.fingerprint, begun["words"])
    assert done.returncode == 1 and "was broken off" in done.stderr


def test_an_index_that_is_off_takes_it_at_its_next_start(cast: Cast, tmp_path: Path) -> None:
    operator, index = cast.operator, cast.index
    ceremony, begun = operator.begin("march")
    cast.collect(ceremony, begun["words"])
    operator.told("ceremony", "finish", ceremony)
    assert index.stop() == 0
    key = tmp_path / "elsewhere"
    (index.data / "online-key").rename(key)
    told = operator.told("ceremony", "publish", ceremony, "--data", index.data, code=3)
    assert told["waiting"] and operator.version("root") == 1
    key.rename(index.data / "online-key")
    index.start()
    deadline = time.monotonic() + 60
    while operator.version("root") < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert {role: operator.version(role) for role in OFFLINE} == dict.fromkeys(OFFLINE, 2)


def test_it_is_said_in_time_that_a_ceremony_is_due(
    first: Cast, fake_clock: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    operator, data = first.operator, first.index.data

    def keys(offset: str | None, code: int, state: str) -> dict:
        env = fake_clock(offset) if offset else None
        told = operator.told("index", "keys", "--data", data, code=code, env=env)
        assert told["state"] == state
        return {role["role"]: role for role in told["roles"]}

    roles = keys(None, 0, "ok")
    assert list(roles)[:7] == [*OFFLINE, "timestamp", "snapshot"]
    assert set(roles) > {"recently-claimed", "status", "simple-* (16)", "packages-* (16)"}
    assert all(role["state"] == "ok" and role["version"] >= 1 for role in roles.values())
    assert [len(roles[role]["keys"]) for role in OFFLINE] == [2] * 5
    told = operator.run("index", "keys", "--data", data)
    assert told.returncode == 0
    assert "holder 1: " in told.stdout and "renewed by the running index" in told.stdout
    # An index that is off: what is signed online ends first.
    assert first.index.stop() == 0
    assert keys("+2d", 4, "expired")["timestamp"]["state"] == "expired"
    said = operator.run("index", "keys", "--data", data, env=fake_clock("+2d"))
    assert "start the index" in said.stdout and "wheelmark ceremony begin" not in said.stdout

    # One that runs: the offline roles, in time.
    for days, code, due in [(59, 0, set()), (61, 3, {"claimed"})]:
        clock = fake_clock(f"+{days}d")
        first.index.env |= clock
        before = first.index.log_text()
        first.index.start()
        deadline = time.monotonic() + 60
        while operator.run("index", "keys", "--data", data).returncode == 4 and time.monotonic() < deadline:
            time.sleep(0.2)
        roles = keys(f"+{days}d", code, "due" if due else "ok")
        assert {name for name, role in roles.items() if role["state"] == "due"} == due
        warned = first.index.log_text().removeprefix(before)
        assert ("hold a ceremony" in warned) == bool(due), warned
        assert first.index.stop() == 0
    roles = keys("+306d", 4, "expired")
    assert {name for name, role in roles.items() if role["state"] == "due"} == {"root", "targets", "simple", "packages"}
    assert roles["claimed"]["state"] == "expired"
    assert "clients refuse" in roles["claimed"]["next"]


def test_an_index_that_follows_another_is_renewed_as_well(
    sandbox: Sandbox, fake_clock: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    wheel("demo", "1.0").write(source)
    tree = SignedTree(sandbox, source).run()
    phrase = PHRASE.findall(tree.err)[0]
    env = sandbox.env | fake_clock("+60d")
    index = SimpleNamespace(binary=sandbox.binary, env=env, data=tree.data, tree=tree.out, ready=tree.said)
    operator = Operator(index, tmp_path)
    ceremony, begun = operator.begin("march")
    for n in (1, 2):
        keys = Path(f"{tree.data}-offline-keys") / f"custodian-{n}.age"
        holder = Holder(sandbox.binary, tmp_path / f"holder-{n}", keys, phrase, env)
        assert holder.sign(ceremony, operator.fingerprint, begun["words"]).returncode == 0
    operator.told("ceremony", "finish", ceremony)
    told = operator.told("ceremony", "publish", ceremony, "--data", tree.data)
    assert told["root_version"] == 2
    assert {role: operator.version(role) for role in OFFLINE} == dict.fromkeys(OFFLINE, 2)
    wheel("demo", "2.0").write(source)
    tree.run(env=fake_clock("+60d"))
    assert tree.files() == {"demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"}
