"""What a person sees of a large file: the installers' own bars, or ours with `--progress`."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.mirror import FILES, Mirror
from harness.sandbox import Sandbox, installer
from harness.wire import Slow

LARGE = wheel("large", says="good", payload=12_000_000)
BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])


def on_a_terminal(sandbox: Sandbox, *words: object) -> str:
    """Everything that the command writes to a terminal of its own."""
    env = {k: v for k, v in sandbox.env.items() if k != "NO_COLOR"} | {"TERM": "xterm", "COLUMNS": "120"}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(word) for word in words], env=env, cwd=sandbox.work, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            more = os.read(ours, 65536)
        except OSError:
            break
        if not more:
            break
        said += more
    os.close(ours)
    assert process.wait(timeout=60) == 0, said
    return said.decode(errors="replace")


@pytest.fixture
def slow(index: Index, sandbox: Sandbox):
    index.publish(LARGE)
    with Mirror(index, Slow(4_000_000, where=FILES)) as mirror:
        sandbox.wheelmark("trust", "add", mirror.index_url, "--root", index.root_file).ok()
        yield mirror


@BOTH
def test_the_installers_own_bar_moves(tool: str, slow, sandbox: Sandbox) -> None:
    said = on_a_terminal(sandbox, sandbox.binary, "exec", "--", *installer(tool, sandbox.venv()), "large")
    amounts = set(re.findall(r"([\d.]+)(?:/12\.0 MB| ?MiB/11)", said))
    assert len(amounts) >= 4, said


@BOTH
def test_ours_takes_its_place(tool: str, slow, sandbox: Sandbox) -> None:
    said = on_a_terminal(sandbox, sandbox.binary, "exec", "--progress", "--", *installer(tool, sandbox.venv()), "large")
    percents = {int(p) for p in re.findall(rf"{re.escape(LARGE.filename)} (\d+) % of 12", said)}
    assert len(percents) >= 4 and any(0 < percent < 100 for percent in percents), said
    assert "MB verified" in said
    assert not re.search(r"/12\.0 MB|MiB/11", said), "theirs is off"


@BOTH
def test_nothing_without_a_terminal_and_the_total_at_the_end(tool: str, index: Index, sandbox: Sandbox) -> None:
    index.publish(LARGE)
    sandbox.trust(index)
    report = sandbox.folder / "report.json"
    done = sandbox.install(tool, sandbox.venv(), "large", options=("--progress", "--report", report)).ok()
    assert "%" not in done.err
    size = len(LARGE.content)
    assert re.search(rf"1 file verified \(1 index-signed\), {size / 1e6:.2f} MB in \d+\.\d s", done.err), done.err
    assert json.loads(report.read_text())["bytes"] == size
