"""The real uv and twine publish from a CI service of the tests' own, without a token to keep."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import MakeIndex
from harness.ci import CiService
from harness.distributions import sdist, wheel
from harness.index import Index
from harness.sandbox import TOOLS, Outcome, Sandbox
from harness.tls import Certificates, make_certificates

PUBLISHER = "github:octo/demo@release.yml"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def ci(certificates: Certificates) -> Iterator[CiService]:
    with CiService(certificates) as service:
        yield service


@pytest.fixture
def index(make_index: MakeIndex, ci: CiService, certificates: Certificates) -> Index:
    """An index by https that takes the service's tokens."""
    index = make_index(
        env=dict(certificates.env),
        options=[
            "--tls-cert", certificates.certificate, "--tls-key", certificates.key,
            "--oidc-issuers", f"github={ci.url}", "--oidc-audience", "pypi.test",
        ],
    )  # fmt: skip
    # What the commands go by as well.
    (index.data / "index.toml").write_text(f'oidc-issuers = ["github={ci.url}"]\noidc-audience = "pypi.test"\n')
    index.start()
    index.ready["upload_url"] = f"https://localhost:{index.port}/legacy/"
    return index


def publisher(sandbox: Sandbox, index: Index, *words: object) -> Outcome:
    return sandbox.wheelmark("index", "--data", index.data, "publisher", *words)


def trust(sandbox: Sandbox, index: Index, ci: CiService, project: str, *options: object) -> str:
    """The name of the publisher that may upload to a project from now on."""
    done = publisher(sandbox, index, "add", project, PUBLISHER, "--issuer", ci.url, "--json", *options).ok()
    return json.loads(done.out)["id"]


def uv_publish(sandbox: Sandbox, index: Index, ci: CiService, *files: Path) -> Outcome:
    return sandbox.run(
        TOOLS / "uv", "publish", "--trusted-publishing", "always", "--publish-url", index.ready["upload_url"], *files,
        env=ci.job,
    )  # fmt: skip


def ask(index: Index, certificates: Certificates, method: str, path: str, body: object = None) -> tuple[int, dict]:
    context = ssl.create_default_context(cafile=str(certificates.authority))
    connection = http.client.HTTPSConnection("localhost", index.port, context=context, timeout=60)
    try:
        connection.request(method, path, body=json.dumps(body).encode() if body is not None else None)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def exchanged(index: Index, certificates: Certificates, token: str) -> tuple[int, dict]:
    return ask(index, certificates, "POST", "/_/oidc/mint-token", {"token": token})


def test_uv_publishes_without_a_token(
    index: Index, ci: CiService, certificates: Certificates, sandbox: Sandbox
) -> None:
    made = [wheel("demo", "1.0", says="from the pipeline"), sdist("demo", "1.0")]
    files = [dist.write(sandbox.work) for dist in made]
    # Nobody has said that it may.
    refused = uv_publish(sandbox, index, ci, *files).failed()
    assert "invalid-publisher" in refused.text, f"{refused}"

    # The project comes to be with its first upload.
    name = trust(sandbox, index, ci, "demo", "--owner", "operator")
    assert name.startswith("github-")
    uv_publish(sandbox, index, ci, *files).ok()
    venv = sandbox.venv()
    url = f"https://localhost:{index.port}/simple/"
    sandbox.wheelmark("trust", "add", url, "--root", index.root_file, env=certificates.env).ok()
    sandbox.install("uv", venv, "demo", options=("--index", url), env=certificates.env).ok()
    assert venv.says("demo") == "from the pipeline"

    shown = sandbox.wheelmark("index", "--data", index.data, "project", "show", "demo", "--json").ok()
    members = {member["user"]: member["role"] for member in json.loads(shown.out)["members"]}
    assert members == {"operator": "owner", name: "maintainer"}
    log = sandbox.wheelmark("index", "--data", index.data, "audit-log", "--json").ok()
    assert "token-exchanged" in log.out and PUBLISHER in log.out
    # uv gives its token back when it is done.
    listed = json.loads(sandbox.wheelmark("index", "--data", index.data, "token", "list", "--json").ok().out)
    ours = [token for token in listed if token["user"] == name]
    assert ours and all(token["project"] == "demo" for token in ours), listed
    assert "wmk_" not in index.log_text()


def test_twine_publishes_what_a_job_got_for_its_identity_token(
    index: Index, ci: CiService, certificates: Certificates, sandbox: Sandbox
) -> None:
    """twine asks PyPI alone by itself; with other indexes a step before it does, as PyPI's action does it."""
    trust(sandbox, index, ci, "demo", "--owner", "operator")
    _, audience = ask(index, certificates, "GET", "/_/oidc/audience")
    identity = sandbox.run(TOOLS / "python", "-m", "id", audience["audience"], env=ci.job).ok().out.strip()
    status, answer = exchanged(index, certificates, identity)
    assert status == 200, answer
    made = wheel("demo", "1.0", says="by twine")
    sandbox.twine(index, made.write(sandbox.work), token=answer["token"], env=certificates.env).ok()


def test_a_token_is_for_its_project_and_for_once(
    index: Index, ci: CiService, certificates: Certificates, sandbox: Sandbox
) -> None:
    trust(sandbox, index, ci, "demo", "--owner", "operator")
    assert ask(index, certificates, "GET", "/_/oidc/audience") == (200, {"audience": "pypi.test"})
    identity = ci.token("pypi.test")
    status, answer = exchanged(index, certificates, identity)
    assert (status, answer["success"]) == (200, True)
    status, again = exchanged(index, certificates, identity)
    assert (status, again["errors"][0]["code"]) == (422, "invalid-reuse-token")

    mine, other = wheel("demo", "1.0"), wheel("other", "1.0")
    sandbox.twine(index, mine.write(sandbox.work), token=answer["token"], env=certificates.env).ok()
    refused = sandbox.twine(index, other.write(sandbox.work), token=answer["token"], env=certificates.env).failed()
    assert "Token of another project" in refused.text, f"{refused}"

    for claims, why in [
        ({"event_name": "pull_request_target"}, "whoever proposes a change"),
        ({"repository_owner_id": "8"}, "number 8"),
        ({"job_workflow_ref": "octo/demo/.github/workflows/x.yml@refs/tags/v1"}, "job_workflow_ref"),
        ({"aud": "pypi"}, "made for `pypi`"),
    ]:
        status, answer = exchanged(index, certificates, ci.token("pypi.test", **claims))
        assert status == 422 and why in answer["errors"][0]["description"], answer
    assert ci.asked.count("/keys") == 1


def test_a_stolen_account_is_revoked_with_what_came_from_it(
    index: Index, ci: CiService, certificates: Certificates, sandbox: Sandbox
) -> None:
    sandbox.wheelmark("index", "--data", index.data, "project", "create", "demo", "--owner", "operator").ok()
    name = trust(sandbox, index, ci, "demo")
    good, bad = wheel("demo", "1.0"), wheel("demo", "1.1", says="evil")
    sandbox.twine(index, good.write(sandbox.work), env=certificates.env).ok()
    uv_publish(sandbox, index, ci, bad.write(sandbox.work)).ok()
    _, answer = exchanged(index, certificates, ci.token("pypi.test"))
    # Another workflow of the same account, whose number is not known yet, and one of somebody else.
    for other in ("github:Octo/tools@ci.yml", "github:hexa/demo@release.yml"):
        publisher(sandbox, index, "add", "demo", other, "--issuer", ci.url).ok()

    listed = publisher(sandbox, index, "revoke", name, "--since", "2020-01-01", "--json").ok()
    found = json.loads(listed.out)
    assert found["projects"] == ["demo"]
    assert [(other["publisher"], other["projects"]) for other in found["others"]] == [
        ("github:Octo/tools@ci.yml", ["demo"])
    ]
    assert [file["filename"] for file in found["files"]] == [bad.filename]
    late = wheel("demo", "1.2", says="evil, too")
    refused = sandbox.twine(index, late.write(sandbox.work), token=answer["token"], env=certificates.env).failed()
    assert "Token revoked" in refused.text, f"{refused}"
    assert exchanged(index, certificates, ci.token("pypi.test"))[0] == 422

    publisher(sandbox, index, "revoke", name, "--since", "2020-01-01", "--remove").ok()
    files = sandbox.wheelmark("index", "--data", index.data, "files", "demo", "--json").ok()
    state = {file["filename"]: file["removed_at"] is not None for file in json.loads(files.out)["files"]}
    assert state == {good.filename: False, bad.filename: True}
    publisher(sandbox, index, "revoke", "github-000000000000", "--since", "2020-01-01").failed()


def test_publishers_are_listed_and_mistakes_explained(index: Index, ci: CiService, sandbox: Sandbox) -> None:
    assert "none yet" in publisher(sandbox, index, "list").ok().text
    name = trust(sandbox, index, ci, "demo", "--owner", "operator", "--account", "7")
    shown = publisher(sandbox, index, "list").ok().out
    assert name in shown and PUBLISHER in shown and "makes it for operator until" in shown
    [row] = json.loads(publisher(sandbox, index, "list", "demo", "--json").ok().out)
    assert (row["publisher"], row["account"], row["uploads"]) == (PUBLISHER, "7", True)
    for words, said in [
        (("demo", PUBLISHER, "--issuer", ci.url), "there is no project demo yet"),
        (("demo", PUBLISHER, "--issuer", ci.url, "--owner", "operator"), "lists this publisher already"),
        (("other", PUBLISHER, "--issuer", ci.url, "--owner", "nobody"), "no user named nobody"),
        (("demo", PUBLISHER, "--owner", "operator"), "takes no github tokens of https://token.actions"),
        (("demo", "github:octo@release.yml"), "is not written as"),
        (("demo", "bitbucket:octo/demo"), "is no publisher"),
    ]:
        refused = publisher(sandbox, index, "add", *words).failed()
        assert said in refused.text and "hint:" in refused.text, f"{refused}"
    publisher(sandbox, index, "remove", "demo", name).ok()
    assert "none yet" in publisher(sandbox, index, "list").ok().text
    publisher(sandbox, index, "remove", "demo", name).failed()
