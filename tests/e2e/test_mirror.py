"""`wheelmark mirror`: copies of an index whose readers never see half of a state."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness import history as h
from harness.copying import COMPLETE, HERE, REFUSED, UNAVAILABLE, Copy, stop
from harness.distributions import read_wheel, sdist, wheel
from harness.history import History
from harness.hostile import Edit, Exchange, Replay, Says, StripSignatures, SwapBins, bin_of, flip, page_target
from harness.index import Index, free_port
from harness.mirror import EVERYTHING, FILES, METADATA, PAGES, Mirror
from harness.nginx import Nginx
from harness.sandbox import Sandbox
from harness.wire import Endless, Garbage, Redirect, Reset, Truncate

HTML = b"<!DOCTYPE html><title>Log in to the network</title>"


@pytest.fixture
def copy(history: History, sandbox: Sandbox) -> Copy:
    return Copy(sandbox, history.index.index_url, history.root)


def test_a_copy_is_whole_and_says_so(history: History, copy: Copy) -> None:
    done = copy.run().ok()
    assert done.out.startswith("complete: 8 projects, 12 files, snapshot "), f"{done}"
    assert copy.verify()
    again = copy.run().ok()
    assert "unchanged" in again.out, f"{again}"
    told = copy.complete()
    assert told["changed"] is False and told["fetched"] == {"roles": 0, "files": 0, "bytes": 0}
    assert (told["state"]["projects"], told["state"]["files"]) == (8, 12)
    # What is here is the index's, byte for byte, and installers without verification find all.
    served = copy.state()
    assert {path: history.today.get(path) for path in served} == served
    for path in history.today:
        assert path in served or not path.startswith(("packages/", "simple/")), path


def test_who_is_not_trusted_is_not_copied(history: History, sandbox: Sandbox) -> None:
    url, directory = history.index.index_url, sandbox.folder / "copy"
    done = sandbox.wheelmark("mirror", url, directory)
    assert done.code == HERE and "--fingerprint" in done.err, f"{done}"
    wrong = sandbox.wheelmark("mirror", url, directory, "--fingerprint", "0" * 64)
    assert wrong.code == REFUSED and "has the fingerprint" in wrong.err, f"{wrong}"
    assert not (directory / "metadata").exists()
    # What the user trusts is good enough.
    sandbox.trust(history.index)
    assert sandbox.wheelmark("mirror", url, directory).ok()
    other = sandbox.wheelmark("mirror", "http://other.example/simple/", directory)
    assert other.code == HERE and "is a copy of" in other.err, f"{other}"
    assert sandbox.wheelmark("mirror", url, directory, "--jobs", "0").code == 2


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_installers_install_from_a_copy_behind_nginx(
    history: History, copy: Copy, tool: str, make_nginx: Callable[[Path], Nginx]
) -> None:
    copy.run().ok()
    sandbox = copy.sandbox
    nginx = make_nginx(copy.directory)
    sandbox.wheelmark("trust", "add", nginx.index_url, "--root", history.root).ok()
    venv = sandbox.venv()
    sandbox.install(tool, venv, "victim", "app", "large").ok()
    assert venv.installed() == {"victim": "2.0", "app": "2.0", "lib": "2.0", "large": "1.0"}
    # And without verification, by what is unsigned.
    venv = sandbox.venv()
    plain = sandbox.plain_pip if tool == "pip" else sandbox.plain_uv
    plain(venv, nginx.index_url, "victim").ok()
    assert venv.says("victim") == "new"
    for hidden in (".mirror/state.json", ".lock"):
        assert nginx.get(hidden).status == 404, hidden


# What upstream does once the copy is a day old, what the run ends with, and a word that is said.
MISBEHAVIOURS = {
    "it rolls back": (lambda history: [], REFUSED, "goes back from version"),
    "its files are altered": (lambda _: [Edit(FILES, flip)], REFUSED, "sha256 is not the signed one"),
    "its pages are altered": (lambda _: [Edit(PAGES, flip)], REFUSED, "sha256 is not the signed one"),
    "its metadata is altered": (lambda _: [Edit(METADATA, flip)], REFUSED, "failed verification"),
    "its signatures are gone": (lambda _: [StripSignatures()], REFUSED, "signed by 0"),
    "a bin is another": (lambda history: [SwapBins(history.today, bin_of(history.today, page_target("victim")), "packages-0")], REFUSED, "simple-"),
    "a file is another": (lambda _: [Exchange(h.NEW, h.OLD)], REFUSED, "victim"),
    "HTML for files": (lambda _: [Says(FILES, 200, HTML)], REFUSED, "not the signed one"),
    "HTML for everything": (lambda _: [Says(EVERYTHING, 200, HTML)], REFUSED, "failed verification"),
    "no files": (lambda _: [Says(FILES, 404)], UNAVAILABLE, "not there"),
    "no pages": (lambda _: [Says(PAGES, 404)], UNAVAILABLE, "not there"),
    "an error": (lambda _: [Says(EVERYTHING, 503)], UNAVAILABLE, "503"),
    "files without end": (lambda _: [Endless(FILES)], REFUSED, "longer than the"),
    "half of each file": (lambda _: [Truncate(0.5, where=FILES)], UNAVAILABLE, ""),
    "resets": (lambda _: [Reset(100, FILES)], UNAVAILABLE, "broke off"),
    "garbage": (lambda _: [Garbage(EVERYTHING, b"\x16\x03" * 100)], UNAVAILABLE, ""),
    "elsewhere": (lambda _: [Redirect(FILES, "http://127.0.0.2:1/{path}")], REFUSED, "redirects to"),
}


@pytest.mark.parametrize("way", MISBEHAVIOURS)
def test_the_last_good_state_stays(history: History, sandbox: Sandbox, way: str) -> None:
    parts, code, says = MISBEHAVIOURS[way]
    with Mirror(history.index, Replay(history.yesterday)) as mirror:
        copy = Copy(sandbox, mirror.index_url, history.root)
        copy.run().ok()
        if way == "it rolls back":
            mirror.end()
            copy.run().ok()
            mirror.mount(Replay(history.yesterday))
        else:
            mirror.mount(*parts(history))
        before = copy.state()
        done = copy.run()
        assert done.code == code and says in done.err and "still here, whole" in done.err, f"{done}"
        assert "panicked" not in done.text
        served = copy.state()
        assert {path: served.get(path) for path in before} == before
        assert served["metadata/timestamp.json"] == before["metadata/timestamp.json"]
        failed = json.loads(copy.run("--json").out)
        assert failed["result"] == "failed" and failed["exit_code"] == code and failed["state"]["projects"] == 8
        mirror.end()
        assert copy.complete()["state"]["files"] == 12
        copy.verify()


def test_an_upstream_that_disappears_is_waited_for(history: History, sandbox: Sandbox) -> None:
    with Mirror(history.index) as mirror:
        copy = Copy(sandbox, mirror.index_url, history.root)
        copy.run().ok()
    before = copy.state()
    done = copy.run()
    assert done.code == UNAVAILABLE and "could not connect" in done.err, f"{done}"
    assert copy.state() == before
    # Another copy of the tree will do.
    with Mirror(history.today) as second:
        assert copy.complete("--from", second.url())["changed"] is False


def test_a_name_that_leads_out_leads_nowhere(history: History, copy: Copy) -> None:
    """A symbolic link in the copy is not written through."""
    outside = copy.sandbox.folder / "outside"
    outside.mkdir()
    copy.directory.mkdir()
    (copy.directory / "targets").symlink_to(outside)
    done = copy.run()
    assert done.code == HERE and "ot a directory" in done.err, f"{done}"
    assert list(outside.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_what_was(history: History, sandbox: Sandbox) -> None:
    """As a limit on the size of files, which every system has."""
    with Mirror(history.index, Replay(history.yesterday)) as mirror:
        copy = Copy(sandbox, mirror.index_url, history.root)
        copy.run("--max-file-size", "1MB").ok()
        before = copy.state()
        words = " ".join(f"'{word}'" for word in copy.words())
        done = sandbox.run("bash", "-c", f"trap '' XFSZ; ulimit -f 3000; exec {words}")
        assert done.code == HERE and "full" in done.err, f"{done}"
        served = copy.state()
        assert {path: served.get(path) for path in before} == before
        copy.run().ok()
        copy.verify()


def test_only_what_is_selected_is_here(
    history: History, copy: Copy, tmp_path: Path, make_nginx: Callable[[Path], Nginx]
) -> None:
    config = tmp_path / "mirror.toml"
    config.write_text('[allowlist]\npackages = ["victim", "app>=2", "large"]\n[size]\nmax_file_size = "2MB"\n')
    told = copy.complete("--config", config)
    assert (told["state"]["projects"], told["state"]["files"]) == (3, 3)
    sandbox = copy.sandbox
    nginx = make_nginx(copy.directory)
    venv = sandbox.venv()
    sandbox.plain_pip(venv, nginx.index_url, "victim").ok()
    assert sandbox.plain_pip(sandbox.venv(), nginx.index_url, "large").failed()
    # The copy first, and for what is not in it the index.
    sandbox.trust(history.index)
    sandbox.wheelmark("trust", "mirror", "add", history.index.index_url, nginx.url, "--before").ok()
    venv = sandbox.venv()
    done = sandbox.install("uv", venv, "victim", "large", "lib").ok()
    assert venv.installed() == {"victim": "2.0", "large": "1.0", "lib": "2.0"}, f"{done}"
    told = copy.complete("--project", "victim", "--latest", "1")
    assert (told["state"]["projects"], told["state"]["files"]) == (1, 1)
    assert copy.complete()["state"]["files"] == 12
    copy.verify()
    bad = copy.run("--config", os.devnull, "--exclude-platform", "amiga")
    assert bad.code == 2, f"{bad}"


def test_a_copy_of_a_copy_served_by_itself(index: Index, sandbox: Sandbox) -> None:
    index.publish(wheel("victim", "1.0", says="old"), sdist("source-only", "1.0"))
    port = free_port()
    first = Copy(sandbox, index.index_url, index.root_file, "first")
    serving = first.begin("--serve", f"127.0.0.1:{port}", "--every", "1s", "--json")
    try:
        assert serving.stdout is not None
        assert json.loads(serving.stdout.readline())["result"] == "serving"
        assert json.loads(serving.stdout.readline())["state"]["files"] == 2
        second = Copy(sandbox, f"http://127.0.0.1:{port}/simple/", index.root_file, "second")
        assert second.complete()["state"]["files"] == 2
        index.publish(wheel("victim", "2.0", says="new"))
        while json.loads(serving.stdout.readline())["state"]["files"] != 3:
            """The next run has it."""
        assert second.complete()["state"]["files"] == 3
        second.verify()
        sandbox.wheelmark("trust", "add", second.index_url, "--root", index.root_file).ok()
        venv = sandbox.venv()
        sandbox.install("uv", venv, "victim").ok()
        assert venv.says("victim") == "new"
    finally:
        code = stop(serving)
    assert code == COMPLETE


def test_a_signal_ends_a_run_cleanly(history: History, sandbox: Sandbox) -> None:
    with Mirror(history.index) as mirror:
        copy = Copy(sandbox, mirror.index_url, history.root)
        running = copy.begin("--limit-rate", "200kB/s")
        deadline = time.monotonic() + 60
        while mirror.count("targets/*") == 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert stop(running) == 143
        assert copy.complete()["state"]["files"] == 12
    copy.verify()


def number(name: str, default: int) -> int:
    return int(os.environ.get(f"WHEELMARK_MIRROR_{name}", default))


def test_nobody_notices_changes_and_kills(
    index: Index, sandbox: Sandbox, binary: Path, tmp_path: Path, make_nginx: Callable[[Path], Nginx]
) -> None:
    """Clients install from a copy all the time, while its index changes and its runs are killed.

    WHEELMARK_MIRROR_FILES, _CHANGES, _CLIENTS and _KILLS make it larger, and _REAL names a folder
    of wheels of real projects, which lie in the index with all that they depend on.
    """
    files, changes, clients, kills = (number("FILES", 120), number("CHANGES", 10), number("CLIENTS", 3), number("KILLS", 5))
    projects = max(files // 5, 1)
    names = [f"p{at}" for at in range(projects)]
    publish_all(index, [wheel(names[at % projects], f"1.{at // projects}", says=f"{at}", payload=2000) for at in range(files)])
    real = [read_wheel(path) for path in sorted(Path(os.environ["WHEELMARK_MIRROR_REAL"]).glob("*.whl"))] if "WHEELMARK_MIRROR_REAL" in os.environ else []
    publish_all(index, real)
    wanted = names + [dist.project for dist in real] * (1 + len(names) // 40)
    files += len(real)
    copy = Copy(sandbox, index.index_url, index.root_file)
    copy.run("--jobs", "16").ok()
    failures: list[str] = []
    installs = [0] * clients
    over = threading.Event()
    nginx = make_nginx(copy.directory)

    def client(who: int) -> None:
        chance = random.Random(who)
        own = Sandbox(tmp_path / f"client{who}", binary)
        own.wheelmark("trust", "add", nginx.index_url, "--root", index.root_file).ok()
        while not over.is_set():
            project, venv = chance.choice(wanted), own.venv()
            done = own.install("uv", venv, project, env={"UV_NO_CACHE": "1"})
            installs[who] += 1
            if done.code != 0 or project not in venv.installed():
                failures.append(f"{done}")
                over.set()

    def change() -> None:
        for at in range(changes):
            index.publish(wheel(names[at % projects], f"2.{at}", says=f"changed {at}", payload=2000))
            if over.wait(0.2):
                return

    threads = [threading.Thread(target=client, args=(who,)) for who in range(clients)]
    changing = threading.Thread(target=change)
    for thread in (*threads, changing):
        thread.start()
    chance, killed, runs = random.Random(7), 0, 0
    while (changing.is_alive() or killed < kills) and not over.is_set():
        running, runs = copy.begin(), runs + 1
        if killed < kills and runs % 2:
            time.sleep(chance.uniform(0.01, 0.25))
            if running.poll() is None:
                killed += 1
                stop(running, signal.SIGKILL)
                if not changing.is_alive():
                    # What is killed shall have something to do.
                    index.publish(wheel(names[0], f"3.{runs}", says="more", payload=2000))
                continue
        assert running.wait(120) == COMPLETE, running.stderr and running.stderr.read()
        stop(running)
    changing.join()
    told = copy.complete()
    over.set()
    for thread in threads:
        thread.join()
    assert failures == [], failures[0]
    assert killed >= kills and min(installs) > 0, f"{killed} kills, {installs} installs"
    assert told["state"]["files"] >= files + changes
    verified = copy.verify()
    print(f"{killed} kills in {runs} runs, {sum(installs)} installs, {json.dumps(told['state'])}, {json.dumps(verified)[:400]}")


def publish_all(index: Index, dists: list) -> None:
    """Several at a time, so that they share snapshots."""
    left, lock = list(dists), threading.Lock()

    def some() -> None:
        while True:
            with lock:
                if not left:
                    return
                dist = left.pop()
            index.publish(dist)

    threads = [threading.Thread(target=some) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
