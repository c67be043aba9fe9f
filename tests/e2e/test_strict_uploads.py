"""What an index refuses, and that twine and uv tell their users which rule it was and what to do."""

from __future__ import annotations

import hashlib
import http.client
import io
import json
import socket
import time
import zipfile
from pathlib import Path

import pytest

from harness import registry
from harness.distributions import Distribution, core_metadata, sdist, wheel
from harness.index import Index
from harness.odd_archives import ODD, bent
from harness.sandbox import Sandbox
from harness.upload import basic, upload


@pytest.fixture(scope="module")
def index(shared_index: Index) -> Index:
    shared_index.publish(wheel("there", "1.0"))
    return shared_index


def record_changed(dist: Distribution) -> Distribution:
    """One byte of the module is another, and the archive's own checksum is right."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(dist.content)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry, data.replace(b"good", b"evil") if entry.filename.endswith(".py") else data)
    return bent(dist, out.getvalue())


def with_lines(*lines: str, **how: str) -> Distribution:
    return wheel("strict", metadata=core_metadata("strict", "1.0", *lines, **how))


# The file, words of the rule, and words of the fix.
REFUSED: dict[str, tuple[Distribution, str, str]] = {
    "contents that RECORD does not describe": (
        record_changed(wheel("strict")), "digest of `strict.py` is not that of the contents", "wheel unpack",
    ),
    "tags of another wheel": (
        wheel("strict", tag="cp313-cp313-linux_x86_64", filename="strict-1.0-py3-none-any.whl"),
        "named for tags that its WHEEL file does not have", "wheel tags",
    ),
    "an unknown classifier": (with_lines("Classifier: Programming :: Pyton"), "Programming :: Pyton", "pypi.org/classifiers"),
    "a licence that SPDX does not know": (
        with_lines("License-Expression: GPL", version_of_metadata="2.4"), "names `GPL`", "spdx.org/licenses",
    ),
    "a requirement of a URL": (with_lines("Requires-Dist: x @ https://example.com/x.whl"), "requires what lies at a URL", "by name and version"),
    "a requirement that is none": (with_lines("Requires-Dist: x >>1"), "does not follow PEP 508", "write it as PEP 508"),
    "a range that is none": (with_lines("Requires-Python: 3.9 or later"), "not a version specifier", ">=3.10"),
    "a link that is none": (with_lines("Project-URL: Docs, javascript:alert(1)"), "is not a web address", "https://"),
    "a mail address that is none": (with_lines("Author-email: Jane <jane at example.org>"), "`jane at example.org` has no `@`", "leave the field out"),
    "a description of another kind": (with_lines("Description-Content-Type: text/html"), "is not text/markdown", "text/markdown"),
    "metadata from the future": (with_lines(version_of_metadata="2.9"), "newer than 2.5", "version 2.5 or older"),
    "a name of the standard library": (wheel("json"), "standard library", "choose another name"),
    "a name that looks like another": (wheel("th-ere"), "looks like `there`", "mistaken"),
    "a file name of old": (
        Distribution(**{**wheel("strict").__dict__, "filename": "Strict-1.0-py3-none-any.whl"}), "is not written as", "strict-1.0-py3-none-any.whl",
    ),
    **{what: (dist, rule, "") for what, (dist, _one, _other, rule) in ODD.items()},
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("tool", ["twine", "uv_publish"])
def test_the_uploader_sees_the_rule_and_the_fix(index: Index, sandbox: Sandbox, tmp_path: Path, tool: str, case: str) -> None:
    dist, rule, fix = REFUSED[case]
    path = dist.write(tmp_path / "dist")
    done = getattr(sandbox, tool)(index, path)
    if "skipping" not in done.text:
        done.failed()
    told = " ".join(done.text.split())
    if tool_refuses(tool, told):
        # It has found the fault itself, and sent nothing: what the index says is asked for directly.
        answer = upload(index.upload_url, index.token, dist)
        assert answer.status == 400, answer
        told = answer.reason if tool == "twine" else answer.json()["detail"]
    assert rule in told, done
    assert fix in told, done
    assert index.get(f"packages/{dist.project}/{dist.filename}").status == 404


def tool_refuses(tool: str, told: str) -> bool:
    """twine and uv read some files themselves before they send anything."""
    return "400" not in told and "HTTPError" not in told


@pytest.mark.parametrize("case", ODD)
def test_readers_disagree_about_what_is_refused(case: str) -> None:
    dist, one, other, _rule = ODD[case]
    assert one(dist.content) != other(dist.content), "nobody is fooled by this one"


def test_5_gib_are_refused_before_they_are_sent(index: Index) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", index.port, timeout=30)
    connection.putrequest("POST", "/legacy/")
    connection.putheader("Authorization", basic(index.token))
    connection.putheader("Content-Type", "multipart/form-data; boundary=x")
    connection.putheader("Content-Length", str(5 << 30))
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert "File too large" in answer.reason and "whoever runs the index" in answer.reason
    connection.close()


def test_a_body_without_end_takes_no_memory(index: Index) -> None:
    """No length is announced, and 512 MiB come: they go to the disk, and are gone with the connection."""
    assert index.process is not None
    before = resident(index.process.pid)
    with socket.create_connection(("127.0.0.1", index.port), timeout=60) as stream:
        stream.sendall(
            f"POST /legacy/ HTTP/1.1\r\nHost: x\r\nAuthorization: {basic(index.token)}\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        head = b'--x\r\nContent-Disposition: form-data; name="content"; filename="big-1-py3-none-any.whl"\r\n\r\n'
        stream.sendall(b"%x\r\n%s\r\n" % (len(head), head))
        block = b"%x\r\n%s\r\n" % (1 << 20, bytes(1 << 20))
        for _ in range(512):
            stream.sendall(block)
        grown = resident(index.process.pid) - before
    assert grown < 100 << 20, f"grew by {grown >> 20} MiB"
    deadline = time.monotonic() + 60
    while any((index.tree / ".incoming").rglob("upload-*")):
        assert time.monotonic() < deadline, "the unfinished file stays"
        time.sleep(0.1)


def resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


def test_what_the_registry_has_is_still_welcome(index: Index, registry_folder: Path) -> None:
    """The newest files of projects that everybody uses, from a dozen build backends."""
    names = "numpy flask requests black pydantic-core sphinx packaging pyyaml maturin uv markupsafe attrs".split()
    folder = registry_folder / "newest"
    done = folder / "complete"
    if not done.exists():
        try:
            registry.pip_download(folder, "--no-deps", "--only-binary", ":all:", *names)
            registry.pip_download(folder, "--no-deps", "--no-binary", ":all:", "flask", "packaging", "idna", "attrs")
        except registry.Unreachable as error:
            pytest.skip(f"skipped: needs a package registry ({error})")
        done.touch()
    refused = {}
    for path in sorted(folder.iterdir()):
        if path == done:
            continue
        name, version = path.name.removesuffix(".tar.gz").split("-")[:2]
        content = path.read_bytes()
        dist = Distribution(name.replace("_", "-"), version, path.name, content, hashlib.sha256(content).digest())
        answer = upload(index.upload_url, index.token, dist)
        if answer.status != 200:
            refused[path.name] = answer.reason
    assert refused == {}


def test_one_project_may_have_other_limits(index: Index, sandbox: Sandbox) -> None:
    def limit(*words: str) -> dict:
        done = sandbox.wheelmark("index", "limit", "--data", index.data, "--json", *words).ok()
        return json.loads(done.out)

    assert limit() == {"projects": []}
    small = {"project": "small", "file_size": 1000, "project_size": None}
    assert limit("small", "--file-size", "1kB") == {"projects": [small]}
    dist = wheel("small", payload=5000)
    answer = upload(index.upload_url, index.token, dist)
    assert answer.status == 413 and "1000 bytes" in answer.reason, answer
    limit("small", "--none")
    index.publish(dist)
