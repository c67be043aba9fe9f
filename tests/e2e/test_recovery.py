"""All keys of a claimed project are lost, and others take their place when everybody could see it (PEP 480)."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tuf.api.metadata import Metadata

from harness.developer import Developer
from harness.distributions import wheel
from harness.sandbox import Outcome, Sandbox
from test_claims import explained, installs

PROJECT = "acme-tools"


def recover(person: Developer, *options: object) -> Outcome:
    """With the key in `me.age` as the new one."""
    words = ("project", "recover", PROJECT, "--token-file", person.token)
    if "--withdraw" in options:
        return person.sandbox.wheelmark(*words, *options, env=person.env)
    return person._signing(*words, "--new", f"file:{person.key}", "--yes", *options)


def test_lost_keys_are_replaced_in_two_slow_steps(
    make_index, tmp_path: Path, fake_clock: Callable[[str], dict[str, str]]
) -> None:
    clock = fake_clock("-16d")
    index = make_index(fresh=True, env={"WHEELMARK_INDEX_CLAIMS": "on", **clock}).start()
    first, second = wheel(PROJECT, "1.0", says="1.0"), wheel(PROJECT, "2.0", says="2.0")
    index.publish(first)
    lost = Developer(tmp_path / "lost", index.binary, index, clock)
    lost.claim(PROJECT).ok()
    known = Sandbox(tmp_path / "known", index.binary, clock)
    known.trust(index)
    installs(known, "pip", PROJECT)[0].ok()

    # A machine that was there before, and one that was not, with a new key each.
    alice, other = (Developer(tmp_path / name, index.binary, index, clock) for name in ("alice", "other"))
    asked = recover(alice).ok()
    assert alice.keyid in asked.out and "give the same command once more from" in asked.out, asked
    (notice,) = [explained(known, PROJECT)["taken_away"]["recovery"]]
    assert (notice["keyids"], notice["threshold"], notice["by"]) == ([alice.keyid], 1, "operator"), notice
    assert "says that the project's keys are lost" in known.wheelmark("explain", PROJECT).ok().out
    early = recover(alice)
    assert early.code == 3 and "everybody can see since" in early.out, early
    taken = recover(other).failed()
    assert "asks since" in taken.text and "--withdraw" in taken.text, taken
    # Who still has a key says no by using it; and an owner can take it back.
    lost.signs("project", "renew", PROJECT).ok()
    assert explained(known, PROJECT)["taken_away"] is None
    recover(other).ok()
    recover(other, "--withdraw").ok()
    recover(alice).ok()
    # Whoever runs the index reads it where they look.
    status = [str(index.binary), "index", "status", "--data", str(index.data)]
    shown = subprocess.run(status, env=index.env, capture_output=True, text=True)
    assert f"{PROJECT}: operator says since" in shown.stdout and "end-recovery" in shown.stdout, shown

    # Sixteen days later.
    assert index.stop() == 0, index.log_text()
    for env in (index.env, known.env, alice.sandbox.env, lost.sandbox.env):
        for name in clock:
            env.pop(name, None)
    index.start()
    deadline = time.monotonic() + 60
    while Metadata.from_file(str(index.tree / "metadata" / "timestamp.json")).signed.is_expired():
        assert time.monotonic() < deadline, index.log_text()
        time.sleep(0.1)
    done = recover(alice, "--json").ok()
    told = json.loads(done.out)
    assert (told["state"], told["keys"], told["files"], told["adopted"]) == ("recovered", [alice.keyid], 1, 1), told
    alice.publish(second).ok()

    # Who begins now takes the new key; who knew the project asks its people first.
    fresh = Sandbox(tmp_path / "fresh", index.binary)
    fresh.trust(index)
    outcome, venv = installs(fresh, "pip", PROJECT)
    assert outcome.ok() and venv.says("acme_tools") == "2.0"
    refused = installs(known, "pip", PROJECT)[0].failed()
    assert "other keys than before" in refused.text and "trust claims forget" in " ".join(refused.text.split()), refused
    known.wheelmark("trust", "claims", "forget", PROJECT).ok()
    assert installs(known, "pip", PROJECT)[0].ok()
    # The key that was lost is good for nothing any more.
    assert "other keys than before" in lost.publish(wheel(PROJECT, "3.0", says="3.0")).failed().text
