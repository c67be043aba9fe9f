"""The day after a break-in, from the plan to an index that goes on: its audit finds nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from harness.distributions import wheel
from harness.holders import Cast
from test_recover_ceremony import newest


def test_the_index_goes_back_and_goes_on(make_index, tmp_path: Path) -> None:
    index = make_index(fresh=True, bins=4).start()
    index.publish(wheel("demo", "1.0"))
    cast = Cast(index, tmp_path)
    operator, recovery = cast.operator, tmp_path / "recovery"
    shutil.copytree(index.tree, tmp_path / "good")
    index.publish(wheel("demo", "6.6"))
    index.publish(wheel("evil", "1.0"))
    index.publish(wheel("demo", "1.1"))
    words = ["recover", "publish", recovery, "--data", index.data]

    assert index.stop() == 0
    planned = operator.run("recover", "plan", "--data", index.data, "--last-good", tmp_path / "good", "-o", recovery)
    assert planned.returncode == 0, planned.stdout + planned.stderr
    told = operator.told("recover", "ceremony", recovery, "--data", index.data)
    cast.collect(recovery / "ceremony", told["words"])
    # Until it is published nothing else is: what the next key signed now would be the thief's.
    stamped = (index.tree / "metadata" / "timestamp.json").read_bytes()
    for other in (["index", "rotate-online-key"], ["up", "--listen", f"127.0.0.1:{index.port}"]):
        refused = operator.run(*other, "--data", index.data)
        assert refused.returncode == 1 and "a recovery of this index has begun" in refused.stderr, refused.stderr
    assert operator.run("index", "renew", "--data", index.data).returncode == 3, "it is carried out by a later start"
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

    index.start()
    index.publish(wheel("demo", "1.2"))
    assert not (index.tree / "simple" / "evil" / "index.json").exists()
    page = (index.tree / "simple" / "demo" / "index.json").read_text()
    assert "1.1" in page and "1.2" in page and "6.6" not in page
    audit = operator.run("index", "--data", index.data, "audit")
    assert audit.returncode == 0, audit.stdout + audit.stderr
