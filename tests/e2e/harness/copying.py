"""A copy of an index, made by `wheelmark mirror`."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

from .sandbox import Outcome, Sandbox

# What `wheelmark mirror` ends with.
COMPLETE, HERE, UNAVAILABLE, REFUSED = 0, 1, 3, 4


class Copy:
    """One directory, and the runs that bring it up to date."""

    def __init__(self, sandbox: Sandbox, index_url: str, root: Path, name: str = "copy") -> None:
        self.sandbox, self.index_url, self.root = sandbox, index_url, root
        self.directory = sandbox.folder / name

    def words(self, *options: object) -> list[str]:
        words = [self.sandbox.binary, "mirror", self.index_url, self.directory]
        if not (self.directory / ".mirror" / "state.json").exists():
            words += ["--root", self.root]
        return [str(word) for word in (*words, *options)]

    def run(self, *options: object, **how) -> Outcome:
        return self.sandbox.run(*self.words(*options), **how)

    def complete(self, *options: object, **how) -> dict:
        """A run that comes to its end, and what it tells."""
        return json.loads(self.run(*options, "--json", **how).ok().out)

    def begin(self, *options: object) -> subprocess.Popen[str]:
        """A run that goes on by itself; whoever begins it ends it."""
        return subprocess.Popen(
            self.words(*options),
            cwd=self.sandbox.work,
            env=self.sandbox.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def verify(self) -> dict:
        """`wheelmark verify` finds that everything holds; what it counted."""
        done = self.sandbox.wheelmark("verify", "--json", self.directory, "--root", self.root)
        return json.loads(done.ok().out)["targets"][0]

    def state(self) -> dict:
        """Every file that is served, and its bytes."""
        served = {}
        for path in sorted(self.directory.rglob("*")):
            relative = path.relative_to(self.directory)
            if path.is_file() and not relative.parts[0].startswith("."):
                served[str(relative)] = path.read_bytes()
        return served


def stop(process: subprocess.Popen[str], how: int = signal.SIGTERM) -> int:
    """Ends a run by its id."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(30)
    finally:
        if process.poll() is None:
            process.kill()
        if process.stdout:
            process.stdout.close()
        if process.stderr:
            process.stderr.close()
