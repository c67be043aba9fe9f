"""Who attests to a file, held against what the person trusts, with real pip and real uv.

The index says what it likes about publishers; what counts are identities of a policy, and those that
were seen before.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.distributions import Distribution, wheel
from harness.plain_index import Entry, PlainIndex
from harness.sandbox import Outcome, Sandbox, Venv
from harness.sigstore import PrivateSigstore

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

# A company's own Sigstore does not vouch for jobs of GitHub and the like.
OURS = "release@demo.example+https://ci.demo.example"
EVIL = "release@evil.example+https://ci.demo.example"


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore"))


@pytest.fixture
def person(sandbox: Sandbox, sigstore: PrivateSigstore) -> Sandbox:
    asks(sandbox, sigstore, "")
    return sandbox


def asks(person: Sandbox, sigstore: PrivateSigstore, policy: str) -> Path:
    """Writes the person's settings: whose Sigstore they believe, and what they ask for."""
    file = Path(person.env["WHEELMARK_HOME"]) / "wheelmark.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"sigstore-roots = [{json.dumps(str(sigstore.trusted_root))}]\n{policy}")
    return file


@pytest.fixture
def attested(sigstore: PrivateSigstore, tmp_path: Path):
    """Makes an entry that somebody attests to."""

    def entry(dist: Distribution, publisher: str | None, **how) -> Entry:
        if publisher is None:
            return Entry(dist, **how)
        provenance = sigstore.provenance(dist.write(tmp_path / "dist"), publisher)
        return Entry(dist, provenance=Path(provenance).read_bytes(), **how)

    return entry


def install(person: Sandbox, tool: str, venv: Venv, *args: object) -> tuple[Outcome, dict]:
    report = person.work / "report.json"
    done = person.install(tool, venv, *args, options=("--report", report))
    return done, json.loads(report.read_text())


def plain(tool: str, person: Sandbox, index: PlainIndex, *args: object) -> Venv:
    venv = person.venv()
    (person.plain_pip if tool == "pip" else person.plain_uv)(venv, index.index_url, *args).ok()
    return venv


def use(person: Sandbox, index: PlainIndex) -> None:
    person.wheelmark("trust", "add", index.index_url, "--unsigned").ok()


OLD, NEW = wheel("demo", "1.0", says="old"), wheel("demo", "2.0", says="new")
LATER = "2026-02-02T00:00:00Z"


@BOTH
def test_whoever_comes_first_is_expected_and_shown(tool: str, person: Sandbox, attested) -> None:
    with PlainIndex(attested(OLD, OURS)) as index:
        use(person, index)
        done, report = install(person, tool, person.venv(), "demo")
        done.ok()
        [file] = report["files"]
        assert file["provenance"].startswith(f"attested as {OURS}") and file["identity_from"] == "first-use"
        assert f"demo attested as {OURS}" in done.err and "expected from now on" in done.err
        [row] = json.loads(person.wheelmark("trust", "identities", "list", "--json").ok().out)
        assert [one["identity"] for one in row["accepted"]] == [OURS]
        assert (row["project"], row["expected_from"]) == ("demo", "1.0")

        index.entries.append(attested(NEW, OURS, uploaded=LATER))
        done, report = install(person, tool, person.venv(), "demo")
        done.ok()
        assert report["files"][0]["identity_from"] == "remembered" and "as before" in done.err
        listed = person.wheelmark("trust", "identities", "list", "demo").ok().out
        assert OURS in listed and "first use, with demo-1.0-py3-none-any.whl" in listed


@BOTH
def test_a_project_that_changed_hands_is_refused_until_somebody_says_so(tool: str, person: Sandbox, attested) -> None:
    with PlainIndex(attested(OLD, OURS)) as index:
        use(person, index)
        install(person, tool, person.venv(), "demo")[0].ok()
        index.entries.append(attested(NEW, EVIL, uploaded=LATER))
        assert plain(tool, person, index, "demo").says("demo") == "new", "installers do not look"
        venv = person.venv()
        done, report = install(person, tool, venv, "demo")
        done.failed()
        assert venv.installed() == {}
        said = report["refused"][0]
        assert "changed hands" in said["failed"] and OURS in said["failed"] and EVIL in said["failed"]
        assert "changed hands" in done.text and "trust identities accept" in said["next"]
        # The one that was there before is still to be had.
        install(person, tool, person.venv(), "demo==1.0")[0].ok()

        person.wheelmark("trust", "identities", "accept", "demo", EVIL).ok()
        venv = person.venv()
        install(person, tool, venv, "demo")[0].ok()
        assert venv.says("demo") == "new"


@BOTH
def test_provenance_that_vanished_is_refused(tool: str, person: Sandbox, attested) -> None:
    before = wheel("demo", "0.9", says="before")
    with PlainIndex(attested(OLD, OURS), attested(before, None, uploaded="2025-01-01T00:00:00Z")) as index:
        use(person, index)
        install(person, tool, person.venv(), "demo")[0].ok()
        install(person, tool, person.venv(), "demo==0.9")[0].ok()  # never had any
        # A new release without it, and one that says it was there before.
        for uploaded in (LATER, "2024-01-01T00:00:00Z"):
            index.entries[2:] = [attested(NEW, None, uploaded=uploaded)]
            assert plain(tool, person, index, "demo").says("demo") == "new"
            venv = person.venv()
            done, report = install(person, tool, venv, "demo")
            done.failed()
            assert venv.installed() == {}
            assert "its provenance is gone" in report["refused"][0]["failed"] and OURS in done.text


def test_what_was_revoked_is_refused(person: Sandbox, attested) -> None:
    with PlainIndex(attested(OLD, OURS)) as index:
        use(person, index)
        install(person, "pip", person.venv(), "demo")[0].ok()
        assert OURS in person.wheelmark("trust", "identities", "revoke", "demo").ok().out
        done, _ = install(person, "pip", person.venv(), "demo")
        done.failed()
        assert "was revoked here" in done.text
        assert "revoked" in person.wheelmark("trust", "identities", "list").ok().out
        person.wheelmark("trust", "identities", "revoke", "demo").failed()
        person.wheelmark("trust", "identities", "accept", "demo", OURS).ok()
        install(person, "pip", person.venv(), "demo")[0].ok()


@BOTH
def test_an_identity_of_the_policy(tool: str, person: Sandbox, sigstore, attested) -> None:
    rule = '[[for]]\nprojects = ["demo"]\nattested-by = ["{}"]\n'
    with PlainIndex(attested(OLD, OURS)) as index:
        use(person, index)
        asks(person, sigstore, rule.format(OURS))
        done, report = install(person, tool, person.venv(), "demo")
        done.ok()
        assert report["files"][0]["identity_from"] == "policy" and "as the policy asks" in done.err
        told = person.wheelmark("explain", "demo", "--policy").ok().out
        assert f"holds: attested as {OURS}" in told

        # The index signs its own identity into the page: it attests, and counts for nothing.
        index.entries[:] = [attested(OLD, EVIL)]
        assert plain(tool, person, index, "demo").installed() == {"demo": "1.0"}
        venv = person.venv()
        done, report = install(person, tool, venv, "demo")
        done.failed()
        assert venv.installed() == {}
        assert f"{EVIL} attests to it, and not one of those asked for" in report["refused"][0]["failed"]

        # Without any, and with what is another file's.
        index.entries[:] = [attested(OLD, None)]
        done, _ = install(person, tool, person.venv(), "demo")
        assert "none of those asked for attests to it" in done.failed().text
        index.entries[:] = [Entry(OLD, provenance=attested(NEW, OURS).provenance)]
        done, _ = install(person, tool, person.venv(), "demo")
        assert "its provenance does not hold" in done.failed().text


def test_a_sigstore_that_nobody_named_attests_nothing(sandbox: Sandbox, person: Sandbox, sigstore, attested) -> None:
    with PlainIndex(attested(OLD, OURS)) as index:
        use(person, index)
        (Path(person.env["WHEELMARK_HOME"]) / "wheelmark.toml").write_text(
            f'[[for]]\nprojects = ["demo"]\nattested-by = ["{OURS}"]\n'
        )
        done, _ = install(person, "pip", person.venv(), "demo")
        assert "its provenance does not hold" in done.failed().text


def test_a_file_beside_a_project_names_nobody_for_the_person(person: Sandbox, sigstore, attested) -> None:
    with PlainIndex(attested(OLD, OURS)) as index:
        use(person, index)
        install(person, "pip", person.venv(), "demo")[0].ok()
        index.entries[:] = [attested(NEW, EVIL, uploaded=LATER)]
        (person.work / "wheelmark.toml").write_text(f'[[for]]\nprojects = ["demo"]\nattested-by = ["{EVIL}"]\n')
        done, _ = install(person, "pip", person.venv(), "demo")
        assert "changed hands" in done.failed().text
        (person.work / "wheelmark.toml").unlink()
        asks(person, sigstore, f'[[for]]\nprojects = ["demo"]\nattested-by = ["{EVIL}"]\n')
        install(person, "pip", person.venv(), "demo")[0].ok()
