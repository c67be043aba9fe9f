"""`wheelmark verify`: files, copies of an index in a directory, and indexes by URL."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import history as h
from harness.forge import LONG_AGO, Forge
from harness.history import History
from harness.hostile import Edit, Exchange, Replay, Says, flip
from harness.mirror import TIMESTAMP, Mirror, Tree
from harness.sandbox import Outcome, Sandbox


def unpack(tree: Tree, folder: Path) -> Path:
    """A recorded tree as a directory, with plain names as links, as an index makes them."""
    by_content: dict[bytes, Path] = {}
    for name, content in sorted(tree.items(), reverse=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        first = by_content.get(content) if name.startswith("packages/") else None
        if first:
            os.link(first, path)
        else:
            path.write_bytes(content)
        if name.startswith("targets/packages/"):
            by_content[content] = path
    return folder


@pytest.fixture
def copy(history: History, tmp_path: Path) -> Path:
    return unpack(history.today, tmp_path / "copy")


def told(done: Outcome) -> dict:
    """What is told of the one target."""
    (target,) = json.loads(done.out)["targets"]
    return target


def verify(sandbox: Sandbox, *words: object) -> tuple[int, dict]:
    done = sandbox.wheelmark("verify", "--json", *words)
    assert done.out.startswith("{"), f"{done}"
    return done.code, told(done)


def the_file(tree: Path, dist) -> Path:
    return tree / "targets" / "packages" / dist.project / f"{dist.sha256}.{dist.filename}"


def the_page(tree: Path, project: str) -> Path:
    digest = hashlib.sha256((tree / "simple" / project / "index.json").read_bytes()).hexdigest()
    return tree / "targets" / "simple" / project / f"{digest}.index.json"


def altered(path: Path) -> None:
    """Another first byte, the same length."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(bytes([content[0] ^ 1]) + content[1:])


# A whole copy.


def test_a_whole_copy(history: History, sandbox: Sandbox, copy: Path) -> None:
    sandbox.trust(history.index)
    done = sandbox.wheelmark("verify", copy).ok()
    assert f"{copy}: whole\n" in done.out and f"a copy of {history.index.index_url}" in done.out, f"{done}"
    code, said = verify(sandbox, copy, "--from-scratch")
    assert code == 0 and said["whole"] and said["fresh"] and said["holds"], said
    counts, files = said["counts"], {d.filename for d in (h.OLD, h.NEW, h.OLD_APP, h.OLD_LIB, h.NEW_LIB, h.APP, h.BYSTANDER)}
    files |= {d.filename for d in (h.TUNED, h.FOREIGN, h.BULKY, h.LARGE, h.SOURCE)}
    assert counts["files"] == len(files) and said["projects"] == 8
    assert counts["core_metadata"] == len(files) - 1 and counts["chunk_lists"] == 1
    assert counts["plain_names"] == 2 * len(files) - 1
    # Pages in two formats, and the list of projects in two.
    assert counts["unsigned_copies"] == 2 * 8 + 2
    assert counts["recorded"] == 0 and counts["roles"] == counts["roles_expected"]
    assert said["findings"] == [] and said["totals"] == {}
    # Pages and roles of the time before lie there still.
    assert said["unnamed"]["pages"] > 0 and said["unnamed"]["metadata"] > 0
    assert said["unnamed"]["count"] == said["unnamed"]["pages"] + said["unnamed"]["metadata"]


def test_every_way_to_begin(history: History, sandbox: Sandbox, copy: Path, tmp_path: Path) -> None:
    """A root file or a fingerprint will do; a copy of nothing that is trusted will not."""
    done = sandbox.wheelmark("verify", copy).failed()
    assert done.code == 1 and "it is a copy of none of the indexes that are trusted here" in done.err and "hint:" in done.err
    sandbox.wheelmark("verify", copy, "--root", history.root).ok()
    sandbox.trust(history.index)
    (known,) = json.loads(sandbox.wheelmark("trust", "list", "--json").ok().out)
    sandbox.wheelmark("trust", "remove", history.index.index_url).ok()
    sandbox.wheelmark("verify", copy, "--fingerprint", known["first_root_fingerprint"]).ok()
    done = sandbox.wheelmark("verify", copy, "--fingerprint", "0" * 64).failed()
    assert "none of the 1 roots here has the fingerprint" in done.err
    other = Forge(h.OLD)
    other.publish()
    code, said = verify(sandbox, copy, "--root", other.root_file(tmp_path))
    assert code == 1 and said["heads"] is None and said["totals"] == {"metadata": 1}, said


# What is wrong with a copy.

Harm = Callable[[Path, History], object]


def _replay_page(tree: Path, history: History) -> None:
    """An older page, correctly signed then, under the name of the new one."""
    page = the_page(tree, "victim")
    old = next(c for p, c in history.yesterday.items() if p.startswith("targets/simple/victim/"))
    page.write_bytes(old)


def _without_role(tree: Path, _history: History) -> None:
    newest = max((tree / "metadata").glob("*.packages-3.json"), key=lambda p: int(p.name.split(".")[0]))
    newest.unlink()


def _an_old_role(tree: Path, history: History) -> None:
    """An older version of a role under the number of the newer one."""
    names = sorted((tree / "metadata").glob("*.simple-*.json"), key=lambda p: int(p.name.split(".")[0]))
    newest = next(p for p in reversed(names) if not p.name.startswith("1."))
    newest.write_bytes((tree / "metadata" / f"1.{newest.name.split('.', 1)[1]}").read_bytes())


def _plain_differs(tree: Path, _history: History) -> None:
    altered(tree / "packages" / "victim" / h.NEW.filename)


def _another_link(tree: Path, _history: History) -> None:
    page = tree / "simple/victim/index.html"
    page.write_text(page.read_text().replace("</body>", '<A\nHREF="https://evil.example/victim-3.0.tar.gz">victim-3.0.tar.gz</A></body>'))


def _behind_a_comment(tree: Path, _history: History) -> None:
    """The good links in a comment, and as many others behind it."""
    page = tree / "simple/victim/index.html"
    before, body = page.read_text().split("<body>")
    page.write_text(f'{before}<body><!-- {body.split("</body>")[0]} --><a\nhre&#102;="x"></a><a HREF="https://evil.example/">x</a></body></html>')


def _leads_elsewhere(tree: Path, _history: History) -> None:
    page = tree / "simple/victim/index.html"
    page.write_text(page.read_text().replace('href="../../packages', 'href="https://evil.example/packages'))


HARMS: dict[str, tuple[Harm, str, str]] = {
    "a byte of a file": (lambda t, _: altered(the_file(t, h.NEW)), "altered", h.NEW.filename),
    "a byte of a large file": (lambda t, _: altered(the_file(t, h.LARGE)), "altered", h.LARGE.filename),
    "a file is cut off": (lambda t, _: os.truncate(the_file(t, h.BULKY), 1000), "altered", h.BULKY.filename),
    "a file is missing": (lambda t, _: [the_file(t, h.NEW).unlink(), (t / "packages/victim" / h.NEW.filename).unlink()], "missing", h.NEW.filename),
    "core metadata is missing": (lambda t, _: [p.unlink() for p in t.rglob(f"*{h.NEW.filename}.metadata")], "missing", ".metadata"),
    "a chunk list is missing": (lambda t, _: [p.unlink() for p in t.rglob("*.chunks")], "missing", ".chunks"),
    "a page is replayed": (_replay_page, "altered", "targets/simple/victim/"),
    "a page is missing": (lambda t, _: the_page(t, "victim").unlink(), "missing", "targets/simple/victim/"),
    "a role is missing": (_without_role, "metadata", "packages-3.json"),
    "a role is an older one": (_an_old_role, "metadata", "metadata/"),
    "the snapshot is altered": (lambda t, _: [altered(p) for p in (t / "metadata").glob("*.snapshot.json")], "metadata", "snapshot.json"),
    "the timestamp is missing": (lambda t, _: (t / "metadata/timestamp.json").unlink(), "metadata", "timestamp.json"),
    "a plain name differs": (_plain_differs, "plain-differs", f"packages/victim/{h.NEW.filename}"),
    "a plain name is missing": (lambda t, _: (t / "packages/victim" / h.NEW.filename).unlink(), "plain-missing", h.NEW.filename),
    "an unsigned page says something else": (_another_link, "copy-differs", "simple/victim/index.html"),
    "an unsigned page has a link in a comment's end": (_behind_a_comment, "copy-differs", "simple/victim/index.html"),
    "an unsigned page leads elsewhere": (_leads_elsewhere, "copy-differs", "simple/victim/index.html"),
    "the list of projects leads elsewhere": (
        lambda t, _: (t / "simple/index.html").write_text((t / "simple/index.html").read_text().replace('href="', 'href="https://evil.example/')),
        "copy-differs", "simple/index.html",
    ),
    "a file has its plain name alone": (lambda t, _: the_file(t, h.NEW).unlink(), "missing", h.NEW.filename),
    "an unsigned page is an old one": (
        lambda t, hist: (t / "simple/victim/index.json").write_bytes(hist.yesterday["simple/victim/index.json"]),
        "copy-differs", "simple/victim/index.json",
    ),
    "the list of projects lacks one": (
        lambda t, _: (t / "simple/index.json").write_text('{"meta":{"api-version":"1.4"},"projects":[{"name":"victim"}]}'),
        "copy-differs", "simple/index.json",
    ),
    "a folder in a file's place": (
        lambda t, _: [the_file(t, h.NEW).unlink(), the_file(t, h.NEW).mkdir()], "unreadable", h.NEW.filename,
    ),
    "a pipe in a file's place": (
        lambda t, _: [the_file(t, h.NEW).unlink(), os.mkfifo(the_file(t, h.NEW))], "unreadable", h.NEW.filename,
    ),
}


@pytest.mark.parametrize("harm", HARMS)
def test_what_is_wrong_is_named(history: History, sandbox: Sandbox, copy: Path, harm: str) -> None:
    do, trouble, path = HARMS[harm]
    do(copy, history)
    code, said = verify(sandbox, copy, "--root", history.root)
    assert code == 1 and not said["whole"] and not said["holds"], said
    found = [f for f in said["findings"] if f["trouble"] == trouble and path in f["path"]]
    assert found and all(f["expected"] and f["found"] and f["advice"] for f in found), said
    if trouble not in ("metadata",) and "missing" not in harm and "page" not in harm:
        assert len(said["findings"]) == 1, "nothing else is blamed"
    text = sandbox.wheelmark("verify", copy, "--root", history.root).failed().out
    assert "NOT whole" in text or "NO state" in text
    assert found[0]["path"] in text and "    do        " in text


def test_an_expired_copy_is_whole_and_stale(sandbox: Sandbox, tmp_path: Path) -> None:
    forge = Forge(h.OLD, h.NEW)
    for role in ("timestamp", "simple-0"):
        forge.role(role).expires = LONG_AGO
    tree = unpack(forge.publish(), tmp_path / "copy")
    shutil.rmtree(tree / "simple")
    code, said = verify(sandbox, tree, "--root", forge.root_file(tmp_path))
    assert code == 1 and said["whole"] and not said["fresh"], said
    assert {r["role"] for r in said["stale"]["roles"]} == {"timestamp", "simple-0"}
    text = sandbox.wheelmark("verify", tree, "--root", forge.root_file(tmp_path)).failed().out
    assert "whole, and STALE" in text and "expired" in text


def test_an_older_state_is_whole_and_behind(history: History, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.trust(history.index)
    old = unpack(history.yesterday, tmp_path / "old")
    done = sandbox.wheelmark("verify", old).failed()
    assert done.code == 1 and "whole, and BEHIND" in done.out and "is known here" in done.out
    assert sandbox.wheelmark("verify", old, "--root", history.root).ok(), "nothing is known of the index then"


def test_roles_and_pages_that_do_not_agree(sandbox: Sandbox, tmp_path: Path) -> None:
    forge = Forge(h.OLD, h.NEW, h.BYSTANDER)
    forge.publish()
    forge.list_instead("bystander", forge.role(forge.bin_of("simple/victim/index.json")).targets["simple/victim/index.json"])
    tree = unpack(forge.release(), tmp_path / "copy")
    _code, said = verify(sandbox, tree, "--root", forge.root_file(tmp_path))
    assert "contradiction" in said["totals"] or "missing" in said["totals"], said


def test_what_nothing_names_is_counted(history: History, sandbox: Sandbox, copy: Path) -> None:
    before = verify(sandbox, copy, "--root", history.root)[1]["unnamed"]
    extra = {
        "packages/victim/victim-9.9-py3-none-any.whl": "plain_names",
        f"targets/packages/victim/{'0' * 64}.victim-9.9-py3-none-any.whl": "files",
        "simple/ghost/index.html": "unsigned_copies",
        "metadata/99.simple-0.json": "metadata",
        "robots.txt": "foreign",
    }
    for name in extra:
        (copy / name).parent.mkdir(exist_ok=True)
        (copy / name).write_text("nobody signed this")
    (copy / ".hidden").write_text("not looked at")
    code, said = verify(sandbox, copy, "--root", history.root)
    assert code == 0, "it does no harm to who verifies"
    for kind in extra.values():
        assert said["unnamed"][kind] == before[kind] + 1
    assert "robots.txt" in said["unnamed"]["some"]
    assert "which unverified installers find" in sandbox.wheelmark("verify", copy, "--root", history.root).ok().out


def test_what_was_verified_is_not_read_again(history: History, sandbox: Sandbox, copy: Path, fake_clock) -> None:
    # A file that was changed a moment ago is not written down.
    verify(sandbox, copy, "--root", history.root)
    assert verify(sandbox, copy, "--root", history.root)[1]["counts"]["recorded"] == 0
    sandbox.env.update(fake_clock("+10m"))
    _, first = verify(sandbox, copy, "--root", history.root)
    _, second = verify(sandbox, copy, "--root", history.root)
    objects = first["counts"]["files"] + first["counts"]["core_metadata"] + first["counts"]["chunk_lists"]
    assert first["counts"]["recorded"] == 0 and second["counts"]["recorded"] >= objects
    assert second["counts"]["bytes_read"] < first["counts"]["bytes_read"] - 6_000_000
    assert not any(p.name.startswith(".") and p.is_file() for p in copy.iterdir()), "nothing is written into the tree"

    # What was changed is read, whatever its times say.
    file = the_file(copy, h.LARGE)
    times = file.stat()
    with file.open("r+b") as opened:
        opened.write(b"x")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    code, third = verify(sandbox, copy, "--root", history.root)
    assert code == 1 and [f["trouble"] for f in third["findings"]] == ["altered"], third
    assert verify(sandbox, copy, "--root", history.root, "--from-scratch")[1]["counts"]["recorded"] == 0


def test_a_killed_run_is_resumed(sandbox: Sandbox, tmp_path: Path, fake_clock) -> None:
    dists = [h.wheel(f"project-{n}", "1.0", payload=300_000) for n in range(60)]
    forge = Forge(*dists)
    tree = unpack(forge.publish(), tmp_path / "copy")
    shutil.rmtree(tree / "simple")
    root = forge.root_file(tmp_path)
    sandbox.env.update(fake_clock("+10m"))
    words = [sandbox.binary, "verify", "--json", tree, "--root", root]
    killed = 0
    for _ in range(20):
        run = subprocess.Popen([str(w) for w in words], env=sandbox.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.12)
        killed += run.poll() is None
        run.kill()
        run.wait()
    code, said = verify(sandbox, tree, "--root", root)
    assert code == 0 and said["counts"]["files"] == 60
    assert killed == 0 or said["counts"]["recorded"] > 0, "what the killed runs verified counts"


def test_plain_names_alone_will_do(history: History, sandbox: Sandbox, copy: Path) -> None:
    """For servers without links: `docs/layout.md` has the rule that leads one name to the other."""
    for path in (copy / "targets" / "packages").rglob("*"):
        if path.is_file() and not path.name.endswith(".chunks"):
            path.unlink()
    code, said = verify(sandbox, copy, "--root", history.root)
    assert code == 0 and said["counts"]["plain_alone"] == said["counts"]["files"] + said["counts"]["core_metadata"]
    altered(copy / "packages" / "victim" / h.NEW.filename)
    assert verify(sandbox, copy, "--root", history.root)[0] == 1


def test_without_plain_names_and_copies(history: History, sandbox: Sandbox, copy: Path) -> None:
    """Readers that verify need metadata/ and targets/ alone."""
    shutil.rmtree(copy / "simple")
    shutil.rmtree(copy / "packages")
    code, said = verify(sandbox, copy, "--root", history.root)
    assert said["lacking"] == ["packages/", "simple/"]
    assert "whole, without packages/ and simple/" in sandbox.wheelmark("verify", copy, "--root", history.root).ok().out
    assert code == 0 and said["counts"]["plain_names"] == 0 and said["counts"]["files"] == 12


def test_findings_are_listed_up_to_a_limit(history: History, sandbox: Sandbox, copy: Path) -> None:
    for dist in (h.OLD, h.NEW, h.APP, h.BULKY):
        altered(the_file(copy, dist))
    _, said = verify(sandbox, copy, "--root", history.root, "--list", "2")
    assert len(said["findings"]) == 2 and said["totals"]["altered"] == 4
    text = sandbox.wheelmark("verify", copy, "--root", history.root, "--list", "2").failed().out
    assert "and 2 more" in text or "more: --list" in text


def test_what_is_no_target(sandbox: Sandbox, tmp_path: Path) -> None:
    for target, why in {
        tmp_path / "nothing": "cannot be looked at",
        tmp_path: "no metadata/",
    }.items():
        done = sandbox.wheelmark("verify", target)
        assert done.code == 2 and why in done.err, f"{done}"
    assert sandbox.wheelmark("verify").code == 2


# Files.


def test_a_file(history: History, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.trust(history.index)
    good = tmp_path / h.NEW.filename
    good.write_bytes(h.NEW.content)
    done = sandbox.wheelmark("verify", good).ok()
    assert f"{good}: signed" in done.out and history.index.index_url in done.out and "signed at upload" in done.out
    code, said = verify(sandbox, good, "--strict")
    assert code == 0 and said["verdict"] == "signed" and said["sha256"] == h.NEW.sha256
    assert said["signed"]["role"].startswith("simple-") and said["signed"]["own_role"].startswith("packages-")
    assert said["signed"]["mark"] == "at-upload" and said["signed"]["yanked"] is False

    # As it lies in a tree.
    code, said = verify(sandbox, the_file(history.index.tree, h.NEW))
    assert code == 0 and said["filename"] == h.NEW.filename


def test_a_file_that_is_another_one(history: History, sandbox: Sandbox, tmp_path: Path) -> None:
    sandbox.trust(history.index)
    bad = tmp_path / h.NEW.filename
    bad.write_bytes(h.EVIL.content)
    code, said = verify(sandbox, bad)
    assert code == 1 and said["verdict"] == "other-bytes" and said["expected"]["sha256"] == h.NEW.sha256, said
    assert "NOT what was signed" in sandbox.wheelmark("verify", bad).failed().out
    renamed = tmp_path / h.NEW.filename
    renamed.write_bytes(h.OLD.content)
    assert verify(sandbox, renamed)[1]["expected"]["known_as"] == h.OLD.filename


def test_a_file_that_nobody_knows(history: History, sandbox: Sandbox, tmp_path: Path) -> None:
    """Unknown is not bad; it is not good either."""
    sandbox.trust(history.index)
    for name in ("victim-7.0-py3-none-any.whl", "nobody-1.0-py3-none-any.whl", "what is this.bin"):
        path = tmp_path / name
        path.write_bytes(b"anything")
        code, said = verify(sandbox, path)
        assert code == 1 and said["verdict"] == "unknown" and said["why"], said
        text = sandbox.wheelmark("verify", path).failed().out
        assert "unknown" in text and "NOT" not in text
    same = tmp_path / "victim-7.0-py3-none-any.whl"
    same.write_bytes(h.NEW.content)
    assert verify(sandbox, same)[1]["known_as"] == h.NEW.filename


def test_several_targets(history: History, sandbox: Sandbox, copy: Path, tmp_path: Path) -> None:
    sandbox.trust(history.index)
    good, bad = tmp_path / h.OLD.filename, tmp_path / h.NEW.filename
    good.write_bytes(h.OLD.content)
    bad.write_bytes(h.EVIL.content)
    done = sandbox.wheelmark("verify", "--json", copy, good, bad).failed()
    said = json.loads(done.out)
    assert [t["holds"] for t in said["targets"]] == [True, True, False] and not said["holds"]
    assert [t["kind"] for t in said["targets"]] == ["tree", "file", "file"]
    assert sandbox.wheelmark("verify", copy, good).code == 0


# Indexes by URL.


def test_an_index_by_url(history: History, sandbox: Sandbox) -> None:
    sandbox.trust(history.index)
    code, said = verify(sandbox, history.index.index_url)
    assert code == 0 and said["kind"] == "index" and said["counts"]["files"] == 12, said
    assert said["counts"]["lengths_only"] > 12 and said["counts"]["bytes_read"] < 2_000_000
    code, said = verify(sandbox, history.index.index_url, "--files")
    assert code == 0 and said["counts"]["lengths_only"] == 0
    assert said["counts"]["bytes_read"] > 7_000_000


@pytest.mark.parametrize(
    ("part", "trouble", "needs_bytes"),
    [
        (lambda hist: Edit((f"targets/*{h.NEW.filename}",), flip), "altered", True),
        (lambda hist: Says((f"targets/*{h.NEW.filename}",), 404), "missing", False),
        (lambda hist: Exchange(h.NEW, h.BULKY), "altered", False),
        (lambda hist: Edit(("targets/simple/victim/*",), flip), "altered", False),
        (lambda hist: Says(("metadata/*.packages-3.json",), 404), "metadata", False),
        (lambda hist: Says(("metadata/*.packages-3.json",), 500), "metadata", False),
        (lambda hist: Replay(hist.yesterday, where=("metadata/*.snapshot.json",)), "metadata", False),
        (lambda hist: Edit(TIMESTAMP, flip), "metadata", False),
    ],
)
def test_a_bad_mirror_by_url(history: History, sandbox: Sandbox, part, trouble: str, needs_bytes: bool) -> None:
    sandbox.trust(history.index)
    with Mirror(history.today) as mirror:
        words = ["--index", history.index.index_url]
        assert verify(sandbox, mirror.url(), *words, "--files")[0] == 0
        mirror.mount(part(history))
        code, said = verify(sandbox, mirror.url(), *words)
        assert (code == 0) == needs_bytes, said
        code, said = verify(sandbox, mirror.url(), *words, "--files")
        assert code == 1 and trouble in said["totals"], said


def test_a_mirror_on_record_needs_no_more_words(history: History, sandbox: Sandbox) -> None:
    with Mirror(history.today) as mirror:
        sandbox.trust(history.index, "--mirror", mirror.url())
        code, said = verify(sandbox, mirror.url())
        assert code == 0 and history.index.index_url in said["trust"]
    with Mirror(Forge(h.OLD).publish()) as stranger:
        assert "copy of none" in sandbox.wheelmark("verify", stranger.url()).failed().err


# Copies that were made with a selection.


def test_what_a_copy_was_not_meant_to_have(history: History, sandbox: Sandbox, tmp_path: Path) -> None:
    """It is told as left out, by the copy's own word; what was selected is expected."""
    tree = tmp_path / "copy"
    made = ("mirror", history.index.index_url, tree, "--root", history.root)
    sandbox.wheelmark(*made, "--project", "victim==2.0", "--project", "large").ok()
    code, said = verify(sandbox, tree, "--root", history.root)
    assert code == 0 and said["whole"], said
    assert said["counts"]["files"] == 2 and said["projects"] == 2
    # The pages of six projects, and a file with its metadata of a seventh.
    assert said["counts"]["left_out"] == 6 + 2 and "victim" in said["selection"]
    text = sandbox.wheelmark("verify", tree, "--root", history.root).ok().out
    assert "8 objects, which were not to be copied" in text and "as the copy itself says" in text
    code, said = verify(sandbox, tree, "--root", history.root, "--everything")
    assert code == 1 and said["counts"]["left_out"] == 0 and said["totals"]["missing"] == 8
    the_file(tree, h.NEW).unlink()
    (tree / "packages" / "victim" / h.NEW.filename).unlink()
    code, said = verify(sandbox, tree, "--root", history.root)
    assert code == 1 and [f["trouble"] for f in said["findings"]] == ["missing"], said


def test_a_copy_of_everything(history: History, sandbox: Sandbox, tmp_path: Path) -> None:
    tree = tmp_path / "copy"
    sandbox.wheelmark("mirror", history.index.index_url, tree, "--root", history.root).ok()
    code, said = verify(sandbox, tree, "--root", history.root)
    assert code == 0 and said["selection"] is None and said["counts"]["files"] == 12, said
    assert said["counts"]["unsigned_copies"] == 2 * 8 + 2 and said["unnamed"]["count"] == 0, said
