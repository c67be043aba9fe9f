"""Signing what already exists: every form of source, and everything that happens to one."""

from __future__ import annotations

import datetime
import gzip
import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.bandersnatch import SMALL_PROJECTS
from harness.distributions import normalised, sdist, wheel
from harness.odd_index import odd_index
from harness.sandbox import Sandbox
from harness.signed_tree import SignedTree

BOTH = ("pip", "uv")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory of distribution files, flat and nested, with other things between them."""
    source = tmp_path / "source"
    wheel("alpha", "1.0").write(source)
    wheel("alpha", "2.0", extra=("Requires-Python: >=3.8",)).write(source)
    sdist("alpha", "1.0").write(source)
    wheel("beta", "1.0", payload=5 * 1024 * 1024 + 17).write(source / "beta")
    (source / "README.txt").write_text("no distribution")
    (source / "alpha-1.0.tar.gz.asc").write_text("no distribution either")
    (source / "old-1.0.win32.exe").write_bytes(b"MZ")
    return source


def install_everywhere(sandbox: Sandbox, *requirements: str, options: tuple[str, ...] = ()) -> None:
    for tool in BOTH:
        venv = sandbox.venv()
        sandbox.install(tool, venv, *options, *requirements).ok()
        for requirement in requirements:
            name, _, version = requirement.partition("==")
            found = venv.installed()
            assert name in found and (not version or found[name] == version), (tool, found)


def explained(sandbox: Sandbox, project: str) -> str:
    return sandbox.wheelmark("explain", project).ok().text


def test_a_directory_is_signed_and_followed(folder: Path, make_nginx, sandbox: Sandbox) -> None:
    long_ago = datetime.datetime(2020, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc).timestamp()
    os.utime(folder / "alpha-1.0-py3-none-any.whl", (long_ago, long_ago))
    tree = SignedTree(sandbox, folder).run()
    assert tree.counts == {"back_signed": 4, "skipped": 1}
    assert [skipped["name"] for skipped in tree.said["skipped"]] == ["old-1.0.win32.exe"]
    files = {file["filename"]: file for file in tree.page("alpha")["files"]}
    assert files["alpha-1.0-py3-none-any.whl"]["upload-time"] == "2020-02-03T04:05:06Z"
    assert files["alpha-2.0-py3-none-any.whl"]["requires-python"] == ">=3.8"
    assert set(files["alpha-2.0-py3-none-any.whl"]["core-metadata"]) == {"sha256"}
    assert "core-metadata" not in files["alpha-1.0.tar.gz"]
    assert "chunks-sha256" in tree.page("beta")["files"][0]["_wheelmark"]
    server = make_nginx(tree.out)
    tree.trust(server.index_url)
    install_everywhere(sandbox, "alpha==2.0", "beta==1.0")

    tree.run()
    assert tree.counts == {"unchanged": 4, "skipped": 1}
    assert tree.said["counts"]["bytes_read"] == 0, "what looks as it did is not read again"
    wheel("alpha", "3.0").write(folder)
    (folder / "alpha-1.0.tar.gz").unlink()
    tree.run()
    assert tree.counts == {"signed_at_discovery": 1, "removed": 1, "unchanged": 3, "skipped": 1}
    assert tree.marks("alpha") == {
        "alpha-1.0-py3-none-any.whl": "back",
        "alpha-2.0-py3-none-any.whl": "back",
        "alpha-3.0-py3-none-any.whl": "at-upload",
    }
    install_everywhere(sandbox, "alpha==3.0")
    assert "signed at-upload, first on" in explained(sandbox, "alpha==3.0")
    assert "signed back, first on" in explained(sandbox, "alpha==2.0")
    sdist("alpha", "1.0").write(folder)
    tree.run()
    assert tree.counts["signed_at_discovery"] == 1, "the same bytes may come back"
    assert "alpha-1.0.tar.gz" in tree.files()


def test_files_are_shared_or_copied(folder: Path, sandbox: Sandbox) -> None:
    tree = SignedTree(sandbox, folder).run()
    counts = tree.said["counts"]
    assert counts["linked"] + counts["reflinked"] == 4, counts
    private = wheel("gamma", "1.0").write(folder)
    private.chmod(0o600)
    tree.run()
    assert tree.said["counts"]["copied"] == 1 or tree.said["counts"]["reflinked"] == 1, "a link would not be readable"
    assert (tree.out / "packages/gamma" / private.name).stat().st_mode & 0o777 == 0o644
    copied = SignedTree(sandbox, folder, "copied").run("--copy")
    assert copied.said["counts"]["copied"] == 5
    for path in copied.out.glob("packages/*/*.whl"):
        assert path.stat().st_ino not in {other.stat().st_ino for other in folder.rglob("*.whl")}


def test_a_changed_byte_in_the_tree_is_refused(folder: Path, make_nginx, sandbox: Sandbox) -> None:
    tree = SignedTree(sandbox, folder).run()
    server = make_nginx(tree.out)
    tree.trust(server.index_url)
    path = folder / "alpha-2.0-py3-none-any.whl"
    stamp = path.stat()
    with path.open("r+b") as file:
        file.seek(60)
        byte = file.read(1)
        file.seek(60)
        file.write(bytes([byte[0] ^ 1]))
    for tool in BOTH:
        sandbox.install(tool, sandbox.venv(), "alpha==2.0").failed()
    # In place, and the time is put back: only reading it again tells.
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    tree.run()
    tree.run("--rehash", code=1)
    (conflict,) = tree.said["conflicts"]
    assert conflict["filename"] == path.name and not conflict["signed_bytes_are_here"]
    assert conflict["signed_sha256"] != conflict["found_sha256"]
    tree.run("--withdraw", path.name)
    assert tree.counts["withdrawn"] == 1
    assert path.name not in tree.files()


def test_conflicts_are_told_together_and_decided(folder: Path, sandbox: Sandbox) -> None:
    tree = SignedTree(sandbox, folder).run()
    replaced = {}
    for made in (wheel("alpha", "1.0", says="other"), wheel("alpha", "2.0", says="other")):
        (folder / made.filename).unlink()
        made.write(folder)
        replaced[made.filename] = made.sha256
    new = wheel("alpha", "3.0").write(folder)
    signed = {file["filename"]: file["hashes"]["sha256"] for file in tree.page("alpha")["files"]}
    tree.run(code=1)
    assert {c["filename"]: (c["signed_sha256"], c["found_sha256"]) for c in tree.said["conflicts"]} == {
        name: (signed[name], sha256) for name, sha256 in replaced.items()
    }
    assert all(conflict["signed_bytes_are_here"] for conflict in tree.said["conflicts"])
    assert new.name in tree.files(), "everything that is not in conflict is signed"
    text = sandbox.run(*[word for word in tree.command() if word != "--json"])
    assert text.code == 1 and "--keep" in text.err and all(sha256 in text.err for sha256 in replaced.values()), text

    first, second = sorted(replaced)
    tree.run("--keep", first, "--withdraw", f"alpha/{second}")
    assert (tree.counts["kept"], tree.counts["withdrawn"]) == (1, 1)
    tree.run()
    assert tree.counts["kept"] == 1, "the decision is remembered"
    now = {file["filename"]: file["hashes"]["sha256"] for file in tree.page("alpha")["files"]}
    assert now[first] == signed[first] and second not in now
    # Other bytes again are another question.
    (folder / first).unlink()
    wheel("alpha", "1.0", says="once more").write(folder)
    tree.run(code=1)
    tree.run("--keep", "nothing-1.0.tar.gz", code=1)
    assert tree.said["undecided"] == ["nothing-1.0.tar.gz"]


def test_names_that_lead_out_are_left_out(folder: Path, sandbox: Sandbox) -> None:
    outside = wheel("outside", "1.0").write(sandbox.folder / "elsewhere")
    (folder / "outside-1.0-py3-none-any.whl").symlink_to(outside)
    (folder / "more").symlink_to(outside.parent)
    inside = wheel("inside", "1.0").write(folder / "pool")
    inside.rename(inside.with_name("object"))
    (folder / inside.name).symlink_to("pool/object")
    tree = SignedTree(sandbox, folder).run()
    assert "inside-1.0-py3-none-any.whl" in tree.files()
    assert not [name for name in tree.files() if name.startswith("outside")]
    assert "outside-1.0-py3-none-any.whl" in {skipped["name"] for skipped in tree.said["skipped"]}


def test_what_todays_rules_refuse_is_signed_all_the_same(tmp_path: Path, sandbox: Sandbox) -> None:
    source = tmp_path / "source"
    broken = wheel("broken", "1.0").write(source)
    broken.write_bytes(broken.read_bytes() + b"after" * 20_000)
    (source / "ancient-0.1.tar.gz").write_bytes(gzip.compress(b"no tar at all"))
    (source / "older-0.1.tar.bz2").write_bytes(b"BZh9")
    tree = SignedTree(sandbox, source).run()
    assert tree.counts == {"back_signed": 3, "odd": 3}
    assert {odd["name"] for odd in tree.said["odd"]} == {path.name for path in source.iterdir()}
    assert "core-metadata" not in tree.page("broken")["files"][0]


def test_a_source_that_is_gone_takes_nothing_with_it(tmp_path: Path, sandbox: Sandbox) -> None:
    source = tmp_path / "source"
    paths = [wheel(name, "1.0").write(source) for name in ("one", "two", "three", "four", "five")]
    tree = SignedTree(sandbox, source).run()
    for path in paths:
        path.unlink()
    tree.run(code=2)
    assert "--accept-loss" in tree.err and len(tree.files()) == 5
    paths[0].write_bytes(wheel("one", "1.0").content)
    tree.run(code=2)
    for name in ("two", "three"):
        wheel(name, "1.0").write(source)
    tree.run()
    assert tree.counts["removed"] == 2 and len(tree.files()) == 3
    for path in source.iterdir():
        path.unlink()
    tree.run("--accept-loss")
    assert tree.files() == set()


def test_places_that_cannot_be(folder: Path, sandbox: Sandbox) -> None:
    def refused(*words: object, says: str) -> None:
        done = sandbox.wheelmark("sign-tree", *words)
        assert done.code == 2 and says in done.err and "hint:" in done.err, done

    out = sandbox.folder / "signed"
    refused(folder, "--out", out, "--data", out / "keys", says="would lie below")
    refused(folder / "none", "--out", out, says="cannot read")
    refused(folder, "--out", folder, says="part of what is written")
    refused(folder, "--out", out, "--as", "tree", says="no pages")
    refused(folder, "--out", out, "--watch", "--as", "index", says="cannot be read as index")
    assert not out.exists() and not out.with_name("signed-data").exists(), "nothing was made"
    out.mkdir()
    (out / "precious.txt").write_text("mine")
    refused(folder, "--out", out, says="holds `precious.txt`")
    (out / "precious.txt").unlink()
    tree = SignedTree(sandbox, folder).run()
    refused(folder, "--out", sandbox.folder / "second", "--data", tree.data, says="belongs to the tree in")
    refused(folder, "--out", tree.out, "--data", sandbox.folder / "third", says="holds `")
    done = sandbox.wheelmark("up", "--data", tree.data, "--listen", "127.0.0.1:0")
    assert done.code == 1 and "sign-tree" in done.err, done


def test_bandersnatch_s_tree(bandersnatch_tree: Path, make_nginx, sandbox: Sandbox) -> None:
    source = sandbox.folder / "mirror"
    shutil.copytree(bandersnatch_tree, source / "web", symlinks=True)
    tree = SignedTree(sandbox, source).run()
    pages = {path.parent.name: json.loads(path.read_bytes()) for path in source.glob("web/simple/*/index.v1_json")}
    theirs = {file["filename"]: file for page in pages.values() for file in page["files"]}
    assert set(pages) == {normalised(name) for name in SMALL_PROJECTS}
    assert tree.files() == set(theirs) and tree.counts["back_signed"] == len(theirs)
    for project in pages:
        for file in tree.page(project)["files"]:
            stated = theirs[file["filename"]]
            assert file["hashes"] == {"sha256": stated["hashes"]["sha256"]}
            assert _moment(file["upload-time"]) == _moment(stated["upload-time"])
            assert file.get("requires-python") == stated.get("requires-python") or file["filename"].endswith(".whl")
            assert file["_wheelmark"]["signed"] == "back"
    server = make_nginx(tree.out)
    tree.trust(server.index_url)
    install_everywhere(sandbox, "click", "attrs")
    assert "signed back, first on" in explained(sandbox, "click")

    # A page that an error took the place of changes nothing.
    for page in (source / "web/simple/click").iterdir():
        if page.is_file():
            page.write_text("<html><h1>502 Bad Gateway</h1></html>")
    tree.run(code=3)
    assert [unread["name"] for unread in tree.said["unread"]] == ["click"]
    assert tree.files() == set(theirs)
    # A link that leads out, and one that leads nowhere.
    page = source / "web/simple/six/index.html"
    for other in page.parent.glob("index.v1_*"):
        other.unlink()
    wheel("six", "99.0").write(sandbox.folder / "elsewhere")
    (source / "web/six-98.0-py3-none-any.whl").symlink_to(sandbox.folder / "elsewhere/six-99.0-py3-none-any.whl")
    page.write_text(page.read_text().replace("</body>", '<a href="../../six-98.0-py3-none-any.whl">x</a><a href="../../../../../six-97.0-py3-none-any.whl">x</a></body>'))
    tree.run(code=3)
    assert "six-98.0-py3-none-any.whl" in {skipped["name"] for skipped in tree.said["skipped"]}
    assert "six-97.0-py3-none-any.whl" in {failed["name"] for failed in tree.said["failed"]}
    assert tree.files() == set(theirs)


def _moment(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def test_devpi_s_index(make_devpi, make_nginx, sandbox: Sandbox) -> None:
    devpi = make_devpi()
    url = devpi.make_index()
    made = [wheel("alpha", "1.0"), wheel("alpha", "1.1"), sdist("delta", "0.5")]
    devpi.upload(*[dist.write(sandbox.work) for dist in made])
    # Without `+simple/`: it is found.
    tree = SignedTree(sandbox, url.removesuffix("+simple/")).run()
    assert tree.files() == {dist.filename for dist in made} and tree.counts == {"back_signed": 3}
    server = make_nginx(tree.out)
    tree.trust(server.index_url)
    install_everywhere(sandbox, "alpha==1.1", options=("--only-binary", ":all:"))
    assert "signed back, first on" in explained(sandbox, "alpha")
    devpi.upload(wheel("alpha", "2.0").write(sandbox.work))
    devpi.remove("alpha", "1.0")
    tree.run()
    assert tree.counts == {"signed_at_discovery": 1, "removed": 1, "unchanged": 2}
    install_everywhere(sandbox, "alpha==2.0", options=("--only-binary", ":all:"))
    devpi.stop()
    tree.run(code=2)
    assert len(tree.files()) == 3


def test_pypiserver_s_index(make_pypiserver, make_nginx, sandbox: Sandbox) -> None:
    pypiserver = make_pypiserver()
    for dist in (wheel("alpha", "1.0"), sdist("alpha", "1.0"), wheel("beta-x", "2.0", payload=3_000_000)):
        dist.write(pypiserver.files)
    tree = SignedTree(sandbox, pypiserver.simple_url).run()
    assert tree.counts == {"back_signed": 3}
    server = make_nginx(tree.out)
    tree.trust(server.index_url)
    install_everywhere(sandbox, "alpha==1.0", "beta-x==2.0", options=("--only-binary", ":all:"))
    wheel("alpha", "2.0").write(pypiserver.files)
    tree.run("--project", "beta-x")
    assert tree.counts == {"unchanged": 1}, "other projects are left as they were"
    tree.run()
    assert tree.counts == {"signed_at_discovery": 1, "unchanged": 3}
    assert tree.said["counts"]["bytes_read"] < 10_000, "only what is new is fetched"
    changed = wheel("alpha", "2.0", says="other")
    changed.write(pypiserver.files)
    pypiserver.stop()
    pypiserver.start()
    tree.run(code=1)
    assert tree.said["conflicts"][0]["found_sha256"] == changed.sha256


def test_an_index_that_answers_badly(sandbox: Sandbox) -> None:
    good, other = wheel("good", "1.0"), wheel("other", "1.0")
    with odd_index() as server, odd_index() as elsewhere:
        server.html("/simple/", '<a href="good/">good</a><a href="other/">other</a><a href="empty/">e</a>')
        page = f'<a href="/f/{good.filename}#sha256={good.sha256}">x</a>'
        server.html("/simple/good/", page)
        server.answers[f"/f/{good.filename}"] = (200, {"Last-Modified": "Mon, 03 Feb 2020 04:05:06 GMT"}, good.content)
        # No digest: its time and length tell whether it has changed.
        server.html("/simple/other/", f'<base href="/f/"><a href="{other.filename}" data-yanked="bad &amp; old">x</a>')
        server.answers[f"/f/{other.filename}"] = (200, {"Last-Modified": "Mon, 03 Feb 2020 04:05:07 GMT"}, other.content)
        server.html("/simple/empty/", "<h1>nothing here yet</h1>")
        tree = SignedTree(sandbox, server.url + "simple/").run()
        assert tree.counts == {"back_signed": 2}
        assert tree.page("good")["files"][0]["upload-time"] == "2020-02-03T04:05:06Z"
        assert tree.page("other")["files"][0]["yanked"] == "bad & old"

        server.html("/simple/other/", f'<base href="/f/"><a href="{other.filename}">x</a>')
        server.asked.clear()
        tree.run()
        assert tree.counts == {"unchanged": 2, "yank_changes": 1}
        assert tree.page("other")["files"][0]["yanked"] is False
        assert f"/f/{good.filename}" not in server.asked

        # Error pages with 200, an error, a page of another project: what was signed stays.
        for broken in (
            (200, {"Content-Type": "text/html"}, b"<h1>Please log in</h1>"),
            (200, {"Content-Type": "application/vnd.pypi.simple.v1+json"}, b"<h1>oops</h1>"),
            (200, {"Content-Type": "application/json"}, b'{"meta":{"api-version":"1.0"},"name":"evil","files":[]}'),
            (404, {}, b""),
        ):
            server.answers["/simple/good/"] = broken
            tree.run(code=3)
            assert [unread["name"] for unread in tree.said["unread"]] == ["good"], broken
            assert good.filename in tree.files()
        for path, status in (("/simple/", 200), ("/simple/", 404)):
            before = server.answers[path]
            server.html(path, "<h1>Please log in</h1>", status)
            tree.run(code=2)
            server.answers[path] = before

        # An error page in the place of a file, wrong bytes, a file on another host.
        names = [f"good-{number}.0-py3-none-any.whl" for number in (2, 3, 4)]
        server.html(f"/f/{names[0]}", "<h1>Please log in</h1>")
        server.answers[f"/f/{names[1]}"] = (200, {}, wheel("good", "3.0").content)
        elsewhere.answers[f"/{names[2]}"] = (200, {}, wheel("good", "4.0").content)
        server.html(
            "/simple/good/",
            page
            + f'<a href="/f/{names[0]}">x</a><a href="/f/{names[1]}#sha256={good.sha256}">x</a>'
            + f'<a href="{elsewhere.url}{names[2]}">x</a><a href="/f/evil-1.0.tar.gz">x</a>',
        )
        tree.run(code=3)
        assert {failed["name"] for failed in tree.said["failed"]} == set(names)
        assert elsewhere.asked == []
        assert tree.files() == {good.filename, other.filename}


def test_a_list_does_not_say_where_the_index_is(sandbox: Sandbox) -> None:
    with odd_index() as server, odd_index() as elsewhere:
        made = wheel("good", "1.0")
        base = f'<base href="{elsewhere.url}simple/">'
        server.html("/simple/", base + '<a href="good/">good</a>')
        server.html("/simple/good/", f'<a href="/f/{made.filename}">x</a>')
        elsewhere.html("/simple/good/", f'<a href="/f/{made.filename}">x</a>')
        for answers in (server.answers, elsewhere.answers):
            answers[f"/f/{made.filename}"] = (200, {}, made.content)
        tree = SignedTree(sandbox, server.url + "simple/").run()
        assert tree.files() == {made.filename}
        assert elsewhere.asked == []


def test_a_run_that_is_killed_goes_on(tmp_path: Path, sandbox: Sandbox) -> None:
    source = tmp_path / "source"
    names = {wheel(f"project-{number % 60}", f"1.{number}", payload=1000).write(source).name for number in range(900)}
    tree = SignedTree(sandbox, source)
    dice = random.Random(4)
    killed = 0
    for _ in range(12):
        killed += tree.killed_after(dice.uniform(0.05, 2.5))
    assert killed > 0
    tree.run()
    assert tree.files() == names
    assert {mark for project in range(60) for mark in tree.marks(f"project-{project}").values()} == {"back"}
    tree.run()
    assert tree.counts == {"unchanged": len(names)} and tree.said["counts"]["bytes_read"] == 0
    # Readers verify every file of what came out of it.
    leftovers = [path.name for path in tree.out.iterdir() if path.name.startswith(".")]
    assert set(leftovers) <= {".incoming", ".lock"}


@pytest.mark.skipif(os.geteuid() != 0, reason="skipped: mounting a small file system needs root")
def test_a_full_disk(tmp_path: Path, sandbox: Sandbox) -> None:
    source = tmp_path / "source"
    for number in range(20):
        wheel("big", f"1.{number}", payload=300_000).write(source)
    tree = SignedTree(sandbox, source)
    tree.out.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", tree.out], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"skipped: cannot mount: {mounted.stderr.strip()}")
    try:
        tree.run(code=2)
        assert "room" in tree.err and "goes on" in tree.err, tree.err
        subprocess.run(["mount", "-o", "remount,size=200m", tree.out], check=True)
        tree.run()
        assert len(tree.files()) == 20
    finally:
        subprocess.run(["umount", tree.out], check=True)


@pytest.mark.parametrize("how", [("--watch",), ("--every", "1s")])
def test_it_follows_by_itself(folder: Path, sandbox: Sandbox, how: tuple[str, ...]) -> None:
    tree = SignedTree(sandbox, folder)
    process = tree.launch(*how)
    try:
        first = json.loads(process.stdout.readline())
        assert first["counts"]["back_signed"] == 4
        wheel("alpha", "9.0").write(folder)
        deadline = time.monotonic() + 60
        while "alpha-9.0-py3-none-any.whl" not in tree.files():
            assert time.monotonic() < deadline and process.poll() is None
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
