"""Mirrors that lie, asked before the index itself: each costs a retry, and not the install.

Each way is first shown to work on the plain installer that is pointed at that mirror.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness import history as h
from harness.forge import Forge
from harness.history import History
from harness.hostile import Edit, Replay, Says, Substitute, flip
from harness.mirror import EVERYTHING, FILES, TIMESTAMP, Mirror, Part
from harness.person import Person
from harness.sandbox import Outcome, Sandbox, Venv
from harness.wire import EndlessWheel, Redirect, Reset, Silent

BOTH = pytest.mark.parametrize("person", ["pip", "uv"], indirect=True)

# For the plain tools, which would wait for minutes.
IN_A_HURRY = {"PIP_DEFAULT_TIMEOUT": "2", "PIP_RETRIES": "0", "UV_HTTP_TIMEOUT": "2", "UV_HTTP_RETRIES": "0"}


@pytest.fixture
def person(request: pytest.FixtureRequest, sandbox: Sandbox) -> Person:
    return Person(sandbox, request.param)


def fooled(done: Outcome, venv: Venv) -> bool:
    return done.code == 0 and venv.says("victim") == "evil"


def given_an_old_version(done: Outcome, venv: Venv) -> bool:
    return done.code == 0 and venv.installed() == {"victim": "1.0"}


def left_with_nothing(done: Outcome, venv: Venv) -> bool:
    return done.code != 0 and venv.installed() == {}


@dataclass(frozen=True)
class Way:
    parts: Callable[[History, ExitStack], list[Part]]
    plain: Callable[[Outcome, Venv], bool] | None
    warns: str
    project: str = "victim"


def to_another_host(history: History, stack: ExitStack) -> list[Part]:
    other = stack.enter_context(Mirror(history.today, Substitute(h.NEW, h.EVIL)))
    return [Redirect(EVERYTHING, other.url("{path}"))]


WAYS = {
    "an altered file": Way(lambda *_: [Edit(("*packages/victim/*.whl",), flip)], left_with_nothing, "sha256 is not the signed one"),
    "an altered page": Way(lambda *_: [Substitute(h.NEW, h.EVIL)], fooled, "simple/victim/index.json"),
    "an old timestamp": Way(lambda history, _: [Replay(history.yesterday)], given_an_old_version, "is behind"),
    "404 for everything": Way(lambda *_: [Says(EVERYTHING, 404)], left_with_nothing, "is missing from the repository"),
    "a reset in every file": Way(lambda *_: [Reset(100_000, FILES)], left_with_nothing, "broke off", "large"),
    "a file without an end": Way(lambda *_: [EndlessWheel(("*packages/victim/*.whl",))], None, "length is not the signed one"),
    "a redirect elsewhere": Way(to_another_host, fooled, "redirects to"),
    "silence": Way(lambda *_: [Silent(0)], left_with_nothing, "no answer yet"),
    "silence in the middle": Way(lambda *_: [Silent(300_000, FILES)], left_with_nothing, "was silent", "large"),
}


@BOTH
@pytest.mark.parametrize("way", WAYS)
def test_a_lying_mirror_costs_a_retry(history: History, person: Person, way: str) -> None:
    lie = WAYS[way]
    with ExitStack() as stack:
        mirror = stack.enter_context(Mirror(history.today, *lie.parts(history, stack)))
        if lie.plain is not None:
            done, venv = person.plain(mirror, lie.project, env=IN_A_HURRY)
            assert lie.plain(done, venv), f"plain: {venv.installed()}: {done}"
        else:
            with person.start_plain(mirror, lie.project) as plain:
                assert plain.wait_until(lambda: mirror.taken > 64 << 20), f"plain: it reads on: {plain.said}"

        index = history.index
        person.sandbox.trust(index)
        person.sandbox.wheelmark("trust", "mirror", "add", index.index_url, mirror.url(), "--before").ok()
        asked, report = len(mirror.asked), person.sandbox.folder / "report.json"
        version = "1.0" if lie.project == "large" else "2.0"
        done, venv = person.verified(lie.project, options=("--report", report))

        assert done.ok() and venv.installed() == {lie.project: version}, f"{done}"
        assert lie.project != "victim" or venv.says("victim") == "new"
        assert len(mirror.asked) > asked, "the mirror was asked first"
        said = [line for line in done.err.splitlines() if line.startswith("wheelmark: warning:")]
        assert len(said) == 1 and f"mirror {mirror.url()}" in said[0] and lie.warns in said[0], f"{said}"
        told = json.loads(report.read_text())
        assert [w["source"] for w in told["warnings"]] == [f"mirror {mirror.url()}"]
        assert told["refused"] == []


@BOTH
def test_the_index_is_down_and_a_mirror_is_not(history: History, person: Person) -> None:
    """The tools' index goes away; whoever knows a mirror installs from there."""
    with Mirror(history.today) as own, Mirror(history.today) as mirror:
        person.trust(own, history.root).ok()
        own.mount(Says(EVERYTHING, 503))
        done, venv = person.plain(own, "victim", env=IN_A_HURRY)
        assert left_with_nothing(done, venv)
        person.is_refused("victim", "503")

        person.sandbox.wheelmark("trust", "mirror", "add", own.index_url, mirror.url()).ok()
        done = person.installs("victim", "2.0")
        assert f"warning: the index itself, {own.index_url}" in done.err

        # Every source is named when there is no other one left.
        mirror.mount(Says(TIMESTAMP, 500))
        person.is_refused("victim", f"the index itself, {own.index_url}", f"mirror {mirror.url()}", "503", "500")


@BOTH
def test_a_verdict_is_that_of_every_source(history: History, person: Person) -> None:
    with Mirror(history.today) as own, Mirror(history.today) as mirror:
        person.trust(own, history.root).ok()
        person.sandbox.wheelmark("trust", "mirror", "add", own.index_url, mirror.url()).ok()
        own.mount(Says(("*packages/victim/*.whl",), 503))
        mirror.mount(Edit(("*packages/victim/*.whl",), flip))
        person.is_refused("victim", "REFUSED", own.index_url, "503", mirror.url(), "sha256 is not the signed one")
        own.end()
        person.installs("victim", "2.0")


@BOTH
def test_without_a_chunk_list_the_tool_asks_again(person: Person, tmp_path: Path) -> None:
    """Most of the bad file has left when it is found out. It cannot be completed; the next one is right."""
    forge = Forge(h.LARGE)
    tree = forge.publish()
    assert not any(path.endswith(".chunks") for path in tree)
    with Mirror(tree, Edit(FILES, flip)) as own, Mirror(tree) as mirror:
        person.trust(own, forge.root_file(tmp_path)).ok()
        person.is_refused("large", "sha256 is not the signed one")
        person.sandbox.wheelmark("trust", "mirror", "add", own.index_url, mirror.url()).ok()
        done = person.installs("large", "1.0")
        assert "warning: the index itself" in done.err


def test_mirrors_are_managed(history: History, sandbox: Sandbox) -> None:
    index = history.index
    with Mirror(history.today) as good, Mirror(history.yesterday) as old, Mirror(history.today) as bad:
        bad.mount(Edit(TIMESTAMP, flip))
        added = sandbox.wheelmark("trust", "add", index.index_url, "--root", index.root_file, "--mirror", good.url()).ok()
        assert "verifies" in added.out and added.err == ""

        def manage(*words: object) -> Outcome:
            return sandbox.wheelmark("trust", "mirror", words[0], index.index_url, *words[1:])

        assert "already" in manage("add", good.url()).failed().err
        assert "is behind" in manage("add", old.url(), "--before").ok().err
        assert "does not verify" in manage("add", bad.url()).ok().err
        nobody = "http://127.0.0.1:9/files"
        assert "cannot be reached" in manage("add", "--targets-url", nobody).ok().err
        assert manage("add").failed().code == 2
        assert "neither an http" in manage("add", "ftp://a/").failed().err

        listed = json.loads(manage("list", "--json").ok().out)
        assert [m["asked"] for m in listed] == ["before", "after", "after", "after"]
        assert listed[0] == {"metadata_url": old.url("metadata/"), "targets_url": old.url("targets/"), "asked": "before"}
        assert listed[3] == {"metadata_url": None, "targets_url": f"{nobody}/", "asked": "after"}
        assert [line.split(",")[0] for line in manage("list").ok().out.splitlines()] == [
            old.url(), good.url(), bad.url(), f"{nobody}/",
        ]
        shown = sandbox.wheelmark("trust", "show", index.index_url).ok().out
        assert f"mirror       {good.url()}" in shown
        (known,) = json.loads(sandbox.wheelmark("trust", "list", "--json").ok().out)
        assert len(known["mirrors"]) == 4

        for words in ([old.url()], [good.url()], [bad.url()], ["--targets-url", nobody]):
            manage("remove", *words).ok()
        assert "not a mirror" in manage("remove", good.url()).failed().err
        assert "no mirrors" in manage("list").ok().out
