"""The process that talks to the network holds no private key: not open, not mapped, not in memory."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


from harness.distributions import wheel
from harness.holders import PHRASE
from harness.index import Index, free_port
from harness.upload import request, upload

pytestmark = pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="looks into /proc")

# What an Ed25519 seed is behind, in a PKCS#8 file (RFC 8410, § 7).
PREFIX = bytes.fromhex("302e020100300506032b657004220420")


def forms_of(key_file: Path) -> dict[str, bytes]:
    """How the bytes of a private key can lie in memory."""
    body = "".join(line for line in key_file.read_text().splitlines() if "-----" not in line)
    der = base64.b64decode(body)
    assert der.startswith(PREFIX) and len(der) == len(PREFIX) + 32
    seed = der[len(PREFIX) :]
    # The end of the text alone: its beginning is that of every such file.
    return {"the seed": seed, "its text": body[-40:].encode(), "its digits": seed.hex().encode()}


def found_in_memory(pid: int, needles: dict[str, bytes]) -> set[str]:
    """Which of the needles stand in any memory that the process can read."""
    found: set[str] = set()
    longest = max(len(needle) for needle in needles.values())
    regions = 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, modes, *_rest = line.split()
            if "r" not in modes or line.endswith(("[vvar]", "[vvar_vclock]", "[vsyscall]")):
                continue
            start, end = (int(part, 16) for part in span.split("-"))
            before = b""
            at = start
            while at < end:
                memory.seek(at)
                try:
                    piece = memory.read(min(1 << 22, end - at))
                except OSError:
                    break
                if not piece:
                    break
                regions += 1
                window = before + piece
                found |= {name for name, needle in needles.items() if needle in window}
                before = window[-longest:]
                at += len(piece)
    assert regions > 10, "there was nothing to read"
    return found


def open_files(pid: int) -> set[str]:
    links = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            links.add(os.readlink(fd))
        except FileNotFoundError:
            continue
    return links


def mapped_files(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}


SECRET_FILES = ("online-key", "orders.sqlite", "signing-log/", "-offline-keys", ".age", "/token")


def reaches(pid: int) -> set[str]:
    held = open_files(pid) | mapped_files(pid)
    return {name for name in held if any(part in name for part in SECRET_FILES) or "pkcs11" in name or "softhsm" in name}


def child_of(pid: int) -> int:
    children = [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]
    assert len(children) == 1, children
    return children[0]


def use(index: Index) -> None:
    """Everything that a web process does: uploads, reading, refusals."""
    index.publish(wheel("one"), wheel("two"))
    index.get("simple/one/")
    index.get("metrics")
    upload(index.upload_url, "no-token", wheel("three"))


@pytest.fixture(params=["the first run", "a later run"])
def under_up(request: pytest.FixtureRequest, make_index) -> Index:
    """`up`, with the run that made the keys and without it."""
    return make_index(fresh=request.param == "the first run").start()


def test_what_serves_holds_no_key_and_what_signs_does(under_up: Index) -> None:
    index = under_up
    use(index)
    needles = forms_of(index.data / "online-key")
    for phrase in PHRASE.findall(index.log_text()):
        needles["the phrase of the offline keys"] = phrase.encode()
    web, signing = index.process.pid, child_of(index.process.pid)
    # The same search finds it where it has to be.
    assert "the seed" in found_in_memory(signing, needles)
    assert found_in_memory(web, needles) == set()
    assert reaches(web) == set()
    assert any("orders.sqlite" in name for name in reaches(signing))


@pytest.fixture
def two(make_index) -> Iterator[tuple[Index, subprocess.Popen[str], subprocess.Popen[str]]]:
    """`serve` and `snapshotter` as they are started apart."""
    index: Index = make_index()
    port = free_port()
    commands = [
        ["snapshotter", "--data", index.data, "--json"],
        ["serve", "--data", index.data, "--listen", f"127.0.0.1:{port}", "--json"],
    ]
    started: list[subprocess.Popen[str]] = []
    try:
        for words in commands:
            process = subprocess.Popen(
                [str(word) for word in [index.binary, *words]],
                env=index.env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            started.append(process)
            killer = threading.Timer(60, process.kill)
            killer.start()
            line = process.stdout.readline()
            killer.cancel()
            assert line.startswith("{"), line
        index.port = port
        index.ready = {"upload_url": index.url("legacy/"), "token_file": str(index.data / "token")}
        yield index, started[1], started[0]
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(30)


def test_serve_alone_holds_no_key(two: tuple[Index, subprocess.Popen[str], subprocess.Popen[str]]) -> None:
    index, serving, signing = two
    use(index)
    assert request("GET", index.url("simple/one/")).status == 200
    needles = forms_of(index.data / "online-key")
    assert "the seed" in found_in_memory(signing.pid, needles)
    assert found_in_memory(serving.pid, needles) == set()
    assert reaches(serving.pid) == set()
    # What it does hold is found by this search, too: so it looks where things are.
    something = {"its own name": b"wheelmark"}
    assert found_in_memory(serving.pid, something)
