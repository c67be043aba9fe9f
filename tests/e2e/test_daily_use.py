"""A day's use of real installers, many at once: one refresh is shared, and nothing locks up."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.distributions import wheel
from harness.front import Front
from harness.index import Index, free_port
from harness.sandbox import TOOLS, Sandbox, installer

MANY = 200
TIMESTAMP = "/metadata/timestamp.json"
JSON = "application/vnd.pypi.simple.v1+json"


@pytest.fixture(scope="module")
def crowded(shared_index: Index) -> Index:
    """An index with two hundred tiny projects and one with two releases."""
    files = [wheel(f"tiny-{number}") for number in range(MANY)]
    files += [wheel("two-releases", "1.0", says="old"), wheel("two-releases", "2.0", says="new")]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(shared_index.publish, files))
    return shared_index


@pytest.fixture
def front(crowded: Index) -> Iterator[Front]:
    with Front(crowded) as front:
        yield front


@pytest.fixture
def person(front: Front, crowded: Index, sandbox: Sandbox) -> Sandbox:
    sandbox.wheelmark("trust", "add", front.index_url, "--root", crowded.root_file).ok()
    front.asked.clear()
    return sandbox


@pytest.fixture
def daemon(person: Sandbox) -> Iterator[str]:
    """The index URL of a running `wheelmark proxy`."""
    address = f"127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [person.binary, "proxy", "--listen", address], env=person.env, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().split()[-1]
    assert url.startswith(f"http://{address}/"), url
    yield url
    process.kill()
    process.wait()


def names(count: int = MANY) -> list[str]:
    return [f"tiny-{number}" for number in range(count)]


def test_uv_with_two_hundred_projects_shares_one_refresh(person: Sandbox, front: Front) -> None:
    venv, report = person.venv(), person.folder / "report.json"
    done = person.install("uv", venv, *names(), options=("--report", report), timeout=300).ok()
    assert len(venv.installed()) == MANY
    assert f"{MANY} files verified" in done.err
    assert len(json.loads(report.read_text())["files"]) == MANY
    assert front.count(TIMESTAMP) == 1
    metadata = [path for path in front.asked if path.startswith("/metadata/")]
    assert len(metadata) == len(set(metadata)), "no role was asked for twice"
    pages = [path for path in front.asked if path.startswith("/targets/simple/")]
    assert len(pages) == len(set(pages)) == MANY


def test_through_the_daemon_as_well(person: Sandbox, front: Front, daemon: str) -> None:
    venv = person.venv()
    before = front.count(TIMESTAMP)
    assert before == 1, "the daemon refreshed when it began"
    begun = time.monotonic()
    person.plain_uv(venv, daemon, *names(), timeout=300).ok()
    minutes = int((time.monotonic() - begun) // 60)
    assert len(venv.installed()) == MANY
    assert front.count(TIMESTAMP) <= before + minutes + 1, "a daemon asks at most once a minute"


@pytest.mark.parametrize("through", ["exec", "daemon"])
def test_the_commands_of_every_day(through: str, person: Sandbox, front: Front, daemon: str) -> None:
    venv = person.venv()

    def pip(*words: object):
        if through == "exec":
            return person.wheelmark("exec", "--", "pip", "--python", venv.python, *words).ok()
        return person.run(TOOLS / "pip", "--python", venv.python, *words, env={"PIP_INDEX_URL": daemon}).ok()

    pip("install", "two-releases==1.0", "tiny-1")
    outdated = json.loads(pip("list", "--outdated", "--format", "json").out)
    assert [(p["name"].replace("_", "-"), p["latest_version"]) for p in outdated] == [("two-releases", "2.0")]
    assert "Available versions: 2.0, 1.0" in pip("index", "versions", "two-releases").out
    downloads = person.folder / "downloads"
    pip("download", "--dest", downloads, "two-releases", "tiny-2")
    assert sorted(path.name for path in downloads.iterdir()) == [
        wheel("tiny-2").filename,
        wheel("two-releases", "2.0").filename,
    ]


def test_ten_pips_at_once_through_one_daemon(person: Sandbox, front: Front, daemon: str) -> None:
    venvs = [person.venv() for _ in range(10)]
    before, begun = front.count(TIMESTAMP), time.monotonic()
    with ThreadPoolExecutor(10) as pool:
        jobs = [
            pool.submit(person.plain_pip, venv, daemon, f"tiny-{number}", f"tiny-{number + 1}", "two-releases", timeout=300)
            for number, venv in enumerate(venvs)
        ]
        for job in jobs:
            job.result().ok()
    for venv in venvs:
        assert len(venv.installed()) == 3
    minutes = int((time.monotonic() - begun) // 60)
    assert front.count(TIMESTAMP) <= before + minutes + 1


def test_ten_runs_of_exec_at_once(person: Sandbox, front: Front) -> None:
    venvs = [person.venv() for _ in range(10)]
    with ThreadPoolExecutor(10) as pool:
        jobs = [pool.submit(person.install, "pip", venv, f"tiny-{n}", timeout=300) for n, venv in enumerate(venvs)]
        for job in jobs:
            job.result().ok()
    assert front.count(TIMESTAMP) == 10, "each run refreshes once"


def test_a_storm_of_kept_connections(person: Sandbox, front: Front, daemon: str) -> None:
    """Sixty connections, fifty requests on each, pages and files mixed; each answered in its turn."""
    base = urlsplit(daemon)
    wheels = {number: wheel(f"tiny-{number}").content for number in range(20)}
    before, begun = front.count(TIMESTAMP), time.monotonic()
    wrong: list[str] = []

    def one(start: int) -> None:
        connection = http.client.HTTPConnection(base.hostname, base.port, timeout=120)
        local: tuple | None = None
        for step in range(50):
            number = (start + step) % 20
            dist = wheel(f"tiny-{number}")
            if step % 2:
                connection.request("GET", f"{base.path}tiny-{number}/", headers={"Accept": JSON})
            else:
                connection.request("GET", f"{base.path.removesuffix('simple/')}packages/tiny-{number}/{dist.filename}")
            answer = connection.getresponse()
            body = answer.read()
            right = json.loads(body)["name"] == f"tiny-{number}" if step % 2 else body == wheels[number]
            if answer.status != 200 or not right:
                wrong.append(f"{number}: {answer.status}")
            if local is None:
                local = connection.sock.getsockname()
            elif connection.sock.getsockname() != local:
                wrong.append(f"{number}: the connection was not kept")
        connection.close()

    threads = [threading.Thread(target=one, args=(start,)) for start in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert not any(thread.is_alive() for thread in threads), "no request waits for ever"
    assert wrong == []
    minutes = int((time.monotonic() - begun) // 60)
    assert front.count(TIMESTAMP) <= before + minutes + 1
