"""Releases that wait for the signatures of several people: staged, reviewed, approved, and attacked."""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.custody import SoftToken, SshAgent, ssh_agent
from harness.distributions import Distribution, sdist, wheel
from harness.index import Index
from harness.people import add_users, administer, audit_log, token
from harness.sandbox import Outcome, Sandbox, environment
from harness.upload import Answer, request

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])
PHRASE = "a phrase for the tests alone"
PROJECT = "acme-tools"


class Person:
    """Somebody with a machine, a token of the index, and one key."""

    def __init__(self, folder: Path, index: Index, user: str, signer: str, env: dict[str, str]) -> None:
        self.sandbox = Sandbox(folder, index.binary)
        self.sandbox.trust(index)
        self.index, self.user, self.signer = index, user, signer
        self.env = env | {"CREDENTIALS_DIRECTORY": str(folder)}
        (folder / "phrase").write_text(PHRASE)
        self.secret = token(index, user, "upload")
        self.token = folder / "token"
        self.token.write_text(self.secret)

    def run(self, *words: object, signs: bool = False) -> Outcome:
        signing = ("--signer", self.signer, "--passphrase-credential", "phrase") if signs else ()
        return self.sandbox.wheelmark(*words, *signing, "--token-file", self.token, env=self.env)

    def publish(self, *dists: Distribution, options: tuple[object, ...] = ()) -> Outcome:
        files = [dist.write(self.sandbox.folder / "dist") for dist in dists]
        return self.run("publish", *files, "--yes", *options, signs=True)

    def release(self, verb: str, named: object, *options: object) -> Outcome:
        signs = verb in ("approve", "adopt")
        return self.run("release", verb, named, *options, *(("--yes",) if signs else ()), signs=signs)

    def waiting(self) -> list[dict]:
        return json.loads(self.run("release", "list", PROJECT, "--json").ok().out)["staged"]

    def ask(self, method: str, path: str, body: bytes | None = None) -> Answer:
        secret = base64.b64encode(f"__token__:{self.secret}".encode()).decode()
        headers = {"Authorization": f"Basic {secret}", "Content-Type": "application/json"}
        return request(method, self.index.url(f"/_/projects/{PROJECT}/staged{path}"), headers=headers, body=body)


@pytest.fixture
def index(make_index) -> Index:
    return make_index(env={"WHEELMARK_INDEX_CLAIMS": "on"}).start()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[SshAgent]:
    (tmp_path / "agent" / "home").mkdir(parents=True)
    (tmp_path / "agent" / "tmp").mkdir()
    with ssh_agent(environment(tmp_path / "agent")) as agent:
        agent.add("wheelmark-developer")
        yield agent


@pytest.fixture
def two(index: Index, agent: SshAgent, tmp_path: Path) -> tuple[Person, Person]:
    """Alice has a key in a file, Bob one in an agent; both have to sign, and both know both keys."""
    add_users(index, "alice", "bob", "carol")
    index.publish(wheel(PROJECT, "1.0", says="1.0"))
    administer(index, "project", "owner", "add", PROJECT, "alice").ok()
    administer(index, "project", "maintainer", "add", PROJECT, "bob").ok()
    key, ssh = tmp_path / "alice.age", {"SSH_AUTH_SOCK": agent.env["SSH_AUTH_SOCK"]}
    alice = Person(tmp_path / "alice", index, "alice", f"file:{key}", {})
    bob = Person(tmp_path / "bob", index, "bob", "ssh:", ssh)
    alice.sandbox.wheelmark(
        "project", "keygen", "--out", key, "--passphrase-credential", "phrase", env=alice.env
    ).ok()
    together = alice.sandbox.wheelmark(
        "project", "claim", PROJECT, "--signer", alice.signer, "--signer", bob.signer, "--threshold", "2", "--yes",
        "--passphrase-credential", "phrase", "--token-file", alice.token, "--json", env=alice.env | ssh,
    )  # fmt: skip
    bob.keys = alice.keys = json.loads(together.ok().out)["keys"]
    return alice, bob


def known(person: Person) -> list[str]:
    return [word for key in person.keys for word in ("--key", key)]


def listed(index: Index) -> str:
    return index.get(f"simple/{PROJECT}/").body.decode()


def installed(sandbox: Sandbox, tool: str) -> str:
    venv = sandbox.venv()
    sandbox.install(tool, venv, PROJECT).ok()
    return venv.says("acme_tools")


@BOTH
def test_two_people_publish_together(
    index: Index, two: tuple[Person, Person], sandbox: Sandbox, tool: str
) -> None:
    alice, bob = two
    sandbox.trust(index)
    new = [wheel(PROJECT, "2.0", says="2.0"), sdist(PROJECT, "2.0")]
    staged = alice.publish(*new).ok()
    assert "signed by 1 of 2" in staged.out and f"wheelmark release approve {PROJECT}==2.0" in staged.out, staged
    # Nobody sees it, by whatever way.
    assert "2.0" not in listed(index) and installed(sandbox, tool) == "1.0"
    for dist in new:
        assert not list(index.tree.rglob(f"*{dist.filename}*")), "nothing of it is in the tree"
    (one,) = bob.waiting()
    assert (one["state"], len(one["signed"]), one["threshold"]) == ("waiting", 1, 2)

    # What was not looked through is not signed.
    refused = bob.release("approve", f"{PROJECT}==2.0", *known(bob)).failed()
    assert "was not looked through on this machine" in refused.err, refused
    refused = bob.release("review", f"{PROJECT}==2.0").failed()
    assert "nobody on this machine has said" in refused.err, refused
    seen = json.loads(bob.release("review", f"{PROJECT}==2.0", "--json", *known(bob)).ok().out)
    assert {file["filename"]: file["sha256"] for file in seen["files"]} == {d.filename: d.sha256 for d in new}
    of_wheel = next(file for file in seen["files"] if file["filename"].endswith(".whl"))
    assert of_wheel["compared_with"] == wheel(PROJECT, "1.0", says="1.0").filename
    assert [file["path"] for file in of_wheel["changed"]].count("acme_tools.py") == 1, of_wheel
    assert {"field": "version", "before": ["1.0"], "after": ["2.0"]} in of_wheel["fields"]

    done = bob.release("approve", f"{PROJECT}==2.0").ok()
    assert "is live, and was read back" in done.out, done
    assert installed(sandbox, tool) == "2.0" and bob.waiting() == []
    assert not list((index.data / "staging").iterdir())
    actions = [row["action"] for row in audit_log(index, "--project", PROJECT)]
    for action in ("release-staged", "release-signed", "release-accepted"):
        assert action in actions, actions


def test_a_token_signs_as_well_and_people_read_what_differs(
    index: Index, two: tuple[Person, Person], tmp_path: Path
) -> None:
    """The text that people see, and a third key on a SoftHSM token that signs for another project."""
    alice, bob = two
    alice.publish(wheel(PROJECT, "2.0", says="2.0")).ok()
    shown = bob.release("review", f"{PROJECT}==2.0", *known(bob)).ok().out
    assert "~ acme_tools.py" in shown and "version: 2.0, was 1.0" in shown, shown
    hsm = SoftToken(tmp_path / "hsm", "carol", environment(tmp_path / "agent"))
    bob.signer, bob.env = hsm.with_pin_in_a_file(), bob.env | {"SOFTHSM2_CONF": hsm.env["SOFTHSM2_CONF"]}
    refused = bob.release("approve", f"{PROJECT}==2.0").failed()
    assert bob.waiting()[0]["state"] == "waiting", refused


def test_bad_signatures_count_for_nothing(index: Index, two: tuple[Person, Person]) -> None:
    alice, bob = two
    alice.publish(wheel(PROJECT, "2.0")).ok()
    (one,) = bob.waiting()
    mine, path = one["others"][0], f"/{one['id']}/signatures"

    def sign(person: Person, keyid: str, sig: str) -> Answer:
        return person.ask("POST", path, json.dumps({"keyid": keyid, "sig": sig}).encode())

    whole = json.loads(bob.ask("GET", f"/{one['id']}").body)
    (first,) = json.loads(whole["metadata"])["signatures"]
    for keyid, sig, title in [
        (mine, first["sig"], "Wrong signature"),
        (mine, "00" * 64, "Wrong signature"),
        (mine, "no hexadecimal", "Wrong signature"),
        ("0" * 64, first["sig"], "Unknown key"),
    ]:
        refused = sign(bob, keyid, sig)
        assert refused.status == 400 and title in refused.body.decode(), (keyid, refused)
    # The one that is there once more is no second one.
    again = sign(bob, first["keyid"], first["sig"])
    assert again.status == 202 and json.loads(again.body)["signed"] == [first["keyid"]]
    for body in (b"", b"[]", b"{}", b"x" * 100_000):
        assert bob.ask("POST", path, body).status == 400
    assert "2.0" not in listed(index)


def test_only_members_see_what_waits(index: Index, two: tuple[Person, Person], tmp_path: Path) -> None:
    alice, bob = two
    alice.publish(wheel(PROJECT, "2.0")).ok()
    (one,) = bob.waiting()
    carol = Person(tmp_path / "carol", index, "carol", bob.signer, bob.env)
    index.publish(wheel("other", "1.0"))
    administer(index, "project", "owner", "add", "other", "carol").ok()
    (file,) = one["files"]
    for method, path in [
        ("GET", ""),
        ("GET", f"/{one['id']}"),
        ("GET", f"/{one['id']}/files/{file['filename']}"),
        ("POST", f"/{one['id']}/signatures"),
        ("DELETE", f"/{one['id']}"),
    ]:
        assert carol.ask(method, path).status == 403, (method, path)
    # Under her own project there is nothing of this id.
    other = carol.ask("GET", f"/../../other/staged/{one['id']}")
    assert other.status in (403, 404)
    assert bob.ask("GET", f"/{one['id']}/files/{file['filename']}").body == wheel(PROJECT, "2.0").content
    assert bob.ask("GET", f"/{one['id']}/files/../staged.json").status in (400, 404)


def test_a_file_that_is_swapped_between_review_and_approval_is_not_published(
    index: Index, two: tuple[Person, Person]
) -> None:
    alice, bob = two
    alice.publish(wheel(PROJECT, "2.0", says="good")).ok()
    bob.release("review", f"{PROJECT}==2.0", *known(bob)).ok()
    (one,) = bob.waiting()
    place = index.data / "staging" / one["id"] / "files" / "0"
    evil = wheel(PROJECT, "2.0", says="evil")
    place.write_bytes(evil.content)
    refused = bob.release("approve", f"{PROJECT}==2.0").failed()
    assert "than the signed page says" in refused.err or "too large" in refused.err.lower(), refused
    assert "2.0" not in listed(index)
    # Who looks now, sees it.
    refused = alice.release("review", f"{PROJECT}==2.0").failed()
    assert "is not the file that is to be signed" in refused.err or "longer than" in refused.err, refused


def test_other_bytes_to_sign_are_not_what_was_reviewed(index: Index, two: tuple[Person, Person]) -> None:
    """An intruder swaps the whole entry, metadata and page included: the id is the hash of what is signed."""
    alice, bob = two
    alice.publish(wheel(PROJECT, "2.0", says="good")).ok()
    bob.release("review", f"{PROJECT}==2.0", *known(bob)).ok()
    (one,) = bob.waiting()
    entry = index.data / "staging" / one["id"]
    kept = entry.parent.parent / "kept"
    shutil.move(entry, kept)
    alice.publish(wheel(PROJECT, "2.0", says="evil")).ok()
    (other,) = bob.waiting()
    assert other["id"] != one["id"]
    refused = bob.release("approve", f"{PROJECT}==2.0").failed()
    assert "was not looked through" in refused.err, refused
    # The other's metadata under the first one's name.
    for part in ("metadata.json", "page.json"):
        shutil.copy(entry.parent / other["id"] / part, kept / part)
    shutil.rmtree(entry.parent / other["id"])
    shutil.move(kept, entry)
    refused = bob.release("approve", f"{PROJECT}==2.0").failed()
    assert "is something else" in refused.err, refused
    assert "2.0" not in listed(index)


def test_what_was_overtaken_says_so_and_can_never_go_live(index: Index, two: tuple[Person, Person]) -> None:
    alice, bob = two
    alice.publish(wheel(PROJECT, "2.0")).ok()
    alice.publish(wheel(PROJECT, "3.0")).ok()
    for version in ("2.0", "3.0"):
        bob.release("review", f"{PROJECT}=={version}", *known(bob)).ok()
    # Both would be the same version of the role: what was looked through last is what counts.
    refused = bob.release("approve", f"{PROJECT}==2.0").failed()
    assert "was not looked through" in refused.err, refused
    bob.release("approve", f"{PROJECT}==3.0").ok()
    (stale,) = bob.waiting()
    assert (stale["state"], stale["files"][0]["filename"]) == ("stale", wheel(PROJECT, "2.0").filename)
    refused = bob.release("review", f"{PROJECT}==2.0").failed()
    assert "it can never go live" in refused.err and "release withdraw" in refused.err, refused
    # So says the index, too, to whoever goes past the command.
    body = json.dumps({"keyid": stale["others"][0], "sig": "00"}).encode()
    assert bob.ask("POST", f"/{stale['id']}/signatures", body).status == 409
    bob.run("release", "withdraw", f"{PROJECT}==2.0", "--yes").ok()
    assert bob.waiting() == []
    refused = bob.run("release", "withdraw", f"{PROJECT}==2.0", "--yes").failed()
    assert "nothing of this name waits" in refused.err
    # Its files can be published on what is there now.
    alice.publish(wheel(PROJECT, "2.0")).ok()
    bob.release("review", f"{PROJECT}==2.0").ok()
    bob.release("approve", f"{PROJECT}==2.0").ok()
    assert all(f"acme_tools-{version}" in listed(index) for version in ("1.0", "2.0", "3.0"))


def test_a_killed_index_goes_on_with_what_has_all_signatures(
    make_index, index: Index, two: tuple[Person, Person], sandbox: Sandbox
) -> None:
    """Killed after the last signature was kept and before the release went on: at the next start it goes."""
    alice, bob = two
    alice.publish(wheel(PROJECT, "2.0", says="2.0")).ok()
    bob.release("review", f"{PROJECT}==2.0", *known(bob)).ok()
    (one,) = bob.waiting()
    entry = index.data / "staging" / one["id"]
    # So it looks on the disk: all signatures, and no row in the journal. The signature comes from a copy
    # of the index in which Bob has signed.
    index.stop()
    kept = index.data.parent / "kept"
    copy = index.data.parent / "copy"
    shutil.copytree(index.data, copy)
    index.start()
    bob.release("approve", f"{PROJECT}==2.0").ok()
    index.kill()
    role = index.tree / "metadata" / f"2.project-{PROJECT}.json"
    signatures = {s["keyid"]: s["sig"] for s in json.loads(role.read_bytes())["signatures"]}
    shutil.move(index.data, kept)
    shutil.move(copy, index.data)
    (mine,) = one["others"]
    made = {"keyid": mine, "sig": signatures[mine], "token": token_id(index, "bob"), "at": "2026-01-01T00:00:00Z"}
    (entry / "signatures" / "x.json").write_text(json.dumps(made))
    index.start()
    deadline = time.monotonic() + 60
    while "2.0" not in listed(index):
        assert time.monotonic() < deadline, index.log_text()[-3000:]
        time.sleep(0.2)
    sandbox.trust(index)
    assert installed(sandbox, "pip") == "2.0"
    assert bob.waiting() == [] and not entry.exists()


def token_id(index: Index, user: str) -> str:
    tokens = json.loads(administer(index, "token", "list", "--user", user, "--json").ok().out)
    return (tokens["tokens"] if isinstance(tokens, dict) else tokens)[-1]["id"]


def test_what_has_waited_for_thirty_days_goes(index: Index, two: tuple[Person, Person]) -> None:
    alice, bob = two
    alice.publish(wheel(PROJECT, "2.0")).ok()
    (one,) = bob.waiting()
    file = index.data / "staging" / one["id"] / "staged.json"
    staged = json.loads(file.read_text())
    staged["received_at"] = "2026-01-01T00:00:00Z"
    file.write_text(json.dumps(staged))
    refused = bob.release("review", f"{PROJECT}==2.0", *known(bob)).failed()
    assert "no release of this name waits" in refused.err, refused
    assert not file.exists()


@pytest.mark.parametrize("uploader", ["twine", "uv"])
def test_what_twine_and_uv_upload_waits_until_somebody_signs_it(
    index: Index, two: tuple[Person, Person], sandbox: Sandbox, tmp_path: Path, uploader: str
) -> None:
    alice, bob = two
    new = wheel(PROJECT, "2.0", says="2.0")
    file = new.write(tmp_path / "ci")
    send = {"twine": sandbox.twine, "uv": sandbox.uv_publish}[uploader]
    verbose = ("--verbose",) if uploader == "twine" else ()
    done = send(index, file, *verbose, token=bob.secret).ok()
    if uploader == "twine":
        words = " ".join(done.text.split())
        assert "202" in words and "waits for somebody who signs for it" in words, done
    assert "2.0" not in listed(index)
    # Once more is no harm; other bytes of the name are none of it.
    send(index, file, token=bob.secret).ok()
    other = wheel(PROJECT, "2.0", says="other").write(tmp_path / "other")
    assert "another file named" in " ".join(send(index, other, token=bob.secret).failed().text.split())
    # What could not be published is not kept either.
    broken = tmp_path / "broken" / "acme_tools-9.0-py3-none-any.whl"
    broken.parent.mkdir()
    broken.write_bytes(b"no wheel")
    send(index, broken, token=bob.secret).failed()
    (one,) = bob.waiting()
    assert (one["state"], one["kind"], one["files"][0]["sha256"]) == ("unsigned", "file", new.sha256)

    adopted = alice.release("adopt", f"{PROJECT}==2.0").ok()
    assert new.sha256 in adopted.out and "~ acme_tools.py" in adopted.out, adopted
    bob.release("review", f"{PROJECT}==2.0", *known(bob)).ok()
    bob.release("approve", f"{PROJECT}==2.0").ok()
    sandbox.trust(index)
    assert installed(sandbox, "uv") == "2.0"
    assert bob.waiting() == [], "what is published waits no longer"


def test_as_many_wait_as_may(index: Index, two: tuple[Person, Person]) -> None:
    alice, _ = two
    for number in range(8):
        alice.publish(wheel(PROJECT, f"2.{number}")).ok()
    refused = alice.publish(wheel(PROJECT, "3.0")).failed()
    assert "8 releases of this project wait already" in refused.err, refused
