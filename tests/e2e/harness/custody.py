"""Holders of offline keys: in files, on SoftHSM tokens, behind agents and programs, each in a folder
of their own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PIN = "271828"
NAMES = ["root", "targets", "claimed", "bins"]

# Where Debian and Ubuntu, Fedora, and others put it.
MODULES = [
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
]


def must(*command: object, env: Mapping[str, str], given: bytes | None = None) -> bytes:
    """Runs a tool that has to succeed; what it prints."""
    words = [str(word) for word in command]
    done = subprocess.run(words, input=given, capture_output=True, env=dict(env), timeout=60)
    assert done.returncode == 0, (words, done.stderr.decode())
    return done.stdout


class Person:
    """Somebody with a folder, and the keys that `signers` name; what opens them is `secret`."""

    def __init__(
        self,
        binary: Path,
        folder: Path,
        signers: list[str],
        *,
        env: Mapping[str, str],
        secret: str | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.binary, self.folder, self.signers, self.secret = binary, folder, signers, secret
        # What is remembered about ceremonies is each one's own.
        self.env = dict(env) | {"WHEELMARK_HOME": str(folder / "wheelmark")}

    def run(self, *words: object, secret: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [str(self.binary), *(str(word) for word in words)]
        secret = secret or self.secret
        if secret is None:
            return subprocess.run(
                command, capture_output=True, text=True, env=self.env, timeout=120, stdin=subprocess.DEVNULL
            )
        reader, writer = os.pipe()
        os.write(writer, f"{secret}\n".encode())
        os.close(writer)
        try:
            return subprocess.run(
                [*command, "--passphrase-fd", str(reader)],
                capture_output=True,
                text=True,
                env=self.env,
                pass_fds=[reader],
                stdin=subprocess.DEVNULL,
                timeout=120,
            )
        finally:
            os.close(reader)

    def keygen(self, name: str, *options: object) -> Path:
        """The public file of this holder."""
        done = self.try_keygen(name, *options)
        assert done.returncode == 0, done.stderr
        return self.folder / f"{name}.json"

    def try_keygen(
        self, name: str, *options: object, secret: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        public = self.folder / f"{name}.json"
        return self.run("ceremony", "keygen", "--name", name, "--public", public, *options, secret=secret)

    def take(self, ceremony: Path) -> Path:
        """A copy of what travels, without anybody's signatures."""
        mine = self.folder / ceremony.name
        shutil.rmtree(mine, ignore_errors=True)
        shutil.copytree(ceremony, mine)
        shutil.rmtree(mine / "signatures")
        (mine / "signatures").mkdir()
        return mine

    def sign(
        self, mine: Path, trust: str, words: str, *, secret: str | None = None, signers: list[str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        named = [word for signer in signers or self.signers for word in ("--signer", signer)]
        return self.run(
            "ceremony", "sign", mine, "--trust", trust, *named, "--words", words, "--json", secret=secret
        )


def signed_back(people: list[Person], ceremony: Path, trust: str, words: str) -> None:
    """Everybody signs a copy, and the small files come back."""
    for person in people:
        mine = person.take(ceremony)
        done = person.sign(mine, trust, words)
        assert done.returncode == 0, done.stderr
        for file in (mine / "signatures").iterdir():
            shutil.copy(file, ceremony / "signatures")


@dataclass
class SoftToken:
    """A token of SoftHSM 2: a folder."""

    folder: Path
    label: str
    base: Mapping[str, str]
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        module = [path for path in MODULES if path.is_file()]
        if shutil.which("softhsm2-util") is None or not module:
            pytest.skip("skipped: needs softhsm2-util")
        self.module = module[0]
        self.objects = self.folder / "tokens"
        self.objects.mkdir(parents=True, exist_ok=True)
        conf = self.folder / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {self.objects}\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.env = dict(self.base) | {"SOFTHSM2_CONF": str(conf)}
        self.initialise(self.label)

    def initialise(self, label: str) -> None:
        must(
            "softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "314159",
            env=self.env,
        )

    @property
    def uri(self) -> str:
        return self.named(f"token={self.label}")

    def named(self, what: str) -> str:
        return f"pkcs11:{what}?module-path={self.module}"

    def with_pin_in_a_file(self, pin: str = PIN) -> str:
        file = self.folder / "pin"
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(f"{pin}\n")
        return f"{self.uri}&pin-source={file}"

    def pull_out(self) -> None:
        shutil.rmtree(self.objects)
        self.objects.mkdir()


class SshAgent:
    """A real ssh-agent on a socket of its own."""

    def __init__(self, base: Mapping[str, str]) -> None:
        if shutil.which("ssh-agent") is None:
            pytest.skip("skipped: needs ssh-agent")
        # A socket's path is short (sun_path has 108 bytes), and a test's folder may be deep.
        self.folder = Path(tempfile.mkdtemp(prefix="wm-agent-"))
        self.socket = self.folder / "agent"
        self.process = subprocess.Popen(
            ["ssh-agent", "-D", "-a", str(self.socket)], stdout=subprocess.DEVNULL, env=dict(base)
        )
        self.env = dict(base) | {"SSH_AUTH_SOCK": str(self.socket)}
        deadline = time.monotonic() + 30
        while not self.socket.exists():
            assert time.monotonic() < deadline, "ssh-agent does not start"
            time.sleep(0.02)

    def add(self, comment: str, *kind: str) -> str:
        """Makes a key, gives it to the agent, and forgets it; its fingerprint."""
        file = self.folder / "key"
        must("ssh-keygen", "-q", *(kind or ["-t", "ed25519"]), "-N", "", "-C", comment, "-f", file, env=self.env)
        must("ssh-add", "-q", file, env=self.env)
        shown = must("ssh-keygen", "-l", "-f", file.with_suffix(".pub"), env=self.env).decode()
        for made in self.folder.glob("key*"):
            made.unlink()
        return shown.split()[1]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def ssh_agent(base: Mapping[str, str]) -> Iterator[SshAgent]:
    agent = SshAgent(base)
    try:
        yield agent
    finally:
        agent.stop()


def program(path: Path, text: str) -> str:
    """A program that signs, as a shell script; its URI."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"command:{path}"


def openssl_program(folder: Path, env: Mapping[str, str]) -> str:
    """A program that has four keys on P-256 and signs with openssl, as those for services do."""
    for name in NAMES:
        must(
            "openssl", "genpkey", "-quiet", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-out", folder / f"{name}.pem", env=env,
        )
    return program(
        folder / "kms",
        f"""set -eu
key={folder}/$2.pem
case $1 in
public-key) openssl pkey -in "$key" -pubout ;;
sign) openssl dgst -sha256 -sign "$key" ;;
*) exit 64 ;;
esac""",
    )


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())
