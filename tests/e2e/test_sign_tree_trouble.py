"""Signing what already exists, when the source, the tree or a run is not as it should be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from harness.distributions import sdist, wheel
from harness.odd_index import odd_index
from harness.sandbox import Sandbox
from harness.signed_tree import SignedTree


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    for made in (wheel("alpha", "1.0"), wheel("alpha", "2.0"), sdist("alpha", "1.0"), wheel("beta", "1.0")):
        made.write(source)
    return source


def test_a_changed_hard_link_is_mended_by_the_right_bytes(folder: Path, make_nginx, sandbox: Sandbox) -> None:
    tree = SignedTree(sandbox, folder).run()
    assert tree.said["counts"]["linked"] == 4, "this test is about hard links"
    server = make_nginx(tree.out)
    tree.trust(server.index_url)
    path = folder / "alpha-2.0-py3-none-any.whl"
    stamp, good = path.stat(), path.read_bytes()
    path.write_bytes(good[:100] + bytes([good[100] ^ 1]) + good[101:])
    for tool in ("pip", "uv"):
        sandbox.install(tool, sandbox.venv(), "alpha==2.0").failed()
    tree.run(code=1)
    assert not tree.said["conflicts"][0]["signed_bytes_are_here"]
    tree.run("--keep", path.name, code=1)

    # As docs/sign-tree.md says: the right bytes back into the source, from a backup that keeps times.
    path.unlink()
    path.write_bytes(good)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    tree.run()
    assert tree.counts["mended"] == 1 and [mended["name"] for mended in tree.said["mended"]] == [path.name]
    for tool in ("pip", "uv"):
        venv = sandbox.venv()
        sandbox.install(tool, venv, "alpha==2.0").ok()
        assert venv.installed()["alpha"] == "2.0"
    # What was mended is a file of the tree's own.
    path.write_bytes(b"once more")
    sandbox.install("pip", sandbox.venv(), "alpha==2.0").ok()
    path.unlink()
    path.write_bytes(good)
    tree.run("--rehash")
    assert tree.counts == {"unchanged": 4}


def test_another_source_is_refused(folder: Path, sandbox: Sandbox) -> None:
    tree = SignedTree(sandbox, folder).run()
    files = tree.files()
    other = folder.with_name("other")
    wheel("gamma", "1.0").write(other)
    tree.source = other
    tree.run(code=2)
    assert "--source-moved" in tree.err and str(folder) in tree.err
    assert tree.said["hints"] and "what was signed came from" in tree.said["error"]
    assert tree.files() == files
    moved = folder.rename(folder.with_name("moved"))
    tree.source = moved
    tree.run("--source-moved")
    assert tree.counts == {"unchanged": 4}
    tree.run()
    assert tree.files() == files


def test_a_tree_that_lost_its_pages_is_no_directory_of_files(tmp_path: Path, sandbox: Sandbox) -> None:
    source = tmp_path / "source"
    good = wheel("good", "1.0")
    good.write(source / "packages")
    wheel("unlisted", "1.0").write(source / "packages")
    page = source / "simple/good/index.html"
    page.parent.mkdir(parents=True)
    page.write_text(f'<html><body><a href="../../packages/{good.filename}">x</a></body></html>')
    tree = SignedTree(sandbox, source).run()
    assert tree.files() == {good.filename}
    text = page.read_text()
    page.unlink()
    tree.run(code=2)
    assert "no pages" in tree.err
    assert tree.files() == {good.filename}
    page.write_text(text)
    tree.run()


def test_ctrl_c_loses_nothing_that_was_read(tmp_path: Path, sandbox: Sandbox) -> None:
    source = tmp_path / "source"
    names = {wheel(f"project-{number % 40}", f"1.{number}", payload=60_000).write(source).name for number in range(1200)}
    tree = SignedTree(sandbox, source)
    process = tree.launch("--jobs", "1")
    # Its keys are there, so it is about to read.
    while not (tree.data / "source.sqlite").exists() and process.poll() is None:
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, (out, err)
    said = json.loads(out)
    assert said["stopped"] and said["counts"]["back_signed"] == len(tree.files()), said["counts"]
    words = [word for word in tree.command() if word != "--json"]
    done = subprocess.run(words, env=sandbox.env, cwd=sandbox.work, capture_output=True, text=True, check=True)
    assert said["root_fingerprint"] in done.stdout, "whoever comes to the end of the first import is told how to go on"
    assert tree.files() == names
    done = subprocess.run(words, env=sandbox.env, cwd=sandbox.work, capture_output=True, text=True, check=True)
    assert said["root_fingerprint"] not in done.stdout, "once"


def test_a_large_page_and_one_that_is_cut_off(sandbox: Sandbox) -> None:
    with odd_index() as server:
        made = [wheel("large", "1.0"), wheel("large", "2.0"), wheel("small", "1.0")]
        for dist in made:
            server.answers[f"/f/{dist.filename}"] = (200, {}, dist.content)
        links = [f'<a href="/f/{dist.filename}#sha256={dist.sha256}">x</a>' for dist in made]
        padding = f"<!-- {'x' * (6 << 20)} -->"
        server.html("/simple/", '<a href="large/">large</a><a href="small/">small</a>')
        server.html("/simple/large/", f"<html><body>{padding}{links[0]}{links[1]}</body></html>")
        server.html("/simple/small/", links[2])
        tree = SignedTree(sandbox, server.url + "simple/").run()
        assert tree.files() == {dist.filename for dist in made}
        server.html("/simple/large/", f"<html><body>{padding}{links[0]}")
        tree.run(code=3)
        assert [unread["name"] for unread in tree.said["unread"]] == ["large"]
        assert tree.files() == {dist.filename for dist in made}


def test_what_stands_in_the_place_of_the_tree_is_not_deleted(folder: Path, sandbox: Sandbox) -> None:
    tree = SignedTree(sandbox, folder).run()
    # As a first run leaves it that was killed before the tree was in its place.
    first = tree.data / "first-tree"
    first.mkdir()
    for part in ("metadata", "simple"):
        (tree.out / part).rename(first / part)
    theirs = tree.out / "simple/precious/index.html"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    tree.run(code=2)
    assert "holds something else" in tree.err and theirs.read_text() == "mine"
