"""What the index says over HTTP, header by header."""

from __future__ import annotations

import gzip
import hashlib
import html.parser
import json
from urllib.parse import urljoin

import pytest
import zstandard

from harness.distributions import Distribution, sdist, wheel
from harness.index import Index
from harness.upload import Answer, request, upload

JSON = "application/vnd.pypi.simple.v1+json"
HTML = "application/vnd.pypi.simple.v1+html"

WHEEL = wheel("Some.Project", "1.0", extra=("Requires-Python: >=3.8",), payload=60_000)
SDIST = sdist("some-project", "1.0")
LARGE = wheel("some-project", "2.0", payload=5 * 1024 * 1024)


@pytest.fixture(scope="module")
def index(shared_index: Index) -> Index:
    shared_index.publish(WHEEL, SDIST, LARGE, wheel("another"))
    return shared_index


def page(index: Index) -> Answer:
    return index.get("simple/some-project/", Accept=JSON)


def file_path(dist: Distribution) -> str:
    return f"packages/{dist.project}/{dist.filename}"


def test_page_in_json(index: Index) -> None:
    answer = page(index)
    assert answer.status == 200
    assert answer.header("Content-Type") == JSON
    said = answer.json()
    assert said["meta"]["api-version"] == "1.4"
    assert said["name"] == "some-project"
    assert said["versions"] == ["1.0", "2.0"]
    files = {f["filename"]: f for f in said["files"]}
    assert set(files) == {WHEEL.filename, SDIST.filename, LARGE.filename}
    ours = files[WHEEL.filename]
    assert ours["hashes"] == {"sha256": WHEEL.sha256}
    assert ours["size"] == len(WHEEL.content)
    assert ours["requires-python"] == ">=3.8"
    assert ours["core-metadata"] == {"sha256": hashlib.sha256(WHEEL.metadata).hexdigest()}
    assert ours["upload-time"].endswith("Z")
    assert ours["_wheelmark"]["signed"] == "at-upload"
    assert files[LARGE.filename]["_wheelmark"]["chunks-sha256"]
    assert urljoin(index.url("simple/some-project/"), ours["url"]) == index.url(file_path(WHEEL))


def test_the_page_served_is_the_page_signed(index: Index) -> None:
    assert page(index).body == index.page_on_disk("some-project").read_bytes()


def test_page_in_html_is_the_same_page(index: Index) -> None:
    answer = index.get("simple/some-project/", Accept="text/html")
    assert answer.status == 200
    assert answer.header("Content-Type").startswith("text/html")
    links: dict[str, dict[str, str | None]] = {}

    class Anchors(html.parser.HTMLParser):
        def handle_starttag(self, tag, attrs) -> None:
            if tag == "a":
                links[dict(attrs)["href"].rsplit("/", 1)[-1].split("#")[0]] = dict(attrs)

    Anchors().feed(answer.body.decode())
    assert set(links) == {WHEEL.filename, SDIST.filename, LARGE.filename}
    ours = links[WHEEL.filename]
    assert ours["href"].endswith(f"#sha256={WHEEL.sha256}")
    assert ours["data-requires-python"] == ">=3.8"
    assert ours["data-core-metadata"] == f"sha256={hashlib.sha256(WHEEL.metadata).hexdigest()}"
    assert index.get("simple/some-project/", Accept=HTML).header("Content-Type") == HTML


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (JSON, JSON),
        (f"{JSON}, text/html;q=0.1", JSON),
        (f"{JSON};q=0.1, text/html", "text/html"),
        (f"{JSON};q=0, text/html", "text/html"),
        ("application/vnd.pypi.simple.latest+json", JSON),
        ("*/*", "text/html"),
        ("image/png", "text/html"),
        (None, "text/html"),
    ],
)
def test_negotiation(index: Index, accept: str | None, kind: str) -> None:
    headers = {} if accept is None else {"Accept": accept}
    for path in ("simple/", "simple/some-project/"):
        answer = index.get(path, **headers)
        assert answer.status == 200
        assert answer.header("Content-Type").split(";")[0] == kind.split(";")[0]
        assert "accept" in [v.strip().lower() for v in answer.header("Vary").split(",")]


def test_list_of_projects(index: Index) -> None:
    said = index.get("simple/", Accept=JSON).json()
    assert {"another", "some-project"} <= {p["name"] for p in said["projects"]}
    assert said["meta"]["api-version"] == "1.4"
    assert b'href="some-project/"' in index.get("simple/", Accept="text/html").body.replace(b"/simple/", b"")


@pytest.mark.parametrize("name", ["Some.Project", "some_project", "SOME-PROJECT", "some--project"])
def test_unnormalised_names_redirect(index: Index, name: str) -> None:
    answer = index.get(f"simple/{name}/", Accept=JSON)
    assert answer.status == 301
    assert urljoin(index.url(f"simple/{name}/"), answer.header("Location")) == index.url("simple/some-project/")


def test_a_missing_slash_redirects(index: Index) -> None:
    answer = index.get("simple/some-project", Accept=JSON)
    assert answer.status in (301, 308)
    assert urljoin(index.url("simple/some-project"), answer.header("Location")) == index.url("simple/some-project/")


@pytest.mark.parametrize(
    "path",
    [
        "simple/unheard-of/",
        "packages/some-project/some_project-9.0-py3-none-any.whl",
        "packages/unheard-of/some_project-1.0-py3-none-any.whl",
        "metadata/99.root.json",
        "targets/simple/some-project/" + "0" * 64 + ".index.json",
        "nothing/of/the/kind",
        "token",
        "packages/../token",
        "packages/%2e%2e/token",
        "metadata/..%2f..%2ftoken",
        "targets/../../token",
        ".incoming/",
    ],
)
def test_not_found(index: Index, path: str) -> None:
    answer = index.get(path)
    assert answer.status in (400, 404), answer
    assert index.token.encode() not in answer.body


@pytest.mark.parametrize("accept", [JSON, "text/html"])
def test_pages_have_an_etag_and_are_asked_for_again(index: Index, accept: str) -> None:
    first = index.get("simple/some-project/", Accept=accept)
    assert "no-cache" in first.header("Cache-Control")
    etag = first.header("ETag")
    again = index.get("simple/some-project/", Accept=accept, If_None_Match=etag)
    assert again.status == 304
    assert again.body == b""
    assert again.header("ETag") == etag
    assert index.get("simple/some-project/", Accept=accept, If_None_Match='"other"').status == 200


def test_the_two_forms_of_a_page_have_different_etags(index: Index) -> None:
    assert page(index).header("ETag") != index.get("simple/some-project/", Accept="text/html").header("ETag")


def test_the_etag_follows_the_page(index: Index) -> None:
    index.publish(wheel("moving", "1.0"))
    etag = index.get("simple/moving/", Accept=JSON).header("ETag")
    index.publish(wheel("moving", "2.0"))
    answer = index.get("simple/moving/", Accept=JSON, If_None_Match=etag)
    assert answer.status == 200
    assert len(answer.json()["files"]) == 2


def test_hash_named_objects_are_immutable(index: Index) -> None:
    digest = hashlib.sha256(page(index).body).hexdigest()
    for path in (
        f"targets/simple/some-project/{digest}.index.json",
        f"targets/packages/some-project/{WHEEL.sha256}.{WHEEL.filename}",
        "metadata/1.root.json",
    ):
        answer = index.get(path)
        assert answer.status == 200, path
        assert "immutable" in answer.header("Cache-Control"), path
    assert "immutable" not in (index.get("metadata/timestamp.json").header("Cache-Control") or "")
    assert "no-cache" in index.get("metadata/timestamp.json").header("Cache-Control")


def test_the_static_tree_is_served_byte_for_byte(index: Index) -> None:
    for path in sorted((index.tree / "metadata").iterdir()):
        assert index.get(f"metadata/{path.name}").body == path.read_bytes(), path.name


def test_a_file_and_its_core_metadata(index: Index) -> None:
    for dist in (WHEEL, SDIST, LARGE):
        assert index.get(file_path(dist)).body == dist.content
    assert index.get(file_path(WHEEL) + ".metadata").body == WHEEL.metadata


@pytest.mark.parametrize("path", ["simple/some-project/", "metadata/1.root.json", file_path(WHEEL), file_path(LARGE)])
def test_head_says_what_get_says(index: Index, path: str) -> None:
    get = index.get(path)
    head = request("HEAD", index.url(path))
    assert head.status == get.status == 200
    assert head.body == b""
    for name in ("Content-Type", "Content-Length", "ETag", "Cache-Control"):
        assert head.header(name) == get.header(name), name


@pytest.mark.parametrize("dist", [WHEEL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("said", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=100-199", slice(100, 200)),
        ("bytes=50000-", slice(50000, None)),
        ("bytes=-500", slice(-500, None)),
        ("bytes=1000-99999999", slice(1000, None)),
    ],
)
def test_ranges(index: Index, dist: Distribution, said: str, part: slice) -> None:
    answer = index.get(file_path(dist), Range=said)
    assert answer.status == 206
    assert answer.body == dist.content[part]
    start, stop, _ = part.indices(len(dist.content))
    assert answer.header("Content-Range") == f"bytes {start}-{stop - 1}/{len(dist.content)}"
    assert index.get(file_path(dist)).header("Accept-Ranges") == "bytes"


def test_a_range_beyond_the_end(index: Index) -> None:
    answer = index.get(file_path(WHEEL), Range=f"bytes={len(WHEEL.content)}-")
    assert answer.status == 416
    assert answer.header("Content-Range") == f"bytes */{len(WHEEL.content)}"


DECODE = {"gzip": gzip.decompress, "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)}


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
@pytest.mark.parametrize("path", ["simple/some-project/", "metadata/{bins}", "metadata/1.root.json"])
def test_compressed_answers(index: Index, coding: str, path: str) -> None:
    newest = max((index.tree / "metadata").glob("*.snapshot.json"), key=lambda p: int(p.name.split(".")[0]))
    path = path.format(bins=newest.name)
    plain = index.get(path, Accept=JSON)
    packed = index.get(path, Accept=JSON, Accept_Encoding=coding)
    assert packed.header("Content-Encoding") == coding
    assert DECODE[coding](packed.body) == plain.body
    assert len(packed.body) < len(plain.body)
    assert "accept-encoding" in packed.header("Vary").lower()
    assert packed.header("ETag") != plain.header("ETag") or plain.header("ETag") is None or plain.header("ETag").startswith("W/")


def test_not_compressed_unasked_nor_what_is_compressed_already(index: Index) -> None:
    assert index.get("simple/some-project/", Accept=JSON).header("Content-Encoding") is None
    assert index.get("simple/some-project/", Accept=JSON, Accept_Encoding="gzip;q=0").header("Content-Encoding") is None
    assert index.get(file_path(WHEEL), Accept_Encoding="gzip, zstd").header("Content-Encoding") is None


def test_the_same_file_again_is_accepted_and_changes_nothing(index: Index) -> None:
    before, files = index.metadata_files(), index.files()
    answer = upload(index.upload_url, index.token, WHEEL)
    assert answer.status == 200
    assert index.metadata_files() == before
    assert index.files() == files


def test_an_answered_upload_is_served_at_once(index: Index) -> None:
    for n in range(3):
        dist = wheel("at-once", f"{n}.0")
        index.publish(dist)
        assert index.get(file_path(dist)).body == dist.content
        assert dist.filename in [f["filename"] for f in index.get("simple/at-once/", Accept=JSON).json()["files"]]


def test_methods_that_are_not_allowed(index: Index) -> None:
    for method in ("DELETE", "PUT", "POST"):
        assert request(method, index.url("simple/some-project/")).status == 405
    assert request("GET", index.upload_url).status in (404, 405)


def test_errors_are_problems(index: Index) -> None:
    answer = index.get("simple/unheard-of/", Accept=JSON)
    assert answer.status == 404
    assert answer.header("Content-Type") == "application/problem+json"
    said = json.loads(answer.body)
    assert said["status"] == 404
    assert "unheard-of" in said["title"] + said.get("detail", "")
