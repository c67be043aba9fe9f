"""`wheelmark up` as a process, and the tree and database that it leaves."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue

from .distributions import Distribution
from .upload import Answer, request, upload

START_SECONDS = 60.0


# Below what systems hand out to connections that ask for no port (RFC 6335 § 6 and Linux's
# default): nobody else's connection takes one between our look and the server's start.
PORTS = range(10_000, 32_000)


def free_port() -> int:
    """A loopback port that was free a moment ago; by chance, for several workers look at once."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise AssertionError("a hundred ports, and none is free")


class NotReady(Exception):
    """The process ended, or said nothing, before it was ready."""


class Index:
    """One data directory and, while it runs, the process that serves it."""

    def __init__(
        self,
        binary: Path,
        data: Path,
        env: Mapping[str, str],
        *,
        bins: int = 16,
        options: Sequence[str] = (),
    ) -> None:
        self.binary, self.data, self.env = binary, data, dict(env)
        self.bins, self.options = bins, list(options)
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None
        self.ready: dict[str, object] = {}
        self.said: list[str] = []
        self.log = data.parent / f"{data.name}.log"

    # The process.

    def launch(self) -> None:
        """Starts the process and returns at once."""
        assert self.process is None, "already running"
        command = [self.binary, "up", "--data", self.data, "--listen", f"127.0.0.1:{self.port}"]
        command += ["--bins", str(self.bins), *self.options, "--json"]
        self._lines: Queue[str | None] = Queue()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self.env,
                text=True,
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(self.process, self._lines), daemon=True).start()

    def _listen(self, process: subprocess.Popen[str], lines: Queue[str | None]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
        lines.put(None)

    def wait_ready(self, seconds: float = START_SECONDS) -> "Index":
        """Waits for the line of JSON that says that the index serves."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise NotReady(f"no JSON line within {seconds} s\n{self.log_text()}") from None
            if line is None:
                code = self.process.wait() if self.process else None
                self.process = None
                raise NotReady(f"ended with {code} before it was ready\n{self.log_text()}")
            self.said.append(line)
            if line.startswith("{"):
                self.ready = json.loads(line)
                return self

    def start(self) -> "Index":
        self.launch()
        return self.wait_ready()

    def stop(self, how: int = signal.SIGTERM, seconds: float = 20) -> int | None:
        """Ends the process, by its id; `None` if none ran."""
        process, self.process = self.process, None
        if process is None:
            return None
        if process.poll() is None:
            os.kill(process.pid, how)
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"still running {seconds} s after signal {how}") from None

    def kill(self) -> None:
        """kill -9."""
        self.stop(signal.SIGKILL)

    def log_text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    # What it serves.

    @property
    def index_url(self) -> str:
        return str(self.ready["index_url"])

    @property
    def upload_url(self) -> str:
        return str(self.ready["upload_url"])

    @property
    def metadata_url(self) -> str:
        return str(self.ready["metadata_url"])

    @property
    def targets_url(self) -> str:
        return str(self.ready["targets_url"])

    @property
    def root_file(self) -> Path:
        return Path(str(self.ready["root_file"]))

    @property
    def token(self) -> str:
        return Path(str(self.ready["token_file"])).read_text().strip()

    def url(self, path: str) -> str:
        """A path from the index's origin."""
        return f"http://127.0.0.1:{self.port}/{path.lstrip('/')}"

    def get(self, path: str, **headers: str) -> Answer:
        return request("GET", self.url(path), headers={k.replace("_", "-"): v for k, v in headers.items()})

    def publish(self, *dists: Distribution) -> None:
        """Uploads without a tool; every file must be accepted."""
        for dist in dists:
            answer = upload(self.upload_url, self.token, dist)
            assert answer.status == 200, f"{dist.filename}: {answer}"

    # What lies on the disk.

    @property
    def tree(self) -> Path:
        """The published tree inside the data directory."""
        found = sorted(self.data.glob("*/metadata/timestamp.json"))
        assert len(found) == 1, f"one tree expected in {self.data}: {found}"
        return found[0].parent.parent

    @property
    def database(self) -> Path:
        found = [p for p in sorted(self.data.iterdir()) if p.is_file() and is_sqlite(p)]
        assert len(found) == 1, f"one SQLite database expected in {self.data}: {found}"
        return found[0]

    def metadata_files(self) -> dict[str, str]:
        """Every versioned metadata file with the sha256 of its bytes."""
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted((self.tree / "metadata").iterdir())
            if path.name != "timestamp.json"
        }

    def files(self) -> dict[str, str]:
        """Every file below the data directory, database aside, with the sha256 of its bytes."""
        database = self.database
        return {
            str(path.relative_to(self.data)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.data.rglob("*"))
            if path.is_file() and not path.name.startswith(database.name)
        }

    def rows(self) -> dict[str, list[tuple]]:
        """Every row of every table."""
        with open_database(self.database) as database:
            tables = [
                name
                for (name,) in database.execute(
                    "select name from sqlite_master where type = 'table' and name not like 'sqlite_%'"
                )
            ]
            return {table: database.execute(f'select * from "{table}"').fetchall() for table in tables}

    def page_on_disk(self, project: str) -> Path:
        """The signed page that the convenience copy is a copy of."""
        copy = self.tree / "simple" / project / "index.json"
        digest = hashlib.sha256(copy.read_bytes()).hexdigest()
        return self.tree / "targets" / "simple" / project / f"{digest}.index.json"


def is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\0"
    except OSError:
        return False


class open_database:
    """A connection that is closed at the end of the block, and committed when it ends well."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, timeout=20)

    def __enter__(self) -> sqlite3.Connection:
        return self.connection

    def __exit__(self, kind, *_rest) -> None:
        if kind is None:
            self.connection.commit()
        self.connection.close()
