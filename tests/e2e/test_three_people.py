"""Three people sign for a project, each on a machine of their own: two with a SoftHSM token, one with an SSH key.

They claim it, publish, replace a lost key, renew, and hand it over. Nobody ever has the key of another, so that each
step waits at the index for the next one. `docs/claims.md` has what they see: `pytest -s` prints it, with the seconds.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.custody import SoftToken, SshAgent, ssh_agent
from harness.distributions import wheel
from harness.index import Index
from harness.people import add_users, administer, audit_log, token
from harness.sandbox import Outcome, Sandbox, environment
from harness.tuf_reader import TufReader
from test_claims import newest

PROJECT = "acme-tools"


class Person:
    """Somebody with a machine and a key; `say` writes down what they do and see."""

    def __init__(self, folder: Path, index: Index, user: str, said: list[str]) -> None:
        self.folder, self.index, self.user, self.said = folder, index, user, said
        self.sandbox = Sandbox(folder, index.binary)
        self.sandbox.trust(index)
        self.token = folder / "upload-token"
        self.token.write_text(token(index, user, "upload"))
        self.signer, self.env = "", {}

    def has_token(self, name: str) -> SoftToken:
        hsm = SoftToken(self.folder / name, name, environment(self.folder))
        self.signer, self.env = hsm.with_pin_in_a_file(), {"SOFTHSM2_CONF": hsm.env["SOFTHSM2_CONF"]}
        self.shown = f"'pkcs11:token={name}'"
        return hsm

    def has_agent(self, agent: SshAgent) -> None:
        agent.add("wheelmark-developer")
        self.signer, self.env, self.shown = "ssh:", {"SSH_AUTH_SOCK": agent.env["SSH_AUTH_SOCK"]}, "ssh:"

    def run(self, *words: object, sends: bool = True) -> Outcome:
        send = ("--token-file", self.token) if sends else ()
        started = time.monotonic()
        done = self.sandbox.wheelmark(*words, *send, env=self.env, cwd=self.folder)
        seconds = time.monotonic() - started
        command = " ".join(self.shown if word == self.signer else str(word) for word in words)
        text = f"{self.user}$ wheelmark {command}\n{done.text.rstrip()}\n({seconds:.1f} s)"
        text = text.replace(self.index.index_url, "https://pypi.example/simple/").replace(f"{self.folder}/", "")
        self.said.append(re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", text))
        return done

    def public(self) -> tuple[Path, str]:
        """The public half of the key, in a file, and its id."""
        file = self.folder / f"{self.user}.key"
        self.run("project", "keys", "public", "--signer", self.signer, "--out", file.name, sends=False).ok()
        return file, json.loads(file.read_text())["keyid"]

    def looks_and_signs(self, named: str, *keys: str) -> Outcome:
        known = [word for key in keys for word in ("--key", key)]
        self.run("release", "review", named, *known).ok()
        return self.run("release", "approve", named, "--signer", self.signer, "--yes", *known)

    def waiting(self) -> list[dict]:
        listed = self.sandbox.wheelmark(
            "release", "list", PROJECT, "--json", "--token-file", self.token, env=self.env
        )
        return json.loads(listed.ok().out)["staged"]


@pytest.fixture
def index(make_index) -> Index:
    return make_index(env={"WHEELMARK_INDEX_CLAIMS": "on"}).start()


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[list[SshAgent]]:
    folder = tmp_path / "agents"
    (folder / "home").mkdir(parents=True)
    (folder / "tmp").mkdir()
    with ssh_agent(environment(folder)) as one, ssh_agent(environment(folder)) as other:
        yield [one, other]


def installs(sandbox: Sandbox) -> str:
    venv = sandbox.venv()
    sandbox.install("pip", venv, PROJECT).ok()
    return venv.says("acme_tools")


def test_three_people_with_three_keys(
    index: Index, agents: list[SshAgent], sandbox: Sandbox, tmp_path: Path
) -> None:
    said: list[str] = []
    add_users(index, "alice", "bob", "carol", "dave")
    index.publish(wheel(PROJECT, "1.0", says="1.0"))
    administer(index, "project", "owner", "add", PROJECT, "alice").ok()
    for user in ("bob", "carol", "dave"):
        administer(index, "project", "maintainer", "add", PROJECT, user).ok()
    alice, bob, carol, dave = (Person(tmp_path / user, index, user, said) for user in ("alice", "bob", "carol", "dave"))
    lost = alice.has_token("alice")
    bob.has_token("bob")
    carol.has_agent(agents[0])
    dave.has_agent(agents[1])
    try:
        steps(index, sandbox, alice, bob, carol, dave, lost)
    finally:
        print("\n\n".join(said))


def steps(
    index: Index, sandbox: Sandbox, alice: Person, bob: Person, carol: Person, dave: Person, lost: SoftToken
) -> None:
    # Claimed by three, none of whom has the others' keys.
    (of_alice, a), (of_bob, b), (of_carol, c) = (person.public() for person in (alice, bob, carol))
    old = wheel(PROJECT, "1.0", says="1.0").write(alice.folder / "dist")
    claim = alice.run(
        "project", "claim", PROJECT, "--signer", alice.signer, "--maintainer", f"bob=public:{of_bob}",
        "--maintainer", f"carol=public:{of_carol}", "--threshold", "2", "--compare", old, "--yes",
    ).ok()  # fmt: skip
    assert "the claim of acme-tools waits at the index, signed by 1 of 3" in claim.out, claim
    refused = bob.run("release", "review", PROJECT).failed()
    assert "nobody on this machine has said whose keys" in refused.err, refused
    refused = bob.run("release", "review", PROJECT, "--key", a, "--key", b).failed()
    assert "not those that are to sign" in refused.err, refused
    assert "waits at the index, signed by 2 of 3" in bob.looks_and_signs(PROJECT, a, b, c).ok().out
    assert "2 of 3 keys sign for it" in carol.looks_and_signs(PROJECT, a, b, c).ok().out
    sandbox.trust(index)
    assert installs(sandbox) == "1.0"

    # A release of two of them.
    new = wheel(PROJECT, "2.0", says="2.0").write(alice.folder / "dist")
    known = [word for key in (a, b, c) for word in ("--key", key)]
    alice.run("publish", new, "--signer", alice.signer, "--yes", *known).ok()
    assert "is live" in bob.looks_and_signs(f"{PROJECT}==2.0", a, b, c).ok().out

    # Alice loses her token, and has a new one; the two others let it in. What they sign is what they saw.
    lost.pull_out()
    alice.has_token("alice-2")
    replaced = alice.run(
        "project", "keys", "replace", PROJECT, a[:12], "--new", alice.signer, "--yes", *known
    ).ok()  # fmt: skip
    assert "the change of keys of acme-tools waits at the index, signed by 1 of 3" in replaced.out, replaced
    (one,) = bob.waiting()
    assert one["change"]["removed"] == [a] and one["change"]["threshold"] == 2, one
    refused = bob.run("release", "approve", PROJECT, "--signer", bob.signer, "--yes").failed()
    assert "was not looked through on this machine" in refused.err, refused
    refused = bob.run("release", "review", PROJECT).failed()
    assert "whose the key is that comes in" in refused.err, refused
    (new_a,) = one["change"]["added"]
    assert "signed by 2 of 3" in bob.looks_and_signs(PROJECT, new_a).ok().out
    assert "is live" in carol.looks_and_signs(PROJECT, a, b, c, new_a).ok().out
    # Its signatures stand beside what is signed, which other clients take as it is.
    version = newest(index)[f"project-{PROJECT}"]
    file = json.loads((index.tree / "metadata" / f"{version}.project-{PROJECT}.json").read_bytes())
    assert len(file["_wheelmark"]["handover"]) == 3, file["_wheelmark"]
    assert file["signed"]["_wheelmark"]["handovers"][0]["signatures"] == []
    reader = TufReader(index, sandbox.folder / "tuf")
    assert reader.page(PROJECT) == index.page_on_disk(PROJECT).read_bytes()

    # A renewal of two; and what waited for the same version can never go on, nor come again.
    bob.run("project", "threshold", PROJECT, "3", "--signer", bob.signer, "--yes").ok()
    (half,) = bob.waiting()
    carol.looks_and_signs(PROJECT).ok()
    withdrawn = bob.run("release", "withdraw", PROJECT, "--yes").ok()
    assert "what was signed stays signed" in withdrawn.err, withdrawn
    bob.run("project", "renew", PROJECT, "--signer", bob.signer, "--yes").ok()
    assert "is live" in alice.looks_and_signs(PROJECT).ok().out
    assert half["id"] not in [entry["id"] for entry in bob.waiting()]
    assert installs(sandbox) == "2.0", "a client that has missed the change follows by itself"

    # Handed over to Dave, whose key nobody else has.
    of_dave, d = dave.public()
    bob.run(
        "project", "transfer", PROJECT, "--to", "dave", "--new", f"public:{of_dave}", "--signer", bob.signer, "--yes"
    ).ok()  # fmt: skip
    assert "signed by 2 of 3" in carol.looks_and_signs(PROJECT, d).ok().out
    present = json.loads(bob.sandbox.wheelmark("project", "keys", "list", PROJECT, "--json").ok().out)["keys"]
    assert "is live" in dave.looks_and_signs(PROJECT, *present, d).ok().out
    last = wheel(PROJECT, "3.0", says="3.0").write(dave.folder / "dist")
    dave.run("publish", last, "--signer", dave.signer, "--yes").ok()
    assert installs(sandbox) == "3.0"
    keys = json.loads(dave.sandbox.wheelmark("project", "keys", "list", PROJECT, "--json").ok().out)
    assert keys["keys"] == {d: "dave"} and len(keys["handovers"]) == 2, keys
    actions = [row["action"] for row in audit_log(index, "--project", PROJECT)]
    assert actions.count("release-staged") == 6, actions
