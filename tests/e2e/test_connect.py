"""Lock files that hold URLs: read and written at the real URLs, and verified all the same.

The index is reached through a front, by https (with an authority that the test makes) and by
plain http. Every attack is first shown to succeed, or to be none of the tool's own business,
without wheelmark.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.distributions import Distribution, sdist, wheel
from harness.index import Index
from harness.sandbox import TOOLS, Outcome, Sandbox
from harness.site import Site, index_of
from harness.tls import Certificates, Front, make_certificates

GOOD = wheel("locked-wheel", "1.0", says="good", extra=("Requires-Dist: needed-wheel>=1",))
NEEDED = wheel("needed-wheel", "1.2", says="good")
SOURCE = sdist("locked-source", "1.0", says="good")
EVIL = wheel("locked-wheel", "1.0", says="evil", extra=("Requires-Dist: needed-wheel>=1",))
LARGE = wheel("large-locked", "1.0", says="good", payload=6 * 1024 * 1024)

REFUSED = 86


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stored(shared_index: Index) -> Index:
    shared_index.publish(GOOD, NEEDED, SOURCE, LARGE)
    return shared_index


@dataclass
class World:
    """A front to the index, and a sandbox that trusts it."""

    front: Front
    sandbox: Sandbox
    projects: int = 0

    def project(self, *needs: str, tool: str = "") -> Path:
        """A folder with a pyproject.toml that needs these projects."""
        self.projects += 1
        folder = self.sandbox.work / f"project{self.projects}"
        folder.mkdir()
        listed = ", ".join(f'"{need}"' for need in needs)
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = [{listed}]\n{tool}'
        )
        return folder

    def plain(self, *command: object, cwd: Path, **env: str) -> Outcome:
        """Without wheelmark, with nothing cached."""
        none = {"UV_DEFAULT_INDEX": self.front.index_url, "UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
        return self.sandbox.run(*command, cwd=cwd, env=none | env)

    def verified(self, *command: object, cwd: Path, options: tuple[object, ...] = (), **env: str) -> Outcome:
        return self.sandbox.wheelmark("exec", "--report", cwd / "report.json", *options, "--", *command, cwd=cwd, env=env)

    def report(self, cwd: Path) -> dict:
        return json.loads((cwd / "report.json").read_text())

    def files(self, cwd: Path) -> set[str]:
        return {entry["file"] for entry in self.report(cwd)["files"]}


@pytest.fixture(params=["https", "http"])
def world(request, stored: Index, certificates: Certificates, tmp_path: Path, binary: Path) -> Iterator[World]:
    secure = certificates if request.param == "https" else None
    with Front(stored.port, secure) as front:
        sandbox = Sandbox(tmp_path / "sandbox", binary, certificates.env if secure else None)
        sandbox.wheelmark("trust", "add", front.index_url, "--root", stored.root_file).ok()
        yield World(front, sandbox)


def says(folder: Path) -> str:
    python = folder / ".venv" / "bin" / "python"
    done = subprocess.run([python, "-c", "import locked_wheel; print(locked_wheel.SAYS)"], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


def test_uv_locks_the_real_urls_and_syncs_them_verified(world: World) -> None:
    needs = ("locked-wheel", "locked-source", "large-locked")
    plain = world.project(*needs)
    world.plain("uv", "lock", cwd=plain).ok()
    ours = world.project(*needs)
    done = world.verified("uv", "lock", cwd=ours).ok()
    assert "wheelmark: connect mode (uv lock writes uv.lock)" in done.err
    assert (ours / "uv.lock").read_bytes() == (plain / "uv.lock").read_bytes()
    assert f"{world.front.base}/packages/locked-wheel/{GOOD.filename}" in (ours / "uv.lock").read_text()

    done = world.verified("uv", "sync", "--frozen", cwd=ours).ok()
    assert "wheelmark: connect mode (uv sync reads uv.lock)" in done.err
    assert "verified" in done.err
    assert says(ours) == "good"
    assert world.files(ours) == {dist.filename for dist in (GOOD, NEEDED, SOURCE, LARGE)}
    assert world.report(ours)["refused"] == []
    # A lock that exists is taken as it is.
    world.verified("uv", "sync", "--locked", cwd=ours).ok()
    world.verified("uv", "tree", "--frozen", cwd=ours).ok()


def test_index_mode_alone_would_be_passed_by(world: World) -> None:
    """Why there is a mode: a frozen lock goes to its URLs, whatever index is named."""
    folder = world.project("locked-wheel")
    world.plain("uv", "lock", cwd=folder).ok()
    done = world.verified("uv", "sync", "--frozen", cwd=folder, options=("--mode", "index")).failed()
    assert "wheelmark: index mode (as --mode says)" in done.err
    assert world.front.host in done.err


def test_a_hash_that_was_changed_in_the_lock_is_refused(world: World) -> None:
    folder = world.project("locked-wheel")
    world.verified("uv", "lock", cwd=folder).ok()
    lock = folder / "uv.lock"
    lock.write_text(lock.read_text().replace(GOOD.sha256, "0" * 64))
    done = world.verified("uv", "sync", "--frozen", cwd=folder).failed()
    assert "hash" in done.text.lower()
    assert not list((folder / ".venv").glob("lib/*/site-packages/locked_wheel.py"))


def test_a_byte_that_was_changed_at_the_index_is_refused(world: World) -> None:
    folder = world.project("locked-wheel")
    world.verified("uv", "lock", cwd=folder).ok()
    flipped = bytes([GOOD.content[0]]) + bytes([GOOD.content[1] ^ 1]) + GOOD.content[2:]
    world.front.lie = lambda path, body: flipped if path.endswith(GOOD.filename) else body
    done = world.verified("uv", "sync", "--frozen", cwd=folder).failed()
    assert f"wheelmark refused {GOOD.filename}" in done.text
    assert "its sha256 is not the signed one" in done.text
    assert not list((folder / ".venv").glob("lib/*/site-packages/locked_wheel.py"))
    assert [entry["file"] for entry in world.report(folder)["refused"]] == [GOOD.filename]


def evil_twin(path: str, body: bytes) -> bytes:
    """Another file, and a page, metadata and targets that all agree with it."""
    if path.endswith(GOOD.filename):
        return EVIL.content
    if path.endswith(".metadata"):
        return body
    good = {GOOD.sha256: EVIL.sha256, f'"size":{len(GOOD.content)}': f'"size":{len(EVIL.content)}'}
    if "/simple/locked-wheel" in path or "/metadata/" in path:
        text = body.decode()
        for old, new in good.items():
            text = text.replace(old, new)
        return text.encode()
    return body


def test_an_evil_twin_is_refused(world: World) -> None:
    """A page and its file changed together fool whoever asks the index for both."""
    world.front.lie = evil_twin
    fooled = world.project("locked-wheel")
    world.plain("uv", "lock", cwd=fooled).ok()
    world.plain("uv", "sync", "--frozen", cwd=fooled).ok()
    assert says(fooled) == "evil", "the plain tool installs it without a word"

    ours = world.project("locked-wheel")
    world.verified("uv", "lock", cwd=ours).failed()
    # Nor does a lock file help that was made from the twin.
    (ours / "uv.lock").write_bytes((fooled / "uv.lock").read_bytes())
    world.verified("uv", "sync", "--frozen", cwd=ours).failed()
    assert "locked_wheel" in says(ours), "it is not there"


def test_a_lock_file_that_names_another_host_is_refused(world: World) -> None:
    with Site(index_of(GOOD, NEEDED)) as site:
        folder = world.project("locked-wheel")
        world.plain("uv", "lock", cwd=folder, UV_DEFAULT_INDEX=site.url("simple/")).ok()
        world.plain("uv", "sync", "--frozen", cwd=folder).ok()
        asked = len(site.asked)
        (folder / ".venv").rename(folder / "before")
        done = world.verified("uv", "sync", "--frozen", cwd=folder).failed()
        host = site.url().removeprefix("http://").rstrip("/")
        assert f"REFUSED {host}" in done.err
        assert len(site.asked) == asked, "nothing was asked of it"
        assert "locked_wheel" in says(folder)


def test_pip_with_a_pylock(world: World) -> None:
    folder = world.project("locked-wheel")
    world.verified("uv", "export", "--format", "pylock.toml", "-o", "pylock.toml", "--no-emit-project", cwd=folder).ok()
    assert f"{world.front.base}/packages/" in (folder / "pylock.toml").read_text()
    venv = world.sandbox.venv()
    install = ("pip", "--python", venv.python, "install", "-r", "pylock.toml")
    done = world.verified(*install, cwd=folder).ok()
    assert "wheelmark: connect mode (pip install reads pylock.toml)" in done.err
    assert venv.says("locked_wheel") == "good"
    assert world.files(folder) == {GOOD.filename, NEEDED.filename}
    uvs = world.sandbox.venv()
    world.verified("uv", "pip", "sync", "--python", uvs.python, "pylock.toml", cwd=folder).ok()
    assert uvs.says("locked_wheel") == "good"

    world.front.lie = lambda path, body: body[:-1] + b"x" if path.endswith(GOOD.filename) else body
    other = world.sandbox.venv()
    install = ("pip", "--python", other.python, "install", "-r", "pylock.toml")
    done = world.verified(*install, cwd=folder).failed()
    assert f"wheelmark refused {GOOD.filename}" in done.text
    assert other.installed() == {}
