"""`wheelmark sign-tree` as a command, and the tree that it makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

from .sandbox import Outcome, Sandbox


class SignedTree:
    """A source and the signed tree that is made from it, in a folder of the test's own."""

    def __init__(self, sandbox: Sandbox, source: object, name: str = "signed") -> None:
        self.sandbox, self.source = sandbox, source
        self.out = sandbox.folder / name
        self.data = sandbox.folder / f"{name}-data"
        self.said: dict = {}

    def command(self, *options: object) -> list[str]:
        words = [self.sandbox.binary, "sign-tree", self.source, "--out", self.out, "--json"]
        if "--settle" not in options:
            # What a test writes is whole at once.
            words += ["--settle", "0s"]
        if not self.data.exists():
            words += ["--bins", "16"]
        return [str(word) for word in [*words, *options]]

    def run(self, *options: object, code: int = 0, **how) -> "SignedTree":
        """One run, which has to end with `code`; `said` is its report, if it made one."""
        done = self.attempt(*options, **how)
        assert done.code == code, f"expected {code}: {done}"
        return self

    def attempt(self, *options: object, **how) -> Outcome:
        done = self.sandbox.run(*self.command(*options), **how)
        self.said = json.loads(done.out) if done.out.startswith("{") else {}
        self.err = done.err
        return done

    def launch(self, *options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*options),
            cwd=self.sandbox.work,
            env=self.sandbox.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def killed_after(self, seconds: float) -> bool:
        """A run that is killed; whether it was still running."""
        process = self.launch()
        time.sleep(seconds)
        running = process.poll() is None
        if running:
            os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        return running

    @property
    def counts(self) -> dict[str, int]:
        """What the last run counted, without what it did not meet."""
        counts = {name: count for name, count in self.said["counts"].items() if count}
        for technical in ("bytes_read", "linked", "reflinked", "copied", "projects", "listed"):
            counts.pop(technical, None)
        return counts

    def page(self, project: str) -> dict:
        return json.loads((self.out / "simple" / project / "index.json").read_bytes())

    def marks(self, project: str) -> dict[str, str]:
        """Each file of a project with its mark."""
        return {file["filename"]: file["_wheelmark"]["signed"] for file in self.page(project)["files"]}

    def files(self) -> set[str]:
        """Every file that a page lists."""
        return {
            file["filename"]
            for page in self.out.glob("simple/*/index.json")
            for file in json.loads(page.read_bytes())["files"]
        }

    def trust(self, index_url: str) -> None:
        """As the first run says it is done."""
        self.sandbox.wheelmark("trust", "add", index_url, "--fingerprint", self.said["root_fingerprint"]).ok()
