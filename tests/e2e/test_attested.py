"""`wheelmark verify FILE --provenance …`: a file and what is attested of it, without an index."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.sandbox import Outcome, Sandbox
from harness.sigstore import PrivateSigstore

FIXTURES = Path(__file__).parents[2] / "crates" / "provenance" / "tests" / "fixtures"
REAL = "abi3info-2024.10.8-py3-none-any.whl"


@pytest.fixture
def sigstore(tmp_path: Path) -> PrivateSigstore:
    return PrivateSigstore(tmp_path / "sigstore")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return wheel("demo", "1.0").write(tmp_path / "dist")


def told(done: Outcome) -> dict:
    (target,) = json.loads(done.out)["targets"]
    return target


def verify(sandbox: Sandbox, file: Path, provenance: Path, *words: object) -> Outcome:
    return sandbox.wheelmark("verify", file, "--provenance", provenance, *words)


def test_what_pypi_serves_is_told_with_who_made_it(sandbox: Sandbox) -> None:
    done = verify(sandbox, FIXTURES / REAL, FIXTURES / f"{REAL}.provenance").ok()
    for line in (
        "attested, and you have to judge by whom",
        "by         github:woodruffw/abi3info@release.yml",
        "issuer     https://token.actions.githubusercontent.com",
        "log        entry 138157179 of c0d23d6ad406973f, 2024-10-08 20:17:29 UTC",
        "vouched by Sigstore's public instance",
        "expected   nobody in particular",
    ):
        assert line in done.out, f"{line}\n{done}"
    done = verify(sandbox, FIXTURES / REAL, FIXTURES / f"{REAL}.provenance", "--json").ok()
    assert (told(done)["verdict"], told(done)["attested"][0]["matches"]) == ("attested-by-anybody", False)
    publisher = "github:woodruffw/abi3info@release.yml"
    done = verify(sandbox, FIXTURES / REAL, FIXTURES / f"{REAL}.provenance", "--publisher", publisher, "--json").ok()
    found = told(done)
    (attested,) = found["attested"]
    assert (found["verdict"], found["holds"], attested["matches"]) == ("attested", True, True)
    assert attested["identity"]["claims"]["ref"] == "refs/tags/v2024.10.08"
    assert attested["log"]["index"] == 138157179
    assert attested["log"]["integrated"] == "2024-10-08T20:17:29Z"
    assert found["expected"] == [{"kind": "GitHub", "repository": "woodruffw/abi3info", "workflow": "release.yml", "environment": None}]


def test_somebody_else_is_refused_and_named(sandbox: Sandbox) -> None:
    for who in (
        ["--publisher", "github:woodruffw/abi3info@other.yml"],
        ["--publisher", "gitlab:woodruffw/abi3info@release.yml"],
        ["--identity", "alice@example.org", "--issuer", "https://accounts.google.com"],
    ):
        done = verify(sandbox, FIXTURES / REAL, FIXTURES / f"{REAL}.provenance", *who)
        assert done.code == 1, f"{done}"
        assert "REFUSED, attested by somebody else" in done.out and ": no, its " in done.out, f"{done}"
    # A workflow by its subject, at any ref.
    subject = "https://github.com/woodruffw/abi3info/.github/workflows/release.yml@*"
    issuer = "https://token.actions.githubusercontent.com"
    verify(sandbox, FIXTURES / REAL, FIXTURES / f"{REAL}.provenance", "--identity", subject, "--issuer", issuer).ok()


def test_a_sigstore_of_ones_own_is_believed_when_it_is_named(sandbox: Sandbox, sigstore: PrivateSigstore, file: Path) -> None:
    root = ("--trusted-root", sigstore.trusted_root)
    gitlab = "gitlab:group/project@.gitlab-ci.yml"
    provenance = sigstore.provenance(file, "github:o/r@release.yml", gitlab)
    done = verify(sandbox, file, provenance, *root).ok()
    assert "github:o/r@release.yml (refs/tags/v1.0)" in done.out and gitlab in done.out
    # Either will do; nobody else.
    verify(sandbox, file, provenance, *root, "--publisher", gitlab).ok()
    verify(sandbox, file, provenance, *root, "--publisher", "github:a/b@c.yml", "--publisher", gitlab).ok()
    assert verify(sandbox, file, provenance, *root, "--publisher", "github:a/b@c.yml").code == 1
    # It is not Sigstore's public one, and that one is not it.
    refused = verify(sandbox, file, provenance)
    assert refused.code == 1 and "which no trusted root knows" in refused.out, f"{refused}"
    real = verify(sandbox, FIXTURES / REAL, FIXTURES / f"{REAL}.provenance", *root)
    assert real.code == 1, f"{real}"
    both = tuple(word for other in (sigstore, PrivateSigstore(file.parent / "other")) for word in ("--trusted-root", other.trusted_root))
    verify(sandbox, file, provenance, *both).ok()


def test_attestations_and_bundles_are_taken_as_well(sandbox: Sandbox, sigstore: PrivateSigstore, file: Path) -> None:
    root = ("--trusted-root", sigstore.trusted_root)
    attestation = sigstore.attest(file, "google:robot@project.iam.gserviceaccount.com")
    done = verify(sandbox, file, attestation, *root, "--identity", "robot@project.iam.gserviceaccount.com", "--issuer", "https://accounts.google.com").ok()
    assert "https://docs.pypi.org/attestations/publish/v1" in done.out
    done = verify(sandbox, file, sigstore.attest(file, slsa=True), *root).ok()
    assert "https://slsa.dev/provenance/v1" in done.out
    said = json.loads(attestation.read_bytes())
    bundle = file.with_name(f"{file.name}.sigstore.json")
    bundle.write_text(json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": said["verification_material"]["certificate"]},
            "tlogEntries": said["verification_material"]["transparency_entries"],
        },
        "dsseEnvelope": {
            "payload": said["envelope"]["statement"],
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": said["envelope"]["signature"]}],
        },
    }))
    verify(sandbox, file, bundle, *root).ok()


def test_what_does_not_hold_is_refused_with_the_reason(sandbox: Sandbox, sigstore: PrivateSigstore, file: Path) -> None:
    root = ("--trusted-root", sigstore.trusted_root)
    provenance = sigstore.provenance(file)
    original = file.read_bytes()

    def refused(why: str, provenance: Path = provenance, name: Path = file) -> None:
        done = verify(sandbox, name, provenance, *root)
        assert done.code == 1 and "REFUSED" in done.out and why in done.out, f"{done}"
        assert told(verify(sandbox, name, provenance, *root, "--json"))["holds"] is False

    file.write_bytes(original + b"x")
    refused("it is about a file with the SHA-256")
    file.write_bytes(original)
    renamed = file.with_name("demo-2.0-py3-none-any.whl")
    renamed.write_bytes(original)
    refused("it is about demo-1.0-py3-none-any.whl, and not about demo-2.0", name=renamed)
    odd = file.with_name("demo.txt")
    odd.write_bytes(original)
    refused("neither a wheel nor a source distribution", name=odd)
    lies = json.loads(provenance.read_bytes())
    lies["attestation_bundles"][0]["publisher"]["repository"] = "o/other"
    changed = file.with_name("lies.provenance")
    changed.write_text(json.dumps(lies))
    refused("is said to be by github:o/other@release.yml, and is not", provenance=changed)
    statement = base64.b64decode(lies["attestation_bundles"][0]["attestations"][0]["envelope"]["statement"])
    lies = json.loads(provenance.read_bytes())
    lies["attestation_bundles"][0]["attestations"][0]["envelope"]["statement"] = base64.b64encode(statement + b" ").decode()
    changed.write_text(json.dumps(lies))
    refused("signature", provenance=changed)
    changed.write_text("[" * 100_000)
    refused("deep in one another", provenance=changed)
    changed.write_text("{}")
    refused("is not an attestation", provenance=changed)
    future = sigstore.attest(file, options=("--ago", "-3600"))
    refused("look whether this machine's clock is right", provenance=future)


def test_what_a_strangers_pull_request_started_is_nobodys(sandbox: Sandbox, sigstore: PrivateSigstore, file: Path) -> None:
    attestation = sigstore.attest(file, options=("--claim", "20=pull_request_target"))
    words = ("--trusted-root", sigstore.trusted_root, "--publisher", "github:o/r@release.yml")
    done = verify(sandbox, file, attestation, *words)
    assert done.code == 1 and "its trigger is pull_request_target" in done.out, f"{done}"


def test_a_wrong_usage_is_told_apart_from_a_refusal(sandbox: Sandbox, sigstore: PrivateSigstore, file: Path, tmp_path: Path) -> None:
    provenance = sigstore.provenance(file)
    for words in (
        [file, "--publisher", "github:o/r@release.yml"],
        [file, "--provenance", provenance, "--publisher", "o/r"],
        [file, "--provenance", provenance, "--publisher", "github:o/r@release.yml#"],
        [file, "--provenance", provenance, "--identity", "alice@example.org"],
        [file, "--provenance", provenance, "--identity", "a@*", "--issuer", "https://accounts.example.org"],
        [file, "--provenance", tmp_path / "none"],
        [tmp_path / "none-1.0.tar.gz", "--provenance", provenance],
        [file, file, "--provenance", provenance],
        [file, "--provenance", provenance, "--trusted-root", provenance],
        [file, "--provenance", provenance, "--trusted-root", tmp_path / "none"],
        [file, "--provenance", provenance, "--index", "https://pypi.example/simple/"],
    ):
        done = sandbox.wheelmark("verify", *words)
        assert done.code == 2, f"{done}"
        assert not done.out, f"{done}"


def test_a_certificate_cannot_write_to_a_terminal(sandbox: Sandbox, sigstore: PrivateSigstore, file: Path) -> None:
    attestation = sigstore.attest(file, options=("--claim", "21=https://x.example/\x1b[2J\nby  somebody"))
    done = verify(sandbox, file, attestation, "--trusted-root", sigstore.trusted_root).ok()
    assert "\x1b" not in done.out and "\nby  somebody" not in done.out, f"{done}"
