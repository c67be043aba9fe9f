"""Running an index: its settings, TLS, what its log says, and many connections at a time."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index, NotReady, free_port
from harness.sandbox import TOOLS, Sandbox
from harness.tls import Certificates, make_certificates
from harness.upload import request, upload

MakeIndex = Callable[..., Index]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


def until(true: Callable[[], bool], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


# Settings.


def config(index: Index, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [index.binary, "index", "--data", index.data, "config", *words]
    return subprocess.run(list(map(str, command)), env=index.env | env, capture_output=True, text=True, timeout=60)


def test_the_file_is_written_checked_and_shown(make_index: MakeIndex) -> None:
    index = make_index()
    made = config(index, "init")
    assert made.returncode == 0, made.stderr
    file = index.data / "index.toml"
    assert config(index, "check").returncode == 0
    again = config(index, "init")
    assert again.returncode == 1 and "is there already" in again.stderr
    text = file.read_text()
    file.write_text(text.replace('#listen = "127.0.0.1:8458"', 'listen = "127.0.0.1:1"\nlog-fromat = "json"'))
    wrong = config(index, "check")
    line = file.read_text().splitlines().index('log-fromat = "json"') + 1
    assert wrong.returncode == 1
    assert wrong.stdout == f"{file}:{line}: `log-fromat` is not a setting; did you mean `log-format`?\n"
    with pytest.raises(NotReady, match="did you mean `log-format`"):
        index.start()
    file.write_text(file.read_text().replace("log-fromat", "log-format"))
    shown = json.loads(config(index, "show", "--json", WHEELMARK_INDEX_MAX_FILE_SIZE="10MB").stdout)
    assert shown["listen"] == {
        "value": "127.0.0.1:1", "source": f"{file}:{line - 1}", "variable": "WHEELMARK_INDEX_LISTEN",
    }  # fmt: skip
    assert shown["max-file-size"]["source"] == "WHEELMARK_INDEX_MAX_FILE_SIZE"
    assert shown["publish-timeout"] == {
        "value": "30s", "source": "default", "variable": "WHEELMARK_INDEX_PUBLISH_TIMEOUT",
    }  # fmt: skip


def test_what_the_file_says_holds(make_index: MakeIndex, sandbox: Sandbox) -> None:
    index = make_index()
    metrics = free_port()
    (index.data / "index.toml").write_text(
        f'max-file-size = "2kB"\nexternal-url = "https://pypi.example/team/"\nmetrics-listen = "127.0.0.1:{metrics}"\n'
    )
    index.start()
    assert index.ready["index_url"] == "https://pypi.example/team/simple/"
    assert b"pip install --index-url https://pypi.example/team/simple/" in index.get("/").body
    index.ready["upload_url"] = index.url("/legacy/")
    large = sandbox.twine(index, wheel("six", "1.0", payload=100_000).write(sandbox.work))
    assert "File too large" in large.failed().text
    assert index.get("/metrics").status == 404
    figures = request("GET", f"http://127.0.0.1:{metrics}/metrics").body.decode()
    assert 'wheelmark_uploads_total{outcome="refused"} 1' in figures
    assert request("GET", f"http://127.0.0.1:{metrics}/readyz").body == b"ok\n"
    assert request("GET", f"http://127.0.0.1:{metrics}/simple/").status == 404


def test_rates_are_settings(make_index: MakeIndex) -> None:
    index = make_index()
    (index.data / "index.toml").write_text('rate-failed-attempts = "2, then 1/h"\nrate-uploads = "3"\n')
    wrong = config(index, "check")
    assert wrong.returncode == 1
    assert "index.toml:2: `rate-uploads`: `3` is not a rate such as `30, then 10/min`" in wrong.stdout
    with pytest.raises(NotReady, match="is not a rate such as"):
        index.start()
    (index.data / "index.toml").write_text('rate-failed-attempts = "2, then 1/h"\nrate-uploads = "1, then 1/h"\n')
    shown = json.loads(config(index, "show", "--json").stdout)
    assert shown["rate-failed-attempts"]["value"] == "2, then 1/h"
    index.start()
    dist = wheel("six", "1.0")
    answers = [upload(index.upload_url, "wmk_" + 43 * "A", dist) for _ in range(3)]
    assert [answer.status for answer in answers] == [403, 403, 429]
    assert 3000 < int(answers[-1].headers["retry-after"]) <= 3600
    user = [index.binary, "index", "--data", index.data]
    subprocess.run([*user, "user", "add", "alice"], env=index.env, check=True, timeout=60)
    made = [*user, "token", "create", "--user", "alice", "--scope", "upload"]
    token = subprocess.run(made, env=index.env, check=True, timeout=60, capture_output=True, text=True).stdout.strip()
    assert upload(index.upload_url, token, dist).status == 200
    more = upload(index.upload_url, token, wheel("six", "2.0"))
    assert more.status == 429 and "too many files" in more.json()["detail"]
    assert upload(index.upload_url, index.token, wheel("six", "3.0")).status == 200


# TLS.


def speak(index: Index, certificates: Certificates) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cafile=str(certificates.authority))
    return http.client.HTTPSConnection("localhost", index.port, context=context, timeout=30)


def asked(connection: http.client.HTTPConnection, path: str = "/healthz") -> int:
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def serial(connection: http.client.HTTPSConnection) -> str:
    connection.connect()
    return str(connection.sock.getpeercert()["serialNumber"])


@pytest.fixture
def secure(make_index: MakeIndex, certificates: Certificates, tmp_path: Path) -> Iterator[tuple[Index, Path]]:
    """An index that speaks TLS by itself, and the folder of its certificate."""
    folder = tmp_path / "shown"
    folder.mkdir()
    shutil.copy(certificates.certificate, folder / "cert.pem")
    shutil.copy(certificates.key, folder / "key.pem")
    index = make_index(options=["--tls-cert", folder / "cert.pem", "--tls-key", folder / "key.pem"])
    yield index.start(), folder


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_installs_and_uploads_go_through_tls(
    secure: tuple[Index, Path], certificates: Certificates, sandbox: Sandbox, tool: str
) -> None:
    index, _ = secure
    assert index.index_url == f"https://127.0.0.1:{index.port}/simple/"
    index.ready["upload_url"] = f"https://localhost:{index.port}/legacy/"
    made = wheel("six", "1.0", says="over TLS")
    sandbox.twine(index, made.write(sandbox.work), env=certificates.env).ok()
    venv = sandbox.venv()
    install = sandbox.plain_pip if tool == "pip" else sandbox.plain_uv
    install(venv, f"https://localhost:{index.port}/simple/", "six", env=certificates.env).ok()
    assert venv.says("six") == "over TLS"
    figures = speak(index, certificates)
    figures.request("GET", "/metrics")
    text = figures.getresponse().read().decode()
    [left] = [line.split()[1] for line in text.splitlines() if line.startswith("wheelmark_certificate_expiry_seconds ")]
    assert 86_400 < int(left) <= 2 * 86_400


@pytest.mark.parametrize("told", ["by SIGHUP", "by nobody"])
def test_a_new_certificate_is_shown_and_connections_go_on(
    secure: tuple[Index, Path], certificates: Certificates, tmp_path: Path, told: str
) -> None:
    index, folder = secure
    old, other = speak(index, certificates), make_certificates(tmp_path / "other")
    before = serial(old)
    assert asked(old) == 200
    shutil.copy(other.key, folder / "key.pem")
    if told == "by SIGHUP":
        # Certificate and key do not belong together now: the old ones stay.
        assert index.process is not None
        index.process.send_signal(signal.SIGHUP)
        until(lambda: "is not that of the first certificate" in index.log_text())
        assert serial(speak(index, certificates)) == before
    shutil.copy(other.certificate, folder / "cert.pem")
    if told == "by SIGHUP":
        index.process.send_signal(signal.SIGHUP)

    def is_shown() -> bool:
        try:
            return serial(speak(index, other)) != before
        except ssl.SSLCertVerificationError:
            return False

    until(is_shown)
    assert asked(old) == 200


def test_files_that_do_not_belong_together_are_named(
    make_index: MakeIndex, certificates: Certificates, tmp_path: Path
) -> None:
    other = make_certificates(tmp_path / "other")
    index = make_index(options=["--tls-cert", certificates.certificate, "--tls-key", other.key])
    with pytest.raises(NotReady) as refused:
        index.start()
    assert f"the key in {other.key} is not that of the first certificate in {certificates.certificate}" in str(
        refused.value
    )
    alone = make_index(options=["--tls-cert", certificates.certificate])
    with pytest.raises(NotReady, match="TLS needs `tls-key` as well"):
        alone.start()


def test_who_speaks_no_tls_costs_nothing(secure: tuple[Index, Path], certificates: Certificates) -> None:
    index, _ = secure
    for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"\x00" * 4096):
        with socket.create_connection(("127.0.0.1", index.port), timeout=30) as plain:
            plain.sendall(said)
            with contextlib.suppress(ConnectionResetError):
                while plain.recv(4096):
                    pass
    assert asked(speak(index, certificates)) == 200


# The log.


def test_every_line_of_a_request_has_its_id(make_index: MakeIndex) -> None:
    index = make_index(
        options=["--log-format", "json", "--trusted-proxies", "127.0.0.1"], env={"WHEELMARK_LOG": "info"}
    ).start()
    answer = index.get("/nothing", X_Forwarded_For="6.6.6.6, 198.51.100.7", X_Request_Id="from-the-proxy")
    assert answer.header("X-Request-Id") == "from-the-proxy"
    assert answer.json()["request_id"] == "from-the-proxy"
    refused = request("POST", index.upload_url)
    until(lambda: str(refused.header("X-Request-Id")) in index.log_text())
    lines = [json.loads(line) for line in index.log_text().splitlines() if line.startswith("{")]
    [line] = [line for line in lines if line.get("path") == "/nothing"]
    assert line["span"] == {"name": "request", "id": "from-the-proxy"}
    assert (line["status"], line["client"], line["method"]) == (404, "198.51.100.7", "GET")
    of_refused = [line for line in lines if line.get("span", {}).get("id") == refused.header("X-Request-Id")]
    assert [line["message"] for line in of_refused] == ["refused an upload", "answered"]


# Connections.


@pytest.fixture
def many_files() -> Iterator[None]:
    """Leave to open thousands of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def slow_connections(port: int, count: int) -> list[socket.socket]:
    """Connections that ask for nothing, for something slowly, or send a body slowly."""
    begins = [
        b"",
        b"GET /simple/ HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        b"POST /legacy/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n",
        b"GET /simple/ HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    made = []
    for number in range(count):
        connection = socket.create_connection(("127.0.0.1", port), timeout=60)
        connection.sendall(begins[number % len(begins)])
        made.append(connection)
    return made


@pytest.mark.parametrize("places", [4096, 100])
def test_thousands_of_slow_connections_keep_nobody_out(
    make_index: MakeIndex, sandbox: Sandbox, many_files: None, places: int
) -> None:
    index = make_index(options=["--max-connections", str(places)]).start()
    index.publish(wheel("six", "1.0"))
    slow = slow_connections(index.port, 2000)
    try:
        venv = sandbox.venv()
        sandbox.plain_pip(venv, index.index_url, "--no-cache-dir", "six").ok()
        assert venv.installed() == {"six": "1.0"}
        index.publish(wheel("six", "2.0"))
        figures = index.get("/metrics").body.decode()
        [shed] = [
            line.split()[1] for line in figures.splitlines() if line.startswith('wheelmark_connections_cut_total{cause="shed"}')
        ]
        # With places for all nobody has to go.
        assert (int(shed) > 1000) == (places == 100)
    finally:
        for connection in slow:
            connection.close()


def test_a_stop_finishes_what_was_accepted(make_index: MakeIndex) -> None:
    index = make_index().start()
    index.publish(wheel("big", "1.0", payload=8 << 20))
    made = wheel("big", "1.0", payload=8 << 20)
    connection = http.client.HTTPConnection("127.0.0.1", index.port, timeout=60)
    connection.request("GET", f"/packages/big/{made.filename}")
    answer = connection.getresponse()
    first = answer.read(1000)
    assert index.process is not None
    index.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert index.process.poll() is None
    assert first + answer.read() == made.content
    assert index.process.wait(20) == 0
