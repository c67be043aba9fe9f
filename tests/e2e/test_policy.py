"""What a person asks of files in wheelmark.toml, with real pip and real uv.

The index published 1.0 a month before 2.0: everything here happens a month from now, on the day on
which 2.0 came.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import TOOLS, Outcome, Sandbox, Venv

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

COOL_OFF = '[everything]\nmin-age = "7 days"\n'


@dataclass(frozen=True)
class Aged:
    index: Index
    later: dict[str, str]


@pytest.fixture(scope="module")
def aged(_make, fake_clock) -> Iterator[Aged]:
    """An index with files that are a month old, and with files of today."""
    started: list[Index] = []
    index: Index = _make(started).start()
    for project in ("demo", "acme-core", "flasky"):
        index.publish(wheel(project, "1.0", says="old"))
    index.stop()
    later = fake_clock("+31d")
    index.env |= later
    index.start()
    for project in ("demo", "acme-core", "flasky", "brand-new"):
        index.publish(wheel(project, "2.0", says="young"))
    yield Aged(index, later)
    for each in started:
        each.kill()


@pytest.fixture
def person(aged: Aged, sandbox: Sandbox) -> Sandbox:
    """Somebody who trusts the index, on the day on which 2.0 came."""
    sandbox.env |= aged.later | {"UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
    sandbox.trust(aged.index)
    return sandbox


def asks(person: Sandbox, policy: str) -> Path:
    file = Path(person.env["WHEELMARK_HOME"]) / "wheelmark.toml"
    file.write_text(policy)
    return file


def plain(tool: str, person: Sandbox, venv: Venv, index: Index, *args: object) -> Outcome:
    install = person.plain_pip if tool == "pip" else person.plain_uv
    return install(venv, index.index_url, *args)


def install(person: Sandbox, tool: str, venv: Venv, *args: object, options: tuple = ()) -> tuple[Outcome, dict]:
    report = person.work / "report.json"
    done = person.install(tool, venv, *args, options=("--report", report, *options))
    return done, json.loads(report.read_text())


# How old a file has to be.


@BOTH
def test_the_newest_that_is_old_enough_is_chosen(tool: str, aged: Aged, person: Sandbox) -> None:
    without = person.venv()
    plain(tool, person, without, aged.index, "demo").ok()
    assert without.installed() == {"demo": "2.0"}, "without us the young one is taken"

    file = asks(person, COOL_OFF)
    venv = person.venv()
    done, report = install(person, tool, venv, "demo")
    done.ok()
    assert venv.installed() == {"demo": "1.0"}
    assert report["refused"] == []
    [held] = [entry for entry in report["held_back"] if entry["version"] == "2.0"]
    assert (held["project"], held["policy"], held["line"]) == ("demo", str(file), 2)
    assert "held back: demo 2.0" in done.err and "has to be 7 days old" in done.err and str(file) in done.err


@BOTH
def test_a_young_one_that_was_asked_for_is_refused_with_the_reason(tool: str, aged: Aged, person: Sandbox) -> None:
    asks(person, COOL_OFF)
    venv = person.venv()
    done, report = install(person, tool, venv, "demo==2.0")
    done.failed()
    assert venv.installed() == {}
    refused = [entry for entry in report["refused"] if entry["file"].startswith("demo-2.0")]
    assert refused and "too new" in refused[0]["failed"] and "days" in refused[0]["meaning"]
    said_by_the_installer = done.text[: done.text.index("wheelmark: held back")] + done.out
    assert "too new" in said_by_the_installer, done


@BOTH
def test_a_project_whose_every_release_is_young(tool: str, aged: Aged, person: Sandbox) -> None:
    asks(person, COOL_OFF)
    venv = person.venv()
    done, report = install(person, tool, venv, "brand-new")
    done.failed()
    assert venv.installed() == {}
    assert [entry["file"] for entry in report["held_back"]] == ["brand_new-2.0-py3-none-any.whl"]
    assert "held back: brand-new 2.0" in done.err


@BOTH
def test_an_exception_for_some_projects(tool: str, aged: Aged, person: Sandbox) -> None:
    asks(person, COOL_OFF + '[[for]]\nprojects = ["acme-*"]\nmin-age = "0 days"\n')
    venv = person.venv()
    install(person, tool, venv, "acme-core", "demo")[0].ok()
    assert venv.installed() == {"acme-core": "2.0", "demo": "1.0"}


def test_a_lock_file_with_a_young_one_is_refused(aged: Aged, person: Sandbox) -> None:
    project = person.work / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.9"\ndependencies = ["demo"]\n'
        f'[[tool.uv.index]]\nurl = "{aged.index.index_url}"\ndefault = true\n'
    )
    uv = TOOLS / "uv"
    person.run(uv, "lock", cwd=project).ok()
    assert 'version = "2.0"' in (project / "uv.lock").read_text()
    asks(person, COOL_OFF)
    done = person.wheelmark("exec", "--", "uv", "sync", "--frozen", cwd=project).failed()
    assert "too new" in done.text, done
    person.wheelmark("exec", "--", "uv", "lock", "--upgrade", cwd=project).ok()
    assert 'version = "1.0"' in (project / "uv.lock").read_text()
    person.wheelmark("exec", "--", "uv", "sync", "--frozen", cwd=project).ok()


# Whose policy counts.


@BOTH
def test_a_file_beside_a_project_can_only_ask_for_more(tool: str, aged: Aged, person: Sandbox) -> None:
    nearer = person.work / "wheelmark.toml"
    nearer.write_text(COOL_OFF)
    venv = person.venv()
    done, report = install(person, tool, venv, "demo")
    done.ok()
    assert venv.installed() == {"demo": "1.0"}, "it is heard"
    assert report["held_back"][0]["policy"] == str(nearer)

    asks(person, COOL_OFF)
    nearer.write_text('[everything]\nmin-age = "0 days"\nchain = "unsigned"\nback-signed = "accept"\n')
    venv = person.venv()
    install(person, tool, venv, "demo")[0].ok()
    assert venv.installed() == {"demo": "1.0"}, "and takes nothing away"

    # Nor does one in a folder below hide one further up.
    nearer.write_text(COOL_OFF)
    inner = person.work / "inner"
    inner.mkdir()
    asks(person, "")
    for hide in ('[everything]\nmin-age = "0 days"\n', None):
        if hide:
            (inner / "wheelmark.toml").write_text(hide)
        else:
            (inner / "wheelmark.toml").unlink()
            (inner / "wheelmark.toml").symlink_to(Path(person.env["WHEELMARK_HOME"]) / "wheelmark.toml")
        venv = person.venv()
        person.install(tool, venv, "demo", cwd=inner).ok()
        assert venv.installed() == {"demo": "1.0"}, hide
    (inner / "wheelmark.toml").unlink()
    (inner / "wheelmark.toml").symlink_to(inner / "nowhere")
    done = person.install(tool, person.venv(), "demo", cwd=inner).failed()
    assert str(inner / "wheelmark.toml") in done.err

    for line in ("allow-unsafe = true", "strict = false", "tunnel = ['evil.example']", "map = []"):
        nearer.write_text(line)
        done = person.install(tool, person.venv(), "demo").failed()
        assert str(nearer) in done.err and line.split()[0] in done.err, done


def test_one_more_by_name(aged: Aged, person: Sandbox) -> None:
    more = person.folder / "more.toml"
    more.write_text(COOL_OFF)
    venv = person.venv()
    install(person, "uv", venv, "demo", options=("--policy", more))[0].ok()
    assert venv.installed() == {"demo": "1.0"}
    more.write_text("[everything]\nmin-aeg = '7 days'\n")
    done = person.install("uv", person.venv(), "demo", options=("--policy", more)).failed()
    assert "did you mean `min-age`?" in done.err and "line 2" in done.err


# What else can be asked.


@BOTH
@pytest.mark.parametrize(
    ("demand", "reason"),
    [
        ('chain = "developer-signed"', "it is index-signed, and has to be developer-signed"),
        ('openpgp = ["0123456789ABCDEF0123456789ABCDEF01234567"]', "no OpenPGP signature"),
    ],
)
def test_what_a_file_lacks_is_said(tool: str, demand: str, reason: str, aged: Aged, person: Sandbox) -> None:
    file = asks(person, f'[[for]]\nprojects = ["flasky"]\n{demand}\n')
    venv = person.venv()
    done, report = install(person, tool, venv, "flasky")
    done.failed()
    assert venv.installed() == {}
    failed = report["refused"][0]["failed"]
    assert reason in failed and f"line 3 of {file}" in failed
    assert reason in done.text
    # An older one is no way out, and other projects are not concerned.
    install(person, tool, venv, "demo")[0].ok()
    assert venv.installed() == {"demo": "2.0"}


# What the person is told.

FOUR_WAYS = """\
[everything]
chain = "index-signed"
min-age = "7 days"

[[for]]
projects = ["acme-*"]
min-age = "0 days"

[[for]]
projects = ["flasky"]
versions = ">=2"
min-age = "60 days"
back-signed = "refuse"

[[for]]
projects = ["flasky", "demo"]
files = "sdists"
min-age = "30 days"
"""


def test_four_projects_explained_line_by_line(aged: Aged, person: Sandbox) -> None:
    asks(person, FOUR_WAYS)
    person.wheelmark("policy", "check").ok()

    def lines(asked: str, code: int) -> list[tuple[int, str]]:
        done = person.wheelmark("explain", asked, "--policy", "--json")
        assert done.code == code, done
        [file] = json.loads(done.out)["policy"]["files"]
        assert file["holds"] is (code == 0)
        return [(line["line"], line["outcome"]) for line in file["lines"]]

    rest = [(12, "not-for-it"), (13, "not-for-it"), (18, "not-for-it"), (2, "holds")]
    assert lines("acme-core==2.0", 0) == [(7, "holds"), *rest, (3, "decided-before")]
    assert lines("demo==2.0", 1) == [(7, "not-for-it"), *rest, (3, "fails")]
    assert lines("demo==1.0", 0) == [(7, "not-for-it"), *rest, (3, "holds")]
    assert lines("flasky==2.0", 1) == [
        (7, "not-for-it"), (12, "fails"), (13, "holds"), (18, "not-for-it"), (2, "holds"), (3, "decided-before"),
    ]
    said = person.wheelmark("explain", "flasky==2.0", "--policy").failed().out
    for part in ("line 12", "has to be 60 days old", "line 12 has decided before", "the newest that is old enough: 1.0"):
        assert part in said, said
    assert "What the policy says" not in person.wheelmark("explain", "flasky==2.0").ok().out


def test_a_check_finds_every_mistake(person: Sandbox) -> None:
    file = person.work / "mine.toml"
    file.write_text('[everything]\nmin-aeg = "7 days"\n\n[[for]]\nprojects = ["Bad_Name"]\nchain = "signed"\n')
    done = person.wheelmark("policy", "check", file).failed()
    for part in ("line 2", "did you mean `min-age`?", "line 5", "Bad_Name", "line 6", '"index-signed"', "^^^^^^^"):
        assert part in done.out, done
    said = json.loads(person.wheelmark("policy", "check", file, "--json").failed().out)
    assert [mistake["line"] for mistake in said["files"][0]["mistakes"]] == [2, 5, 6]
    assert person.wheelmark("policy", "check").ok().out.startswith("No policy holds here")
