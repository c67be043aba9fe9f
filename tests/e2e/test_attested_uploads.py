"""Attestations at upload: from the CI service through the real `uv publish` to the page, and to copies."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import MakeIndex
from harness.ci import CiService
from harness.distributions import sdist, wheel
from harness.index import Index
from harness.sandbox import TOOLS, Outcome, Sandbox
from harness.sigstore import PrivateSigstore
from harness.tls import Certificates, make_certificates
from harness.upload import Answer, fields_for, form, request

PUBLISHER = "github:octo/demo@release.yml"
OTHER = "github:octo/other@release.yml"
INTEGRITY = "application/vnd.pypi.integrity.v1+json"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore") / "keys")


def run(sandbox: Sandbox, index: Index, *words: object) -> Outcome:
    return sandbox.wheelmark("index", "--data", index.data, *words)


@pytest.fixture
def index(make_index: MakeIndex, sigstore: PrivateSigstore, sandbox: Sandbox) -> Index:
    """An index that believes a Sigstore of its own, with a project that trusts a workflow's attestations."""
    index = make_index(options=["--sigstore-roots", sigstore.trusted_root, "--external-url", "https://pypi.test/"])
    index.start()
    run(sandbox, index, "project", "create", "demo", "--owner", "operator").ok()
    run(sandbox, index, "publisher", "add", "demo", PUBLISHER, "--attest-only").ok()
    index.ready |= {"index_url": index.url("/simple/"), "upload_url": index.url("/legacy/")}
    return index


def send(index: Index, dist, attestations: str | None) -> Answer:
    fields = fields_for(dist)
    if attestations is not None:
        fields.append(("attestations", attestations))
    body, kind = form(fields, dist.filename, dist.content)
    basic = base64.b64encode(f"__token__:{index.token}".encode()).decode()
    headers = {"Content-Type": kind, "Authorization": f"Basic {basic}"}
    return request("POST", index.url("/legacy/"), headers=headers, body=body)


def entry(index: Index, project: str, filename: str) -> dict:
    page = index.get(f"/simple/{project}/", Accept="application/vnd.pypi.simple.v1+json").json()
    return next(file for file in page["files"] if file["filename"] == filename)


def test_what_is_attested_is_signed_served_and_copied(index: Index, sigstore: PrivateSigstore, sandbox: Sandbox) -> None:
    made = wheel("demo", "1.0")
    file = made.write(sandbox.work)
    attestation = json.loads(sigstore.attest(file, PUBLISHER).read_text())
    answer = send(index, made, json.dumps([attestation]))
    assert answer.status == 200, f"{answer}"
    # Once more is a success; with others, or for the first time, is not.
    assert send(index, made, json.dumps([attestation])).status == 200
    assert send(index, made, None).status == 200

    said = entry(index, "demo", made.filename)
    assert said["provenance"] == f"https://pypi.test/integrity/demo/1.0/{made.filename}/provenance"
    html = index.get("/simple/demo/", Accept="text/html").body.decode()
    assert f'data-provenance="{said["provenance"]}"' in html
    served = index.get(f"/integrity/demo/1.0/{made.filename}/provenance")
    assert (served.status, served.header("Content-Type")) == (200, INTEGRITY)
    digest = hashlib.sha256(served.body).hexdigest()
    assert said["_wheelmark"]["provenance-sha256"] == digest
    assert index.get(f"/targets/packages/demo/{digest}.{made.filename}.provenance").body == served.body
    assert index.get(f"/packages/demo/{made.filename}.provenance").body == served.body
    [bundle] = served.json()["attestation_bundles"]
    assert bundle["publisher"] == {
        "kind": "GitHub", "repository": "octo/demo", "workflow": "release.yml", "environment": None,
    }  # fmt: skip
    assert bundle["attestations"] == [attestation]
    for path in (f"/integrity/demo/1.1/{made.filename}/provenance", "/integrity/demo/1.0/x/provenance"):
        assert index.get(path).status == 404, path

    # By hand, without the index.
    kept = sandbox.work / "kept.provenance"
    kept.write_bytes(served.body)
    words = ("--publisher", PUBLISHER, "--trusted-root", sigstore.trusted_root)
    sandbox.wheelmark("verify", file, "--provenance", kept, *words).ok()

    # What an audit, a collection and a copy make of it.
    run(sandbox, index, "audit").ok()
    run(sandbox, index, "gc").ok()
    assert index.get(f"/integrity/demo/1.0/{made.filename}/provenance").body == served.body
    sandbox.trust(index)
    copy = sandbox.work / "copy"
    sandbox.wheelmark("mirror", index.index_url, copy).ok()
    assert (copy / "packages/demo" / f"{made.filename}.provenance").read_bytes() == served.body
    verified = sandbox.wheelmark("verify", copy).ok()
    assert "provenance" in verified.text, f"{verified}"

    run(sandbox, index, "remove", "demo", "1.0", "--yes").ok()
    assert index.get(f"/integrity/demo/1.0/{made.filename}/provenance").status == 404
    run(sandbox, index, "unremove", "demo", "1.0", "--yes").ok()
    assert index.get(f"/integrity/demo/1.0/{made.filename}/provenance").body == served.body


def test_all_of_it_holds_or_the_file_is_not_taken(index: Index, sigstore: PrivateSigstore, sandbox: Sandbox) -> None:
    made, another = wheel("demo", "1.0"), sdist("demo", "1.0")
    file = made.write(sandbox.work)
    good = json.loads(sigstore.attest(file, PUBLISHER).read_text())
    theirs = json.loads(sigstore.attest(file, OTHER).read_text())
    of_another = json.loads(sigstore.attest(another.write(sandbox.work), PUBLISHER).read_text())
    stranger = PrivateSigstore(sandbox.folder / "stranger")
    unknown = json.loads(stranger.attest(file, PUBLISHER).read_text())
    cases = {
        "nothing": "",
        "no list": json.dumps(good),
        "an empty one": "[]",
        "one twice": json.dumps([good, good]),
        "ten thousand": json.dumps([{}] * 10_000),
        "ten thousand good ones": json.dumps([good] * 10_000),
        "something deep": "[" * 100_000,
        "by somebody else": json.dumps([theirs]),
        "a good one and another": json.dumps([good, theirs]),
        "of another file": json.dumps([of_another]),
        "by an unknown authority": json.dumps([unknown]),
        "of another version": json.dumps([good | {"version": 2}]),
    }
    for what, attestations in cases.items():
        answer = send(index, made, attestations)
        assert answer.status == 400, f"{what}: {answer}"
        assert index.get("/simple/demo/").status == 404, what
    assert send(index, wheel("other", "1.0"), json.dumps([good])).status == 400
    assert send(index, made, json.dumps([good])).status == 200
    # What is said of a published file stays.
    bare = wheel("demo", "2.0")
    assert send(index, bare, None).status == 200
    late = json.loads(sigstore.attest(bare.write(sandbox.work), PUBLISHER).read_text())
    answer = send(index, bare, json.dumps([late]))
    assert answer.status == 400 and "File already exists" in answer.reason, f"{answer}"


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_clients_expect_whoever_attested_first(tool: str, index: Index, sigstore: PrivateSigstore, sandbox: Sandbox) -> None:
    """The whole way on a signed index: to the page with the upload, and from it to the person."""
    # A Sigstore of one's own does not vouch for jobs of GitHub and the like.
    ours = "release@demo.example+https://ci.demo.example"
    run(sandbox, index, "publisher", "add", "demo", ours, "--attest-only").ok()

    def publish(version: str, by: str | None) -> None:
        made = wheel("demo", version, says=version)
        attestations = None
        if by is not None:
            attestation = sigstore.attest(made.write(sandbox.work), by)
            attestations = json.dumps([json.loads(attestation.read_text())])
        answer = send(index, made, attestations)
        assert answer.status == 200, f"{answer}"

    def install(version: str) -> tuple[Outcome, dict]:
        report = sandbox.work / "report.json"
        done = sandbox.install(tool, sandbox.venv(), f"demo=={version}", options=("--report", report))
        return done, json.loads(report.read_text())

    publish("1.0", ours)
    sandbox.trust(index)
    settings = Path(sandbox.env["WHEELMARK_HOME"]) / "wheelmark.toml"
    settings.write_text(f"sigstore-roots = [{json.dumps(str(sigstore.trusted_root))}]\n")
    done, report = install("1.0")
    done.ok()
    [file] = report["files"]
    assert file["provenance"].startswith(f"attested as {ours}") and file["identity_from"] == "first-use", file
    assert f"demo attested as {ours}" in done.err

    publish("2.0", None)
    plain = sandbox.venv()
    (sandbox.plain_pip if tool == "pip" else sandbox.plain_uv)(plain, index.index_url, "demo==2.0").ok()
    assert plain.says("demo") == "2.0", "installers do not look"
    done, report = install("2.0")
    done.failed()
    assert "its provenance is gone" in report["refused"][0]["failed"], report

    publish("3.0", ours)
    install("3.0")[0].ok()


@pytest.fixture
def ci(certificates: Certificates) -> Iterator[CiService]:
    with CiService(certificates) as service:
        yield service


def test_from_the_exchange_to_the_install(
    make_index: MakeIndex, ci: CiService, certificates: Certificates, sigstore: PrivateSigstore, sandbox: Sandbox
) -> None:
    index = make_index(
        env=dict(certificates.env),
        options=[
            "--tls-cert", certificates.certificate, "--tls-key", certificates.key,
            "--oidc-issuers", f"github={ci.url}", "--oidc-audience", "pypi.test",
            "--sigstore-roots", sigstore.trusted_root,
        ],
    )  # fmt: skip
    (index.data / "index.toml").write_text(f'oidc-issuers = ["github={ci.url}"]\n')
    index.start()
    run(sandbox, index, "project", "create", "demo", "--owner", "operator").ok()
    run(sandbox, index, "publisher", "add", "demo", PUBLISHER, "--issuer", ci.url).ok()
    made = wheel("demo", "1.0", says="attested")
    file = made.write(sandbox.work)
    attestation = sigstore.attest(file, PUBLISHER)
    publish = (
        TOOLS / "uv", "publish", "--trusted-publishing", "always",
        "--publish-url", f"https://localhost:{index.port}/legacy/", file, attestation,
    )  # fmt: skip
    # An issuer of one's own uploads, and does not attest by the public one's names.
    refused = sandbox.run(*publish, env=ci.job).failed()
    assert "nobody whose attestations" in refused.text, f"{refused}"
    run(sandbox, index, "publisher", "add", "demo", PUBLISHER, "--attest-only").ok()
    sandbox.run(*publish, env=ci.job).ok()
    page = json.loads(index.page_on_disk("demo").read_bytes())
    [said] = page["files"]
    assert "provenance-sha256" in said["_wheelmark"] and "provenance" not in said, said
    url = f"https://localhost:{index.port}/simple/"
    sandbox.wheelmark("trust", "add", url, "--root", index.root_file, env=certificates.env).ok()
    venv = sandbox.venv()
    sandbox.install("pip", venv, "demo", options=("--index", url), env=certificates.env).ok()
    assert venv.says("demo") == "attested"
