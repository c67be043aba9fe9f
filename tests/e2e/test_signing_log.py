"""What the online key signs is written down, sent elsewhere, and cannot be rewritten unseen."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index, NotReady, free_port
from harness.upload import upload


def told(index: Index, *words: object, code: int = 0) -> dict:
    command = [index.binary, "index", "--data", index.data, "signing-log", *words, "--json"]
    run = subprocess.run([str(word) for word in command], env=index.env, capture_output=True, text=True, timeout=60)
    assert run.returncode == code, (run.returncode, run.stdout, run.stderr)
    return json.loads(run.stdout.splitlines()[-1])


def lines_of(index: Index) -> list[bytes]:
    files = sorted((index.data / "signing-log").glob("*.log"))
    return [line for file in files for line in file.read_bytes().splitlines()]


def heads(lines: list[bytes]) -> list[str]:
    return [hashlib.sha256(line).hexdigest() for line in lines]


def until(what: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def test_what_is_published_stands_in_the_log_and_each_timestamp_carries_its_head(index: Index) -> None:
    index.publish(wheel("one"))
    timestamp = json.loads((index.tree / "metadata" / "timestamp.json").read_bytes())["signed"]
    carried = timestamp["_wheelmark"]["signing-log"]
    lines = lines_of(index)
    assert heads(lines)[carried["entry"] - 1] == carried["sha256"]
    assert json.loads(lines[carried["entry"] - 1])["signed"]["snapshot"]["version"] == 2
    last = json.loads(lines[carried["entry"]])
    assert last["signed"]["timestamp"]["version"] == timestamp["version"]
    assert last["previous"] == carried["sha256"]

    said = told(index, "verify")
    assert said["holds"] and said["first"] == 1 and said["last"] == len(lines)
    # What this machine says of itself proves little, and that is not called "ok".
    assert said["unchecked"] == 1
    assert [found["holds"] for found in said["findings"] if "no head from elsewhere" in found["says"]] == [None]
    old = carried["sha256"]
    index.publish(wheel("two"))
    with_head = told(index, "verify", "--from", old)
    assert with_head["unchanged"] == {"from": 1, "to": carried["entry"]} and with_head["unchecked"] == 0
    assert told(index, "show", "--last", 1)["signed"].keys() == {"timestamp"}
    # A head that was never one.
    assert not told(index, "verify", "--from", "0" * 64, code=1)["holds"]


def test_a_log_that_was_rewritten_is_found_out_by_a_head_that_left_before(index: Index, tmp_path: Path) -> None:
    index.publish(wheel("one"))
    left = tmp_path / "left.log"
    left.write_bytes(b"\n".join(lines_of(index)) + b"\n")
    index.publish(wheel("two"))
    assert told(index, "verify", "--sent", left)["holds"]
    assert index.stop() == 0

    file = sorted((index.data / "signing-log").glob("*.log"))[0]
    whole = file.read_bytes()
    lines = whole.splitlines()
    # One entry changed: it does not fit the next one.
    file.write_bytes(whole.replace(b'"version":2', b'"version":9', 1))
    assert any("rewritten" in flaw for flaw in told(index, "verify", code=1)["flaws"])
    # One taken away, in the middle and at the end.
    file.write_bytes(b"\n".join(lines[:1] + lines[2:]) + b"\n")
    assert any("between 1 and 3" in flaw for flaw in told(index, "verify", code=1)["flaws"])
    file.write_bytes(b"\n".join(lines[:-2]) + b"\n")
    assert not told(index, "verify", code=1)["holds"], "the published timestamp carries more"
    # All of it written anew, as a whole: a sound chain, and not what left.
    forged, previous = [], "0" * 64
    for line in lines:
        entry = json.loads(line)
        entry["previous"] = previous
        entry["time"] = "2026-01-01T00:00:00Z"
        forged.append(json.dumps(entry, sort_keys=True, separators=(",", ":")).encode())
        previous = hashlib.sha256(forged[-1]).hexdigest()
    file.write_bytes(b"\n".join(forged) + b"\n")
    said = told(index, "verify", "--sent", left, code=1)
    assert said["flaws"] == [] and said["unchanged"] is None
    # Genuine lines behind a forged beginning: of that, nothing is said to be unchanged.
    file.write_bytes(b"\n".join(forged[:2] + lines[2:]) + b"\n")
    said = told(index, "verify", "--sent", left, code=1)
    assert said["unchanged"]["from"] == 3 and any("rewritten" in flaw for flaw in said["flaws"])
    # The beginning taken away, with what it proved.
    file.write_bytes(b"\n".join(lines[2:]) + b"\n")
    said = told(index, "verify", "--from", heads(lines)[-1], code=1)
    assert any("begins with entry 3" in flaw for flaw in said["flaws"])
    file.write_bytes(b"\n".join(forged) + b"\n")

    # The index goes on, and says in its log what it misses.
    index.start()
    index.publish(wheel("three"))
    said = told(index, "verify", code=1)
    assert any("lost or taken away" in finding["says"] for finding in said["findings"])
    assert "does not have what the published timestamp says" in index.log_text()
    # Whoever knows of the loss says so, and is told of the next one.
    lost = next(json.loads(line)["entry"] for line in lines_of(index) if b'"lost"' in line)
    assert told(index, "verify", "--accept-loss", lost)["holds"]
    assert not told(index, "verify", "--accept-loss", lost + 1, code=1)["holds"]


def test_killed_at_any_moment_it_has_all_that_was_published_and_all_that_left(make_index, tmp_path: Path) -> None:
    sent = tmp_path / "elsewhere.log"
    index: Index = make_index(options=["--signing-log", f"file:{sent}"])
    index.start()
    chance = random.Random(7)
    for round_ in range(8):
        stop = threading.Event()

        def uploads(round_: int = round_, stop: threading.Event = stop) -> None:
            for number in range(1000):
                if stop.is_set():
                    return
                try:
                    upload(index.upload_url, index.token, wheel(f"killed{round_}n{number}"))
                except OSError:
                    return

        thread = threading.Thread(target=uploads)
        thread.start()
        time.sleep(chance.uniform(0.05, 0.8))
        index.kill()
        stop.set()
        thread.join()
        index.start()
        assert told(index, "verify")["holds"], round_
    index.publish(wheel("last"))
    until(lambda: heads(sent.read_bytes().splitlines())[-1:] == heads(lines_of(index))[-1:])
    # Lines can come twice after a crash; none is missing and none is another.
    assert set(heads(sent.read_bytes().splitlines())) == set(heads(lines_of(index)))
    assert told(index, "verify", "--sent", sent)["unchanged"]["to"] == len(lines_of(index))


class Receiver:
    """A web server that takes lines, once it is told to."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.asked: list[str | None] = []
        self.takes = False
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.asked.append(self.headers.get("Authorization"))
                if receiver.takes:
                    receiver.bodies.append(body)
                self.send_response(204 if receiver.takes else 503)
                self.end_headers()

            def log_message(self, *_rest: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/log"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def lines(self) -> list[bytes]:
        return b"".join(self.bodies).splitlines()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()
    receiver.server.server_close()


def test_publishing_goes_on_while_the_log_cannot_be_sent_and_all_of_it_comes_later(
    make_index, receiver: Receiver, tmp_path: Path
) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "wheelmark-signing-log-token").write_text("s3cret\n")
    index: Index = make_index(
        options=["--signing-log", receiver.url], env={"CREDENTIALS_DIRECTORY": str(credentials)}
    )
    index.start()
    index.publish(wheel("one"), wheel("two"))
    until(lambda: bool(receiver.asked))
    until(lambda: "the signing log could not be sent" in index.log_text())
    assert receiver.lines() == []
    receiver.takes = True
    until(lambda: receiver.lines() == lines_of(index))
    assert set(receiver.asked) == {"Bearer s3cret"}
    assert "s3cret" not in index.log_text()
    index.publish(wheel("three"))
    until(lambda: receiver.lines() == lines_of(index))
    # What was sent is not sent again by the next start, and what was not is.
    assert index.stop() == 0
    taken = len(receiver.lines())
    index.start()
    index.publish(wheel("four"))
    until(lambda: receiver.lines() == lines_of(index))
    assert len(receiver.lines()) > taken


def test_the_systems_log_gets_every_head(make_index, tmp_path: Path) -> None:
    # A socket's name has to be short.
    folder = Path("/tmp") / f"wm-{free_port()}"
    folder.mkdir(mode=0o700)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
            daemon.bind(str(folder / "log"))
            daemon.settimeout(30)
            index: Index = make_index()
            (index.data / "index.toml").write_text(f'signing-log = "syslog:{folder}/log"\n')
            index.start()
            index.publish(wheel("one"))
            messages: list[bytes] = []
            while len(messages) < len(lines_of(index)):
                messages.append(daemon.recv(65536))
    finally:
        shutil.rmtree(folder)
    assert all(message.startswith(b"<85>wheelmark-signing-log: entry=") for message in messages)
    for message, head, line in zip(messages, heads(lines_of(index)), lines_of(index), strict=True):
        assert f"sha256={head}".encode() in message
        assert message.endswith(line)
    saved = tmp_path / "auth.log"
    saved.write_bytes(b"\n".join(b"Nov 21 10:00:00 host " + message[4:] for message in messages) + b"\n")
    assert told(index, "verify", "--sent", saved)["unchanged"]["to"] == len(messages)


def test_a_destination_that_is_none_is_said_before_anything_starts(make_index) -> None:
    index: Index = make_index()
    (index.data / "index.toml").write_text('signing-log = "https://me:secret@log.example/"\n')
    command = [index.binary, "index", "--data", index.data, "config", "check"]
    run = subprocess.run([str(word) for word in command], env=index.env, capture_output=True, text=True, timeout=60)
    assert run.returncode == 1
    assert "wheelmark-signing-log-token" in run.stdout
    assert "secret@" not in run.stdout + run.stderr


def test_a_destination_that_hangs_keeps_nothing_from_ending(make_index, tmp_path: Path) -> None:
    # A pipe that nobody reads: opening it waits for ever.
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    index: Index = make_index(options=["--signing-log", f"file:{pipe}"])
    index.start()
    index.publish(wheel("one"))
    assert index.stop() == 0, index.log_text()
    index.start()
    index.publish(wheel("two"))


def test_status_says_that_the_log_does_not_arrive(make_index, receiver: Receiver) -> None:
    index: Index = make_index(options=["--signing-log", receiver.url])
    index.start()
    index.publish(wheel("one"))

    def status(code: int) -> dict:
        command = [index.binary, "index", "--data", index.data, "status", "--json"]
        run = subprocess.run([str(word) for word in command], env=index.env, capture_output=True, text=True, timeout=60)
        assert run.returncode == code, (run.returncode, run.stdout, run.stderr)
        return json.loads(run.stdout)

    assert status(0)["sent"] == {"to": receiver.url, "entry": 0}
    # Two hours later nothing has arrived yet.
    mark = index.data / "signing-log" / "sent.json"
    then = time.time() - 7200
    os.utime(mark, (then, then))
    said = status(3)
    assert said["state"] == "late" and "up to entry 0 only" in said["late"][0]
    receiver.takes = True
    until(lambda: receiver.lines() == lines_of(index))
    assert status(0)["sent"]["entry"] == len(lines_of(index))


def test_a_token_does_not_travel_in_clear(make_index, tmp_path: Path) -> None:
    (tmp_path / "wheelmark-signing-log-token").write_text("s3cret\n")
    index: Index = make_index(
        options=["--signing-log", "http://log.example/"], env={"CREDENTIALS_DIRECTORY": str(tmp_path)}
    )
    with pytest.raises(NotReady, match="would travel in clear"):
        index.start()


def test_what_cannot_be_written_down_is_not_signed(make_index) -> None:
    index: Index = make_index()
    shutil.rmtree(index.data / "signing-log")
    (index.data / "signing-log").write_text("no folder")
    with pytest.raises(NotReady, match="hint: what is signed has to be written down first"):
        index.start()


def test_a_restored_index_goes_on_with_its_log(index: Index, tmp_path: Path) -> None:
    index.publish(wheel("one"))
    backup = tmp_path / "backup"

    def index_command(*words: object) -> None:
        command = [index.binary, "index", "--data", index.data, *words]
        subprocess.run([str(word) for word in command], env=index.env, check=True, capture_output=True, timeout=60)

    index_command("backup", backup)
    before = lines_of(index)
    assert index.stop() == 0
    key = (index.data / "online-key").read_bytes()
    shutil.rmtree(index.data)
    index_command("restore", backup)
    (index.data / "online-key").write_bytes(key)
    (index.data / "online-key").chmod(0o600)
    (index.data / "token").write_text("no token")
    assert lines_of(index)[: len(before)] == before
    index.start()
    index.stop()
    assert told(index, "verify")["holds"]
