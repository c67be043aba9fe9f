"""One person with one tool: what happens to them without wheelmark, and with it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .mirror import Mirror
from .sandbox import TOOLS, Outcome, Sandbox, Venv

# A plain tool starts with nothing that it kept from before.
NOTHING_KEPT = {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}


@dataclass(frozen=True)
class Person:
    sandbox: Sandbox
    tool: str

    def trust(self, mirror: Mirror, root: Path, more: tuple[object, ...] = ()) -> Outcome:
        """`wheelmark trust add` with a root file that came by another way."""
        return self.sandbox.wheelmark("trust", "add", mirror.index_url, "--root", root, *more)

    def plain(self, mirror: Mirror, *projects: str, **how) -> tuple[Outcome, Venv]:
        """Installs without wheelmark."""
        venv = self.sandbox.venv()
        run = self.sandbox.plain_pip if self.tool == "pip" else self.sandbox.plain_uv
        how["env"] = NOTHING_KEPT | how.get("env", {})
        return run(venv, mirror.index_url, *projects, **how), venv

    def start_plain(self, mirror: Mirror, *projects: str) -> "Running":
        """Begins to install without wheelmark."""
        venv = self.sandbox.venv()
        words = {
            "pip": [TOOLS / "pip", "--python", venv.python, "install", "--index-url"],
            "uv": [TOOLS / "uv", "pip", "install", "--python", venv.python, "--default-index"],
        }[self.tool]
        return Running(self.sandbox, venv, *words, mirror.index_url, *projects)

    def verified(self, *projects: str, **how) -> tuple[Outcome, Venv]:
        """Installs through `wheelmark exec`."""
        venv = self.sandbox.venv()
        return self.sandbox.install(self.tool, venv, *projects, **how), venv

    def installs(self, project: str, version: str, **how) -> Outcome:
        """Through `wheelmark exec`, and it works."""
        done, venv = self.verified(project, **how)
        assert done.ok() and venv.installed().get(project) == version, f"{venv.installed()}: {done}"
        return done

    def is_refused(self, project: str, *tells: str, **how) -> Outcome:
        """Through `wheelmark exec`: nothing is installed, and the person reads why."""
        done, venv = self.verified(project, **how)
        done.failed()
        assert venv.installed() == {}, f"installed nevertheless: {venv.installed()}: {done}"
        assert "panicked" not in done.text, f"{done}"
        for words in tells:
            assert words in done.text, f"{words!r} is not said: {done}"
        print(essence(done))
        return done


class Running:
    """A command that may never end by itself."""

    def __init__(self, sandbox: Sandbox, venv: Venv, *words: object) -> None:
        self.venv = venv
        self._said = (sandbox.folder / "running.log").open("wb")
        self._process = subprocess.Popen(
            [str(word) for word in words],
            cwd=sandbox.work,
            env=sandbox.env | NOTHING_KEPT,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def said(self) -> str:
        return Path(self._said.name).read_text(errors="replace")

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_exc: object) -> None:
        # With `--python`, pip works in a child of its own.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._said.close()

    @property
    def is_at_it(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, reached: Callable[[], bool], seconds: float = 60) -> bool:
        """Whether it got there while the command was still running."""
        deadline = time.monotonic() + seconds
        while self.is_at_it and time.monotonic() < deadline:
            if reached():
                return True
            time.sleep(0.05)
        return False


def essence(done: Outcome) -> str:
    """What of a refusal goes into a table: the lines that say what failed."""
    wanted = ("error:", "because:", "wheelmark: REFUSED")
    lines = [line.strip() for line in done.err.splitlines()]
    return "\n".join(line for line in lines if line.startswith(wanted))
