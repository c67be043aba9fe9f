"""OpenPGP signatures that a policy asks for at an installation, with real pip and real uv."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import sdist, wheel
from harness.index import Index
from harness.maintainer import Maintainer
from harness.plain_index import Entry, PlainIndex
from harness.sandbox import Outcome, Sandbox, Venv

from test_certificates import needs_verification, register, send

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

DEMO = wheel("tool", "1.0", says="signed")


@pytest.fixture
def maintainer() -> Iterator[Maintainer]:
    with Maintainer("maintainer") as maintainer:
        yield maintainer


@pytest.fixture
def stranger() -> Iterator[Maintainer]:
    with Maintainer("stranger") as stranger:
        yield stranger


def asks(person: Sandbox, *fingerprints: str, certificates: str | None = None) -> None:
    file = Path(person.env["WHEELMARK_HOME"]) / "wheelmark.toml"
    named = f'openpgp-certificates = ["{certificates}"]\n' if certificates else ""
    listed = ", ".join(f'"{one}"' for one in fingerprints)
    file.write_text(f'{named}[[for]]\nprojects = ["tool"]\nopenpgp = [{listed}]\n')


def keep(person: Sandbox, maintainer: Maintainer, folder: str = "keys") -> str:
    """Puts a certificate where the settings can name it; the folder, as seen from there."""
    place = Path(person.env["WHEELMARK_HOME"]) / folder
    place.mkdir(exist_ok=True)
    (place / f"{maintainer.name}.asc").write_bytes(maintainer.certificate())
    return folder


def install(person: Sandbox, tool: str, venv: Venv, *args: object) -> tuple[Outcome, dict]:
    report = person.work / "report.json"
    done = person.install(tool, venv, *args, options=("--report", report))
    return done, json.loads(report.read_text())


def refused(person: Sandbox, tool: str, why: str) -> None:
    venv = person.venv()
    done, report = install(person, tool, venv, "tool")
    done.failed()
    assert venv.installed() == {}
    assert why in report["refused"][0]["failed"], report["refused"]
    assert why in done.text, done


@BOTH
def test_a_signature_by_one_of_those_asked_for(
    tool: str, index: Index, sandbox: Sandbox, maintainer: Maintainer, stranger: Maintainer
) -> None:
    send(index, sandbox, DEMO, maintainer.sign(DEMO.content)).ok()
    needs_verification(index)
    sandbox.trust(index)
    ours, theirs = maintainer.fingerprint(), stranger.fingerprint()

    asks(sandbox, ours)
    refused(sandbox, tool, "none of their certificates is known here")
    asks(sandbox, theirs, ours, certificates=keep(sandbox, maintainer))
    venv = sandbox.venv()
    done, report = install(sandbox, tool, venv, "tool")
    done.ok()
    assert venv.says("tool") == "signed" and report["verified"] is True
    told = sandbox.wheelmark("explain", "tool", "--policy").ok().out
    assert f"signed by {ours}" in told

    # Somebody else's certificate in the same folder makes no difference.
    keep(sandbox, stranger)
    asks(sandbox, theirs, certificates="keys")
    refused(sandbox, tool, "no certificate of the project made it")
    assert sandbox.wheelmark("explain", "tool", "--policy").failed().out
    (Path(sandbox.env["WHEELMARK_HOME"]) / "keys" / "bad.asc").write_text("no certificate")
    done = sandbox.install(tool, sandbox.venv(), "tool").failed()
    assert "bad.asc" in done.err and "openpgp-certificates" in done.err


@BOTH
def test_signatures_that_do_not_hold(tool: str, index: Index, sandbox: Sandbox, maintainer: Maintainer) -> None:
    other = wheel("tool", "2.0", says="other")
    large = wheel("tool", "3.0", says="large", payload=6 << 20)
    send(index, sandbox, DEMO, None).ok()
    needs_verification(index)
    sandbox.trust(index)
    asks(sandbox, maintainer.fingerprint(), certificates=keep(sandbox, maintainer))
    refused(sandbox, tool, "there is none beside it")
    # The index has no certificate of the project, so that it takes any signature.
    send(index, sandbox, other, maintainer.sign(DEMO.content)).ok()
    refused(sandbox, tool, "over this file: one of the two was changed")
    # Larger than what is held in memory.
    send(index, sandbox, large, maintainer.sign(large.content)).ok()
    venv = sandbox.venv()
    install(sandbox, tool, venv, "tool")[0].ok()
    assert venv.says("tool") == "large"
    maintainer.revoke()
    keep(sandbox, maintainer)
    refused(sandbox, tool, "is revoked")


@BOTH
def test_the_index_has_the_certificate_and_the_policy_its_fingerprint(
    tool: str, index: Index, sandbox: Sandbox, maintainer: Maintainer, stranger: Maintainer
) -> None:
    index.publish(sdist("tool", "0.1"))
    needs_verification(index)
    theirs = register(index, stranger, sandbox.work)
    send(index, sandbox, DEMO, stranger.sign(DEMO.content)).ok()
    sandbox.trust(index)
    # What the index says of whose certificate it is counts for nothing.
    asks(sandbox, maintainer.fingerprint())
    refused(sandbox, tool, "none of their certificates is known here")
    asks(sandbox, theirs)
    venv = sandbox.venv()
    install(sandbox, tool, venv, "tool")[0].ok()
    assert venv.says("tool") == "signed"
    # A revocation that is registered reaches those who have an older copy.
    asks(sandbox, theirs, certificates=keep(sandbox, stranger))
    install(sandbox, tool, sandbox.venv(), "tool")[0].ok()
    stranger.revoke()
    register(index, stranger, sandbox.work)
    refused(sandbox, tool, "is revoked")


@BOTH
def test_a_signature_beside_a_file_of_an_index_that_nobody_signs(
    tool: str, sandbox: Sandbox, index: Index, maintainer: Maintainer, stranger: Maintainer
) -> None:
    index.publish(sdist("tool", "0.1"))
    needs_verification(index)
    with PlainIndex(Entry(DEMO, signature=maintainer.sign(DEMO.content))) as plain:
        sandbox.wheelmark("trust", "add", plain.index_url, "--unsigned").ok()
        asks(sandbox, maintainer.fingerprint(), certificates=keep(sandbox, maintainer))
        venv = sandbox.venv()
        install(sandbox, tool, venv, "tool")[0].ok()
        assert venv.says("tool") == "signed"
        # Whoever controls the index replaces the file, its digest and its signature.
        evil = wheel("tool", "1.0", says="evil")
        plain.entries[:] = [Entry(evil, signature=stranger.sign(evil.content))]
        refused(sandbox, tool, "no certificate of the project made it")



def test_one_file_and_its_signature_by_hand(index: Index, sandbox: Sandbox, maintainer: Maintainer, stranger: Maintainer) -> None:
    index.publish(sdist("tool", "0.1"))
    needs_verification(index)
    file = DEMO.write(sandbox.work / "dist")
    signature, other = sandbox.work / "good.asc", sandbox.work / "other.asc"
    signature.write_bytes(maintainer.sign(DEMO.content))
    other.write_bytes(maintainer.sign(b"something else"))
    for one in (maintainer, stranger):
        (sandbox.work / f"{one.name}.asc").write_bytes(one.certificate())

    def verify(signature: Path, *people: Maintainer, code: int = 0) -> dict:
        named = [word for one in people for word in ("--certificate", sandbox.work / f"{one.name}.asc")]
        done = sandbox.wheelmark("verify", file, "--signature", signature, *named, "--json")
        assert done.code == code, done
        return json.loads(done.out)["targets"][0]

    assert verify(signature, stranger, maintainer)["certificate"] == maintainer.fingerprint()
    assert "no certificate of the project made it" in verify(signature, stranger, code=1)["why"]
    assert "one of the two was changed" in verify(other, maintainer, code=1)["why"]
    assert "REFUSED" in sandbox.wheelmark(
        "verify", file, "--signature", file, "--certificate", sandbox.work / "maintainer.asc"
    ).failed().out
    for words in (("--signature", signature), ("--certificate", signature), ("--signature", signature, "--certificate", "none.asc")):
        assert sandbox.wheelmark("verify", file, *words).code == 2, words
