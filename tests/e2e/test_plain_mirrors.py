"""Mirrors and caches that know nothing of us stay consistent while we publish.

Their settings are those of docs/plain-mirrors.md, taken from the document.
"""

from __future__ import annotations

import pytest

from harness.bandersnatch import Bandersnatch
from harness.distributions import sdist, wheel
from harness.documents import block
from harness.index import Index
from harness.mirror import JSON_PAGE
from harness.publisher import Publisher
from harness.sandbox import Sandbox
from harness.site import Site, tree_at

DOCUMENT = "plain-mirrors.md"


@pytest.fixture
def bandersnatch(index: Index, tmp_path) -> Bandersnatch:
    """A mirror of the test's index with the documented settings."""
    folder = tmp_path / "bandersnatch"
    settings = block(DOCUMENT, "ini", "api-method = simple").replacing(
        {
            "https://index.example": index.url("").rstrip("/"),
            "/srv/mirror": folder / "mirror",
            "; allow-non-https = true": "allow-non-https = true",
        }
    )
    return Bandersnatch.with_settings(folder, settings)


def listed(index: Index) -> dict[str, str]:
    """Every file that the index's pages name, with its sha256."""
    projects = index.get("/simple/", Accept=JSON_PAGE).json()["projects"]
    pages = [index.get(f"/simple/{project['name']}/", Accept=JSON_PAGE).json() for project in projects]
    return {file["filename"]: file["hashes"]["sha256"] for page in pages for file in page["files"]}


def test_bandersnatch_mirrors_us_while_we_publish(index: Index, bandersnatch: Bandersnatch, sandbox: Sandbox) -> None:
    index.publish(
        wheel("six", "1.0"), sdist("six", "1.0"), wheel("Zope.Interface", "5.4"),
        wheel("local", "1.0+build.7"), wheel("large", "1.0", payload=5 << 20),
    )  # fmt: skip
    with Publisher(index) as publisher:
        reached = 0
        for _ in range(4):
            before = list(publisher.done)
            done = bandersnatch.mirror().ok()
            assert "ERROR" not in done.text, done
            have = bandersnatch.files()
            missing = [dist.filename for dist in before if have.get(dist.filename) != dist.sha256]
            assert not missing, f"published before the run, and not in the tree: {missing}\n{done}"
            assert bandersnatch.serial is not None and bandersnatch.serial > reached
            reached = bandersnatch.serial
    assert len(publisher.done) > 8, "too little was published meanwhile"

    bandersnatch.mirror().ok()
    assert bandersnatch.files() == listed(index)
    serial = int(index.get("/simple/", Accept=JSON_PAGE).header("X-PyPI-Last-Serial"))
    assert bandersnatch.serial == serial
    assert "0 packages to sync" in bandersnatch.mirror().ok().text

    with Site(tree_at(bandersnatch.web)) as site:
        newest = publisher.latest()["busy-1"]
        for install in (sandbox.plain_pip, sandbox.plain_uv):
            venv = sandbox.venv()
            install(venv, site.url("simple/"), "busy-1", "zope-interface", "local", "large").ok()
            assert venv.installed()["busy-1"] == newest.version
            assert venv.installed()["local"] == "1.0+build.7"


def test_bandersnatch_repairs_what_was_broken(index: Index, bandersnatch: Bandersnatch) -> None:
    index.publish(wheel("six", "1.0"), wheel("seven", "1.0"))
    bandersnatch.mirror().ok()
    broken, missing = sorted(bandersnatch.web.glob("packages/*/*.whl"))
    broken.write_bytes(broken.read_bytes()[::-1])
    missing.unlink()
    with pytest.raises(AssertionError):
        bandersnatch.files()
    bandersnatch.mirror().ok()
    with pytest.raises(AssertionError):
        # It asks for what changed, and nothing has.
        bandersnatch.files()
    bandersnatch.run("mirror", "--force-check").ok()
    assert bandersnatch.files() == listed(index)


def test_a_bandersnatch_tree_is_nothing_that_can_be_verified(
    index: Index, bandersnatch: Bandersnatch, sandbox: Sandbox
) -> None:
    index.publish(wheel("six", "1.0"))
    bandersnatch.mirror().ok()
    with Site(tree_at(bandersnatch.web)) as site:
        refused = sandbox.wheelmark("trust", "add", site.url("simple/"), "--root", index.root_file).failed()
        assert "timestamp.json" in refused.text, refused
