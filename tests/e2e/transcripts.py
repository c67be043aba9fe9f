"""Prints what a person sees when something is refused: the transcripts of `docs/refusals.md`.

    WHEELMARK_BIN=target/debug/wheelmark python tests/e2e/transcripts.py [TITLE…]

Each command is run as it is shown, with the real tool against a mirror that lies. Addresses
and folders, which differ from run to run, are replaced, and digests are shortened.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.distributions import wheel
from harness.hostile import Replay, Says, Substitute
from harness.index import Index
from harness.mirror import FILES, Mirror, Part, record
from harness.sandbox import TOOLS, Outcome, Sandbox, environment

OLD, NEW = wheel("tide-tables", "1.4"), wheel("tide-tables", "2.0")
EVIL = wheel("tide-tables", "2.0", says="evil")

PYPROJECT = """\
[project]
name = "harbour"
version = "1.0"
requires-python = ">=3.9"
dependencies = ["tide-tables"]
[tool.poetry]
package-mode = false
[[tool.poetry.source]]
name = "ours"
url = "{index}"
priority = "primary"
"""


@dataclass
class Stage:
    """A person's machine, and the mirror that it reads."""

    sandbox: Sandbox
    mirror: Mirror

    def python(self) -> str:
        """A virtual environment that the tools find by themselves."""
        venv = self.sandbox.venv()
        self.sandbox.env["VIRTUAL_ENV"] = str(venv.path)
        self.sandbox.env["PIP_PYTHON"] = str(venv.python)
        return str(venv.path)

    def python_with_an_old_version(self) -> None:
        self.python()
        self.sandbox.wheelmark("exec", "--", "pip", "install", "tide-tables==1.4").ok()

    def poetry_project(self) -> None:
        work = self.sandbox.work
        (work / "pyproject.toml").write_text(PYPROJECT.format(index=self.mirror.index_url))
        (work / "poetry.toml").write_text("[virtualenvs]\nin-project = true\n")
        self.sandbox.wheelmark("exec", "--", "poetry", "lock", cwd=work).ok()


@dataclass(frozen=True)
class Scene:
    title: str
    command: tuple[str, ...]
    prepare: Callable[[Stage], object]
    attack: Callable[[dict[str, bytes]], Part]


def altered_file(_yesterday: dict[str, bytes]) -> Part:
    return Substitute(NEW, EVIL, pages=False)


def altered_page(_yesterday: dict[str, bytes]) -> Part:
    return Substitute(NEW, EVIL)


def no_files(_yesterday: dict[str, bytes]) -> Part:
    return Says(FILES, 503)


def nothing(_yesterday: dict[str, bytes]) -> Part:
    return Says((), 200)


SCENES = (
    Scene("pip-file", ("pip", "install", "tide-tables"), Stage.python, altered_file),
    Scene("pip-page", ("pip", "install", "tide-tables"), Stage.python, altered_page),
    Scene("uv-file", ("uv", "pip", "install", "tide-tables"), Stage.python, altered_file),
    Scene("uv-page", ("uv", "pip", "install", "tide-tables"), Stage.python, altered_page),
    Scene("poetry-file", ("poetry", "install"), Stage.poetry_project, altered_file),
    Scene("down", ("uv", "pip", "install", "tide-tables"), Stage.python, no_files),
    Scene(
        "elsewhere",
        ("uv", "pip", "install", "--default-index", "http://other.example/simple/", "tide-tables"),
        Stage.python,
        nothing,
    ),
    Scene("outdated", ("pip", "list", "--outdated"), Stage.python_with_an_old_version, altered_page),
    Scene("state", ("pip", "install", "tide-tables"), Stage.python, Replay),
)


def play(scene: Scene, index: Index, yesterday: dict[str, bytes], folder: Path) -> str:
    sandbox = Sandbox(folder / scene.title, index.binary)
    with Mirror(record(index.tree)) as mirror:
        sandbox.wheelmark("trust", "add", mirror.index_url, "--root", index.root_file).ok()
        stage = Stage(sandbox, mirror)
        scene.prepare(stage)
        sandbox.wheelmark("exec", "--", *scene.command, "--dry-run", cwd=sandbox.work)
        mirror.mount(scene.attack(yesterday))
        # Both streams in the order in which they come, as on a terminal.
        words = shlex.join([str(sandbox.binary), "exec", "--", *scene.command])
        together = {"PYTHONUNBUFFERED": "1"}
        done = sandbox.run("sh", "-c", f"{words} 2>&1", cwd=sandbox.work, env=together).failed()
        return transcript(f"wheelmark exec -- {' '.join(scene.command)}", done, mirror, folder)


def transcript(shown: str, done: Outcome, mirror: Mirror, folder: Path) -> str:
    said = done.out.replace(mirror.url(), "https://mirror.example/")
    said = re.sub(r"127\.0\.0\.1:\d+/[0-9a-f]{32}/", "127.0.0.1:PORT/…/", said)
    said = re.sub(re.escape(str(folder)) + r"/[^/]+/(work|venv\d+)", r"~/\1", said)
    said = said.replace(str(TOOLS.parent), "/opt/tools")
    said = re.sub(r"\b([0-9a-f]{8})[0-9a-f]{56}\b", r"\1…", said)
    return f"$ {shown}\n{said.rstrip()}\n$ echo $?\n{done.code}"


def main() -> None:
    wanted = sys.argv[1:]
    binary = Path(os.environ.get("WHEELMARK_BIN", "target/debug/wheelmark")).absolute()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "tmp").mkdir()
        index = Index(binary, folder / "data", environment(folder)).start()
        try:
            index.publish(OLD)
            yesterday = record(index.tree)
            index.publish(NEW)
            for scene in SCENES:
                if not wanted or scene.title in wanted:
                    print(f"--- {scene.title}\n{play(scene, index, yesterday, folder)}\n", flush=True)
        finally:
            index.stop()


if __name__ == "__main__":
    main()
