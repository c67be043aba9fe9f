"""`wheelmark explain`: the chain behind a project, or how far it held."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import Sandbox

OLD, NEW = wheel("demo", "1.0"), wheel("demo", "2.0")
PRE = wheel("demo", "3.0rc1")
TOP = ["root", "timestamp", "snapshot", "targets"]


@pytest.fixture
def told(index: Index, sandbox: Sandbox) -> Sandbox:
    index.publish(OLD, NEW, PRE)
    sandbox.trust(index)
    return sandbox


def explained(sandbox: Sandbox, *args: object) -> dict:
    return json.loads(sandbox.wheelmark("explain", "--json", *args).out)


def damage(path: Path, old: bytes, new: bytes) -> None:
    os.chmod(path, 0o600)
    before = path.read_bytes()
    assert old in before
    path.write_bytes(before.replace(old, new, 1))


def newest(index: Index, role: str) -> Path:
    found = (index.tree / "metadata").glob(f"*.{role}.json")
    return max(found, key=lambda path: int(path.name.split(".")[0]))


def test_the_whole_chain_for_people(index: Index, told: Sandbox) -> None:
    done = told.wheelmark("explain", "demo").ok()
    lines = done.out.splitlines()
    assert lines[0] == f"demo 2.0, as {index.index_url} signs for it", "a pre-release is not what installers take"
    places = [done.out.index(f"{role} version ") for role in [*TOP, "claimed", "recently-claimed", "simple"]]
    assert places == sorted(places)
    assert "2 of 2 keys must sign" in done.out
    for wanted in (NEW.sha256, f"{len(NEW.content)} bytes", "signed at-upload", "UTC (now)", "UTC (in 23 hours)"):
        assert wanted in done.out, wanted
    assert OLD.sha256 not in done.out
    assert "chain       index-signed" in done.out
    assert "not looked at: `--policy` holds the files against what you ask of them" in done.out
    assert "Whoever steals the index's online keys" in done.out
    assert "\x1b" not in done.out


def test_the_version_that_is_asked_for(told: Sandbox) -> None:
    said = explained(told, "demo==1.0")
    assert [(f["file"], f["sha256"], f["size"]) for f in said["files"]] == [
        (OLD.filename, OLD.sha256, len(OLD.content))
    ]
    assert said["versions"] == ["1.0", "2.0", "3.0rc1"]


def test_the_object_for_scripts_is_what_the_index_signed(index: Index, told: Sandbox) -> None:
    said = explained(told, "demo")
    assert [role["role"] for role in said["chain"][:4]] == TOP
    for role in said["chain"]:
        stem = "timestamp.json" if role["role"] == "timestamp" else f"{role['version']}.{role['role']}.json"
        signed = json.loads((index.tree / "metadata" / stem).read_bytes())["signed"]
        assert (signed["version"], signed["expires"]) == (role["version"], role["expires"]), role
    root = json.loads(index.root_file.read_bytes())["signed"]["roles"]
    for shown in said["chain"][:4]:
        assert shown["keyids"] == root[shown["role"]]["keyids"]
        assert shown["threshold"] == root[shown["role"]]["threshold"]
    last = said["chain"][-1]
    assert last["lists_page"] and last["role"] == said["page"]["role"]
    assert [role["terminating"] for role in said["chain"]] == [None] * 4 + [False, False, True, False]
    assert said["answers"] == {"chain": "index-signed", "provenance": None, "claim": None}
    assert said["verified"] and said["found"] and said["refused"] is None


@pytest.mark.parametrize("asked, words", [("nothere", "no project nothere"), ("demo==9", "no file of version 9")])
def test_what_is_not_there(asked: str, words: str, told: Sandbox) -> None:
    done = told.wheelmark("explain", asked)
    assert done.code == 1
    assert words in done.out
    said = explained(told, asked)
    assert said["verified"] and not said["found"]


def test_a_bad_bin_is_where_the_tree_breaks(index: Index, told: Sandbox) -> None:
    role = explained(told, "demo")["page"]["role"]
    damage(newest(index, role), b'"simple/demo/index.json"', b'"simple/dem0/index.json"')
    fresh = Sandbox(told.folder / "fresh", told.binary)
    fresh.trust(index)
    done = fresh.wheelmark("explain", "demo")
    assert done.code == 1
    assert f"{role}: REFUSED" in done.out
    assert "signed by 0 of the 1 keys" in done.out
    assert "hint:" in done.out
    said = explained(fresh, "demo")
    assert [r["role"] for r in said["chain"]] == [*TOP, "claimed", "recently-claimed", "simple"]
    assert said["refused"]["at"] == role and not said["verified"]


def test_a_bad_snapshot_shows_how_far_the_chain_held(index: Index, told: Sandbox) -> None:
    explained(told, "demo")
    index.publish(wheel("another"))
    damage(newest(index, "snapshot"), b'"version"', b'"versi0n"')
    said = explained(told, "demo")
    assert [role["role"] for role in said["chain"]] == ["root", "timestamp"]
    assert said["refused"]["at"].endswith(".snapshot.json")


def test_an_index_that_is_down_is_not_called_false(index: Index, told: Sandbox) -> None:
    index.kill()
    done = told.wheelmark("explain", "demo")
    assert done.code == 1
    assert "NOT TO BE HAD" in done.out and "REFUSED" not in done.out


@pytest.mark.parametrize("asked", ["", "a b", "demo==", "demo==not a version", "../x"])
def test_what_is_no_project_is_a_usage_error(asked: str, sandbox: Sandbox) -> None:
    assert sandbox.wheelmark("explain", asked).code == 2
