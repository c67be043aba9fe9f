"""nginx as a cache before an index and devpi as a mirror of it, while files are published.

Their settings are those of docs/plain-mirrors.md, taken from the document.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable

import pytest
import zstandard

from harness.devpi import Devpi
from harness.distributions import Distribution, sdist, wheel
from harness.documents import block
from harness.index import Index
from harness.mirror import JSON_PAGE
from harness.nginx import Nginx
from harness.publisher import Publisher
from harness.sandbox import Outcome, Sandbox, Venv

ROUNDS = 4


def newest(publisher: Publisher) -> list[Distribution]:
    """The last version of each project; at least one was published."""
    publisher.wait_for(1)
    return list(publisher.latest().values())


def not_older(installed: str, published: str) -> bool:
    """Versions of the publisher: `1.N`."""
    return int(installed.split(".")[1]) >= int(published.split(".")[1])


@pytest.fixture
def cache(make_cache, index: Index) -> Nginx:
    return make_cache(index)


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_installs_through_nginx_never_fail_while_we_publish(
    index: Index, cache: Nginx, sandbox: Sandbox, tool: str
) -> None:
    sandbox.wheelmark("trust", "add", cache.index_url, "--root", index.root_file).ok()
    plain: Callable[..., Outcome] = getattr(sandbox, f"plain_{tool}")
    fresh = "--no-cache-dir" if tool == "pip" else "--no-cache"
    with Publisher(index) as publisher:
        for _ in range(ROUNDS):
            for install in (
                lambda venv, *names: sandbox.install(tool, venv, fresh, *names),
                lambda venv, *names: plain(venv, cache.index_url, fresh, *names),
            ):
                published, venv = newest(publisher), sandbox.venv()
                done = install(venv, *[dist.project for dist in published]).ok()
                check(venv, published, done)


def check(venv: Venv, published: list[Distribution], done: Outcome) -> None:
    """What was published before the install began is there, or something newer."""
    installed = venv.installed()
    late = [d.filename for d in published if not not_older(installed[d.project], d.version)]
    assert not late, f"published before and not seen: {late}, installed {installed}\n{done}"


def test_what_never_changes_is_kept_in_each_form(index: Index, cache: Nginx) -> None:
    made = wheel("six", "1.0", payload=100_000)
    index.publish(made)
    page = index.get("/simple/six/", Accept=JSON_PAGE).body
    path = f"/targets/simple/six/{hashlib.sha256(page).hexdigest()}.index.json"
    plain = lambda body: body  # noqa: E731
    forms = {
        "identity": (None, plain),
        "gzip, deflate": ("gzip", gzip.decompress),
        "gzip, zstd": ("zstd", lambda body: zstandard.ZstdDecompressor().decompressobj().decompress(body)),
    }
    tags = set()
    for expected in ("MISS", "HIT"):
        for accepted, (coding, decode) in forms.items():
            answer = cache.get(path, Accept_Encoding=accepted)
            assert answer.header("X-Cache") == expected, f"{accepted}: {answer.header('X-Cache')}"
            assert answer.header("Content-Encoding") == coding
            assert answer.header("Content-Type") == JSON_PAGE
            assert decode(answer.body) == page
            tags.add(answer.header("ETag"))
            again = cache.get(path, Accept_Encoding=accepted, If_None_Match=answer.header("ETag"))
            assert (again.status, again.body) == (304, b"")
    assert len(tags) == len(forms)


def test_a_file_is_fetched_once_and_answered_in_parts(index: Index, cache: Nginx) -> None:
    made = wheel("six", "1.0", payload=300_000)
    index.publish(made)
    path = f"/packages/six/{made.filename}"
    first = cache.get(path, Range="bytes=100-199")
    assert (first.status, first.body) == (206, made.content[100:200])
    assert cache.get(path + "?query").header("X-Cache") == "HIT"
    index.kill()
    for asked, expected in (("0-0", made.content[:1]), ("-50", made.content[-50:]), ("1000-", made.content[1000:])):
        part = cache.get(path, Range=f"bytes={asked}")
        assert (part.status, part.header("X-Cache"), part.body) == (206, "HIT", expected)
    assert cache.get(path).body == made.content


def test_a_damaged_cache_is_noticed_and_passed_over(index: Index, cache: Nginx, sandbox: Sandbox) -> None:
    made = wheel("six", "1.0", payload=100_000)
    index.publish(made)
    sandbox.wheelmark("trust", "add", cache.index_url, "--root", index.root_file).ok()
    sandbox.install("uv", sandbox.venv(), "six").ok()
    [kept] = [path for path in (cache.folder / "cache").rglob("*") if path.is_file() and made.content in path.read_bytes()]
    kept.write_bytes(kept.read_bytes().replace(made.content[50_000:50_010], b"0123456789"))
    refused = sandbox.install("uv", sandbox.venv(), "six").failed()
    assert made.filename in refused.text, refused
    sandbox.wheelmark("trust", "mirror", "add", cache.index_url, index.url("")).ok()
    passed = sandbox.install("uv", sandbox.venv(), "six").ok()
    assert "warning" in passed.err and made.filename in passed.err, passed


def test_what_is_not_there_yet_is_seen_as_soon_as_it_is(index: Index, cache: Nginx) -> None:
    later = sdist("later", "1.0")
    file, page, document = f"/packages/later/{later.filename}", "/simple/later/", "/pypi/later/json"
    root = "/metadata/2.root.json"
    for path in (file, page, document, root):
        for _ in range(2):
            assert cache.get(path).status == 404, path
    index.publish(later)
    for path in (file, page, document):
        assert cache.get(path).status == 200, path
    # The next root is found by asking for it: a remembered 404 would hide a change of keys.
    (index.tree / root.lstrip("/")).write_text("{}")
    assert cache.get(root).body == b"{}"


def test_what_changes_goes_past_the_cache_with_its_conditions(index: Index, cache: Nginx) -> None:
    index.publish(wheel("six", "1.0"))
    for path in ("/metadata/timestamp.json", "/simple/six/", "/simple/", "/pypi/six/json"):
        before = cache.get(path, Accept=JSON_PAGE)
        unchanged = cache.get(path, Accept=JSON_PAGE, If_None_Match=before.header("ETag"))
        assert (unchanged.status, unchanged.body) == (304, b""), path
        index.publish(wheel("six", f"2.{len(path)}"))
        changed = cache.get(path, Accept=JSON_PAGE, If_None_Match=before.header("ETag"))
        assert changed.status == 200 and changed.body != before.body, path
        assert changed.body == index.get(path, Accept=JSON_PAGE).body


def test_uploads_pass_the_cache(index: Index, cache: Nginx, sandbox: Sandbox) -> None:
    made = wheel("six", "1.0", payload=3 << 20)
    uploaded = sandbox.run(
        "twine", "upload", "--non-interactive", "--disable-progress-bar", "--repository-url", f"{cache.url}legacy/",
        "-u", "__token__", "-p", index.token, made.write(sandbox.work),
    )  # fmt: skip
    uploaded.ok()
    assert cache.get(f"/packages/six/{made.filename}").body == made.content
    refused = sandbox.run(
        "twine", "upload", "--non-interactive", "--disable-progress-bar", "--repository-url", f"{cache.url}legacy/",
        "-u", "__token__", "-p", index.token, wheel("six", "1.0", says="other").write(sandbox.folder / "other"),
    )  # fmt: skip
    assert "File already exists" in refused.failed().text


@pytest.fixture
def devpi(make_devpi, index: Index) -> Devpi:
    """A devpi whose `root/team` mirrors the test's index with the documented settings."""
    command = block("plain-mirrors.md", "sh", "type=mirror").replacing({"https://index.example/": index.url("")})
    settings = dict(word.split("=", 1) for word in command.split() if "=" in word)
    assert settings.pop("type") == "mirror"
    made = make_devpi()
    made.make_mirror("team", settings.pop("mirror_url"), **settings)
    return made


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_installs_through_devpi_never_fail_while_we_publish(
    index: Index, devpi: Devpi, sandbox: Sandbox, tool: str
) -> None:
    plain: Callable[..., Outcome] = getattr(sandbox, f"plain_{tool}")
    fresh = "--no-cache-dir" if tool == "pip" else "--no-cache"
    with Publisher(index, projects=3) as publisher:
        for _ in range(ROUNDS):
            published, venv = newest(publisher), sandbox.venv()
            done = plain(venv, devpi.simple_url("team"), fresh, *[dist.project for dist in published]).ok()
            check(venv, published, done)


def test_devpi_carries_hashes_and_keeps_nothing_else(index: Index, devpi: Devpi, sandbox: Sandbox) -> None:
    good, bad = wheel("good", "1.0"), wheel("bad", "1.0")
    index.publish(good, bad)
    there = index.tree / "packages" / "bad" / bad.filename
    there.chmod(0o644)
    there.write_bytes(bad.content[::-1])
    url = devpi.simple_url("team")
    for install in (sandbox.plain_pip, sandbox.plain_uv):
        venv = sandbox.venv()
        install(venv, url, "good").ok()
        assert venv.installed() == {"good": "1.0"}
        install(sandbox.venv(), url, "bad").failed()
    there.write_bytes(bad.content)
    sandbox.plain_uv(sandbox.venv(), url, "bad").ok()
    index.kill()
    sandbox.plain_pip(sandbox.venv(), url, "--no-cache-dir", "good").ok()


def test_devpi_is_nothing_that_can_be_verified(index: Index, devpi: Devpi, sandbox: Sandbox) -> None:
    index.publish(wheel("six", "1.0"))
    refused = sandbox.wheelmark("trust", "add", devpi.simple_url("team"), "--root", index.root_file).failed()
    assert "metadata" in refused.text, refused
