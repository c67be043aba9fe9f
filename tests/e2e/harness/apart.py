"""An index whose web process and snapshot process run apart, and can be stopped at any of their steps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue

from . import steps
from .index import START_SECONDS, Index, NotReady

WEB, SNAPSHOTS = "web process", "snapshot process"
BOTH = (SNAPSHOTS, WEB)


class Apart(Index):
    """`wheelmark snapshotter` and `wheelmark serve` on the data directory of an index that is stopped.

    What `stop_at` names is run under a tracer from its next start on.
    """

    def __init__(self, index: Index) -> None:
        assert index.process is None, "its processes would be in each other's way"
        super().__init__(index.binary, index.data, index.env, bins=index.bins)
        self.port = index.port
        self.parts: dict[str, subprocess.Popen[str]] = {}
        self.steps = index.data.parent / "steps.log"
        self._traced: str | None = None
        self._die: tuple[str, int] | None = None

    def stop_at(self, part: str, kind: str | None = None, number: int = 1) -> None:
        """The n-th step of this kind is the last of a process; none, if no kind is named."""
        self._traced, self._die = part, (kind, number) if kind else None
        self.steps.unlink(missing_ok=True)

    def go_on(self) -> None:
        """Nothing is stopped from the next start on."""
        self._traced = self._die = None

    def start(self) -> "Apart":
        for part in BOTH:
            if part not in self.parts:
                self.start_part(part)
        return self

    def start_part(self, part: str) -> None:
        command = [self.binary, "snapshotter", "--data", self.data, "--json"]
        if part == WEB:
            command = [self.binary, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", "--json"]
        words = [str(word) for word in command]
        if part == self._traced:
            words = steps.traced(self.data, self.steps, words, self._die)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.env, text=True
            )
        self.parts[part] = process
        lines: Queue[str | None] = Queue()

        def listen() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                lines.put(line)
            lines.put(None)

        threading.Thread(target=listen, daemon=True).start()
        try:
            while (line := lines.get(timeout=START_SECONDS)) is not None and not line.startswith("{"):
                pass
        except Empty:
            line = None
        if line is None:
            raise NotReady(f"the {part} does not start\n{self.log_text()}")
        if part == WEB:
            self.ready = json.loads(line)

    def arm(self) -> None:
        """From now on the steps of the traced process count."""
        assert self._traced is not None
        steps.arm(self.parts[self._traced], self.steps)

    def died(self, seconds: float) -> bool:
        """Whether the traced process is killed within these seconds; then it is gone."""
        assert self._traced is not None
        try:
            code = self.parts[self._traced].wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        assert code == -signal.SIGKILL, f"it ended with {code}\n{self.log_text()}"
        del self.parts[self._traced]
        return True

    def stop(self, how: int = signal.SIGTERM, seconds: float = 20) -> int | None:
        for part in reversed(BOTH):
            process = self.parts.pop(part, None)
            if process is None:
                continue
            if process.poll() is None:
                os.kill(process.pid, how)
            process.wait(seconds)
        return 0

    @property
    def published(self) -> Path:
        """The tree, also while its timestamp is being replaced."""
        return self.data / "repository"
