"""`exec` in front of an index that nobody signs, with real pip and real uv."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.plain_index import Entry, PlainIndex
from harness.sandbox import Outcome, Sandbox, Venv

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

OLD = wheel("demo", "1.0", says="old")
NEW = wheel("demo", "2.0", says="new")


def use(sandbox: Sandbox, index: PlainIndex) -> Outcome:
    return sandbox.wheelmark("trust", "add", index.index_url, "--unsigned").ok()


def install(sandbox: Sandbox, tool: str, venv: Venv, *args: object) -> tuple[Outcome, dict]:
    report = sandbox.work / "report.json"
    done = sandbox.install(tool, venv, *args, options=("--report", report))
    return done, json.loads(report.read_text())


@BOTH
@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
def test_it_is_used_when_somebody_says_so_and_every_run_says_what_it_is(tool: str, html: bool, sandbox: Sandbox) -> None:
    with PlainIndex(Entry(OLD), Entry(NEW), html=html) as index:
        refused = sandbox.wheelmark("exec", "--index", index.index_url, "--", "pip", "--version").failed()
        assert "is not a trusted index" in refused.err, "never by itself"
        assert "NOT SIGNED" in use(sandbox, index).out
        listed = sandbox.wheelmark("trust", "list").ok().out
        assert index.index_url in listed and "not signed" in listed
        assert "not signed" in sandbox.wheelmark("trust", "show", index.index_url).ok().out

        venv = sandbox.venv()
        done, report = install(sandbox, tool, venv, "demo")
        done.ok()
        assert venv.says("demo") == "new"
        assert f"not signed: 1 file is what the pages of {index.index_url} say" in done.err
        assert "verified (" not in done.err
        assert report["verified"] is False
        [file] = report["files"]
        assert (file["chain"], file["role"], file["provenance"]) == ("unsigned", None, "none")
        told = sandbox.wheelmark("explain", "demo").ok().out
        assert "not signed" in told and "Nobody signs what this index says" in told


@BOTH
def test_a_file_that_its_page_does_not_list_is_refused(tool: str, sandbox: Sandbox) -> None:
    with PlainIndex(Entry(OLD), Entry(NEW, instead=wheel("demo", "2.0", says="evil").content)) as index:
        use(sandbox, index)
        venv = sandbox.venv()
        done, report = install(sandbox, tool, venv, "demo")
        done.failed()
        assert venv.installed() == {}
        assert "is not the one on its page" in done.text or "its length is not" in done.text
        assert "signed" not in report["refused"][0]["meaning"]


@BOTH
def test_a_file_without_a_digest_is_refused(tool: str, sandbox: Sandbox) -> None:
    with PlainIndex(Entry(OLD, says={"hashes": {}})) as index:
        without = sandbox.venv()
        plain = sandbox.plain_pip if tool == "pip" else sandbox.plain_uv
        plain(without, index.index_url, "demo").ok()
        assert without.installed() == {"demo": "1.0"}, "installers take it as it is"
        use(sandbox, index)
        venv = sandbox.venv()
        done, _ = install(sandbox, tool, venv, "demo")
        done.failed()
        assert venv.installed() == {} and "lists no sha256" in done.text


@BOTH
def test_the_policy_holds_there_too(tool: str, sandbox: Sandbox) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with PlainIndex(Entry(OLD), Entry(NEW, uploaded=yesterday)) as index:
        use(sandbox, index)
        file = Path(sandbox.env["WHEELMARK_HOME"]) / "wheelmark.toml"
        file.write_text('[everything]\nmin-age = "7 days"\n')
        venv = sandbox.venv()
        done, report = install(sandbox, tool, venv, "demo")
        done.ok()
        assert venv.says("demo") == "old"
        assert [held["version"] for held in report["held_back"]] == ["2.0"]
        for uploaded in ("2999-01-01T00:00:00Z", None):
            index.entries[1] = Entry(NEW, uploaded=uploaded)
            venv = sandbox.venv()
            install(sandbox, tool, venv, "demo")[0].ok()
            assert venv.says("demo") == "old", uploaded

        file.write_text('[everything]\nchain = "index-signed"\n')
        done, report = install(sandbox, tool, sandbox.venv(), "demo")
        done.failed()
        assert "it is unsigned, and has to be index-signed" in done.text


def test_nothing_that_it_says_makes_it_signed(sandbox: Sandbox) -> None:
    marks = {"_wheelmark": {"signed": "at-upload", "signed-at": "2026-01-01T00:00:00Z", "chunks-sha256": "0" * 64}}
    with PlainIndex(Entry(OLD, says=marks)) as index:
        use(sandbox, index)
        (Path(sandbox.env["WHEELMARK_HOME"]) / "wheelmark.toml").write_text('[everything]\nback-signed = "refuse"\n')
        done, _ = install(sandbox, "pip", sandbox.venv(), "demo")
        done.failed()
        assert "does not say whether it was there before" in done.text


@BOTH
def test_a_signed_home_and_an_unsigned_one_for_the_rest(tool: str, index: Index, sandbox: Sandbox) -> None:
    ours, theirs = wheel("acme-core", "1.0", says="ours"), wheel("acme-core", "99.0", says="theirs")
    index.publish(ours)
    sandbox.trust(index)
    with PlainIndex(Entry(OLD), Entry(theirs)) as public:
        use(sandbox, public)
        file = Path(sandbox.env["WHEELMARK_HOME"]) / "wheelmark.toml"
        rule = '[[map]]\nprojects = ["{}"]\nindexes = ["{}"]\n'
        file.write_text(rule.format("acme-*", index.index_url) + rule.format("*", public.index_url))
        venv = sandbox.venv()
        done, report = install(sandbox, tool, venv, "acme-core", "demo")
        done.ok()
        assert venv.says("acme_core") == "ours"
        assert {entry["project"]: entry["chain"] for entry in report["files"]} == {
            "acme-core": "index-signed", "demo": "unsigned",
        }
        assert "1 file verified (1 index-signed)" in done.err and "not signed: 1 file is" in done.err

        # Whoever hides a project there would lead to the next index.
        file.write_text(f'[[map]]\nprojects = ["*"]\nindexes = ["{public.index_url}", "{index.index_url}"]\n')
        said = sandbox.wheelmark("pip", "--version").failed().err
        assert public.index_url in said and "not signed" in said


def test_what_cannot_be_used_unsigned(sandbox: Sandbox) -> None:
    said = sandbox.wheelmark("trust", "add", "http://pkg.example/simple/", "--unsigned").failed().err
    assert "plain http" in said
    with PlainIndex(Entry(OLD)) as index:
        use(sandbox, index)
        again = sandbox.wheelmark("trust", "add", index.index_url, "--unsigned").failed().err
        assert "trust remove" in again
        sandbox.wheelmark("trust", "remove", index.index_url).ok()
        assert index.index_url not in sandbox.wheelmark("trust", "list").ok().out
