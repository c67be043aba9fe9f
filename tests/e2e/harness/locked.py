"""Locks of files that somebody attests to, by the real tools, and an index that has such files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .distributions import Distribution, sdist, wheel
from .index import Index
from .sandbox import Outcome, Sandbox, Venv
from .sigstore import PrivateSigstore
from .upload import fields_for, form, request

# A company's own Sigstore does not vouch for jobs of GitHub and the like.
OURS = "release@demo.example+https://ci.demo.example"
EVIL = "release@evil.example+https://ci.demo.example"

DEMO, SOURCE, BARE = wheel("demo", "1.0", says="demo"), sdist("demo", "1.0", says="demo"), wheel("bare", "1.0", says="bare")


def identity(who: str, **more: str) -> str:
    """As tables have it."""
    subject, issuer = who.rsplit("+", 1)
    members = {"kind": "OIDC", "subject": subject, "issuer": issuer} | more
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in members.items())
    return f"\n[[packages.attestation-identities]]\n{lines}"


def add(lock: Path, text: str) -> None:
    """At the end of the last package."""
    lock.write_text(lock.read_text().rstrip("\n") + "\n" + text)


def send(index: Index, dist: Distribution, attestations: list[dict]) -> None:
    fields = fields_for(dist)
    if attestations:
        fields.append(("attestations", json.dumps(attestations)))
    body, kind = form(fields, dist.filename, dist.content)
    basic = base64.b64encode(f"__token__:{index.token}".encode()).decode()
    headers = {"Content-Type": kind, "Authorization": f"Basic {basic}"}
    answer = request("POST", index.url("/legacy/"), headers=headers, body=body)
    assert answer.status == 200, f"{answer}"


def believe(sandbox: Sandbox, sigstore: PrivateSigstore, more: str = "") -> None:
    settings = Path(sandbox.env["WHEELMARK_HOME"]) / "wheelmark.toml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(f"sigstore-roots = [{json.dumps(str(sigstore.trusted_root))}]\n{more}")


@dataclass
class World:
    index: Index
    sandbox: Sandbox
    sigstore: PrivateSigstore
    locks: int = 0

    def publish(self, dist: Distribution, by: str | None) -> None:
        attestations = []
        if by is not None:
            self.sandbox.wheelmark("index", "--data", self.index.data, "publisher", "add", dist.project, by, "--attest-only")
            file = self.sigstore.attest(dist.write(self.sandbox.work / "dist"), by)
            attestations.append(json.loads(file.read_text()))
        send(self.index, dist, attestations)

    def lock(self, tool: str, *names: str) -> Path:
        """A pylock.toml by the tool itself."""
        self.locks += 1
        folder = self.sandbox.work / f"lock{self.locks}"
        folder.mkdir()
        lock = folder / "pylock.toml"
        if tool == "pip":
            self.sandbox.run("pip", "lock", "--index-url", self.index.index_url, "-o", lock, *names).ok()
        else:
            (folder / "in.txt").write_text("\n".join(names))
            self.sandbox.run(
                "uv", "pip", "compile", "--default-index", self.index.index_url, folder / "in.txt", "--format", "pylock.toml", "-o", lock
            ).ok()
        return lock

    def plain(self, tool: str, lock: Path) -> Venv:
        """What the tool does without us."""
        venv = self.sandbox.venv()
        env = {"UV_DEFAULT_INDEX": self.index.index_url, "UV_NO_CACHE": "1", "PIP_INDEX_URL": self.index.index_url}
        self.sandbox.run(*installing(tool, venv, lock.name), cwd=lock.parent, env=env).ok()
        return venv

    def install(self, tool: str, lock: Path, *options: object, words: tuple[object, ...] = ()) -> tuple[Outcome, Venv, dict]:
        venv = self.sandbox.venv()
        report = self.sandbox.work / "report.json"
        command = words or installing(tool, venv, lock.name)
        done = self.sandbox.wheelmark("exec", "--report", report, *options, "--", *command, cwd=lock.parent)
        return done, venv, json.loads(report.read_text()) if report.read_text() else {}

    def verify(self, lock: Path, *options: object) -> tuple[int, dict]:
        done = self.sandbox.wheelmark("verify", "--json", lock, *options)
        (target,) = json.loads(done.out)["targets"]
        return done.code, target


def installing(tool: str, venv: Venv, lock: str) -> tuple[object, ...]:
    if tool == "pip":
        return ("pip", "--python", venv.python, "install", "-r", lock)
    return ("uv", "pip", "install", "--python", venv.python, "-r", lock)


@contextmanager
def attested_index(make, sigstore: PrivateSigstore, sandbox: Sandbox) -> Iterator[Index]:
    """A running index with files that somebody attests to, and others that nobody does."""
    started: list[Index] = []
    index = make(started, options=["--sigstore-roots", sigstore.trusted_root]).start()
    owner = World(index, sandbox, sigstore)
    for project in ("demo", "bare", "torn", "moved"):
        owner.sandbox.wheelmark("index", "--data", index.data, "project", "create", project, "--owner", "operator").ok()
    owner.publish(DEMO, OURS)
    owner.publish(SOURCE, OURS)
    owner.publish(BARE, None)
    owner.publish(wheel("torn", "1.0"), OURS)
    owner.publish(sdist("torn", "1.0"), None)
    owner.publish(wheel("moved", "1.0", says="moved"), OURS)
    owner.publish(wheel("moved", "2.0", says="moved"), EVIL)
    try:
        yield index
    finally:
        for each in started:
            each.kill()
