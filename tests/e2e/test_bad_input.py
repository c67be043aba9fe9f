"""Bad input: a clear message, the right status, and nothing half-done left behind."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from harness.distributions import Distribution, core_metadata, sdist, wheel
from harness.index import Index, NotReady, open_database
from harness.sandbox import Sandbox
from harness.site import Site, index_of
from harness.tuf_reader import TufReader
from harness.upload import Answer, basic, fields_for, form, request, upload

THERE = wheel("already-there", "1.0", says="first")
ANOTHER = wheel("already-there", "1.0", says="other")


@pytest.fixture(scope="module")
def index(shared_index: Index) -> Index:
    shared_index.publish(THERE)
    return shared_index


@pytest.fixture
def untouched(index: Index) -> Iterator[None]:
    """Nothing below the data directory, and no row but those of the audit log, may be another afterwards."""
    files, rows = index.files(), unlogged(index)
    yield
    assert index.files() == files
    assert unlogged(index) == rows


# What is kept of what was published until it is known to be on the disk, and then forgotten.
PASSING = {"intent", "intent_object", "kept_object"}


def lasting(index: Index) -> dict[str, list[tuple]]:
    return {table: rows for table, rows in index.rows().items() if table not in PASSING}


def unlogged(index: Index) -> dict[str, list[tuple]]:
    return {table: rows for table, rows in lasting(index).items() if table != "audit"}


def is_problem(answer: Answer, status: int, *words: str) -> None:
    """The status, and the same message in the reason phrase (for twine) and the body (for uv)."""
    assert answer.status == status, answer
    assert answer.header("Content-Type") == "application/problem+json"
    said = answer.json()
    assert said["status"] == status
    assert said["title"], "uv shows the title"
    message = f"{said['title']} {said.get('detail', '')}"
    for word in words:
        assert word.lower() in message.lower(), f"{word!r} is not in {message!r}"
        assert word.lower() in answer.reason.lower(), f"{word!r} is not in the reason phrase {answer.reason!r}"
    assert answer.reason.isascii()


def zip_of(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path, data in members.items():
            archive.writestr(path, data)
    return out.getvalue()


def bent(dist: Distribution, **change: object) -> Distribution:
    return Distribution(**{**dist.__dict__, **change})


GOOD = wheel("fresh-project", "1.0")

# What is sent, changes to its form, and words that the message must hold.
REFUSED: dict[str, tuple[Distribution, dict[str, str | None], list[str]]] = {
    "a truncated wheel": (bent(GOOD, content=GOOD.content[:-200]), {}, []),
    "not an archive": (bent(GOOD, content=b"MZ" + b"\0" * 5000), {}, []),
    "nothing at all": (bent(GOOD, content=b""), {}, []),
    "a zip that is no wheel": (bent(GOOD, content=zip_of({"readme.txt": b"hello"})), {}, [".dist-info"]),
    "a truncated sdist": (bent(sdist("fresh-project"), content=sdist("fresh-project").content[:-40]), {}, []),
    "an sdist that is a wheel": (bent(GOOD, filename="fresh_project-1.0.tar.gz"), {"filetype": "sdist"}, []),
    "a file of another kind": (bent(GOOD, filename="fresh_project-1.0.exe"), {}, ["fresh_project-1.0.exe"]),
    "a file name with a path": (bent(GOOD, filename="../fresh_project-1.0-py3-none-any.whl"), {}, []),
    "a wrong sha256": (GOOD, {"sha256_digest": "0" * 64}, ["SHA-256"]),
    "a wrong md5": (GOOD, {"md5_digest": "0" * 32}, ["md5"]),
    "a wrong blake2": (GOOD, {"blake2_256_digest": "0" * 64}, ["blake2"]),
    "a digest that is none": (GOOD, {"sha256_digest": "nonsense"}, ["SHA-256"]),
    "no digest": (GOOD, {"sha256_digest": None, "md5_digest": None, "blake2_256_digest": None}, ["digest"]),
    "a name that is not the file's": (GOOD, {"name": "another-project"}, ["another-project"]),
    "a version that is not the file's": (GOOD, {"version": "2.0"}, ["2.0"]),
    "a name that is not the metadata's": (
        wheel("fresh-project", metadata=core_metadata("someone-else", "1.0")), {}, ["someone-else"],
    ),
    "a version that is not the metadata's": (
        wheel("fresh-project", metadata=core_metadata("fresh-project", "3.0")), {}, ["3.0"],
    ),
    "metadata without a name": (wheel("fresh-project", metadata=b"Metadata-Version: 2.1\nVersion: 1.0\n\n"), {}, ["Name"]),
    "no name": (GOOD, {"name": None}, ["name"]),
    "a name that is none": (GOOD, {"name": "-bad-"}, ["name"]),
    "no version": (GOOD, {"version": None}, ["version"]),
    "no action": (GOOD, {":action": None}, ["action"]),
    "another action": (GOOD, {":action": "submit"}, ["action"]),
    "another protocol version": (GOOD, {"protocol_version": "9"}, ["protocol"]),
    "another content under a name that is taken": (ANOTHER, {}, ["already exists"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_uploads(index: Index, untouched: None, case: str) -> None:
    dist, change, words = REFUSED[case]
    is_problem(upload(index.upload_url, index.token, dist, change=change), 400, *words)


@pytest.mark.parametrize("token", [None, "", "wmk_" + "0" * 64, "pypi-something"], ids=["missing", "empty", "unknown", "foreign"])
def test_tokens_that_are_not_ours(index: Index, untouched: None, token: str | None) -> None:
    answer = upload(index.upload_url, token, GOOD)
    assert answer.status in (401, 403), answer
    is_problem(answer, answer.status, "token")
    if answer.status == 401:
        assert answer.header("WWW-Authenticate").startswith("Basic")


def test_a_good_token_under_another_user_name(index: Index, untouched: None) -> None:
    body, kind = form(fields_for(GOOD), GOOD.filename, GOOD.content)
    answer = request("POST", index.upload_url, headers={"Content-Type": kind, "Authorization": basic(index.token, "someone")}, body=body)
    assert answer.status in (401, 403), answer
    is_problem(answer, answer.status, "__token__")


@pytest.mark.parametrize("header", ["Bearer x", "Basic", "Basic !!!", "Basic Og=="])
def test_authorization_that_is_none(index: Index, untouched: None, header: str) -> None:
    body, kind = form(fields_for(GOOD), GOOD.filename, GOOD.content)
    answer = request("POST", index.upload_url, headers={"Content-Type": kind, "Authorization": header}, body=body)
    assert answer.status in (400, 401, 403), answer


def test_bodies_that_are_no_upload_form(index: Index, untouched: None) -> None:
    good = {"Authorization": basic(index.token)}
    whole, kind = form(fields_for(GOOD), GOOD.filename, GOOD.content)
    without_content, kind_without = form(fields_for(GOOD), None)
    twice, kind_twice = form([*fields_for(GOOD), ("name", "other")], GOOD.filename, GOOD.content)
    long_field, kind_long = form([*fields_for(GOOD), ("description", "x" * 20_000_000)], GOOD.filename, GOOD.content)
    for body, content_type in [
        (b"hello", "text/plain"),
        (b'{"name": "fresh-project"}', "application/json"),
        (b"name=fresh-project&version=1.0", "application/x-www-form-urlencoded"),
        (whole, "multipart/form-data"),
        (whole[: len(whole) // 2], kind),
        (whole[:-10], kind),
        (without_content, kind_without),
        (twice, kind_twice),
        (b"", kind),
        (os.urandom(10_000), kind),
    ]:
        answer = request("POST", index.upload_url, headers=good | {"Content-Type": content_type}, body=body)
        assert 400 <= answer.status < 500, (content_type, body[:40], answer)
        is_problem(answer, answer.status)
    answer = request("POST", index.upload_url, headers=good | {"Content-Type": kind_long}, body=long_field)
    assert answer.status in (400, 413), answer


def test_a_connection_that_breaks_in_the_middle(index: Index, untouched: None) -> None:
    body, kind = form(fields_for(GOOD), GOOD.filename, GOOD.content)
    parts = urlsplit(index.upload_url)
    head = (
        f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: {basic(index.token)}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    for share in (0.1, 0.5, 0.99):
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(head + body[: int(len(body) * share)])
    # The server notices when it reads on; the next request shows that it lives.
    time.sleep(0.5)
    assert index.get("simple/already-there/").status == 200


def test_after_all_that_the_project_can_be_published(index: Index, tmp_path: Path) -> None:
    """No refused attempt has blocked the name. (Runs after the refusals above, in this file's order.)"""
    assert index.get(f"simple/{GOOD.project}/").status == 404
    index.publish(GOOD)
    assert TufReader(index, tmp_path).file(GOOD.project, GOOD.filename) == GOOD.content


# The same through the tools: what a person sees.


def by_twine(sandbox: Sandbox, index: Index, file: Path, **how):
    return sandbox.twine(index, file, **how)


def by_uv(sandbox: Sandbox, index: Index, file: Path, **how):
    return sandbox.uv_publish(index, file, **how)


TOOLS = pytest.mark.parametrize("publish", [by_twine, by_uv], ids=["twine", "uv"])
Publish = Callable[..., object]


@TOOLS
def test_the_tools_show_that_the_file_exists(index: Index, untouched: None, sandbox: Sandbox, publish) -> None:
    said = publish(sandbox, index, ANOTHER.write(sandbox.work)).failed().text
    assert "already exists" in said.lower()


@TOOLS
def test_the_tools_show_that_the_token_is_wrong(index: Index, untouched: None, sandbox: Sandbox, publish) -> None:
    said = publish(sandbox, index, wheel("fresh-two").write(sandbox.work), token="wmk_" + "1" * 64).failed().text
    assert "token" in said.lower().replace("__token__", "")


@TOOLS
def test_the_tools_show_that_the_version_is_not_the_metadatas(index: Index, untouched: None, sandbox: Sandbox, publish) -> None:
    file = wheel("fresh-two", metadata=core_metadata("fresh-two", "7.0")).write(sandbox.work)
    said = publish(sandbox, index, file).failed().text
    assert "7.0" in said


# The disk.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    if os.geteuid() != 0:
        pytest.skip("skipped: needs root, to mount a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"skipped: needs mount ({mounted.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk(small_disk: Path, make_index, tmp_path: Path) -> None:
    index: Index = make_index(at=small_disk)
    index.log = tmp_path / "index.log"
    index.start()
    index.publish(wheel("before", "1.0"))
    listed, files = lasting(index), set(index.files())

    big = wheel("too-big", "1.0", payload=14 * 1024 * 1024)
    answer = upload(index.upload_url, index.token, big)
    is_problem(answer, 507)
    assert "space" in f"{answer.json()}".lower() or "full" in f"{answer.json()}".lower()
    assert lasting(index) == listed
    assert set(index.files()) == files, "no half of the big file is left"

    # Now so full that nothing at all fits.
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as out:
        try:
            while True:
                out.write(b"\0" * 4096)
        except OSError:
            pass
    answer = upload(index.upload_url, index.token, wheel("after", "1.0", payload=100_000))
    assert answer.status in (503, 507), answer
    assert index.get("simple/before/").status == 200, "what is published is still served"

    ballast.unlink()
    deadline = time.monotonic() + 30
    while (answer := upload(index.upload_url, index.token, wheel("after", "1.0", payload=100_000))).status != 200:
        assert time.monotonic() < deadline, f"{answer}\n{index.log_text()}"
        time.sleep(0.5)
    reader = TufReader(index, tmp_path / "reader")
    assert reader.file("after", "after-1.0-py3-none-any.whl") is not None
    assert reader.page("too-big") is None
    index.stop()
    index.start()
    assert TufReader(index, tmp_path / "again").page("before") is not None


# The data directory and the rest of the machine.


def newer_settings(index: Index) -> None:
    path = index.data / "settings.json"
    settings = json.loads(path.read_bytes())
    settings["format"] += 1000
    path.write_text(json.dumps(settings))


def newer_catalogue(index: Index) -> None:
    with open_database(index.database) as database:
        version = database.execute("pragma user_version").fetchone()[0]
        database.execute(f"pragma user_version = {version + 1000}")


@pytest.mark.parametrize("age", [newer_settings, newer_catalogue], ids=lambda age: age.__name__)
def test_a_data_directory_of_a_newer_version(make_index, age) -> None:
    index: Index = make_index()
    age(index)
    files = index.files()
    with pytest.raises(NotReady):
        index.start()
    said = index.log_text()
    assert "newer" in said and str(index.data) in said, said
    assert index.files() == files


def test_a_port_in_use(make_index, sandbox: Sandbox) -> None:
    index: Index = make_index(fresh=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", index.port))
        taken.listen()
        with pytest.raises(NotReady):
            index.start()
    said = index.log_text()
    assert f"127.0.0.1:{index.port}" in said and "in use" in said, said
    assert not index.data.exists() or not any(index.data.iterdir()), "a first run that could not listen made no keys"
    assert "panicked" not in said


def test_two_on_one_data_directory(make_index, index: Index) -> None:
    other = Index(index.binary, index.data, index.env)
    other.log = index.data.parent / "other.log"
    with pytest.raises(NotReady):
        other.start()
    said = other.log_text()
    assert str(index.data) in said or "lock" in said.lower() or "in use" in said.lower(), said
    index.publish(wheel("still-works", "1.0"))


def test_a_missing_root_in_the_tree(make_index) -> None:
    index: Index = make_index()
    root = index.tree / "metadata" / "1.root.json"
    kept = root.read_bytes()
    root.unlink()
    with pytest.raises(NotReady):
        index.start()
    assert "root" in index.log_text()
    root.write_bytes(kept)
    index.start()


def test_a_missing_root_file(index: Index, sandbox: Sandbox) -> None:
    done = sandbox.wheelmark("trust", "add", index.index_url, "--root", sandbox.work / "no-root.json").failed()
    assert "no-root.json" in done.err
    assert index.index_url not in sandbox.wheelmark("trust", "list").out


def test_a_root_file_that_is_none(index: Index, sandbox: Sandbox) -> None:
    for content in (b"", b"{}", b"not json", index.root_file.read_bytes()[:-20], (index.tree / "metadata/1.targets.json").read_bytes()):
        path = sandbox.work / "root.json"
        path.write_bytes(content)
        done = sandbox.wheelmark("trust", "add", index.index_url, "--root", path).failed()
        assert "root" in done.err.lower()
        assert "panicked" not in done.err
    assert index.index_url not in sandbox.wheelmark("trust", "list").out


def test_a_fingerprint_that_is_not_the_roots(index: Index, sandbox: Sandbox) -> None:
    done = sandbox.wheelmark("trust", "add", index.index_url, "--fingerprint", "0" * 64).failed()
    assert "0" * 64 in done.err or str(index.ready["root_fingerprint"]) in done.err, "the two are shown"
    assert sandbox.wheelmark("trust", "add", index.index_url, "--fingerprint", "12").failed()


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_an_index_that_is_down(index: Index, make_index, sandbox: Sandbox, tool: str) -> None:
    down: Index = make_index().start()
    down.publish(wheel("was-there", "1.0"))
    sandbox.trust(down)
    down.stop()
    venv = sandbox.venv()
    started = time.monotonic()
    done = sandbox.install_short(tool, venv, "was-there").failed()
    assert time.monotonic() - started < 60, "said in good time"
    assert f"127.0.0.1:{down.port}" in done.err
    assert "panicked" not in done.text
    assert venv.installed() == {}


def test_trust_in_an_index_that_is_down(make_index, sandbox: Sandbox) -> None:
    down: Index = make_index()
    url = down.url("simple/")
    done = sandbox.wheelmark("trust", "add", url, "--fingerprint", "0" * 64).failed()
    assert f"127.0.0.1:{down.port}" in done.err
    assert url not in sandbox.wheelmark("trust", "list").out


def test_an_index_without_signatures(sandbox: Sandbox) -> None:
    """It answers, but has no metadata: not what `trust add` was asked for."""
    with Site(index_of(GOOD)) as plain:
        done = sandbox.wheelmark("trust", "add", plain.url("simple/"), "--fingerprint", "0" * 64).failed()
        assert "root" in done.err.lower()


def test_first_use_is_not_for_plain_http(sandbox: Sandbox) -> None:
    """Refused before anything is asked: nothing answers at this address (RFC 5737)."""
    started = time.monotonic()
    done = sandbox.wheelmark("trust", "add", "http://192.0.2.1/simple/", "--first-use").failed()
    assert "https" in done.err
    assert time.monotonic() - started < 5
    assert "192.0.2.1" not in sandbox.wheelmark("trust", "list").out


@pytest.mark.parametrize(
    "words",
    [
        ["up", "--bins", "0"],
        ["up", "--bins", "100"],
        ["up", "--bins", "-1"],
        ["up", "--listen", "nowhere"],
        ["up", "--no-such"],
        ["trust", "add", "not a url", "--fingerprint", "0" * 64],
        ["trust", "add", "http://127.0.0.1:1/simple/"],
        ["trust", "add", "http://127.0.0.1:1/simple/", "--fingerprint", "xyz"],
        ["exec"],
        ["no-such-command"],
        [],
    ],
    ids=" ".join,
)
def test_what_is_not_an_option(sandbox: Sandbox, words: list[str]) -> None:
    done = sandbox.wheelmark(*words)
    assert done.code in (1, 2), done
    assert done.err and "panicked" not in done.err
    assert not any(sandbox.work.iterdir()), "nothing was made"
