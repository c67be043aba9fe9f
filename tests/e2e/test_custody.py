"""Five holders, three of whom sign: tokens, files and an agent, in five folders that share only files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.custody import Person, SoftToken, must, signed_back, ssh_agent
from harness.distributions import wheel
from harness.holders import Cast, Operator
from harness.sandbox import Sandbox
from test_ceremony import first, snapshot_of  # noqa: F401: `first` is a fixture

FILE_SECRET = "seven plain words that nobody else would choose"


class Custody:
    """Five people, and whoever runs the index."""

    def __init__(self, cast: Cast, folder: Path, people: dict[str, Person], public: dict[str, Path]) -> None:
        self.cast, self.operator, self.folder = cast, cast.operator, folder
        self.people, self.public = people, public
        self.tokens: dict[str, SoftToken] = {}
        self.newest = cast.operator.fingerprint

    def ceremony(self, name: str, *changes: str, by: list[str]) -> Path:
        """Begun and signed, not finished."""
        ceremony, begun = self.operator.begin(name, *changes)
        self.words = begun["words"]
        signed_back([self.people[who] for who in by], ceremony, self.newest, self.words)
        return ceremony

    def publish(self, ceremony: Path) -> dict:
        self.operator.told("ceremony", "finish", ceremony)
        told = self.operator.told("ceremony", "publish", ceremony, "--data", self.cast.index.data)
        self.newest = told["root_fingerprint"]
        return told

    def new_file_holder(self, name: str) -> Path:
        """Somebody with an encrypted file; their public file."""
        folder = self.folder / name
        person = Person(
            self.cast.index.binary, folder, [f"file:{folder}/keys.age"], env=self.cast.index.env, secret=FILE_SECRET
        )
        self.people[name] = person
        self.public[name] = person.keygen(name, "--out", folder / "keys.age")
        return self.public[name]

    def kinds(self, name: str) -> set[str]:
        """What a holder's keys are of."""
        return {key["keytype"] for key in json.loads(self.public[name].read_text())["keys"].values()}


@pytest.fixture
def custody(first: Cast, tmp_path: Path) -> Iterator[Custody]:  # noqa: F811
    """An index on the day of its first run, and five people with keys of their own."""
    index = first.index
    with ssh_agent(index.env) as agent:
        people: dict[str, Person] = {}
        public: dict[str, Path] = {}
        made = Custody(first, tmp_path, people, public)
        # Two tokens. One makes Ed25519 keys, the other keys on P-256; one has its PIN in a file.
        alice = SoftToken(tmp_path / "alice" / "token", "alice", index.env)
        people["alice"] = Person(
            index.binary, tmp_path / "alice", [alice.uri], env=alice.env, secret="271828"
        )
        public["alice"] = people["alice"].keygen("alice", "--signer", alice.uri, "--algorithm", "ed25519")
        bob = SoftToken(tmp_path / "bob" / "token", "bob", index.env)
        people["bob"] = Person(index.binary, tmp_path / "bob", [bob.with_pin_in_a_file()], env=bob.env)
        public["bob"] = people["bob"].keygen("bob", "--signer", bob.with_pin_in_a_file())
        # Two encrypted files.
        made.new_file_holder("carol")
        made.new_file_holder("dave")
        # One key behind an agent, for root; an encrypted file for the rest.
        fingerprint = agent.add("erin's own key")
        rest = tmp_path / "erin" / "rest.age"
        people["erin"] = Person(
            index.binary, tmp_path / "erin", [f"root=ssh:{fingerprint}", f"file:{rest}"], env=agent.env,
            secret=FILE_SECRET,
        )
        public["erin"] = people["erin"].keygen("erin", "--signer", f"root=ssh:{fingerprint}", "--out", rest)
        made.tokens = {"alice": alice, "bob": bob}
        # Whoever has the first run's keys.
        for n, holder in enumerate(first.holders, 1):
            people[f"first-{n}"] = Person(
                index.binary, holder.folder, [f"file:{holder.keys}"], env=index.env, secret=holder.phrase
            )
        yield made


def installs(clients: list[Sandbox], version: str) -> None:
    # The oldest and the newest of them.
    for client in [clients[0], *clients[1:][-1:]]:
        venv = client.venv()
        done = client.install("pip", venv, "demo")
        assert done.code == 0, done
        assert venv.installed()["demo"] == version


@pytest.mark.timeout(900)
def test_three_of_five_sign_then_one_is_replaced_then_one_is_lost(
    custody: Custody, sandbox: Sandbox, tmp_path: Path
) -> None:
    operator, index = custody.operator, custody.cast.index
    sandbox.trust(index)
    clients = [sandbox]
    installs(clients, "1.0")
    assert custody.kinds("alice") == {"ed25519"}
    assert custody.kinds("bob") == {"ecdsa"}

    def newcomer(name: str) -> None:
        """A client that begins at the newest root, beside those who have followed the roots."""
        fresh = Sandbox(tmp_path / f"client-{name}", index.binary)
        fresh.wheelmark("trust", "add", index.index_url, "--fingerprint", custody.newest).ok()
        clients.append(fresh)

    # Into the hands of five, of whom three sign.
    joining = ["--replace", f"1={custody.public['alice']}", "--replace", f"2={custody.public['bob']}"]
    joining += [word for name in ("carol", "dave", "erin") for word in ("--add", str(custody.public[name]))]
    joining += ["--threshold", "3"]
    ceremony = custody.ceremony("five", *joining, by=["alice", "erin", "first-1", "first-2"])
    needs = operator.told("ceremony", "status", ceremony, code=3)["needs"]
    lacking = [need for need in needs if not need["met"]]
    assert lacking and all(need["keys"] == "next" and len(need["signed"]) == 2 for need in lacking)
    assert operator.run("ceremony", "finish", ceremony).returncode == 1
    signed_back([custody.people["dave"]], ceremony, custody.newest, custody.words)
    custody.publish(ceremony)
    root = operator.signed("root")["roles"]["root"]
    assert (root["threshold"], len(root["keyids"])) == (3, 5)
    index.publish(wheel("demo", "2.0"))
    newcomer("after-five")
    installs(clients, "2.0")

    # One leaves: frank comes in dave's place. Dave does not sign.
    frank = custody.new_file_holder("frank")
    rotate = custody.ceremony("rotate", "--replace", f"4={frank}", by=["alice", "bob", "carol"])
    rotate_words = custody.words
    custody.publish(rotate)
    index.publish(wheel("demo", "3.0"))
    newcomer("after-rotate")
    installs(clients, "3.0")

    # One is lost: the token is gone, with the keys. The others replace it.
    custody.tokens["alice"].pull_out()
    grace = custody.new_file_holder("grace")
    ceremony = custody.ceremony("lost", "--replace", f"1={grace}", by=["bob", "erin"])
    assert operator.run("ceremony", "finish", ceremony).returncode == 1
    lost = custody.people["alice"].sign(custody.people["alice"].take(ceremony), custody.newest, custody.words)
    assert lost.returncode == 1 and "no token fits" in lost.stderr, lost.stderr
    dave = custody.people["dave"].sign(custody.people["dave"].take(ceremony), custody.newest, custody.words)
    assert dave.returncode == 1 and "none of these keys signs" in dave.stderr, dave.stderr
    signed_back([custody.people["frank"]], ceremony, custody.newest, custody.words)
    custody.publish(ceremony)
    index.publish(wheel("demo", "4.0"))
    newcomer("after-loss")
    installs(clients, "4.0")
    assert operator.signed("root")["version"] == 4

    # Where there is no file to keep it beside, it is remembered all the same what was signed on.
    bob = custody.people["bob"]
    again = bob.sign(bob.take(rotate), operator.fingerprint, rotate_words)
    assert again.returncode == 1 and "you have signed on version 3" in again.stderr, again.stderr
    # And it counts whichever of their keys a holder names this time.
    erin = custody.people["erin"]
    again = erin.sign(erin.take(rotate), operator.fingerprint, rotate_words, signers=erin.signers[:1])
    assert again.returncode == 1 and "you have signed on version 3" in again.stderr, again.stderr


@pytest.mark.timeout(900)
def test_what_goes_wrong_with_a_token_changes_nothing(custody: Custody, tmp_path: Path) -> None:
    operator = custody.operator
    alice, token = custody.people["alice"], custody.tokens["alice"]
    joining = ["--replace", f"1={custody.public['alice']}", "--replace", f"2={custody.public['bob']}"]
    ceremony, begun = operator.begin("custody", *joining)
    words, trust = begun["words"], operator.fingerprint

    def refused(says: str, *, secret: str | None = None, signers: list[str] | None = None) -> str:
        mine = alice.take(ceremony)
        before = snapshot_of(mine)
        done = alice.sign(mine, trust, words, secret=secret, signers=signers)
        assert done.returncode in (1, 2) and says in done.stderr, done.stderr
        assert snapshot_of(mine) == before, "nothing changed"
        assert not (alice.folder / "wheelmark" / "holder.seen.json").exists()
        return done.stderr

    # PINs.
    said = refused("the PIN is not that of the token `alice`", secret="000000")
    assert "hint: nothing was signed" in said and "000000" not in said
    alice.secret = None
    refused("nobody can be asked for the PIN of the token alice")
    said = refused("pin-value would show the PIN", signers=[f"{token.uri}&pin-value=271828"])
    assert "271828" not in said
    assert "271828" not in refused("pin-value would show", signers=[f"root={token.uri}&pin-value=271828"])
    open_to_all = token.with_pin_in_a_file()
    (token.folder / "pin").chmod(0o644)
    refused("is open to others than its owner", signers=[open_to_all])
    refused("the PIN is not that", signers=[token.with_pin_in_a_file("111111")])
    refused("the PIN cannot be read from", signers=[f"{token.uri}&pin-source=/nowhere"])
    alice.secret = "271828"

    # Tokens.
    said = refused("no token fits", signers=[token.named("token=bob")])
    assert "`alice`" in said, "what is there is named"
    refused("there is no PKCS#11 library /nowhere.so", signers=["pkcs11:token=alice?module-path=/nowhere.so"])
    refused("cannot be used", signers=[f"pkcs11:token=alice?module-path={alice.binary}"])
    token.initialise("alice")
    refused("more than one token fits")
    shutil.rmtree(sorted(token.objects.iterdir(), key=lambda path: path.stat().st_ctime)[-1])
    refused("none of these keys signs", signers=[token.named("token=alice;object=other")])

    # It is pulled out after root was signed and before the rest was: what signs `targets` does it.
    hand = tmp_path / "hand"
    hand.write_text(f"""#!/bin/sh
case $1 in
public-key) cat {tmp_path}/targets.pub ;;
sign) cp -r {token.objects} {tmp_path}/kept && rm -rf {token.objects}/*; exec openssl dgst -sha256 -sign {tmp_path}/targets.key ;;
esac
""")
    hand.chmod(0o755)
    must("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", tmp_path / "targets.key", env=alice.env)
    must("openssl", "pkey", "-in", tmp_path / "targets.key", "-pubout", "-out", tmp_path / "targets.pub", env=alice.env)
    mixed = [f"targets=command:{hand}", token.with_pin_in_a_file()]
    refused("would inherit the descriptor that has the passphrase", signers=mixed)
    alice.secret = None
    (alice.folder / "alice.json").unlink()
    public = alice.keygen("alice", "--existing", *(word for signer in mixed for word in ("--signer", signer)))
    shutil.rmtree(token.objects)
    shutil.copytree(tmp_path / "kept", token.objects)
    ceremony, begun = operator.begin("halfway", "--replace", f"1={public}")
    words = begun["words"]
    said = refused("was removed, or what was used on it is gone", signers=mixed)
    assert "was not signed" in said and "nothing was written" in said
    shutil.rmtree(token.objects)
    shutil.copytree(tmp_path / "kept", token.objects)
    # Two names for what is on one token: the second finds its user still there.
    pin = f"&pin-source={token.folder / 'pin'}"
    both = [f"root={token.named('token=alice;object=none')}{pin}", token.with_pin_in_a_file()]
    done = alice.sign(alice.take(ceremony), trust, words, signers=both)
    assert done.returncode == 0, done.stderr


def test_a_key_signs_for_one_index_alone(custody: Custody, make_index, tmp_path: Path) -> None:
    """Metadata does not name its index: what was signed in a rehearsal would be good for the real one."""
    alice = custody.people["alice"]
    rehearsal, begun = custody.operator.begin("rehearsal", "--replace", f"1={custody.public['alice']}")
    signed_back([alice], rehearsal, custody.newest, begun["words"])
    other = Operator(make_index().start(), tmp_path / "other")
    assert other.fingerprint != custody.newest
    ceremony, begun = other.begin("real", "--replace", f"1={custody.public['alice']}")
    mine = alice.take(ceremony)
    before = snapshot_of(mine)
    done = alice.sign(mine, other.fingerprint, begun["words"])
    assert done.returncode == 1 and "has signed for another index" in done.stderr, done.stderr
    assert snapshot_of(mine) == before
    # Nor does keygen take for a second index what it made for the first one.
    done = alice.try_keygen("anew", "--signer", custody.tokens["alice"].uri)
    assert done.returncode == 1 and "say --existing" in done.stderr, done.stderr


def test_a_signature_of_another_ceremony_is_told_apart(custody: Custody) -> None:
    operator = custody.operator
    alice = custody.people["alice"]
    one, begun = operator.begin("one", "--replace", f"1={custody.public['alice']}")
    other, _ = operator.begin("other", "--replace", f"2={custody.public['alice']}")
    signed_back([alice], one, operator.fingerprint, begun["words"])
    for file in (one / "signatures").iterdir():
        shutil.copy(file, other / "signatures")
    told = operator.told("ceremony", "status", other, code=1)
    assert all("belongs to the ceremony" in refused["why"] for refused in told["refused"])
    assert len(told["refused"]) == 5
    finish = operator.run("ceremony", "finish", other)
    assert finish.returncode == 1 and "does not count" in finish.stderr
