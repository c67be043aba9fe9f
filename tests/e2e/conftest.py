"""Fixtures of the end-to-end tests.

The binary is `WHEELMARK_BIN`, or the workspace's debug build. Making a new index means
making its keys, which is slow on purpose; so one is made for the whole run and every test
that wants an index of its own gets a copy of that data directory.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness import registry
from harness.bandersnatch import SMALL_PROJECTS, Bandersnatch, real_tree
from harness.devpi import Devpi
from harness.foreign import Daemon
from harness.history import History
from harness.index import Index
from harness.nginx import Nginx
from harness.pypiserver import Pypiserver
from harness.reached import KIND, Table, printed
from harness.sandbox import TOOLS, Sandbox, environment
from harness.siege import Siege

REPOSITORY = Path(__file__).resolve().parents[2]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first, so that no worker is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What thieves reached, from all workers."""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    told = [
        (report.nodeid.split("::")[0], report.location[1] or 0, report.nodeid, row)
        for report in reports
        for kind, row in getattr(report, "user_properties", [])
        if kind == KIND and report.when == "call"
    ]
    if told:
        terminalreporter.section("what the thief reached, beside PEP 458 Table 4 and PEP 480 Table 1")
        told.sort(key=lambda row: row[:3])
        terminalreporter.write_line("\n".join(printed(row for *_, row in told)))


@pytest.fixture
def table(request: pytest.FixtureRequest) -> Table:
    """What thieves reached in this test; all of them are printed at the end of the run."""
    return Table(request.node.user_properties)


@pytest.fixture(scope="session")
def binary() -> Path:
    """The wheelmark binary under test."""
    given = os.environ.get("WHEELMARK_BIN")
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    path = Path(given).absolute() if given else target / "debug" / "wheelmark"
    if not path.is_file():
        pytest.fail(f"no binary at {path}: cargo build -p wheelmark, or set WHEELMARK_BIN")
    return path


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """The real tools, from the environment that runs the tests."""
    missing = [name for name in ("pip", "uv", "twine", "poetry", "pdm") if not (TOOLS / name).is_file()]
    if missing:
        pytest.fail(f"{sys.executable} lacks {', '.join(missing)}: pip install -r tests/e2e/requirements.txt")


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Index:
    """An index whose first run is over and that nobody may start: its data is copied."""
    folder = tmp_path_factory.mktemp("first-run")
    index = Index(binary, folder / "data", environment(folder))
    index.start()
    assert index.stop() is not None
    return index


MakeIndex = Callable[..., Index]


@pytest.fixture(scope="session")
def _make(tmp_path_factory: pytest.TempPathFactory, binary: Path, first_run: Index):
    def make(started: list[Index], *, fresh: bool = False, at: Path | None = None, **how) -> Index:
        folder = at or tmp_path_factory.mktemp("index")
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        env = environment(folder) | how.pop("env", {})
        if not fresh:
            shutil.copytree(first_run.data, folder / "data")
        index = Index(binary, folder / "data", env, **how)
        started.append(index)
        return index

    return make


def _stop_all(started: list[Index]) -> None:
    for index in started:
        index.kill()


@pytest.fixture
def make_index(_make) -> Iterator[MakeIndex]:
    """Makes indexes that are not started yet; `fresh=True` has its first run before it."""
    started: list[Index] = []
    yield lambda **how: _make(started, **how)
    _stop_all(started)


@pytest.fixture
def index(make_index: MakeIndex) -> Index:
    """A running, empty index of the test's own."""
    return make_index().start()


@pytest.fixture(scope="module")
def shared_index(_make) -> Iterator[Index]:
    """A running index that the tests of one file share."""
    started: list[Index] = []
    yield _make(started).start()
    _stop_all(started)


@pytest.fixture(scope="session")
def history(_make) -> Iterator[History]:
    """A running index that nobody changes any more, and copies of its tree, older and newer."""
    started: list[Index] = []
    yield History(_make(started))
    _stop_all(started)


@pytest.fixture
def sandbox(tmp_path: Path, binary: Path) -> Sandbox:
    """An environment for tools, with an empty home, empty caches and no trust."""
    return Sandbox(tmp_path / "sandbox", binary)


@pytest.fixture
def make_siege(make_index: MakeIndex, tmp_path: Path, fake_clock, table: Table) -> Iterator[Callable[..., Siege]]:
    """Makes real indexes with claims on, their holders and people who read them: `make_siege(trusted_root=…)`."""
    made: list[Siege] = []

    def make(*, trusted_root: Path | None = None, bins: int = 4) -> Siege:
        options = ["--sigstore-roots", trusted_root] if trusted_root else []
        index = make_index(fresh=True, bins=bins, options=options, env={"WHEELMARK_INDEX_CLAIMS": "on"}).start()
        made.append(Siege(index, tmp_path, fake_clock, table, trusted_root))
        return made[-1]

    yield make
    for siege in made:
        siege.end()


@pytest.fixture(scope="session")
def registry_folder(request: pytest.FixtureRequest) -> Path:
    """Where what came from the registry stays from one run to the next."""
    return Path(request.config.cache.mkdir("registry"))


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of several workers, one fetches, and the others wait for it."""
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def real_projects(registry_folder: Path) -> list[Path]:
    """Five real projects and what they need: many files, sdist only, extras.

    markupsafe 3.0.2 has a wheel for each of some sixty machines; docopt has a source
    distribution and nothing else, and needs setuptools to build; requests has extras.
    """
    done = registry_folder / "complete"
    many, rest = registry_folder / "markupsafe", registry_folder / "rest"
    with _alone(registry_folder / "projects"):
        if not done.exists():
            for folder in (many, rest):
                shutil.rmtree(folder, ignore_errors=True)
            try:
                registry.all_files(many, "markupsafe", "3.0.2")
                registry.pip_download(
                    rest, "markupsafe==3.0.2", "docopt==0.6.2", "requests[socks]==2.32.3", "jinja2==3.1.6", "setuptools", "wheel"
                )
            except (registry.Unreachable, subprocess.TimeoutExpired) as error:
                pytest.skip(f"skipped: needs a package registry ({error})")
            done.touch()
    files = {path.name: path for folder in (rest, many) for path in folder.iterdir()}
    return [files[name] for name in sorted(files)]


@pytest.fixture(scope="session")
def bandersnatch_tree(registry_folder: Path) -> Path:
    """The `web` folder of a mirror of some twenty real projects, by the real bandersnatch.

    It is shared and kept: a test that changes it takes a copy.
    """
    folder = registry_folder / "bandersnatch"
    done = folder / "complete"
    with _alone(folder):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            try:
                real_tree(folder, *SMALL_PROJECTS)
            except (registry.Unreachable, subprocess.TimeoutExpired) as error:
                pytest.skip(f"skipped: needs a package registry ({error})")
            done.touch()
    return folder / "mirror" / "web"


@pytest.fixture
def make_bandersnatch(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Bandersnatch]:
    """Makes the settings of a mirror: `make_bandersnatch(master, settings, mirror={…})`."""
    return lambda master, *rest, **how: Bandersnatch(tmp_path_factory.mktemp("bandersnatch"), master, *rest, **how)


@pytest.fixture
def _daemons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Daemon]]:
    """Starts servers in folders of their own, and stops them at the end of the test."""
    started: list[Daemon] = []

    def start(make: Callable[..., Daemon], *rest, **how) -> Daemon:
        daemon = make(tmp_path_factory.mktemp("server"), *rest, **how)
        started.append(daemon)
        return daemon.start()

    yield start
    for daemon in started:
        daemon.stop()


@pytest.fixture
def make_devpi(_daemons) -> Callable[..., Devpi]:
    """Starts a devpi-server without indexes; words are options of its own."""
    return lambda *options: _daemons(Devpi, *options)


@pytest.fixture
def make_pypiserver(_daemons) -> Callable[..., Pypiserver]:
    """Starts a pypiserver on a directory, or on an empty one of its own."""
    return lambda *rest: _daemons(Pypiserver, *rest)


@pytest.fixture
def make_nginx(_daemons) -> Callable[..., Nginx]:
    """Starts an nginx on a directory, by docs/layout.md."""
    return lambda root: _daemons(Nginx.of_directory, root)


@pytest.fixture
def make_cache(_daemons) -> Callable[[Index], Nginx]:
    """Starts an nginx before an index, as a cache, by docs/plain-mirrors.md."""
    return lambda index: _daemons(Nginx.before, index)


@pytest.fixture(scope="session")
def fake_clock() -> Callable[[str], dict[str, str]]:
    """Environment variables that make a dynamically linked program see another time."""
    if shutil.which("faketime") is None:
        pytest.skip("skipped: needs faketime")
    # The wrapper would stand between us and the process; only its library is wanted.
    said = subprocess.run(["faketime", "-f", "+0d", "env"], capture_output=True, text=True, check=True)
    preload = dict(line.split("=", 1) for line in said.stdout.splitlines() if "=" in line)["LD_PRELOAD"]
    return lambda offset: {
        "LD_PRELOAD": preload,
        "FAKETIME": offset,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }
