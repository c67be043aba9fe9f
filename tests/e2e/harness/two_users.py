"""An index whose web process and snapshot process run as two users, who have no names."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .index import START_SECONDS, Index, NotReady
from .sandbox import environment

PUBLISHES, WEB, GROUP = 64811, 64812, 64813


class TwoUsers(Index):
    """`wheelmark snapshotter` as one user and `wheelmark serve` as another, on a copy of an index.

    It lies where other users can come to, and so does a copy of the program.
    """

    def __init__(self, first_run: Index) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="wheelmark-two-users-"))
        self.place.chmod(0o755)
        (self.place / "tmp").mkdir(mode=0o1777)
        (self.place / "tmp").chmod(0o1777)
        binary = self.place / "wheelmark"
        shutil.copy2(first_run.binary, binary)
        shutil.copytree(first_run.data, self.place / "data")
        keys = first_run.data.with_name(first_run.data.name + "-offline-keys")
        shutil.copytree(keys, self.place / "data-offline-keys")
        env = environment(self.place) | {"HOME": "/nonexistent", "WHEELMARK_HOME": "/nonexistent"}
        super().__init__(binary, self.place / "data", env)
        self.publisher: subprocess.Popen | None = None
        self.permit()

    def permit(self) -> None:
        """What root does once."""
        command = [self.binary, "index", "permissions", "--data", self.data]
        command += ["--web", str(WEB), "--snapshotter", str(PUBLISHES), "--group", str(GROUP)]
        subprocess.run(command, check=True, env=self.env, capture_output=True)

    def as_user(self, user: int, *command: object, **how) -> subprocess.CompletedProcess[str]:
        words = [str(word) for word in command]
        return subprocess.run(words, env=self.env, text=True, capture_output=True, stdin=subprocess.DEVNULL, **self._identity(user), **how)

    def _identity(self, user: int) -> dict:
        return {"user": user, "group": GROUP, "extra_groups": [], "umask": 0o022, "cwd": "/"}

    def _popen(self, user: int, *words: object) -> subprocess.Popen[str]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [str(word) for word in words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                env=self.env, text=True, **self._identity(user),
            )

    def _json_line(self, process: subprocess.Popen[str]) -> dict:
        assert process.stdout is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            line = process.stdout.readline()
            if not line:
                raise NotReady(f"ended with {process.wait()}\n{self.log_text()}")
            if line.startswith("{"):
                return json.loads(line)
        raise NotReady(self.log_text())

    def start(self) -> "TwoUsers":
        self.start_publisher()
        return self.start_web()

    def start_web(self) -> "TwoUsers":
        self.process = self._popen(WEB, self.binary, "serve", "--data", self.data, "--listen", f"127.0.0.1:{self.port}", "--json")
        self.ready = self._json_line(self.process)
        return self

    def start_publisher(self) -> None:
        self.publisher = self._popen(PUBLISHES, self.binary, "snapshotter", "--data", self.data, "--json")
        self._json_line(self.publisher)

    def stop_publisher(self) -> int | None:
        publisher, self.publisher = self.publisher, None
        if publisher is None:
            return None
        publisher.send_signal(signal.SIGTERM)
        return publisher.wait(20)

    def stop(self, how: int = signal.SIGTERM, seconds: float = 20) -> int | None:
        ended = super().stop(how, seconds)
        self.stop_publisher()
        return ended

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.place)

    @property
    def database(self) -> Path:
        return self.data / "web" / "catalogue.sqlite"

    def python(self, user: int, program: str, *words: object) -> str:
        """Runs a Python program as a user; what it prints."""
        run = self.as_user(user, "/usr/bin/env", "python3", "-c", program, *words, timeout=60)
        assert run.returncode == 0, run.stderr
        return run.stdout


def why_not() -> str | None:
    """Why this cannot be tried here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root, to run processes as two users"
    return None
