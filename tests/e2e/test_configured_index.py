"""`exec` where no index is trusted: the index that pip or uv is configured for, and what never becomes one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.plain_index import Entry, PlainIndex
from harness.sandbox import Outcome, Sandbox, Venv

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

VARIABLE = {"pip": "PIP_INDEX_URL", "uv": "UV_DEFAULT_INDEX"}

OLD = wheel("demo", "1.0", says="old")
NEW = wheel("demo", "2.0", says="new")


def install(sandbox: Sandbox, tool: str, venv: Venv, *args: object, **how) -> tuple[Outcome, dict]:
    report = sandbox.work / "report.json"
    report.unlink(missing_ok=True)
    done = sandbox.install(tool, venv, *args, options=("--report", report), **how)
    return done, json.loads(report.read_text() or "{}")


def configure(sandbox: Sandbox, tool: str, where: str, url: str) -> str:
    """Names an index as people do, and returns what is said to name it."""
    home = Path(sandbox.env["XDG_CONFIG_HOME"])
    if where == "variable":
        sandbox.env[VARIABLE[tool]] = url
        return VARIABLE[tool]
    if where == "project":
        file, text = sandbox.work / "pyproject.toml", f'[[tool.uv.index]]\nurl = "{url}"\ndefault = true\n'
        file.write_text(text)
        return f"{file}: index"
    if tool == "pip":
        del sandbox.env["PIP_CONFIG_FILE"]
        file, text = home / "pip/pip.conf", f"[global]\nindex-url = {url}\n"
    else:
        file, text = home / "uv/uv.toml", f'index-url = "{url}"\n'
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return f"{file}: index-url"


@pytest.mark.parametrize(
    ("tool", "where"), [("pip", "variable"), ("pip", "file"), ("uv", "variable"), ("uv", "file"), ("uv", "project")]
)
def test_it_is_used_without_asking_and_the_person_is_told_once(tool: str, where: str, sandbox: Sandbox) -> None:
    with PlainIndex(Entry(OLD), Entry(NEW)) as index:
        named = configure(sandbox, tool, where, index.index_url)
        venv = sandbox.venv()
        done, report = install(sandbox, tool, venv, "demo")
        done.ok()
        assert venv.says("demo") == "new"
        assert "no index is trusted" in done.err and "NOT SIGNED" in done.err and f"{named} names it" in done.err
        assert f"not signed: 1 file is what the pages of {index.index_url} say" in done.err
        assert "verified (" not in done.err
        assert report["verified"] is False
        assert report["configured_index"] == {"index": index.index_url, "by": named, "first_time": True}
        assert [(file["chain"], file["provenance"]) for file in report["files"]] == [("unsigned", "none")]

        done, report = install(sandbox, tool, sandbox.venv(), "demo")
        done.ok()
        assert "NOT SIGNED" not in done.err, "once"
        assert "not signed: 1 file" in done.err, "what the answer was, every time"
        assert report["configured_index"]["first_time"] is False
        listed = sandbox.wheelmark("trust", "list").ok().out
        assert index.index_url in listed and "not signed, and used because" in listed


@BOTH
def test_what_can_be_held_against_it_is(tool: str, sandbox: Sandbox) -> None:
    evil = wheel("demo", "2.0", says="evil")
    with PlainIndex(Entry(OLD), Entry(NEW, instead=evil.content)) as index:
        configure(sandbox, tool, "variable", index.index_url)
        venv = sandbox.venv()
        done, report = install(sandbox, tool, venv, "demo")
        assert "is not the one on its page" in done.failed().text or "its length is not" in done.text
        assert venv.installed() == {} and report["refused"]

        index.entries[1] = Entry(NEW)
        policy = Path(sandbox.env["WHEELMARK_HOME"]) / "wheelmark.toml"
        policy.write_text('[everything]\nmin-age = "360 days"\n')
        done, report = install(sandbox, tool, sandbox.venv(), "demo")
        assert {held["version"] for held in report["held_back"]} == {"1.0", "2.0"}
        policy.write_text('[everything]\nchain = "index-signed"\n')
        done, _ = install(sandbox, tool, sandbox.venv(), "demo")
        assert "it is unsigned, and has to be index-signed" in done.failed().text


@BOTH
def test_a_trusted_index_is_never_replaced(tool: str, index: Index, sandbox: Sandbox) -> None:
    index.publish(wheel("demo", "1.0", says="ours"))
    theirs = wheel("demo", "99.0", says="theirs")
    with PlainIndex(Entry(theirs)) as public:
        for where in ("variable", "file") + (("project",) if tool == "uv" else ()):
            configure(sandbox, tool, where, public.index_url)
        # The signed one, and one that the person chose although nobody signs it.
        sandbox.trust(index)
        venv = sandbox.venv()
        done, report = install(sandbox, tool, venv, "demo")
        done.ok()
        assert venv.says("demo") == "ours"
        assert report["verified"] is True and report["configured_index"] is None
        assert public.asked == []

        # Whoever cannot reach it gets nothing else, and neither does whoever cannot read what is kept of it.
        index.stop()
        done, _ = install(sandbox, tool, sandbox.venv(), "demo")
        done.failed()
        kept = next((Path(sandbox.env["WHEELMARK_HOME"]) / "indexes").glob("*/index.toml"))
        text = kept.read_text()
        kept.write_text("damaged")
        done = sandbox.install(tool, sandbox.venv(), "demo").failed()
        assert "cannot be understood" in done.err
        kept.write_text(text)
        assert public.asked == []


@BOTH
def test_an_index_that_was_signed_never_comes_back_unsigned(tool: str, index: Index, sandbox: Sandbox) -> None:
    index.publish(wheel("demo", "1.0", says="ours"))
    configure(sandbox, tool, "variable", index.index_url)
    done, report = install(sandbox, tool, sandbox.venv(), "demo")
    assert report["configured_index"]["index"] == index.index_url, "nobody knew that it is signed"
    done.ok()

    sandbox.trust(index)
    done, report = install(sandbox, tool, sandbox.venv(), "demo")
    assert done.ok() and report["verified"] is True
    sandbox.wheelmark("trust", "remove", index.index_url).ok()
    done = sandbox.install(tool, sandbox.venv(), "demo").failed()
    assert "was trusted by its keys on this machine" in done.err and "trust add" in done.err
    aliased = index.index_url.replace("127.0.0.1", "localhost")
    sandbox.env[VARIABLE[tool]] = aliased
    assert "was trusted by its keys" in sandbox.install(tool, sandbox.venv(), "demo").failed().err
    sandbox.wheelmark("trust", "add", index.index_url, "--unsigned").ok()
    install(sandbox, tool, sandbox.venv(), "demo")[0].ok()


def test_a_map_means_that_something_is_to_be_trusted_first(sandbox: Sandbox) -> None:
    with PlainIndex(Entry(OLD)) as index:
        configure(sandbox, "pip", "variable", index.index_url)
        file = Path(sandbox.env["WHEELMARK_HOME"]) / "wheelmark.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'[[map]]\nprojects = ["*"]\nindexes = ["{index.index_url}"]\n')
        assert "no index is trusted yet" in sandbox.install("pip", sandbox.venv(), "demo").failed().err
        assert index.asked == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://pkg.example/simple/", "plain http"),
        ("https://me:secretword@pkg.example/simple/", "netrc"),
        ("/srv/simple", "is not a URL"),
        ("file:///srv/simple", "neither an http nor an https URL"),
    ],
)
def test_what_cannot_be_used(url: str, says: str, sandbox: Sandbox) -> None:
    configure(sandbox, "pip", "variable", url)
    done = sandbox.install("pip", sandbox.venv(), "demo").failed()
    assert says in done.err and "hint:" in done.err and "secretword" not in done.text


def test_other_commands_where_the_two_differ(sandbox: Sandbox) -> None:
    with PlainIndex(Entry(OLD)) as one, PlainIndex(Entry(NEW)) as other:
        configure(sandbox, "pip", "variable", one.index_url)
        configure(sandbox, "uv", "variable", other.index_url)
        said = sandbox.wheelmark("exec", "--", "sh", "-c", "true").failed().err
        assert one.index_url in said and other.index_url in said and "--index" in said
        sandbox.env["UV_DEFAULT_INDEX"] = one.index_url
        sandbox.wheelmark("exec", "--", "sh", "-c", "true").ok()
        # What is told besides: an index that is not asked.
        sandbox.env["PIP_EXTRA_INDEX_URL"] = "https://me:secretword@more.example/simple/"
        sandbox.env["PIP_INDEX_URL"] = other.index_url
        done = sandbox.install("pip", sandbox.venv(), "demo").ok()
        assert "more.example" in done.err and "secretword" not in done.text


def test_what_is_kept_of_it_can_be_looked_at_and_goes_on(sandbox: Sandbox) -> None:
    with PlainIndex(Entry(OLD)) as index:
        configure(sandbox, "pip", "variable", index.index_url)
        told = sandbox.wheelmark("explain", "demo").ok()
        assert "not signed" in told.out and "pip or uv is configured for it" in told.out and "NOT SIGNED" in told.err
        identity = "github:o/demo@release.yml"
        sandbox.wheelmark("trust", "identities", "accept", "demo", identity).ok()
        sandbox.wheelmark("trust", "add", index.index_url, "--unsigned").ok()
        assert identity in sandbox.wheelmark("trust", "identities", "list", "demo").ok().out
        assert "not signed" in sandbox.wheelmark("trust", "show", index.index_url).ok().out
