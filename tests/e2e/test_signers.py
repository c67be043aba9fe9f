"""What signs in place of a file: tokens, agents and programs, of every kind, and in every mood."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from harness.custody import NAMES, Person, SoftToken, must, openssl_program, program, read_json, signed_back, ssh_agent
from harness.distributions import wheel
from harness.holders import Cast
from harness.sandbox import Sandbox, environment
from harness.tuf_reader import TufReader
from test_ceremony import first, snapshot_of  # noqa: F401: `first` is a fixture


@pytest.fixture
def env(tmp_path: Path) -> Mapping[str, str]:
    for part in ("home", "tmp"):
        (tmp_path / part).mkdir()
    return environment(tmp_path)


@pytest.fixture
def gpg_socket(env: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """GnuPG's agent as an ssh agent, and the fingerprint of a key that it has."""
    if shutil.which("gpg-agent") is None or shutil.which("ssh-add") is None:
        pytest.skip("skipped: needs gpg-agent and ssh-add")
    home = Path(tempfile.mkdtemp(prefix="wm-gpg-"))
    own = dict(env) | {"GNUPGHOME": str(home)}
    try:
        must(
            "gpg", "--batch", "--passphrase", "", "--quick-generate-key", "dora@example.org", "ed25519", "auth", "never",
            env=own,
        )
        told = must("gpg", "--with-colons", "--with-keygrip", "--list-secret-keys", env=own).decode()
        grip = next(line.split(":")[9] for line in told.splitlines() if line.startswith("grp:"))
        (home / "sshcontrol").write_text(f"{grip} 0\n")
        (home / "gpg-agent.conf").write_text("enable-ssh-support\n")
        must("gpgconf", "--kill", "gpg-agent", env=own)
        must("gpgconf", "--launch", "gpg-agent", env=own)
        found = must("gpgconf", "--list-dirs", "agent-ssh-socket", env=own).decode().strip()
        listed = must("ssh-add", "-l", env=own | {"SSH_AUTH_SOCK": found}).decode()
        yield Path(found), listed.split()[1]
    finally:
        subprocess.run(["gpgconf", "--kill", "gpg-agent"], env=own, check=False)
        shutil.rmtree(home, ignore_errors=True)


@pytest.mark.timeout(900)
def test_every_kind_of_key_signs_and_installers_verify_it(
    first: Cast,  # noqa: F811
    env: Mapping[str, str],
    gpg_socket: tuple[Path, str],
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    """RSA on a token, four keys in an agent of both kinds, a program, and GnuPG's agent for root."""
    operator, index = first.operator, first.index
    people: dict[str, Person] = {}
    public: dict[str, Path] = {}
    token = SoftToken(tmp_path / "rsa" / "token", "rsa", env)
    people["rsa"] = Person(index.binary, tmp_path / "rsa", [token.with_pin_in_a_file()], env=token.env)
    public["rsa"] = people["rsa"].keygen("rsa", "--signer", *people["rsa"].signers, "--algorithm", "rsa")
    kms = tmp_path / "kms"
    kms.mkdir()
    people["kms"] = Person(index.binary, kms, [openssl_program(kms, env)], env=env)
    public["kms"] = people["kms"].keygen("kms", "--signer", *people["kms"].signers)
    gpg, fingerprint = gpg_socket
    on_card = f"root=ssh:{fingerprint}?socket={gpg}"
    rest = tmp_path / "gpg" / "rest.age"
    people["gpg"] = Person(
        index.binary, tmp_path / "gpg", [on_card, f"file:{rest}"], env=env, secret="a passphrase of many words"
    )
    public["gpg"] = people["gpg"].keygen("gpg", "--signer", on_card, "--out", rest)
    with ssh_agent(env) as agent:
        agent.add("somebody else's")
        for name in NAMES:
            kind = ["-t", "ecdsa", "-b", "256"] if name in ("root", "bins") else []
            agent.add(f"wheelmark-{name}", *kind)
        people["agent"] = Person(index.binary, tmp_path / "agent", ["ssh:"], env=agent.env)
        public["agent"] = people["agent"].keygen("agent", "--signer", "ssh:")
        kinds = {name: {key["keytype"] for key in read_json(file)["keys"].values()} for name, file in public.items()}
        assert kinds == {"rsa": {"rsa"}, "kms": {"ecdsa"}, "gpg": {"ed25519"}, "agent": {"ecdsa", "ed25519"}}

        for n, holder in enumerate(first.holders, 1):
            people[f"first-{n}"] = Person(
                index.binary, holder.folder, [f"file:{holder.keys}"], env=index.env, secret=holder.phrase
            )
        joining = ["--replace", f"1={public['rsa']}", "--replace", f"2={public['kms']}"]
        joining += ["--add", public["agent"], "--add", public["gpg"], "--threshold", "4"]
        ceremony, begun = operator.begin("kinds", *joining)
        signed_back(list(people.values()), ceremony, operator.fingerprint, begun["words"])
    operator.told("ceremony", "finish", ceremony)
    operator.told("ceremony", "publish", ceremony, "--data", index.data)
    index.publish(wheel("demo", "2.0"))
    sandbox.trust(index)
    for tool in ("pip", "uv"):
        venv = sandbox.venv()
        assert sandbox.install(tool, venv, "demo").code == 0
        assert venv.installed()["demo"] == "2.0"
    # All four have to sign: so a client that is not ours verifies every kind, too.
    dist = wheel("demo", "2.0")
    assert TufReader(index, tmp_path / "python-tuf").file("demo", dist.filename) == dist.content


def test_keys_on_a_token_are_made_once_and_found_again(env: Mapping[str, str], binary: Path, tmp_path: Path) -> None:
    token = SoftToken(tmp_path / "token", "alice", env)
    person = Person(binary, tmp_path / "alice", [token.uri], env=token.env, secret="271828")
    done = person.try_keygen("alice", "--signer", token.uri)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    once = read_json(person.folder / "alice.json")
    (person.folder / "alice.json").rename(person.folder / "before.json")
    done = person.try_keygen("alice", "--signer", token.uri)
    assert done.returncode == 1 and "keys already that are named wheelmark-bins, wheelmark-claimed" in done.stderr
    assert not (person.folder / "alice.json").exists()
    assert {key["keytype"] for key in once["keys"].values()} == {"ecdsa"}
    assert read_json(person.keygen("alice", "--signer", token.uri, "--existing"))["keys"] == once["keys"]
    # A second key under a name that is taken: nobody guesses which one is meant.
    must(
        "pkcs11-tool", "--module", token.module, "--token-label", "alice", "--login", "--pin", "271828",
        "--keypairgen", "--key-type", "EC:edwards25519", "--label", "wheelmark-root", "--id", "77", env=token.env,
    ) if shutil.which("pkcs11-tool") else pytest.skip("skipped: needs pkcs11-tool")
    (person.folder / "alice.json").unlink()
    done = person.try_keygen("alice", "--signer", token.uri, "--existing")
    assert done.returncode == 1 and "more than one key named wheelmark-root" in done.stderr
    assert not (person.folder / "alice.json").exists()
    # By its id it is the one that is meant.
    named = f"root={token.named('token=alice;id=%77')}"
    again = read_json(person.keygen("alice", "--signer", named, "--signer", token.uri, "--existing"))
    assert again["keys"]["root"]["keytype"] == "ed25519"
    assert {name: again["keys"][name] for name in NAMES[1:]} == {name: once["keys"][name] for name in NAMES[1:]}


def test_what_a_holder_has_is_said_without_a_gap(env: Mapping[str, str], binary: Path, tmp_path: Path) -> None:
    with ssh_agent(env) as agent:
        one = agent.add("mine")
        rsa = agent.add("wheelmark-root", "-t", "rsa", "-b", "2048")
        person = Person(binary, tmp_path / "erin", [], env=agent.env)

        def refused(says: str, *options: object) -> None:
            done = person.try_keygen("erin", *options)
            assert done.returncode in (1, 2) and says in done.stderr, done.stderr
            assert not list(person.folder.glob("erin.*")), "nothing was made"

        refused("where the keys for bins, claimed, root, targets are to be")
        refused("where the keys for bins, claimed, targets are to be", "--signer", f"root=ssh:{one}")
        refused("nothing is left for --out", "--signer", "ssh:", "--out", person.folder / "erin.age")
        refused("root has two signers", "--signer", f"root=ssh:{one}", "--signer", "root=ssh:")
        refused("which signer is for what", "--signer", "ssh:", "--signer", f"ssh:{one}")
        refused("have to be different ones", "--signer", f"ssh:{one}")
        refused("is none of a holder's keys", "--signer", "timestamp=ssh:")
        refused("the key for simple is called bins", "--signer", "simple=ssh:")
        refused("--algorithm and --existing are for keys on a token", "--signer", "ssh:", "--algorithm", "p256")
        both = ["--signer", f"root=ssh:{one}", "--signer", f"targets=ssh:{one}", "--out", person.folder / "erin.age"]
        refused("has the same key for targets and for another role", *both)
        # What agents have and metadata cannot use.
        out = ["--out", person.folder / "erin.age"]
        refused("PKCS #1 v1.5", "--signer", f"root=ssh:{rsa}", *out)
        refused("PKCS #1 v1.5", "--signer", "root=ssh:", *out)
        refused("no key with the comment wheelmark-targets", "--signer", "targets=ssh:", *out)
        refused("has no such key", "--signer", f"root=ssh:SHA256:{'A' * 43}", *out)
    nowhere = Person(binary, tmp_path / "nowhere", [], env=env)
    done = nowhere.try_keygen("erin", "--signer", "ssh:")
    assert done.returncode == 1 and "SSH_AUTH_SOCK is not set" in done.stderr
    done = nowhere.try_keygen("erin", "--signer", f"ssh:?socket={tmp_path}/none")
    assert done.returncode == 1 and "no ssh agent answers at" in done.stderr


class OddAgent:
    """An agent that answers what the test says, to every request."""

    def __init__(self, *answers: bytes) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="wm-odd-"))
        self.path = self.folder / "agent"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.path))
        self.listener.listen()
        self.answers = list(answers)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        for answer in self.answers:
            connection, _ = self.listener.accept()
            with connection:
                length = struct.unpack(">I", connection.recv(4, socket.MSG_WAITALL))[0]
                connection.recv(length, socket.MSG_WAITALL)
                connection.sendall(answer)

    def close(self) -> None:
        self.listener.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def string(text: bytes) -> bytes:
    return struct.pack(">I", len(text)) + text


def framed(message: bytes) -> bytes:
    return string(message)


def listing(*keys: tuple[bytes, str]) -> bytes:
    listed = b"".join(string(blob) + string(comment.encode()) for blob, comment in keys)
    return framed(b"\x0c" + struct.pack(">I", len(keys)) + listed)


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([b""], "broke off"),
        ([framed(b"\x05")], "it may be locked"),
        ([framed(b"\x0c\xff\xff\xff\xff")], "claims to have 4294967295 keys"),
        ([framed(b"\x0c\x00\x00\x00\x01\xff\xff\xff\xff")], "cut short, or longer"),
        ([b"\xff\xff\xff\xff" + b"x" * 64], "cut short, or longer"),
        ([framed(b"\x07")], "a message of the type 7"),
        ([listing((string(b"sk-ssh-ed25519@openssh.com") + b"\x00" * 40, "wheelmark-root"))], "FIDO2 key"),
        ([listing((string(b"sk-ecdsa-sha2-nistp256@openssh.com"), "wheelmark-root"))], "FIDO2 key"),
        ([listing((string(b"ssh-ed25519-cert-v01@openssh.com"), "wheelmark-root"))], "a certificate is no key"),
        ([listing((string(b"ssh-ed448"), "wheelmark-root"))], "sign no metadata"),
        ([listing((string(b"ssh-ed25519") + string(b"short"), "wheelmark-root"))], "is damaged"),
        (
            [
                listing((string(b"ssh-ed25519") + string(b"\x07" * 32), "wheelmark-root")),
                framed(b"\x0e" + string(string(b"ssh-ed25519") + string(b"\x07" * 64))),
            ],
            "does not verify",
        ),
        (
            [
                listing((string(b"ssh-ed25519") + string(b"\x07" * 32), "wheelmark-root")),
                framed(b"\x0e" + string(string(b"ssh-rsa") + string(b"\x07" * 64))),
            ],
            "of another kind than the key",
        ),
    ],
)
def test_an_agent_is_not_believed(
    env: Mapping[str, str], binary: Path, tmp_path: Path, answers: list[bytes], says: str
) -> None:
    agent = OddAgent(*answers)
    try:
        person = Person(binary, tmp_path / "erin", [], env=env)
        signer = f"root=ssh:?socket={agent.path}"
        done = person.try_keygen("erin", "--signer", signer, "--out", person.folder / "erin.age")
        assert done.returncode == 1 and says in done.stderr, done.stderr
        assert not list(person.folder.glob("erin.*"))
    finally:
        agent.close()


@pytest.mark.timeout(900)
def test_a_program_that_answers_garbage_or_hangs_changes_nothing(
    first: Cast,  # noqa: F811
    env: Mapping[str, str],
    tmp_path: Path,
) -> None:
    operator, index = first.operator, first.index
    good = tmp_path / "good"
    good.mkdir()
    signer = openssl_program(good, env)
    person = Person(index.binary, tmp_path / "kms", [signer], env=env)
    public = person.keygen("kms", "--signer", signer)
    ceremony, begun = operator.begin("custody", "--replace", f"1={public}")
    right = f'exec {good}/kms "$@"'

    def refused(says: str, sign: str, *, public_key: str = right, query: str = "") -> None:
        script = f"case $1 in\nsign) {sign} ;;\npublic-key) {public_key} ;;\nesac"
        odd = program(tmp_path / "odd", script) + query
        mine = person.take(ceremony)
        before = snapshot_of(mine)
        done = person.sign(mine, operator.fingerprint, begun["words"], signers=[odd])
        assert done.returncode == 1 and says in done.stderr, done.stderr
        assert snapshot_of(mine) == before, "nothing changed"
        assert "hint:" in done.stderr

    refused("does not verify", "head -c 64 /dev/zero")
    refused("does not verify", "echo a signature")
    refused("does not verify", f"printf x | {good}/kms sign $2")
    refused("does not verify", f"{good}/kms sign root | tail -c +2")
    refused("answered more than 2048 bytes", "yes")
    refused("answered more than 2048 bytes", "head -c 2049 /dev/zero")
    refused("answered nothing", "true")
    refused("failed (exit status: 3)", f"{good}/kms sign $2; exit 3")
    refused("failed (signal: 9", "kill -9 $$")
    refused("sign bins` has not ended within 3 seconds", "exec sleep 600", query="?timeout=3")
    refused("sign bins` has not ended within 3 seconds", f"{good}/kms sign $2; exec >&-; exec sleep 600", query="?timeout=3")
    refused("is neither a public key in PEM", right, public_key="echo nonsense")
    refused("is neither a public key in PEM", right, public_key="head -c 100 /dev/urandom")
    refused("but not Ed25519, ECDSA on P-256 or RSA", right, public_key="openssl ecparam -name secp384r1 -genkey | openssl pkey -pubout")
    refused("answered more than 16384 bytes", right, public_key="yes")
    refused("none of these keys signs", right, public_key="openssl genpkey -algorithm ed25519 | openssl pkey -pubout")
    missing = person.sign(person.take(ceremony), operator.fingerprint, begun["words"], signers=["command:./none"])
    assert missing.returncode == 1 and "none cannot be started" in missing.stderr
    # Its errors are for people to see, and it may leave its input unread.
    talks = program(tmp_path / "talks", f"echo waiting for a touch >&2\n{right}")
    done = person.sign(person.take(ceremony), operator.fingerprint, begun["words"], signers=[talks])
    assert done.returncode == 0 and "waiting for a touch" in done.stderr
    # Two numbers of 32 bytes, as some services give them.
    raw = program(
        tmp_path / "raw",
        f"""case $1 in
public-key) {right} ;;
sign) {good}/kms sign $2 | openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p' |
  while read n; do printf '%064s' "$n" | tr ' ' 0; done |
  python3 -c 'import sys; sys.stdout.buffer.write(bytes.fromhex(sys.stdin.read()))' ;;
esac""",
    )
    done = person.sign(person.take(ceremony), operator.fingerprint, begun["words"], signers=[raw])
    assert done.returncode == 0, done.stderr
    assert os.listdir(ceremony / "signatures") == []
