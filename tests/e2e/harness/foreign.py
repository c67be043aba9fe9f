"""Servers that are not ours: where their programs lie, and one of them as a process.

bandersnatch, devpi and pypiserver (and PyPI's verifier of attestations) need versions of common libraries that the tests' own
environment cannot have, so each kind has an environment of its own. `cargo xtask test` makes
them beside the one that runs the tests, and they are looked for there:

    ENVIRONMENT              VARIABLE                      MADE FROM
    venv-bandersnatch        WHEELMARK_VENV_BANDERSNATCH   requirements-bandersnatch.txt
    venv-devpi               WHEELMARK_VENV_DEVPI          requirements-devpi.txt (and pypiserver)
    venv-attestations        WHEELMARK_VENV_ATTESTATIONS   requirements-attestations.txt

The variable, where it is set, names the environment's folder. nginx is the system's; tests
that need it skip where there is none.

A test takes what it drives from a fixture of `conftest.py`: `make_nginx`, `make_devpi`,
`make_pypiserver`, `make_bandersnatch`, `bandersnatch_tree`. Each stops what it started.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from .index import free_port
from .sandbox import environment

START_SECONDS = 60.0

# What the machine says about certificates and proxies, for programs that ask the real registry.
OUTWARD = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")


def program(environment_name: str, name: str) -> Path:
    """A program of one of the environments above; the test fails where that was not made."""
    variable = "WHEELMARK_" + environment_name.upper().replace("-", "_")
    folder = Path(os.environ.get(variable) or Path(sys.prefix).parent / environment_name)
    path = folder / "bin" / name
    if not path.is_file():
        file = f"tests/e2e/requirements-{environment_name.removeprefix('venv-')}.txt"
        pytest.fail(f"no {name} at {path}: make {folder} from {file} (cargo xtask test does), or set {variable}")
    return path


def nginx_program() -> Path:
    """The system's nginx; the test is skipped where there is none."""
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        pytest.skip("skipped: needs nginx")
    return Path(found)


def outward() -> dict[str, str]:
    """The part of our own environment without which the real registry may be out of reach."""
    return {name: os.environ[name] for name in OUTWARD if name in os.environ}


class Daemon:
    """A server in the foreground, on a free port of the loopback, with a folder of its own.

    A subclass gives `command`. The server is stopped by its process id, with everything that
    it started: it leads a process group of its own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in (folder, folder / "tmp", folder / "home"):
            part.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.env: dict[str, str] = environment(folder)
        self.log = folder / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[object]:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self):
        """Starts the server and waits until it answers on its port."""
        assert self.process is None, "already running"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(word) for word in self.command()],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait(self._listens, "it does not listen")
        return self

    def _listens(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def wait(self, until: Callable[[], bool], complaint: str, seconds: float = START_SECONDS) -> None:
        """Waits for something that the running server will bring about."""
        deadline = time.monotonic() + seconds
        while not until():
            assert self.process is not None and self.process.poll() is None, f"ended by itself\n{self.log_text()}"
            assert time.monotonic() < deadline, f"{complaint} after {seconds} s\n{self.log_text()}"
            time.sleep(0.05)

    def stop(self, how: int = signal.SIGTERM) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        for attempt in (how, signal.SIGKILL):
            try:
                os.killpg(process.pid, attempt)
            except ProcessLookupError:
                pass
            try:
                process.wait(10)
                return
            except subprocess.TimeoutExpired:
                continue

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")[-8000:] if self.log.exists() else ""

    def run(self, *words: object, env: Mapping[str, str] | None = None, timeout: float = 150) -> str:
        """A command beside the server, which must succeed; what it said on both outputs."""
        done = subprocess.run(
            [str(word) for word in words],
            cwd=self.folder,
            env=self.env | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )
        assert done.returncode == 0, f"{' '.join(map(str, words))}\nexit code {done.returncode}\n{done.stdout}"
        return done.stdout
