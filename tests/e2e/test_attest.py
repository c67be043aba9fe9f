"""`wheelmark attest`: attestations by a Sigstore of one's own over HTTP, and from them to the install."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import MakeIndex
from harness.ci import CiService
from harness.distributions import sdist, wheel
from harness.foreign import program
from harness.index import Index
from harness.sandbox import TOOLS, Outcome, Sandbox
from harness.sigstore import PrivateSigstore, Services
from harness.tls import Certificates, make_certificates

WORKFLOW = "https://github.com/octo/demo/.github/workflows/release.yml"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def ci(certificates: Certificates) -> Iterator[CiService]:
    with CiService(certificates) as service:
        yield service


@pytest.fixture(scope="module")
def sigstore(tmp_path_factory: pytest.TempPathFactory) -> PrivateSigstore:
    return PrivateSigstore(tmp_path_factory.mktemp("sigstore") / "keys")


@pytest.fixture
def services(sigstore: PrivateSigstore, ci: CiService) -> Iterator[Services]:
    with Services(sigstore, f"github={ci.url}", env=ci.certificates.env) as services:
        yield services


@pytest.fixture
def dist(sandbox: Sandbox) -> Path:
    folder = sandbox.work / "dist"
    folder.mkdir()
    for made in (wheel("demo", "1.0", says="attested"), sdist("demo", "1.0")):
        made.write(folder)
    return folder


def ours(ci: CiService) -> str:
    """Who a job of the service is to whoever believes the private Sigstore."""
    return f"{WORKFLOW}@*+{ci.url}"


def attest(sandbox: Sandbox, services: Services, ci: CiService, *words: object, env: dict[str, str] | None = None) -> Outcome:
    return sandbox.wheelmark("attest", *services.options, *words, env=dict(ci.certificates.env) | (ci.job if env is None else env))


def listed(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_from_a_job_to_the_install(
    tool: str, make_index: MakeIndex, ci: CiService, certificates: Certificates, services: Services, dist: Path, sandbox: Sandbox
) -> None:
    """One job, without any secret of its own: it attests, publishes, and is named where it is installed."""
    index: Index = make_index(
        env=dict(certificates.env),
        options=[
            "--tls-cert", certificates.certificate, "--tls-key", certificates.key,
            "--oidc-issuers", f"github={ci.url}", "--oidc-audience", "pypi.test",
            "--sigstore-roots", services.sigstore.trusted_root,
        ],
    )  # fmt: skip
    (index.data / "index.toml").write_text(f'oidc-issuers = ["github={ci.url}"]\n')
    index.start()

    def publisher(*words: object) -> None:
        sandbox.wheelmark("index", "--data", index.data, "publisher", "add", "demo", *words).ok()

    publisher("github:octo/demo@release.yml", "--issuer", ci.url, "--owner", "operator")

    done = attest(sandbox, services, ci, *dist.iterdir()).ok()
    assert done.out.count(": attested\n") == 2 and done.out.count(f"  issuer     {ci.url}\n") == 2, f"{done}"
    publish = (
        TOOLS / "uv", "publish", "--trusted-publishing", "always",
        "--publish-url", f"https://localhost:{index.port}/legacy/",
    )  # fmt: skip
    # Who uploads is no word for who attests: that is listed, too, once the project is there.
    (other := sandbox.work / "other").mkdir()
    sandbox.run(*publish, wheel("demo", "0.9").write(other), env=ci.job).ok()
    refused = sandbox.run(*publish, *sorted(dist.iterdir()), env=ci.job).failed()
    assert "nobody whose attestations" in refused.text, f"{refused}"
    publisher(ours(ci), "--attest-only")
    # Without further words it takes all that lies in dist/, and finds the attestations there.
    sandbox.run(*publish, env=ci.job).ok()
    page = json.loads(index.page_on_disk("demo").read_bytes())
    attested = {file["filename"] for file in page["files"] if "provenance-sha256" in file["_wheelmark"]}
    assert attested == {"demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz"}

    url = f"https://localhost:{index.port}/simple/"
    sandbox.wheelmark("trust", "add", url, "--root", index.root_file, env=certificates.env).ok()
    settings = Path(sandbox.env["WHEELMARK_HOME"]) / "wheelmark.toml"
    settings.write_text(
        f"sigstore-roots = [{json.dumps(str(services.sigstore.trusted_root))}]\n"
        f'[[for]]\nprojects = ["demo"]\nattested-by = ["{ours(ci)}"]\n'
    )
    report, venv = sandbox.work / "report.json", sandbox.venv()
    done = sandbox.install(tool, venv, "demo", options=("--index", url, "--report", report), env=certificates.env).ok()
    assert venv.says("demo") == "attested"
    told = f"attested as {ours(ci)}"
    assert f"demo {told}" in done.err, f"{done}"
    [file] = json.loads(report.read_bytes())["files"]
    assert file["provenance"].startswith(told) and file["identity_from"] == "policy", file

    # A file that nobody attests is not what was asked for.
    done = sandbox.install(tool, sandbox.venv(), "demo==0.9", options=("--index", url), env=certificates.env).failed()
    assert "attests to it" in done.text, f"{done}"


def test_files_that_are_attested_keep_what_they_have(services: Services, ci: CiService, dist: Path, sandbox: Sandbox) -> None:
    attest(sandbox, services, ci, dist / "demo-1.0.tar.gz").ok()
    first = (dist / "demo-1.0.tar.gz.publish.attestation").read_bytes()
    (dist / "demo-1.0.tar.gz.asc").write_text("a signature")
    # All that lies there now, twice.
    for made in ([True, False], [False, False]):
        done = attest(sandbox, services, ci, "--json", *sorted(dist.iterdir())).ok()
        told = {entry["file"]: entry for entry in json.loads(done.out)["attested"]}
        assert [told["demo-1.0-py3-none-any.whl"]["made_now"], told["demo-1.0.tar.gz"]["made_now"]] == made, told
        assert told["demo-1.0.tar.gz"]["attestation"] == f"{dist}/demo-1.0.tar.gz.publish.attestation"
        assert told["demo-1.0.tar.gz"]["identity"]["claims"]["repository"] == "https://github.com/octo/demo"
    assert (dist / "demo-1.0.tar.gz.publish.attestation").read_bytes() == first
    # They are no secret.
    umask = os.umask(0o022)
    os.umask(umask)
    mode = stat.S_IMODE((dist / "demo-1.0.tar.gz.publish.attestation").stat().st_mode)
    assert mode == 0o666 & ~umask
    # By hand, by whoever gets them.
    for name in ("demo-1.0.tar.gz", "demo-1.0-py3-none-any.whl"):
        sandbox.wheelmark(
            "verify", dist / name, "--provenance", dist / f"{name}.publish.attestation",
            "--publisher", ours(ci), "--trusted-root", services.sigstore.trusted_root,
        ).ok()  # fmt: skip


def test_what_is_there_and_does_not_hold_is_not_replaced(services: Services, ci: CiService, dist: Path, sandbox: Sandbox) -> None:
    sdist_there = dist / "demo-1.0.tar.gz.publish.attestation"
    elsewhere = PrivateSigstore(sandbox.folder / "another")
    files = [dist / "demo-1.0-py3-none-any.whl", dist / "demo-1.0.tar.gz"]

    def refused(why: str, *words: object) -> None:
        before = {file.name: file.read_bytes() for file in dist.iterdir()}
        done = attest(sandbox, services, ci, *words, *files).failed()
        assert why in done.text and "hint:" in done.text, f"{why}: {done}"
        assert {file.name: file.read_bytes() for file in dist.iterdir()} == before, why

    sdist_there.write_text("mine")
    refused("does not have the form")
    elsewhere.attest(dist / "demo-1.0.tar.gz", "github:octo/demo@release.yml")
    refused("which no trusted root knows")
    services.sigstore.attest(dist / "demo-1.0.tar.gz", "github:octo/demo@release.yml", options=("--sha256", "00" * 32))
    refused("it is about a file with the SHA-256")
    # A good one, of somebody else than who attests now.
    services.sigstore.attest(dist / "demo-1.0.tar.gz", "github:octo/demo@release.yml")
    refused("was attested by github:octo/demo@release.yml")
    refused("is attested by github:octo/demo@release.yml", "--publisher", ours(ci))
    # All are there, by two.
    beside = services.sigstore.attest(dist / "demo-1.0-py3-none-any.whl", "github:octo/other@release.yml")
    refused("by github:octo/other@release.yml")
    beside.unlink()
    sdist_there.unlink()
    sdist_there.symlink_to(sandbox.work / "nowhere")
    done = attest(sandbox, services, ci, *files).failed()
    assert "could not read" in done.text and sdist_there.is_symlink(), f"{done}"
    assert not (sandbox.work / "nowhere").exists()


def test_all_files_get_theirs_or_none(services: Services, ci: CiService, dist: Path, sandbox: Sandbox) -> None:
    files, before = sorted(dist.iterdir()), listed(dist)

    def refused(why: str, *words: object, env: dict[str, str] | None = None) -> Outcome:
        done = attest(sandbox, services, ci, *words, env=env).failed()
        assert why in done.text and "hint:" in done.text, f"{why}: {done}"
        assert listed(dist) == before, why
        return done

    refused("and not by github:octo/other@x.yml", "--publisher", "github:octo/other@x.yml", *files)
    (odd := sandbox.work / "notes.txt").write_text("x")
    refused("notes.txt cannot be attested", *files, odd)
    refused("could not read", *files, dist / "demo-2.0.tar.gz")
    # Who is it?
    refused("who are you?", *files, env={})
    refused("id-token: write", *files, env={"GITHUB_ACTIONS": "true"})
    refused("SIGSTORE_ID_TOKEN: aud: sigstore", *files, env={"GITLAB_CI": "true"})
    refused("GitHub gave this job no identity token", *files, env=ci.job | {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "another-job"})
    refused("it is not an identity token", *files, env={"SIGSTORE_ID_TOKEN": "wmk_token"})
    refused("it is made for `pypi`", *files, env={"SIGSTORE_ID_TOKEN": ci.token("pypi")})
    done = refused("it ended at", *files, env={"SIGSTORE_ID_TOKEN": ci.token("sigstore", exp=1)})
    assert "clock" in done.text
    # An issuer that the authority does not know, and a forger.
    with CiService(ci.certificates) as stranger:
        token = stranger.token("sigstore")
        done = refused("the authority refuses this identity token", *files, env={"SIGSTORE_ID_TOKEN": token})
        assert stranger.url in done.text and "is not configured" in done.text and token not in done.text
        forged = stranger.token("sigstore", iss=ci.url)
        refused("the authority refuses this identity token", *files, env={"SIGSTORE_ID_TOKEN": forged})
    # Another trusted root than that of the services.
    other = PrivateSigstore(sandbox.folder / "another")
    words = ("attest", "--fulcio", services.url, "--rekor", services.url, "--trusted-root", other.trusted_root)
    done = sandbox.wheelmark(*words, *files, env=ci.job).failed()
    assert "does the trusted root belong to these services?" in done.text and listed(dist) == before, f"{done}"
    attest(sandbox, services, ci, *files).ok()


def test_the_reference_and_we_take_each_others_attestations(services: Services, ci: CiService, dist: Path, sandbox: Sandbox) -> None:
    """The Python client signs at the services of the tests, so these speak as the real ones; and it believes ours."""
    root, file = services.sigstore.trusted_root, dist / "demo-1.0.tar.gz"
    python, script = program("venv-attestations", "python"), Path(__file__).parent / "reference_attest.py"
    theirs = sandbox.work / "theirs"
    sandbox.run(python, script, "attest", services.url, root, file, theirs, env={"TOKEN": ci.token("sigstore")}).ok()
    sandbox.wheelmark("verify", file, "--provenance", theirs, "--publisher", ours(ci), "--trusted-root", root).ok()

    attest(sandbox, services, ci, file).ok()
    words = (python, script, "verify", services.url, root, file, dist / f"{file.name}.publish.attestation")
    who = {"WHO": f"{WORKFLOW}@refs/tags/v1", "BY": ci.url}
    done = sandbox.run(*words, env=who).ok()
    assert "https://docs.pypi.org/attestations/publish/v1" in done.out, f"{done}"
    sandbox.run(*words, env=who | {"BY": "https://accounts.example.org"}).failed()


def test_tokens_come_from_wherever_a_service_puts_them(services: Services, ci: CiService, dist: Path, sandbox: Sandbox) -> None:
    file = dist / "demo-1.0.tar.gz"

    def made(*words: object, env: dict[str, str]) -> None:
        attest(sandbox, services, ci, *words, file, env=env).ok()
        (dist / f"{file.name}.publish.attestation").unlink()

    made(env={"SIGSTORE_ID_TOKEN": ci.token("sigstore")})
    (kept := sandbox.work / "token").write_text(ci.token("sigstore") + "\n")
    made("--identity-token-file", kept, env={"SIGSTORE_ID_TOKEN": "not this one"})
    made(env=ci.job)
    assert ci.asked.count("/job/token") == 1


def test_a_sigstore_of_ones_own_is_named_whole(services: Services, dist: Path, sandbox: Sandbox) -> None:
    for words in (
        ("--fulcio", services.url),
        ("--rekor", services.url),
        ("--trusted-root", services.sigstore.trusted_root),
        ("--fulcio", services.url, "--rekor", services.url),
    ):
        done = sandbox.wheelmark("attest", *words, *dist.iterdir())
        assert done.code == 2, f"{done}"
    words = ("--fulcio", "http://fulcio.example", "--rekor", services.url, "--trusted-root", services.sigstore.trusted_root)
    done = sandbox.wheelmark("attest", *words, dist / "demo-1.0.tar.gz", env={"SIGSTORE_ID_TOKEN": "e30.e30.e30"})
    assert done.code == 1, f"{done}"


def test_an_address_of_a_person_goes_into_the_public_log_only_if_they_want(ci: CiService, dist: Path, sandbox: Sandbox) -> None:
    token = ci.token("sigstore", email="alice@example.org", email_verified=True)
    done = sandbox.wheelmark("attest", dist / "demo-1.0.tar.gz", env={"SIGSTORE_ID_TOKEN": token}).failed()
    assert "alice@example.org would stand in a public log for good" in done.text and "--yes" in done.text, f"{done}"
    token = ci.token("sigstore", repository_visibility="private")
    done = sandbox.wheelmark("attest", dist / "demo-1.0.tar.gz", env={"SIGSTORE_ID_TOKEN": token}).failed()
    assert "which not everybody may see, would stand in a public log" in done.text and "--yes" in done.text, f"{done}"
