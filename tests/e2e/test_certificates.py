"""A project's OpenPGP certificates: registered, signed into its page, served, and verified by."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import Distribution, sdist
from harness.index import Index
from harness.maintainer import Maintainer, known_to_gnupg
from harness.sandbox import Outcome, Sandbox

from test_orders import order, page

FIRST = sdist("tool", "1.0")
KEYS = "keys/tool.asc"


@pytest.fixture
def maintainer() -> Iterator[Maintainer]:
    with Maintainer("maintainer") as maintainer:
        yield maintainer


def certificate(index: Index, *words: object, code: int = 0) -> dict:
    return order(index, "project", "certificate", *[str(word) for word in words], code=code)


def register(index: Index, maintainer: Maintainer, folder: Path) -> str:
    """Registers somebody's certificate for `tool`; its fingerprint."""
    file = folder / f"{maintainer.name}.asc"
    file.write_bytes(maintainer.certificate())
    told = certificate(index, "add", "tool", file)
    assert [entry["published"] for entry in told["orders"]] == [True], told
    return told["orders"][0]["subject"]


def needs_verification(index: Index) -> None:
    if not certificate(index, "list", "tool")["verified"]:
        pytest.skip("skipped: needs a binary with the feature openpgp")


def send(index: Index, sandbox: Sandbox, dist: Distribution, signature: bytes | None) -> Outcome:
    """`twine upload`, with the signature beside the file."""
    folder = sandbox.work / f"dist-{dist.version}"
    dist.write(folder)
    file = folder / dist.filename
    beside = file.with_name(f"{file.name}.asc")
    beside.unlink(missing_ok=True)
    if signature is not None:
        beside.write_bytes(signature)
    return sandbox.twine(index, file, *([beside] if signature is not None else []))


def listed(index: Index) -> list[str]:
    return [file["filename"] for file in page(index)["files"]]


def test_without_a_certificate_a_signature_of_other_bytes_is_taken(
    index: Index, sandbox: Sandbox, maintainer: Maintainer
) -> None:
    signature = maintainer.sign(b"other bytes")
    send(index, sandbox, FIRST, signature).ok()
    assert index.get(f"packages/tool/{FIRST.filename}.asc").body == signature
    assert index.get(KEYS).status == 404


def test_a_signature_that_does_not_hold_is_refused_where_a_certificate_is_registered(
    index: Index, sandbox: Sandbox, maintainer: Maintainer
) -> None:
    index.publish(FIRST)
    needs_verification(index)
    # Two years ago, for one year.
    with Maintainer("former", at="20241101T000000", expires="1y") as former, Maintainer("stranger") as stranger:
        fingerprint = register(index, maintainer, sandbox.work)
        expired = register(index, former, sandbox.work)
        dist = sdist("tool", "2.0")
        changed = sdist("tool", "2.0", says="changed")
        for signature, words in [
            (maintainer.sign(changed.content), f"no signature of {fingerprint} over this file"),
            (maintainer.sign_and_spoil(dist.content), f"no signature of {fingerprint} over this file"),
            (stranger.sign(dist.content), "no certificate of the project made it"),
            (former.sign(dist.content), f"the certificate {expired} expired on 2025-11-01"),
        ]:
            said = " ".join(send(index, sandbox, dist, signature).failed().text.split())
            assert "Signature does not hold" in said, said
            assert words in said, said
            assert listed(index) == [FIRST.filename]
    send(index, sandbox, dist, maintainer.sign(dist.content)).ok()
    assert listed(index) == [FIRST.filename, dist.filename]
    # Without a signature it is taken as ever.
    third = sdist("tool", "3.0")
    send(index, sandbox, third, None).ok()
    # A revoked or withdrawn certificate signs nothing more.
    certificate(index, "remove", "tool", fingerprint)
    fourth = sdist("tool", "4.0")
    said = send(index, sandbox, fourth, maintainer.sign(fourth.content)).failed().text
    assert "no certificate of the project made it" in " ".join(said.split())


def test_a_signature_can_be_required(index: Index, sandbox: Sandbox, maintainer: Maintainer) -> None:
    index.publish(FIRST)
    needs_verification(index)
    certificate(index, "require", "tool", code=1)
    register(index, maintainer, sandbox.work)
    certificate(index, "require", "tool")
    dist = sdist("tool", "2.0")
    send(index, sandbox, dist, None)
    file = sandbox.work / "dist-2.0" / dist.filename
    for run in (sandbox.twine(index, file), sandbox.uv_publish(index, file)):
        said = " ".join(run.failed().text.split())
        assert "tool takes files with an OpenPGP signature alone" in said, said
        assert "gpg --armor --detach-sign" in said, said
    send(index, sandbox, dist, maintainer.sign(dist.content)).ok()
    certificate(index, "require", "tool", "--undo")
    send(index, sandbox, sdist("tool", "3.0"), None).ok()


def test_certificates_are_served_signed_and_copied(index: Index, sandbox: Sandbox, maintainer: Maintainer) -> None:
    index.publish(FIRST)
    fingerprint = register(index, maintainer, sandbox.work)
    told = certificate(index, "list", "tool")
    assert [entry["fingerprint"] for entry in told["certificates"]] == [fingerprint]
    assert told["certificates"][0]["user_ids"] == ["maintainer <maintainer@example.org>"]
    served = index.get(KEYS)
    assert served.header("Content-Type") == "application/pgp-keys"
    assert served.header("Cache-Control") == "no-cache"
    bound = page(index)["_wheelmark"]["certificates"]
    assert bound["size"] == len(served.body)
    named = index.get(f"targets/simple/tool/{bound['sha256']}.certificates.asc")
    assert named.body == served.body
    assert "immutable" in (named.header("Cache-Control") or "")
    assert fingerprint in known_to_gnupg(served.body)

    sandbox.trust(index)
    copy = sandbox.work / "copy"
    sandbox.wheelmark("mirror", index.index_url, copy).ok()
    assert (copy / KEYS).read_bytes() == served.body
    whole = sandbox.wheelmark("verify", copy).ok()
    assert "1 project's certificates" in whole.out, whole
    object_ = copy / f"targets/simple/tool/{bound['sha256']}.certificates.asc"
    for file in (copy / KEYS, object_):
        before = file.read_bytes()
        file.write_bytes(before[:-1] + b" ")
        said = sandbox.wheelmark("verify", copy, "--from-scratch").failed()
        assert file.name in said.text, said
        file.write_bytes(before)
    sandbox.wheelmark("verify", copy, "--from-scratch").ok()

    certificate(index, "remove", "tool", fingerprint)
    assert index.get(KEYS).status == 404
    assert "certificates" not in page(index).get("_wheelmark", {})
    sandbox.wheelmark("mirror", index.index_url, copy).ok()
    assert not (copy / KEYS).exists()


def test_a_private_key_is_never_taken(index: Index, sandbox: Sandbox, maintainer: Maintainer) -> None:
    index.publish(FIRST)
    file = sandbox.work / "key.asc"
    for secret in (maintainer.private_key(), maintainer.certificate() + maintainer.private_key()):
        file.write_bytes(secret)
        said = certificate(index, "add", "tool", file, code=1)["said"]
        assert "private key, which must not leave its owner" in said, said
        assert "gpg --armor --export" in said, said
    assert index.get(KEYS).status == 404
    kept = subprocess.run(
        ["grep", "-rl", "PGP PRIVATE KEY", index.data], capture_output=True, text=True, check=False, timeout=60
    )
    assert kept.stdout == "", kept.stdout


def test_a_certificate_is_brought_up_to_date_and_loses_nothing(
    index: Index, sandbox: Sandbox, maintainer: Maintainer
) -> None:
    index.publish(FIRST)
    needs_verification(index)
    fingerprint = register(index, maintainer, sandbox.work)
    old = sandbox.work / "old.asc"
    old.write_bytes(maintainer.certificate())
    dist = sdist("tool", "2.0")
    signature = maintainer.sign(dist.content)
    maintainer.revoke()
    register(index, maintainer, sandbox.work)
    # An old copy does not take the revocation back.
    certificate(index, "add", "tool", old)
    told = certificate(index, "list", "tool")["certificates"]
    assert [(entry["fingerprint"], entry["standing"]) for entry in told] == [(fingerprint, "revoked")]
    said = send(index, sandbox, dist, signature).failed().text
    assert "is revoked" in " ".join(said.split()), said
    assert listed(index) == [FIRST.filename]
