"""`wheelmark up` and the snapshot process that it starts beside itself."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks into /proc")


def child_of(index: Index) -> int:
    """The snapshot process."""
    pid = index.process.pid
    children = [int(p) for task in Path(f"/proc/{pid}/task").iterdir() for p in (task / "children").read_text().split()]
    assert len(children) == 1, children
    return children[0]


def ends(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_a_snapshot_process_that_is_killed_is_started_again(index: Index) -> None:
    index.publish(wheel("one"))
    first = child_of(index)
    os.kill(first, signal.SIGKILL)
    index.publish(wheel("two"))
    assert child_of(index) != first
    assert "started again" in index.log_text()
    assert index.stop() == 0, index.log_text()


def test_it_ends_with_the_process_that_started_it(index: Index) -> None:
    child = child_of(index)
    index.kill()
    assert ends(child)
    index.start()
    child = child_of(index)
    assert index.stop() == 0
    assert ends(child, 0.5), "the end of one is the end of both"


def test_a_signal_for_both_lets_uploads_finish(index: Index) -> None:
    """As Ctrl-C on a terminal and a service manager send it: to every process at once."""
    child = child_of(index)
    os.kill(child, signal.SIGTERM)
    os.kill(child, signal.SIGINT)
    index.publish(wheel("after"))
    assert child_of(index) == child
    assert index.stop() == 0


def test_the_key_is_open_in_one_of_them(index: Index) -> None:
    held = [os.readlink(fd) for fd in Path(f"/proc/{index.process.pid}/fd").iterdir()]
    assert not [name for name in held if "online-key" in name or "operator" in name]
    held = [os.readlink(fd) for fd in Path(f"/proc/{child_of(index)}/fd").iterdir()]
    assert [name for name in held if "orders.sqlite" in name]
