"""The day after a break-in, from the plan to an index that goes on: its audit finds nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.distributions import wheel
from harness.holders import Cast
from harness.index import Index
from harness.sandbox import Sandbox
from test_recover_ceremony import newest


EVIL, NEW = wheel("demo", "6.6"), wheel("evil", "1.0")


def test_the_index_goes_back_and_goes_on(make_index, tmp_path: Path, binary: Path) -> None:
    index = make_index(fresh=True, bins=4).start()
    index.publish(wheel("demo", "1.0"))
    cast = Cast(index, tmp_path)
    operator, recovery = cast.operator, tmp_path / "recovery"
    shutil.copytree(index.tree, tmp_path / "good")
    index.publish(EVIL)
    index.publish(NEW)
    # Two machines that install now, one with a client that knows the index.
    struck, bare = Sandbox(tmp_path / "struck", binary), Sandbox(tmp_path / "bare", binary)
    struck.trust(index)
    environments = struck.venv(), bare.venv()
    struck.install("pip", environments[0], "demo==6.6", "evil==1.0").ok()
    bare.plain_pip(environments[1], index.index_url, "demo==6.6", "evil==1.0").ok()
    index.publish(wheel("demo", "1.1"))
    words = ["recover", "publish", recovery, "--data", index.data]

    assert index.stop() == 0
    planned = operator.run("recover", "plan", "--data", index.data, "--last-good", tmp_path / "good", "-o", recovery)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    told = operator.told("recover", "ceremony", recovery, "--data", index.data)
    cast.collect(recovery / "ceremony", told["words"])
    # Until it is published nothing else is: what the next key signed now would be the thief's.
    stamped = (index.tree / "metadata" / "timestamp.json").read_bytes()
    # Nor is anything put down for later: the recovery would refuse it.
    for other in (
        ["index", "rotate-online-key", "--out", tmp_path / "next.json"],
        ["index", "renew"],
        ["index", "status", "demo", "quarantined", "--reason", "looked at"],
        ["up", "--listen", f"127.0.0.1:{index.port}"],
    ):
        refused = operator.run(*other, "--data", index.data)
        assert refused.returncode == 1 and "a recovery of this index has begun" in refused.stderr, refused.stderr
    assert (index.tree / "metadata" / "timestamp.json").read_bytes() == stamped
    undecided = operator.run(*words)
    assert undecided.returncode == 1 and "nobody has decided about" in undecided.stderr, undecided.stderr
    plan = json.loads((recovery / "plan.json").read_bytes())
    for change in [change for project in plan["projects"] for change in project["changes"]]:
        change["decision"] = "keep" if "1.1" in (change["file"] or "") else "drop"
    (recovery / "plan.json").write_text(json.dumps(plan))
    unfinished = operator.run(*words)
    assert unfinished.returncode == 1 and "ceremony finish" in unfinished.stderr, unfinished.stderr
    operator.told("ceremony", "finish", recovery / "ceremony")

    # What was signed for is this state, whatever somebody makes of the plan.
    other = json.loads(json.dumps(plan))
    other["last-good"]["snapshot"] = plan["present"]["snapshot"]
    (recovery / "plan.json").write_text(json.dumps(other))
    exchanged = operator.run(*words)
    assert exchanged.returncode == 1 and "the holders have signed for" in exchanged.stderr, exchanged.stderr
    (recovery / "plan.json").write_text(json.dumps(plan))

    before = (index.tree / "metadata" / "timestamp.json").read_bytes()
    looked = operator.told(*words, "--dry-run")
    assert looked["gone_projects"] == ["evil"] and looked["projects"] == ["demo"]
    assert [file["file"] for file in looked["gone_files"] if file["project"] == "demo"] == ["demo-6.6-py3-none-any.whl"]
    assert (index.tree / "metadata" / "timestamp.json").read_bytes() == before
    done = operator.told(*words)
    assert done["published"] and done["gone_files"] == looked["gone_files"]
    again = operator.run(*words)
    assert again.returncode == 0 and "published already" in again.stdout, again.stdout + again.stderr
    assert newest(index.tree, "root").name == "2.root.json"

    # The stolen key goes now, and not a day later as one that nobody had.
    keys = operator.told("index", "keys", "--data", index.data)
    assert keys["under_way"][0]["recovered"] is True, keys["under_way"]
    assert "let it go now" in operator.run("index", "keys", "--data", index.data).stdout
    retired = operator.told("index", "rotate-online-key", "--data", index.data, "--retire")
    assert retired["state"] == "retired"

    index.start()
    # Whoever begins to trust it gets a file and a fingerprint that belong together.
    assert index.ready["root_fingerprint"] == keys["root_fingerprint"]
    assert index.root_file.name == "2.root.json" and index.root_file.exists()
    index.publish(wheel("demo", "1.2"))
    assert not (index.tree / "simple" / "evil" / "index.json").exists()
    page = (index.tree / "simple" / "demo" / "index.html").read_text()
    assert "1.1" in page and "1.2" in page and "6.6" not in page
    bare.trust(index)
    for sandbox, venv in zip((struck, bare), environments, strict=True):
        finds_out(sandbox, venv.path, index, tmp_path)
    audit = operator.run("index", "--data", index.data, "audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr


def finds_out(sandbox: Sandbox, venv: Path, index: Index, folder: Path) -> None:
    """What a person is told who has what the thief published."""

    def verify(*target: object) -> tuple[dict, str]:
        told, said = (sandbox.wheelmark("verify", *words, *target) for words in (("--json",), ()))
        assert told.code == 1 and said.code == 1, f"{told}{said}"
        (one,) = json.loads(told.out)["targets"]
        return one, said.out

    told, said = verify("--environment", venv)
    found = {one["project"]: one for one in told["distributions"]}
    assert found["demo"]["verdict"] == "withdrawn", found
    assert found["demo"]["withdrawn"]["files"] == [{"file": EVIL.filename, "sha256": EVIL.sha256}]
    assert "1 project WITHDRAWN after a break-in" in said and EVIL.sha256 in said, said
    # Of a project that is gone whole nothing but this is known.
    assert found["evil"]["verdict"] == "not-from-an-index"
    assert "it was broken into, and went back on" in found["evil"]["why"], found

    file = folder / EVIL.filename
    file.write_bytes(EVIL.content)
    told, said = verify(file)
    assert told["verdict"] == "withdrawn" and "WITHDRAWN after a break-in" in said, said
    lock = folder / "requirements.txt"
    lock.write_text(f"demo==6.6 --hash=sha256:{EVIL.sha256}\nevil==1.0 --hash=sha256:{NEW.sha256}\n")
    told, said = verify(lock)
    (demo,) = [one for one in told["packages"] if one["project"] == "demo"]
    assert [one["verdict"] for one in demo["files"]] == ["withdrawn"], told
    assert said.count("it was broken into, and went back on") == 2, said


def test_a_token_that_was_revoked_is_not_told_of(make_index, tmp_path: Path) -> None:
    """Nor does a file in the place of the next root keep the index from starting."""
    index = make_index(fresh=True, bins=4).start()
    operator = Cast(index, tmp_path).operator
    listed = operator.run("index", "--data", index.data, "token", "list", "--json")
    (token,) = json.loads(listed.stdout)
    revoked = operator.run("index", "--data", index.data, "token", "revoke", token["id"])
    assert revoked.returncode == 0, revoked.stderr
    assert index.stop() == 0
    stray = index.tree / "metadata" / "2.root.json"
    stray.write_text("{}")
    index.start()
    assert index.ready["token_file"] is None and index.root_file.name == "1.root.json"
    assert "a file lies in the place of the next root" in index.log_text()
    keys = operator.told("index", "keys", "--data", index.data, code=4)
    assert "2.root.json" in keys["stray_root"]
    said = operator.run("index", "status", "--data", index.data)
    assert said.returncode == 4 and "move it away" in said.stdout, said.stdout
    begun = operator.run("ceremony", "begin", "--data", index.data, "--out", tmp_path / "ceremony")
    assert begun.returncode == 1 and "in the place of the next root" in begun.stderr, begun.stderr
    stray.unlink()
    operator.told("index", "keys", "--data", index.data)
