"""Real projects, real tools: published with twine and uv, installed verified with pip and uv."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import TOOLS, Sandbox
from harness.site import Site, index_of

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])

# What an index next door offers: the same project, a higher version.
OURS = wheel("inhouse-tool", "1.0", says="ours")
HOSTILE = wheel("inhouse-tool", "99.0", says="hostile")


@pytest.fixture(scope="module")
def shared_index(_make) -> Iterator[Index]:
    """It takes files of years ago, under the names and with the classifiers that they had then."""
    started: list[Index] = []
    yield _make(started, env={"WHEELMARK_INDEX_LIFTED_RULES": "older-file-names, unknown-classifiers"}).start()
    for index in started:
        index.kill()


@pytest.fixture(scope="module")
def published(shared_index: Index, real_projects: list[Path], binary: Path, tmp_path_factory) -> Index:
    """An index that holds the real projects, part of them by twine, part by uv.

    uv leaves out file names with capitals (as older wheels have them); twine takes them.
    """
    sandbox = Sandbox(tmp_path_factory.mktemp("publisher"), binary)
    by_twine = [f for f in real_projects if f.name != f.name.lower()]
    by_uv = [f for f in real_projects if f.name == f.name.lower()]
    assert len(by_twine) >= 30 and len(by_uv) >= 5
    sandbox.twine(shared_index, *by_twine).ok()
    sandbox.uv_publish(shared_index, *by_uv).ok()
    return shared_index


def projects(files: list[Path]) -> Counter[str]:
    return Counter(f.name.split("-")[0].replace("_", "-").lower() for f in files)


def test_the_real_projects_are_what_they_are_meant_to_be(real_projects: list[Path]) -> None:
    found = projects(real_projects)
    assert len(found) >= 5
    assert found["markupsafe"] >= 30, "one with thirty or more files"
    assert [f.suffix for f in real_projects if f.name.startswith("docopt")] == [".gz"], "one sdist only"
    assert found["requests"] and found["pysocks"], "one with extras, and what the extra asks for"


def test_every_file_is_listed(published: Index, real_projects: list[Path]) -> None:
    for project, count in projects(real_projects).items():
        page = published.get(f"simple/{project}/", Accept="application/vnd.pypi.simple.v1+json").json()
        assert len(page["files"]) == count, project
    listed = published.get("simple/", Accept="application/vnd.pypi.simple.v1+json").json()
    assert {p["name"] for p in listed["projects"]} == set(projects(real_projects))


@BOTH
def test_install_verified_with_a_report(published: Index, sandbox: Sandbox, tool: str) -> None:
    sandbox.trust(published)
    venv, report = sandbox.venv(), sandbox.folder / "report.json"
    sandbox.install(
        tool, venv, "requests[socks]", "jinja2", "docopt", "markupsafe==3.0.2", options=("--report", report)
    ).ok()

    installed = venv.installed()
    for project in ("requests", "pysocks", "jinja2", "docopt", "markupsafe"):
        assert project in installed, installed
    assert venv.run("import requests, socks, jinja2, docopt; print(jinja2.Template('{{ 6 * 7 }}').render())") == "42"

    said = json.loads(report.read_text())
    assert said["refused"] == []
    reported = {f["project"]: f for f in said["files"]}
    # setuptools was needed to build docopt: what builds is verified like what is installed.
    assert set(installed) | {"setuptools"} <= set(reported)
    for file in said["files"]:
        assert file["chain"] == "index-signed", file
        assert file["provenance"] is None or file["provenance"] == "none", file
        assert file["role"].startswith("simple-"), file
        assert file["role_version"] >= 1, file
        assert len(file["sha256"]) == 64, file


@BOTH
def test_the_short_forms(published: Index, sandbox: Sandbox, tool: str) -> None:
    sandbox.trust(published)
    venv = sandbox.venv()
    done = sandbox.install_short(tool, venv, "markupsafe==3.0.2").ok()
    assert venv.installed() == {"markupsafe": "3.0.2"}
    assert "verified" in done.err.lower(), "a short summary on standard error"


@BOTH
def test_strict_checks_the_files_own_target_as_well(published: Index, sandbox: Sandbox, tool: str) -> None:
    sandbox.trust(published)
    venv, report = sandbox.venv(), sandbox.folder / "report.json"
    sandbox.install(tool, venv, "jinja2", options=("--strict", "--report", report)).ok()
    files = json.loads(report.read_text())["files"]
    assert {f["project"] for f in files} == {"jinja2", "markupsafe"}
    assert venv.run("import jinja2; print(jinja2.__version__)") == "3.1.6"


def test_a_command_of_ones_own_and_its_exit_code(published: Index, sandbox: Sandbox) -> None:
    sandbox.trust(published)
    for code in (0, 3):
        assert sandbox.wheelmark("exec", "--", "sh", "-c", f"exit {code}").code == code
    done = sandbox.wheelmark("exec", "--index", published.index_url, "--", "sh", "-c", "echo said").ok()
    assert done.out.strip() == "said", "standard output belongs to the command"
    missing = sandbox.wheelmark("exec", "--", "no-such-command-here").failed()
    assert "no-such-command-here" in missing.err


@BOTH
def test_plain_tools_install_from_the_same_index(published: Index, sandbox: Sandbox, tool: str) -> None:
    venv = sandbox.venv()
    plain = sandbox.plain_pip if tool == "pip" else sandbox.plain_uv
    plain(venv, published.index_url, "requests[socks]", "docopt").ok()
    assert {"requests", "pysocks", "docopt"} <= set(venv.installed())


def test_uv_publish_checks_what_is_there(published: Index, sandbox: Sandbox, real_projects: list[Path]) -> None:
    one = next(f for f in real_projects if f.name.startswith("jinja2"))
    sandbox.uv_publish(published, "--check-url", published.index_url, one).ok()
    sandbox.uv_publish(published, one).ok()
    sandbox.twine(published, one).ok()


def test_a_later_release_is_seen_by_a_client_that_has_a_cache(index: Index, sandbox: Sandbox) -> None:
    index.publish(wheel("moving", "1.0"))
    sandbox.trust(index)
    for tool in ("pip", "uv"):
        sandbox.install(tool, sandbox.venv(), "moving").ok()
    index.publish(wheel("moving", "2.0"))
    for tool in ("pip", "uv"):
        venv = sandbox.venv()
        sandbox.install(tool, venv, "moving").ok()
        assert venv.installed() == {"moving": "2.0"}


# Ways in which a project or a person can name another index.


def requirements_file(sandbox: Sandbox, hostile: str) -> tuple[list[str], dict[str, str]]:
    path = sandbox.work / "requirements.txt"
    path.write_text(f"--extra-index-url {hostile}\ninhouse-tool\n")
    return ["-r", str(path)], {}


def direct_url(_sandbox: Sandbox, hostile: str) -> tuple[list[str], dict[str, str]]:
    url = hostile.replace("/simple/", f"/files/{HOSTILE.filename}")
    return [f"inhouse-tool @ {url}"], {}


def find_links(sandbox: Sandbox, hostile: str) -> tuple[list[str], dict[str, str]]:
    path = sandbox.work / "requirements.txt"
    path.write_text(f"--find-links {hostile}inhouse-tool/\ninhouse-tool\n")
    return ["-r", str(path)], {}


def environment_variable(_sandbox: Sandbox, hostile: str) -> tuple[list[str], dict[str, str]]:
    return ["inhouse-tool"], {"PIP_EXTRA_INDEX_URL": hostile, "UV_INDEX": f"other={hostile}"}


def without_proxy(sandbox: Sandbox, hostile: str) -> tuple[list[str], dict[str, str]]:
    words, _ = requirements_file(sandbox, hostile)
    return words, {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def configuration(sandbox: Sandbox, hostile: str) -> tuple[list[str], dict[str, str]]:
    pip = sandbox.work / "pip.conf"
    pip.write_text(f"[global]\nextra-index-url = {hostile}\n")
    uv = sandbox.work / "uv.toml"
    uv.write_text(f'[[index]]\nname = "other"\nurl = "{hostile}"\n')
    return ["inhouse-tool"], {"PIP_CONFIG_FILE": str(pip), "UV_CONFIG_FILE": str(uv)}


WAYS = [requirements_file, direct_url, find_links, environment_variable, without_proxy, configuration]


@BOTH
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_another_index_does_not_get_around_the_proxy(shared_index: Index, sandbox: Sandbox, tool: str, way) -> None:
    shared_index.publish(OURS)
    with Site(index_of(HOSTILE)) as hostile:
        words, env = way(sandbox, hostile.url("simple/"))

        venv = sandbox.venv()
        plain = sandbox.plain_pip if tool == "pip" else sandbox.plain_uv
        plain(venv, shared_index.index_url, *words, env=env | {"PIP_NO_CACHE_DIR": "1", "UV_NO_CACHE": "1"}).ok()
        assert venv.says("inhouse_tool") == "hostile", "without wheelmark the index next door wins"

        sandbox.trust(shared_index)
        venv, before = sandbox.venv(), len(hostile.asked)
        done = sandbox.install_short(tool, venv, *words, env=env)
        assert hostile.asked[before:] == [], "the other index must not even be asked"
        if "inhouse-tool" in venv.installed():
            assert venv.says("inhouse_tool") == "ours"
        if not (done.code == 0 and way in (environment_variable, configuration)):
            # The person's own settings may be overridden without a word; what a project
            # names was refused, and that must show.
            done.failed()
            assert hostile.url("").split("//")[1].rstrip("/") in done.text


def test_an_index_in_pyproject_does_not_get_around_the_proxy(shared_index: Index, sandbox: Sandbox) -> None:
    shared_index.publish(OURS)
    with Site(index_of(HOSTILE)) as hostile:
        project = sandbox.work / "project"
        project.mkdir()
        (project / "pyproject.toml").write_text(
            '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.9"\n'
            'dependencies = ["inhouse-tool"]\n'
            f'[[tool.uv.index]]\nname = "other"\nurl = "{hostile.url("simple/")}"\n'
        )
        sync = ["sync", "--no-install-project"]
        plain = {"UV_DEFAULT_INDEX": shared_index.index_url, "UV_NO_CACHE": "1"}
        sandbox.run(TOOLS / "uv", *sync, cwd=project, env=plain).ok()
        lock = (project / "uv.lock").read_text()
        assert "99.0" in lock, "without wheelmark the index next door wins"

        (project / "uv.lock").unlink()
        sandbox.trust(shared_index)
        before = len(hostile.asked)
        done = sandbox.wheelmark("uv", *sync, cwd=project).failed()
        assert hostile.asked[before:] == []
        assert hostile.url("").split("//")[1].rstrip("/") in done.text
        assert not (project / "uv.lock").exists() or "99.0" not in (project / "uv.lock").read_text()


def in_pyproject(sandbox: Sandbox, proxy: str) -> list[str]:
    (sandbox.work / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["inhouse-tool"]\n'
        f'[tool.uv]\nhttp-proxy = "{proxy}"\n'
    )
    return ["lock"]


def in_uv_toml(sandbox: Sandbox, proxy: str) -> list[str]:
    (sandbox.work / "uv.toml").write_text(f'http-proxy = "{proxy}"\n')
    return ["pip", "install", "--python", str(sandbox.venv().python), "inhouse-tool"]


def in_a_script(sandbox: Sandbox, proxy: str) -> list[str]:
    (sandbox.work / "script.py").write_text(
        f'# /// script\n# dependencies = ["inhouse-tool"]\n# [tool.uv]\n# http-proxy = "{proxy}"\n# ///\n'
        "import inhouse_tool\n"
    )
    return ["run", "script.py"]


@pytest.mark.parametrize("where", [in_pyproject, in_uv_toml, in_a_script], ids=lambda where: where.__name__)
def test_a_proxy_of_uvs_own_is_never_called_verified(shared_index: Index, sandbox: Sandbox, where) -> None:
    """uv puts a proxy that its own settings name before the environment's: said, not hidden."""
    shared_index.publish(OURS)
    sandbox.trust(shared_index)
    report = sandbox.folder / "report.json"
    with Site(index_of(HOSTILE)) as hostile:
        words = where(sandbox, hostile.url(""))
        done = sandbox.wheelmark("uv", "--report", report, *words)
        if hostile.asked or done.code == 0:
            assert "http-proxy" in done.err, done
            assert json.loads(report.read_text())["routes_not_closed"]
        assert json.loads(report.read_text())["files"] == []
