"""Debian's own tools take a source archive from the index, and verify its author's signature."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.copying import Copy
from harness.distributions import sdist, wheel
from harness.documents import block
from harness.hostile import Edit
from harness.index import Index
from harness.mirror import Mirror
from harness.nginx import Nginx
from harness.openpgp import Author, Packager, program
from harness.sandbox import Sandbox
from harness.upload import request

OLD, NEW = sdist("tide-tables", "1.9"), sdist("tide-tables", "1.10")
EVIL = sdist("tide-tables", "1.10", says="evil")
WITHOUT = sdist("unsigned-tables", "1.0")
FILE = (f"packages/tide-tables/{NEW.filename}",)
SIGNATURE = (f"packages/tide-tables/{NEW.filename}.asc",)
ORIG = "tide-tables_1.10.orig.tar.gz"


@pytest.fixture(scope="module")
def author() -> Iterator[Author]:
    with Author() as author:
        yield author


@pytest.fixture(scope="module")
def index(shared_index: Index, author: Author, tmp_path_factory: pytest.TempPathFactory, binary: Path) -> Index:
    """An index with signed releases, uploaded by twine."""
    sandbox = Sandbox(tmp_path_factory.mktemp("author"), binary)
    dist = sandbox.work / "dist"
    for release in (OLD, NEW):
        path = release.write(dist)
        signature = path.with_name(f"{path.name}.asc")
        signature.write_bytes(author.sign(release.content))
        sandbox.twine(shared_index, path, signature).ok()
    shared_index.publish(wheel("tide-tables", "1.10"), WITHOUT)
    return shared_index


def watch(mark: str, url: str, project: str = "tide-tables") -> str:
    """A `debian/watch` as docs/openpgp.md has it, for an index at `url`."""
    text = block("openpgp.md", "watch", mark).replacing({"https://index.example/": url})
    return text.replace("tide-tables", project).replace("tide_tables", project.replace("-", "_"))


# What each of them would do without a signature is in the document.
WATCHES = pytest.mark.parametrize("mark", ["pgpmode=auto", 'opts="pgpsigurlmangle', "downloadurlmangle"])


@WATCHES
def test_uscan_downloads_and_verifies(index: Index, author: Author, sandbox: Sandbox, mark: str) -> None:
    packager = Packager(sandbox, "tide-tables", watch(mark, index.url("")), author)
    done = packager.uscan().ok()
    assert "gpgv: Good signature from" in done.text or "Good signature" in done.text, f"{done}"
    assert packager.archives() == {ORIG: NEW.content}


@WATCHES
def test_uscan_refuses_a_tampered_archive(index: Index, author: Author, sandbox: Sandbox, mark: str) -> None:
    with Mirror(index, Edit(FILE, lambda _: EVIL.content)) as mirror:
        # Nothing but the signature stands in its way.
        unwary = Packager(sandbox, "tide-tables", unverified(watch(mark, mirror.url())), None)
        unwary.uscan().ok()
        assert unwary.archives() == {ORIG: EVIL.content}

        packager = Packager(sandbox, "tide-tables", watch(mark, mirror.url()), author)
        done = packager.uscan().failed()
        assert "signature did not verify" in done.text, f"{done}"
        assert packager.archives() == {}


def test_uscan_refuses_another_ones_signature(index: Index, author: Author, sandbox: Sandbox) -> None:
    with Author("impostor") as impostor:
        evil = impostor.sign(EVIL.content)
    lies = Edit(FILE, lambda _: EVIL.content), Edit(SIGNATURE, lambda _: evil)
    with Mirror(index, *lies) as mirror:
        packager = Packager(sandbox, "tide-tables", watch("pgpmode=auto", mirror.url()), author)
        done = packager.uscan().failed()
        assert "signature did not verify" in done.text, f"{done}"
        assert packager.archives() == {}


def test_uscan_verifies_from_a_copy_behind_nginx(
    index: Index, author: Author, sandbox: Sandbox, make_nginx: Callable[[Path], Nginx]
) -> None:
    copy = Copy(sandbox, index.index_url, index.root_file)
    copy.complete()
    assert copy.verify()["counts"]["signatures"] == 2
    served = watch("downloadurlmangle", make_nginx(copy.directory).url)
    packager = Packager(sandbox, "tide-tables", served, author)
    packager.uscan().ok()
    assert packager.archives() == {ORIG: NEW.content}
    # One that was altered is noticed, and mended.
    for path in sorted(copy.directory.rglob(f"*{NEW.filename}.asc")):
        path.unlink()
        path.write_text("altered")
    assert sandbox.wheelmark("verify", copy.directory, "--root", copy.root).failed().code == 1
    copy.complete("--check")
    assert copy.verify()["counts"]["signatures"] == 2


def unverified(watch: str) -> str:
    """The same watch file without what it says of signatures."""
    for said in ("pgpmode=auto", "pgpsigurlmangle=s/$/.asc/", ",pgpsigurlmangle=s/#.*//;s/$/.asc/"):
        watch = watch.replace(said, "" if said.startswith(",") else "pgpmode=none")
    return watch


def downloaded(folder: Path, index: Index, content: bytes | None = None) -> tuple[Path, Path]:
    """An archive and its signature, as a browser saves them."""
    file, signature = folder / NEW.filename, folder / f"{NEW.filename}.asc"
    file.write_bytes(content or request("GET", index.url(FILE[0])).body)
    signature.write_bytes(request("GET", index.url(SIGNATURE[0])).body)
    return file, signature


def test_gpgv_verifies_by_hand(index: Index, author: Author, sandbox: Sandbox) -> None:
    gpgv, keyring = program("gpgv"), author.keyring(sandbox.work / "author.gpg")
    file, signature = downloaded(sandbox.work, index)
    sandbox.run(gpgv, "--keyring", keyring, signature, file).ok()
    downloaded(sandbox.work, index, EVIL.content)
    assert "BAD signature" in sandbox.run(gpgv, "--keyring", keyring, signature, file).failed().text


def test_sqv_verifies_by_hand(index: Index, author: Author, sandbox: Sandbox) -> None:
    sqv, keyring = program("sqv"), sandbox.work / "author.asc"
    keyring.write_bytes(author.certificate())
    file, signature = downloaded(sandbox.work, index)
    sandbox.run(sqv, "--keyring", keyring, signature, file).ok()
    downloaded(sandbox.work, index, EVIL.content)
    sandbox.run(sqv, "--keyring", keyring, signature, file).failed()


def test_a_file_without_a_signature_has_none(index: Index) -> None:
    assert request("GET", index.url(f"packages/unsigned-tables/{WITHOUT.filename}.asc")).status == 404
    listing = request("GET", index.url("src/unsigned-tables/")).body.decode()
    assert WITHOUT.filename in listing and ".asc" not in listing
