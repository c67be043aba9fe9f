"""The ceremony of the day after a break-in: begun on the last good state, signed by holders elsewhere."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from harness.distributions import wheel
from harness.holders import Cast, OFFLINE

RAISE = 1 << 20


def named(file: Path) -> dict:
    return {"version": int(file.name.split(".")[0]), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}


def newest(tree: Path, role: str) -> Path:
    return max((tree / "metadata").glob(f"*.{role}.json"), key=lambda path: int(path.name.split(".")[0]))


def planned(recovery: Path, tree: Path, index: str, claims: list[dict]) -> None:
    """A plan as `recover plan` writes it, with nothing left to decide but claims."""
    good = recovery / "last-good"
    snapshot = newest(good, "snapshot")
    timestamp = tree / "metadata" / "timestamp.json"
    stated = json.loads(timestamp.read_bytes())["signed"]["version"]
    plan = {
        "form": 1,
        "made": datetime.now(UTC).isoformat(),
        "index": index,
        "last-good": {
            "from": "a test",
            "root": 1,
            "snapshot": named(snapshot),
            "expires": json.loads(snapshot.read_bytes())["signed"]["expires"],
            "dated": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        },
        "present": {
            "root": 1,
            "snapshot": named(newest(tree, "snapshot")),
            "timestamp": {"version": stated, "sha256": hashlib.sha256(timestamp.read_bytes()).hexdigest()},
        },
        "roles": [],
        "claims": claims,
        "projects": [],
    }
    (recovery / "plan.json").write_text(json.dumps(plan))


def test_holders_sign_what_follows_on_the_last_good_state(make_index, tmp_path: Path) -> None:
    index = make_index(fresh=True, bins=4).start()
    index.publish(wheel("demo", "1.0"))
    cast = Cast(index, tmp_path)
    operator, recovery = cast.operator, tmp_path / "recovery"
    shutil.copytree(index.tree, recovery / "last-good")
    (recovery / "last-good" / "metadata" / "timestamp.json").unlink()
    index.publish(wheel("demo", "6.6"))
    words = ["recover", "ceremony", recovery, "--data", index.data]

    def refused(why: str, *more: object) -> None:
        done = operator.run(*words, *more)
        assert done.returncode == 1 and why in done.stderr, done.stderr + done.stdout
        assert not (recovery / "ceremony").exists()

    # While the index publishes, the next key would sign what is to be left.
    claim = {"project": "acme-tools", "sealed": False, "what": "removed", "decision": None}
    planned(recovery, index.tree, operator.fingerprint, [claim])
    refused("stop the index first")
    assert not (index.data / "online-key.next").exists()
    assert index.stop() == 0
    refused("nobody has decided whether the claim of acme-tools goes on")
    planned(recovery, index.tree, "0" * 64, [])
    refused("is the plan of another index")
    planned(recovery, index.tree, operator.fingerprint, [])
    # Holders are not called for a plan that another state has overtaken.
    overtaken = json.loads((recovery / "plan.json").read_bytes())
    overtaken["present"]["snapshot"]["version"] -= 1
    (recovery / "plan.json").write_text(json.dumps(overtaken))
    refused("when the plan was made")
    planned(recovery, index.tree, operator.fingerprint, [])
    (tmp_path / "odd.txt").write_text("all is well\n\x1b[2J")
    refused("line 2 of this", "--bulletin", tmp_path / "odd.txt")
    # What a thief puts there is no root, and a later root is not taken back.
    root = index.tree / "metadata" / "2.root.json"
    root.write_text("{}")
    refused("root's keys have not signed it")
    root.unlink()
    _, carol = cast.new_holder("carol", tmp_path)
    other, begun = operator.begin("other", "--add", carol)
    cast.collect(other, begun["words"])
    operator.told("ceremony", "finish", other)
    shutil.copy(other / "finished" / "2.root.json", root)
    refused("a recovery takes no root back")
    root.unlink()
    # It was never published, and its list of claims is noticed all the same.
    shutil.copy(other / "finished" / "2.claimed.json", index.tree / "metadata")
    assert not (index.data / "online-key.next").exists()

    # Somebody has taken the number that would come first.
    taken = index.tree / "metadata" / f"{1 + RAISE}.simple.json"
    taken.write_text("{}")
    told = operator.told(*words)
    assert len(told["left_behind"]) == 1 and "version 2 of claimed" in told["left_behind"][0]
    assert told["recovery"]["statement"]["claims"] == {}
    assert "broken into" in told["recovery"]["statement"]["bulletin"]
    assert any("break-in" in caution for caution in told["cautions"])
    versions = {role["role"]: role["version"] for role in told["roles"]}
    raised = dict.fromkeys(OFFLINE, 1 + RAISE) | {"root": 2, "simple": 2 + RAISE}
    assert versions == raised
    again = operator.run(*words)
    assert again.returncode == 1 and "is there already" in again.stderr, again.stderr

    ceremony = recovery / "ceremony"
    cast.collect(ceremony, told["words"])
    finished = operator.told("ceremony", "finish", ceremony)
    assert sorted(finished["files"]) == sorted(f"{version}.{role}.json" for role, version in raised.items())
    signed = {
        role: json.loads((ceremony / "finished" / f"{version}.{role}.json").read_bytes())["signed"]
        for role, version in raised.items()
    }
    next_key = json.loads((recovery / "next-online-key.json").read_bytes())["key"]
    online = signed["root"]["roles"]["timestamp"]["keyids"]
    assert [signed["root"]["keys"][key] for key in online] == [next_key]
    assert signed["targets"]["_wheelmark"]["recovery"] == told["recovery"]["statement"]
    assert (index.data / "online-key.next").stat().st_mode & 0o077 == 0
    # It is published with what is kept, or not at all.
    status = operator.run("ceremony", "status", ceremony)
    assert "recover publish" in status.stdout, status.stdout
    done = operator.run("ceremony", "publish", ceremony, "--data", index.data)
    assert done.returncode == 1 and "wheelmark recover publish" in done.stderr, done.stderr
