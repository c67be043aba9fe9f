"""An index that nobody looks after for 400 days, in one process that is never started anew."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from test_ceremony import Installing

from harness.distributions import wheel
from harness.holders import Cast, OFFLINE
from harness.index import Index
from harness.sandbox import Sandbox
from harness.upload import upload


class Calendar:
    """The clock of a running process, in a file that it reads anew each time."""

    def __init__(self, fake_clock: Callable[[str], dict[str, str]], file: Path) -> None:
        self.fake_clock, self.file = fake_clock, file
        self.turn_to(0)

    def turn_to(self, day: int) -> None:
        self.day = day
        self.file.write_text(f"+{day}d\n")

    @property
    def of_the_index(self) -> dict[str, str]:
        env = self.fake_clock("+0d")
        del env["FAKETIME"]
        return env | {"FAKETIME_TIMESTAMP_FILE": str(self.file), "FAKETIME_NO_CACHE": "1"}

    @property
    def today(self) -> dict[str, str]:
        """For a command that is started now."""
        return self.fake_clock(f"+{self.day}d")


class Uploading:
    """Uploads, one after the other until the block ends."""

    def __init__(self, index: Index, name: str) -> None:
        self.index, self.name = index, name
        self.ended, self.count, self.failed = threading.Event(), 0, []

    def _loop(self) -> None:
        while not self.ended.is_set():
            self.count += 1
            answer = upload(self.index.upload_url, self.index.token, wheel(f"{self.name}{self.count}"))
            if answer.status != 200:
                self.failed.append(str(answer))

    def __enter__(self) -> "Uploading":
        self.thread = threading.Thread(target=self._loop)
        self.thread.start()
        return self

    def __exit__(self, *_rest: object) -> None:
        self.ended.set()
        self.thread.join()


@pytest.fixture
def calendar(fake_clock: Callable[[str], dict[str, str]], tmp_path: Path) -> Calendar:
    return Calendar(fake_clock, tmp_path / "calendar")


@pytest.fixture
def cast(make_index, calendar: Calendar, tmp_path: Path) -> Cast:
    index: Index = make_index(fresh=True, env=calendar.of_the_index).start()
    index.publish(wheel("demo", "1.0"))
    return Cast(index, tmp_path)


def ceremony_of(cast: Cast, name: str, calendar: Calendar) -> dict:
    """Begun, signed by both holders, finished and published, while the index runs."""
    operator = cast.operator
    for holder in cast.holders:
        holder.env = cast.index.env | calendar.today
    ceremony, begun = operator.begin(name, env=calendar.today)
    cast.collect(ceremony, begun["words"])
    operator.told("ceremony", "finish", ceremony, env=calendar.today)
    return operator.told("ceremony", "publish", ceremony, "--data", cast.index.data, env=calendar.today)


def test_left_alone_for_400_days(cast: Cast, calendar: Calendar, sandbox: Sandbox) -> None:
    index, operator = cast.index, cast.operator
    running = index.process.pid
    sandbox.trust(index)

    def status(code: int) -> dict[str, dict]:
        said = operator.told("index", "status", "--data", index.data, code=code, env=calendar.today)
        assert said["publishes"] and said["waiting"] == 0
        return {role["role"]: role for role in said["roles"]}

    def are(roles: dict[str, dict], state: str) -> set[str]:
        return {name for name, role in roles.items() if role["state"] == state}

    others = {"root", "targets", "simple", "packages"}
    # What status says on each day: its exit code, what is due for a ceremony, and what has ended.
    expected = {
        1: (0, set(), set()),
        59: (0, set(), set()),
        61: (3, {"claimed"}, set()),
        89: (3, {"claimed"}, set()),
        91: (4, set(), {"claimed"}),
        200: (4, set(), {"claimed"}),
        304: (4, set(), {"claimed"}),
        306: (4, others, {"claimed"}),
        364: (4, others, {"claimed"}),
        366: (4, set(), set(OFFLINE)),
        400: (4, set(), set(OFFLINE)),
    }
    online = {"timestamp", "snapshot", "recently-claimed", "status", "simple-* (16)", "packages-* (16)"}
    for day, (code, due, ended) in expected.items():
        calendar.turn_to(day)
        assert are(status(4), "expired") >= online, "days have passed in a moment"
        # Nobody does anything for it; a timer would have woken the process long ago.
        index.publish(wheel(f"day{day}"))
        roles = status(code)
        assert are(roles, "ok") >= online, day
        assert (are(roles, "due"), are(roles, "expired")) == (due, ended), day

    refused = sandbox.install("pip", sandbox.venv(), "demo", env=calendar.today)
    assert refused.code != 0 and "expired" in str(refused)
    with Uploading(index, "during") as uploading:
        assert ceremony_of(cast, "late", calendar)["published"]
    assert not uploading.failed and uploading.count > 1, uploading.failed
    assert are(status(0), "ok") == online | set(OFFLINE)
    for name in ("demo", "day366"):
        done = sandbox.install("pip", sandbox.venv(), name, env=calendar.today)
        assert done.code == 0, str(done)

    # The next one in time: nothing stands still for it, reading or writing.
    calendar.turn_to(465)
    index.publish(wheel("in-time"))
    assert are(status(3), "due") == {"claimed"}
    with Installing(sandbox, calendar.today) as installing, Uploading(index, "again") as uploading:
        while installing.runs < 1:
            uploading.ended.wait(0.1)
        assert ceremony_of(cast, "in-time", calendar)["published"]
        runs = installing.runs
        while installing.runs < runs + 2:
            uploading.ended.wait(0.1)
    assert not installing.failed, installing.failed[0]
    assert not uploading.failed, uploading.failed[0]
    assert are(status(0), "due") == set()
    assert index.process is not None and index.process.pid == running and index.process.poll() is None
    assert "started again" not in index.log_text()


def test_status_tells_of_renewals_that_do_not_come_and_renew_makes_them(
    cast: Cast, calendar: Calendar, fake_clock: Callable[[str], dict[str, str]]
) -> None:
    index, operator = cast.index, cast.operator

    def status(code: int, clock: dict[str, str]) -> dict:
        return operator.told("index", "status", "--data", index.data, code=code, env=clock)

    assert status(0, calendar.today)["publishes"]
    # By then a running index has renewed the first bins, whose ends are spread over half a day.
    late = fake_clock("+9h")
    said = status(3, late)
    assert said["state"] == "late"
    assert {role["role"] for role in said["roles"] if role["state"] == "late"} == {"simple-* (16)", "packages-* (16)"}
    calendar.file.write_text("+9h\n")
    before = said["snapshot_version"]
    renewed = operator.told("index", "renew", "--data", index.data, env=late)
    assert renewed["renewed"] and renewed["snapshot_version"] > before
    assert status(0, late)["state"] == "ok"

    # One that does not run: the command signs by itself, as the same signing log says.
    assert index.stop() == 0
    assert not status(0, late)["publishes"]
    once_more = operator.told("index", "renew", "--data", index.data, env=late)
    assert once_more["snapshot_version"] > renewed["snapshot_version"]
    shown = operator.told("index", "signing-log", "--data", index.data, "verify", env=late)
    assert shown["holds"]
    # Every role that the online key signs, also those that were not due.
    rows = {role["role"]: role for role in status(0, late)["roles"]}
    assert rows["packages-* (16)"]["version"] >= 3 and rows["recently-claimed"]["version"] >= 3

    # Without the key, and nobody who has it: it is recorded.
    key = index.data / "online-key"
    key.rename(key.with_suffix(".away"))
    waiting = operator.told("index", "renew", "--data", index.data, code=3, env=late)
    assert waiting == {"renewed": False, "waiting": True}
    said = status(3, late)
    assert said["waiting"] == 1 and not said["publishes"]
    key.with_suffix(".away").rename(key)
    index.env |= late
    index.start()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and operator.run("index", "status", "--data", index.data, env=late).returncode != 0:
        time.sleep(0.1)
    assert status(0, late)["waiting"] == 0
