"""pip, uv, twine and wheelmark in an environment of their own.

The tools are those of the environment that runs the tests. Their home, configuration,
caches and trust store lie in one folder that belongs to the test.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

TOOLS = Path(sysconfig.get_path("scripts"))


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    command: list[str]
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def ok(self) -> "Outcome":
        assert self.code == 0, f"{self}"
        return self

    def failed(self) -> "Outcome":
        assert self.code != 0, f"expected a failure: {self}"
        return self

    def __str__(self) -> str:
        return f"{' '.join(self.command)}\nexit code {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


@dataclass(frozen=True)
class Venv:
    """A virtual environment without anything in it."""

    path: Path

    @property
    def python(self) -> Path:
        return self.path / "bin" / "python"

    def installed(self) -> dict[str, str]:
        """Project to version, from the installed metadata."""
        found = {}
        for info in self.path.glob("lib/*/site-packages/*.dist-info"):
            name, _, version = info.name.removesuffix(".dist-info").rpartition("-")
            found[name.replace("_", "-").lower()] = version
        return found

    def run(self, code: str) -> str:
        # As its owner would: with the bytecode that lies in it, wherever the tests keep theirs.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"}
        done = subprocess.run([self.python, "-c", code], env=env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def says(self, module: str) -> str:
        """What the installed module of one of our own wheels says."""
        return self.run(f"import {module}; print({module}.SAYS)")


@functools.cache
def empty_venv() -> Path:
    """A virtual environment to copy: making one takes twenty times as long, and tests make hundreds."""
    folder = Path(tempfile.mkdtemp(prefix="empty-venv-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=60)
    return folder / "venv"


class Sandbox:
    """A folder with its own home, caches and trust, in which commands run."""

    def __init__(self, folder: Path, binary: Path, env: Mapping[str, str] | None = None) -> None:
        self.folder, self.binary = folder, binary
        self.work = folder / "work"
        for part in (self.work, folder / "home", folder / "tmp"):
            part.mkdir(parents=True, exist_ok=True)
        self.env = environment(folder) | dict(env or {})
        self._venvs = 0

    def run(self, *command: object, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 150) -> Outcome:
        words = [str(word) for word in command]
        done = subprocess.run(
            words,
            cwd=cwd or self.work,
            env=self.env | dict(env or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        return Outcome(words, done.returncode, done.stdout, done.stderr)

    def wheelmark(self, *args: object, **how) -> Outcome:
        return self.run(self.binary, *args, **how)

    def trust(self, index, *options: object) -> Outcome:
        """`wheelmark trust add` with the root file of a running index."""
        return self.wheelmark("trust", "add", index.index_url, "--root", index.root_file, *options).ok()

    def venv(self) -> Venv:
        self._venvs += 1
        path = self.folder / f"venv{self._venvs}"
        shutil.copytree(empty_venv(), path, symlinks=True)
        return Venv(path)

    def twine(self, index, *files: Path, token: str | None = None, **how) -> Outcome:
        return self.run(
            TOOLS / "twine", "upload", "--non-interactive", "--disable-progress-bar",
            "--repository-url", index.upload_url, "-u", "__token__", "-p", token or index.token, *files, **how,
        )

    def uv_publish(self, index, *files: Path, token: str | None = None, **how) -> Outcome:
        return self.run(
            TOOLS / "uv", "publish", "--trusted-publishing", "never",
            "--publish-url", index.upload_url, "--token", token or index.token, *files, **how,
        )

    def plain_pip(self, venv: Venv, index_url: str, *args: object, **how) -> Outcome:
        """pip, installing without wheelmark."""
        return self.run(
            TOOLS / "pip", "--python", venv.python, "install", "--index-url", index_url, *args, **how
        )

    def plain_uv(self, venv: Venv, index_url: str, *args: object, **how) -> Outcome:
        """uv, installing without wheelmark."""
        return self.run(
            TOOLS / "uv", "pip", "install", "--python", venv.python, "--default-index", index_url, *args, **how
        )

    def install(self, tool: str, venv: Venv, *args: object, options: tuple[object, ...] = (), **how) -> Outcome:
        """`wheelmark exec OPTIONS -- TOOL … install ARGS`."""
        return self.wheelmark("exec", *options, "--", *installer(tool, venv), *args, **how)

    def install_short(self, tool: str, venv: Venv, *args: object, **how) -> Outcome:
        """`wheelmark pip … install ARGS` or `wheelmark uv pip install … ARGS`."""
        return self.wheelmark(*installer(tool, venv), *args, **how)


def installer(tool: str, venv: Venv) -> list[object]:
    """The words that make pip or uv install into `venv`."""
    if tool == "pip":
        return ["pip", "--python", venv.python, "install"]
    return ["uv", "pip", "install", "--python", venv.python]


def environment(folder: Path) -> dict[str, str]:
    """Nothing of the person's own configuration, and no proxy, reaches a tool under test."""
    home = folder / "home"
    return {
        "PATH": os.pathsep.join([str(TOOLS), "/usr/local/bin", "/usr/bin", "/bin"]),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "TMPDIR": str(folder / "tmp"),
        "WHEELMARK_HOME": str(folder / "wheelmark"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_CACHE_DIR": str(folder / "pip-cache"),
        "PIP_NO_INPUT": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "UV_CACHE_DIR": str(folder / "uv-cache"),
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_LINK_MODE": "copy",
        "POETRY_NO_INTERACTION": "1",
        "PDM_CHECK_UPDATE": "0",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
    }
