"""A project's keys change: added, removed, replaced, another threshold, somebody else's (PEP 480)."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.formats import encode_canonical
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Key, Metadata, TargetFile, Targets

from harness.custody import must, program
from harness.distributions import Distribution, wheel
from harness.index import Index
from harness.people import administer
from harness.sandbox import Outcome, Sandbox
from harness.tuf_reader import TufReader
from test_claims import Thief, explained, installs, newest, role_of

PROJECT = "acme-tools"


class Person:
    """Somebody with a machine of their own and keys behind a program, as a service holds them."""

    def __init__(self, folder: Path, binary: Path, index: Index) -> None:
        self.sandbox, self.index, self.folder = Sandbox(folder, binary), index, folder
        self.sandbox.trust(index)
        (folder / "token").write_text(index.token)

    def key(self, name: str) -> str:
        """The URI of a key, which is made where there is none."""
        pem, path = self.folder / f"{name}.pem", self.folder / name
        if not pem.exists():
            must(
                "openssl", "genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-out", pem, env=self.sandbox.env,
            )  # fmt: skip
        return program(
            path,
            f"""set -eu
case $1 in
public-key) openssl pkey -in {pem} -pubout ;;
sign) openssl dgst -sha256 -sign {pem} ;;
*) exit 64 ;;
esac""",
        )

    def signing(self, *words: object, by: str, new: str = "") -> Outcome:
        """A command with the keys of these names, and keys that come in."""
        signers = [word for name in by.split() for word in ("--signer", self.key(name))]
        added = [word for name in new.split() for word in ("--new", self.key(name))]
        return self.sandbox.wheelmark(*words, *signers, *added, "--token-file", self.folder / "token", "--yes")

    def claim(self, *options: object, by: str) -> Outcome:
        return self.signing("project", "claim", PROJECT, *options, by=by)

    def publish(self, dist: Distribution, *options: object, by: str) -> Outcome:
        return self.signing("publish", dist.write(self.folder / "dist"), *options, by=by)

    def keys(self) -> dict:
        return json.loads(self.sandbox.wheelmark("project", "keys", "list", PROJECT, "--json").ok().out)

    def id(self, name: str) -> str:
        """The id of a key that has signed for the project, found by its public half."""
        public = must("openssl", "pkey", "-in", self.folder / f"{name}.pem", "-pubout", env=self.sandbox.env).decode()
        body = "".join(public.split("\n")[1:-2])
        every = {}
        for path in (self.index.tree / "metadata").glob("*.recently-claimed.json"):
            every |= Metadata[Targets].from_file(str(path)).signed.delegations.keys
        ids = [id for id, key in every.items() if body in key.keyval["public"].replace("\n", "")]
        assert len(ids) == 1, (name, ids)
        return ids[0]


@pytest.fixture
def index(make_index) -> Index:
    return make_index(env={"WHEELMARK_INDEX_CLAIMS": "on"}).start()


@pytest.fixture
def alice(index: Index, tmp_path: Path, binary: Path) -> Person:
    return Person(tmp_path / "alice", binary, index)


def delegation(index: Index) -> tuple[dict[str, Key], list[str], int]:
    """The keys that stand in recently-claimed, and the project's ids and threshold."""
    version = newest(index)["recently-claimed"]
    metadata = Metadata[Targets].from_file(str(index.tree / "metadata" / f"{version}.recently-claimed.json"))
    delegations = metadata.signed.delegations
    role = delegations.roles[f"project-{PROJECT}"]
    return delegations.keys, sorted(role.keyids), role.threshold


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_who_knows_a_project_follows_its_keys(
    index: Index, alice: Person, sandbox: Sandbox, tmp_path: Path, binary: Path, tool: str
) -> None:
    index.publish(wheel(PROJECT, "1.0", says="1.0"))
    alice.claim(by="a").ok()
    sandbox.trust(index)
    installs(sandbox, tool, PROJECT)[0].ok()
    page = index.page_on_disk(PROJECT).read_bytes()

    # One more, which publishes alone; nothing of the page changes with it.
    added = alice.signing("project", "keys", "add", PROJECT, by="a", new="b").ok()
    told = alice.keys()
    a, b = alice.id("a"), alice.id("b")
    assert f"adds     {b}" in added.out and f"keeps    {a}" in added.out, added
    assert "whoever has one of the keys can publish alone" in added.out
    assert told["keys"] == {a: "operator", b: "operator"} and told["threshold"] == 1
    assert index.page_on_disk(PROJECT).read_bytes() == page
    alice.publish(wheel(PROJECT, "2.0", says="2.0"), by="b").ok()

    # The first goes, by the word of the second; then two have to sign.
    removed = alice.signing("project", "keys", "remove", PROJECT, a[:10], by="b").ok()
    assert f"removes  {a}" in removed.out and "there is one key alone" in removed.out, removed
    assert list(delegation(index)[0]) == [b], "nobody names the first key any more"
    refused = alice.publish(wheel(PROJECT, "3.0"), by="a").failed()
    assert "none of these keys signs" in refused.err, refused
    done = alice.signing("project", "keys", "add", PROJECT, "--threshold", "2", "--json", by="b", new="c").ok()
    c = alice.id("c")
    assert json.loads(done.out)["handover"] == 3 and json.loads(done.out)["added"] == [c]
    alice.publish(wheel(PROJECT, "3.0", says="3.0"), by="b c").ok()
    assert delegation(index)[1:] == (sorted([b, c]), 2)

    # Who has seen the first key alone follows all three, and remembers the last.
    done, venv = installs(sandbox, tool, PROJECT)
    assert done.ok() and venv.says("acme_tools") == "3.0"
    known = json.loads(sandbox.wheelmark("trust", "claims", "list", "--json").ok().out)
    assert [(claim["keys"], claim["threshold"]) for claim in known] == [(sorted([b, c]), 2)]
    shown = explained(sandbox, PROJECT)["answers"]["claim"]
    assert sorted(shown["keys"]) == sorted([b, c]) and shown["keys_since"], shown

    # Other TUF clients follow the delegation, and whoever knows nothing yet does.
    reader = TufReader(index, tmp_path / "reader")
    listed = [file["filename"] for file in json.loads(reader.page(PROJECT))["files"]]
    assert [name.split("-")[1] for name in listed] == ["1.0", "2.0", "3.0"]
    dist = wheel(PROJECT, "3.0", says="3.0")
    assert reader.file(PROJECT, dist.filename) == dist.content
    fresh = Sandbox(tmp_path / "fresh", binary)
    fresh.trust(index)
    done, venv = installs(fresh, tool, PROJECT)
    assert done.ok() and venv.says("acme_tools") == "3.0"

    # One of the two is lost: two of three are what helps.
    waits = alice.signing("project", "keys", "replace", PROJECT, c[:8], by="b", new="d").ok()
    assert "waits at the index, signed by 2 of 3" in waits.out and f"{c[:16]}…" in waits.out, waits
    alice.signing("project", "keys", "add", PROJECT, by="b c", new="d").ok()
    alice.signing("project", "keys", "replace", PROJECT, c[:8], by="b d", new="e").ok()
    alice.signing("project", "threshold", PROJECT, "3", by="b d e").ok()
    alice.publish(wheel(PROJECT, "4.0", says="4.0"), by="b d e").ok()
    done, venv = installs(sandbox, tool, PROJECT)
    assert done.ok() and venv.says("acme_tools") == "4.0"
    assert [handover["number"] for handover in alice.keys()["handovers"]] == [1, 2, 3, 4, 5, 6]


def test_a_project_goes_to_somebody_else(index: Index, alice: Person, sandbox: Sandbox, tmp_path: Path, binary: Path) -> None:
    index.publish(wheel(PROJECT, "1.0", says="1.0"))
    alice.claim(by="a").ok()
    sandbox.trust(index)
    installs(sandbox, "pip", PROJECT)[0].ok()
    refused = alice.signing("project", "transfer", PROJECT, "--to", "bob", by="a", new="bobs").failed()
    assert "bob is no member of acme-tools" in refused.err and "maintainer add" in refused.err, refused
    administer(index, "user", "add", "bob").ok()
    administer(index, "project", "maintainer", "add", PROJECT, "bob").ok()
    done = alice.signing("project", "transfer", PROJECT, "--to", "bob", by="a", new="bobs").ok()
    assert "(bob)" in done.out, done
    told = alice.keys()
    assert list(told["keys"].values()) == ["bob"], told
    refused = alice.publish(wheel(PROJECT, "2.0"), by="a").failed()
    assert "none of these keys signs" in refused.err
    # Bob knows his own key, and says so once.
    bob = Person(tmp_path / "bob", binary, index)
    for half in ("bobs", "bobs.pem"):
        (alice.folder / half).rename(bob.folder / half)
    bob.publish(wheel(PROJECT, "2.0", says="bob"), "--key", bob.id("bobs"), by="bobs").ok()
    done, venv = installs(sandbox, "pip", PROJECT)
    assert done.ok() and venv.says("acme_tools") == "bob"
    # A key is one user's: alice does not get his back as hers.
    refused = alice.signing("project", "keys", "add", PROJECT, by="a", new="z").failed()
    assert "none of these keys signs" in refused.err, refused


def test_keys_of_several_people_claim_together(index: Index, alice: Person) -> None:
    index.publish(wheel(PROJECT, "1.0"))
    administer(index, "user", "add", "bob").ok()
    administer(index, "project", "maintainer", "add", PROJECT, "bob").ok()
    alice.claim("--maintainer", f"bob={alice.key('bobs')}", "--threshold", "2", by="a").ok()
    told = alice.keys()
    assert sorted(told["keys"].values()) == ["bob", "operator"] and told["threshold"] == 2
    waits = alice.signing("project", "keys", "add", PROJECT, by="a", new="mine").ok()
    assert "waits at the index, signed by 2 of 3" in waits.out and "(bob)" in waits.out, waits
    mine = f"operator={alice.key('mine')}"
    done = alice.signing("project", "keys", "add", PROJECT, "--new", mine, by="a bobs").ok()
    assert "operator has 2 of the keys, and can publish alone" in done.out, done


def pair_of(person: Person, name: str, keys: dict[str, Key]) -> CryptoSigner:
    """A key that was stolen."""
    key = keys[person.id(name)]
    return CryptoSigner(load_pem_private_key((person.folder / f"{name}.pem").read_bytes(), None), key)


def set_of(*keys: Key) -> dict:
    ids = sorted(key.keyid for key in keys)
    return {"keys": {key.keyid: key.to_dict() for key in keys}, "keyids": ids, "threshold": 1}


def handover(number: int, before: Key, after: Key, *signers: CryptoSigner) -> dict:
    made_at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    signed = {
        "_type": "wheelmark-handover", "role": f"project-{PROJECT}", "number": number, "version": 3, "made-at": made_at,
        "from": set_of(before), "to": set_of(after),
    }  # fmt: skip
    payload = encode_canonical(signed).encode()
    signatures = [signer.sign(payload).to_dict() for signer in signers]
    return {"signatures": signatures, "signed": signed}


class KeyThief(Thief):
    """Has all online keys, and puts others in the place of a project's, with handovers of their own."""

    def replace_keys(self, dist: Distribution, handovers: list[dict] | None) -> None:
        name, (path, content) = f"project-{dist.project}", self.page_with(dist)

        def change(role: Targets) -> None:
            key = self.own.public_key
            role.delegations.keys[key.keyid] = key
            role.delegations.roles[name].keyids = [key.keyid]
            role.delegations.roles[name].threshold = 1

        forged = Metadata(Targets(expires=Metadata.from_file(str(self.metadata / "1.targets.json")).signed.expires))
        forged.signed.targets[path] = TargetFile.from_data(path, content, ["sha256"])
        own = {"role": name} | ({"handovers": handovers} if handovers is not None else {})
        forged.signed.unrecognized_fields["_wheelmark"] = own
        self.publish({"recently-claimed": change}, {name: forged})


Forge = Callable[[KeyThief, Person, dict[str, Key]], "list[dict] | None"]


def nothing(thief: KeyThief, alice: Person, keys: dict[str, Key]) -> None:
    return None


def by_itself(thief: KeyThief, alice: Person, keys: dict[str, Key]) -> list[dict]:
    """A handover that the thief alone has signed, behind the one that there is."""
    known = role_of(thief.index, PROJECT, newest(thief.index)[f"project-{PROJECT}"])
    published = known.signed.unrecognized_fields["_wheelmark"]["handovers"]
    (b,) = delegation(thief.index)[1]
    return [*published, handover(2, keys[b], thief.own.public_key, thief.own)]


def old_branch(thief: KeyThief, alice: Person, keys: dict[str, Key]) -> list[dict]:
    """One that the key of before has really signed: it was stolen after it was taken out."""
    first = pair_of(alice, "a", keys)
    return [handover(1, first.public_key, thief.own.public_key, first, thief.own)]


@pytest.mark.parametrize("forge", [nothing, by_itself, old_branch])
def test_whoever_has_the_online_keys_alone_leads_nobody_to_other_keys(
    index: Index, alice: Person, sandbox: Sandbox, tmp_path: Path, binary: Path, forge: Forge
) -> None:
    index.publish(wheel(PROJECT, "1.0", says="good"))
    alice.claim(by="a").ok()
    keys = dict(delegation(index)[0])
    alice.signing("project", "keys", "replace", PROJECT, alice.id("a")[:8], by="a", new="b").ok()
    keys |= delegation(index)[0]
    sandbox.trust(index)
    installs(sandbox, "pip", PROJECT)[0].ok()
    thief = KeyThief(index)
    handovers = forge(thief, alice, keys)
    index.stop()
    thief.replace_keys(wheel(PROJECT, "99.0", says="evil"), handovers)
    index.start()

    done, venv = installs(sandbox, "pip", PROJECT)
    assert not venv.installed() and "other keys than before" in done.failed().text, done
    refused = alice.publish(wheel(PROJECT, "2.0"), by="b").failed()
    assert "other keys than before" in refused.text, "what was planted is not signed over"
    # Who knows nothing of the project believes the index: that much stands in docs/claims.md.
    fresh = Sandbox(tmp_path / "fresh", binary)
    fresh.trust(index)
    done, venv = installs(fresh, "pip", PROJECT)
    assert done.ok() and venv.says("acme_tools") == "evil"
    assert "99.0" in (TufReader(index, tmp_path / "reader").page(PROJECT) or b"").decode()
