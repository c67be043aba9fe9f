"""`wheelmark proxy` as a process, asked with plain HTTP requests."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

from .mirror import JSON_PAGE
from .sandbox import Sandbox
from .upload import Answer, request

START_SECONDS = 30.0


class Service:
    """Serves a trusted index on a free port, until the block ends."""

    def __init__(self, sandbox: Sandbox, *options: object) -> None:
        self._sandbox, self._options = sandbox, options
        self._said = sandbox.folder / "service.out"
        self._log = sandbox.folder / "service.log"

    def __enter__(self) -> "Service":
        words = [self._sandbox.binary, "proxy", "--listen", "127.0.0.1:0", *self._options]
        with self._said.open("wb") as said, self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(word) for word in words],
                cwd=self._sandbox.work,
                env=self._sandbox.env,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(r"--index-url (\S+simple/)", self._said.read_text())):
            assert self._process.poll() is None and time.monotonic() < deadline, self.log
            time.sleep(0.02)
        self.index_url = found[1]
        return self

    def __exit__(self, kind: object, *_rest: object) -> None:
        running = self._process.poll() is None
        if running:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if kind is None:
            assert running, f"it ended by itself: {self.log}"
            assert "panicked" not in self.log, self.log

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    @property
    def peak_memory(self) -> int:
        """The most that the process ever held in memory, in bytes."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024

    def get(self, path: str, **headers: str) -> Answer:
        """`simple/…` or `packages/…` as an installer asks for it."""
        base = self.index_url.removesuffix("simple/")
        return request("GET", base + path, headers={"Accept": JSON_PAGE} | headers)
