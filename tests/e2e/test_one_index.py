"""One running index, and every tool of the trade on it, unmodified: nothing goes through wheelmark.

twine, uv, poetry and pdm upload, each what it is given or builds itself; pip, uv, poetry and pdm
install all of it; bandersnatch copies it, devpi caches it, and both are installed from.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.bandersnatch import Bandersnatch
from harness.distributions import sdist, wheel
from harness.documents import block
from harness.index import Index
from harness.mirror import JSON_PAGE
from harness.sandbox import TOOLS, Outcome, Sandbox, Venv
from harness.site import Site, tree_at

# What every tool's project needs, so that each installer has something to resolve.
BASE = wheel("one-base", "1.5", says="base", extra=("Requires-Python: >=3.8",))
NEEDS = ("Requires-Dist: one-base>=1",)

UPLOADERS = ("twine", "uv", "poetry", "pdm")
INSTALLERS = ("pip", "uv", "poetry", "pdm")
PROJECTS = tuple(f"by-{tool}" for tool in UPLOADERS)

POETRY = """[project]
name = "by-poetry"
version = "1.0"
description = "built and published by poetry"
readme = "README.md"
license = "MIT"
requires-python = ">=3.9"
dependencies = ["one-base (>=1)"]
[build-system]
requires = ["poetry-core>=2.0"]
build-backend = "poetry.core.masonry.api"
"""

UV = """[project]
name = "by-uv"
version = "1.0"
description = "built and published by uv"
readme = "README.md"
license = "MIT"
license-files = ["LICENSE"]
requires-python = ">=3.9"
dependencies = ["one-base>=1"]
[project.urls]
Source = "https://code.example/by-uv"
[build-system]
requires = ["uv_build"]
build-backend = "uv_build"
"""

PDM = """[project]
name = "by-pdm"
version = "1.0"
requires-python = ">=3.9"
[build-system]
requires = ["pdm-backend"]
build-backend = "pdm.backend"
"""


@dataclass
class Uploads:
    """Each tool's own way to bring a project to the index."""

    index: Index
    sandbox: Sandbox

    def folder(self, tool: str, pyproject: str = "") -> Path:
        folder = self.sandbox.work / f"by-{tool}"
        package = folder / "src" / f"by_{tool}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text('SAYS = "good"\n')
        (folder / "README.md").write_text(f"# by-{tool}\n\nMade by the tests.\n")
        (folder / "LICENSE").write_text("As you like.\n")
        if pyproject:
            (folder / "pyproject.toml").write_text(pyproject)
        return folder

    def twine(self) -> Outcome:
        folder = self.folder("twine")
        made = [wheel("by-twine", "1.0", extra=NEEDS), sdist("by-twine", "1.0"), BASE]
        return self.sandbox.twine(self.index, *[dist.write(folder / "dist") for dist in made])

    def uv(self) -> Outcome:
        folder = self.folder("uv", UV)
        self.sandbox.run(TOOLS / "uv", "build", "--offline", cwd=folder).ok()
        return self.sandbox.uv_publish(self.index, *sorted((folder / "dist").glob("by_uv*")))

    def poetry(self) -> Outcome:
        env = {
            "POETRY_REPOSITORIES_OURS_URL": self.index.upload_url,
            "POETRY_HTTP_BASIC_OURS_USERNAME": "__token__",
            "POETRY_HTTP_BASIC_OURS_PASSWORD": self.index.token,
        }
        folder = self.folder("poetry", POETRY)
        return self.sandbox.run(TOOLS / "poetry", "publish", "--build", "--repository", "ours", cwd=folder, env=env)

    def pdm(self) -> Outcome:
        # Its build backend would come from an index; what it publishes is given.
        folder = self.folder("pdm", PDM)
        for dist in (wheel("by-pdm", "1.0", extra=NEEDS), sdist("by-pdm", "1.0")):
            dist.write(folder / "dist")
        env = {
            "PDM_PUBLISH_REPO": self.index.upload_url,
            "PDM_PUBLISH_USERNAME": "__token__",
            "PDM_PUBLISH_PASSWORD": self.index.token,
        }
        return self.sandbox.run(TOOLS / "pdm", "publish", "--no-build", cwd=folder, env=env)


@pytest.fixture(scope="module")
def uploaded(shared_index: Index, binary: Path, tmp_path_factory) -> dict[str, Outcome]:
    """How each tool's upload ended. All go to the same index, one after the other."""
    uploads = Uploads(shared_index, Sandbox(tmp_path_factory.mktemp("uploads"), binary))
    return {tool: getattr(uploads, tool)() for tool in UPLOADERS}


@pytest.fixture
def one(shared_index: Index, uploaded: dict[str, Outcome]) -> Index:
    """The index with everything in it."""
    for done in uploaded.values():
        done.ok()
    return shared_index


def page(index: Index, project: str) -> dict:
    return index.get(f"/simple/{project}/", Accept=JSON_PAGE).json()


@pytest.mark.parametrize("tool", UPLOADERS)
def test_each_tool_uploads(shared_index: Index, uploaded: dict[str, Outcome], tool: str) -> None:
    uploaded[tool].ok()
    files = page(shared_index, f"by-{tool}")["files"]
    assert [Path(file["filename"]).suffix for file in sorted(files, key=lambda file: file["filename"])] == [".whl", ".gz"]
    (made,) = [file for file in files if file["filename"].endswith(".whl")]
    assert set(made["core-metadata"]) == {"sha256"} and made["size"] > 0 and made["upload-time"]
    metadata = shared_index.get(f"/packages/by-{tool}/{made['filename']}.metadata").body.decode()
    assert f"Name: by-{tool}" in metadata and "one-base" in metadata


# Each installs everything into a fresh environment.


def with_pip(sandbox: Sandbox, index_url: str, *needs: str) -> Venv:
    venv = sandbox.venv()
    sandbox.plain_pip(venv, index_url, *needs).ok()
    return venv


def with_uv(sandbox: Sandbox, index_url: str, *needs: str) -> Venv:
    venv = sandbox.venv()
    sandbox.plain_uv(venv, index_url, *needs).ok()
    return venv


def with_poetry(sandbox: Sandbox, index_url: str, *needs: str) -> Venv:
    source = f'[[tool.poetry.source]]\nname = "ours"\nurl = "{index_url}"\npriority = "primary"\n'
    folder = project(sandbox, "poetry", "[tool.poetry]\npackage-mode = false\n" + source)
    (folder / "poetry.toml").write_text("[virtualenvs]\nin-project = true\n")
    env = {"POETRY_CACHE_DIR": str(folder / "cache")}
    sandbox.run(TOOLS / "poetry", "add", *needs, cwd=folder, env=env).ok()
    return Venv(folder / ".venv")


def with_pdm(sandbox: Sandbox, index_url: str, *needs: str) -> Venv:
    folder = project(sandbox, "pdm", "[tool.pdm]\ndistribution = false\n")
    env = {"PDM_PYPI_URL": index_url, "PDM_CACHE_DIR": str(folder / "cache")}
    sandbox.run(TOOLS / "pdm", "add", *needs, cwd=folder, env=env).ok()
    return Venv(folder / ".venv")


def project(sandbox: Sandbox, tool: str, more: str) -> Path:
    """A project of somebody's that needs nothing yet."""
    folder = sandbox.work / f"theirs-{tool}"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "theirs"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = []\n{more}'
    )
    return folder


INSTALL: dict[str, Callable[..., Venv]] = {
    "pip": with_pip, "uv": with_uv, "poetry": with_poetry, "pdm": with_pdm,
}  # fmt: skip


def check(venv: Venv) -> None:
    installed = venv.installed()
    for name in PROJECTS:
        assert installed.get(name) == "1.0", installed
        assert venv.says(name.replace("-", "_")) == "good"
    assert venv.says("one_base") == "base"


@pytest.mark.parametrize("tool", INSTALLERS)
def test_each_tool_installs(one: Index, sandbox: Sandbox, tool: str) -> None:
    check(INSTALL[tool](sandbox, one.index_url, *PROJECTS))


@pytest.mark.parametrize("tool", INSTALLERS)
def test_each_tool_follows_what_is_published_and_yanked(one: Index, sandbox: Sandbox, tool: str) -> None:
    """A newer release is seen at once; one that is yanked is passed over."""
    name = f"moving-{tool}"
    one.publish(wheel(name, "1.0", says="old"))
    assert INSTALL[tool](sandbox, one.index_url, name).installed()[name] == "1.0"
    one.publish(wheel(name, "2.0", says="new"))
    again = Sandbox(sandbox.folder / "again", sandbox.binary)
    assert INSTALL[tool](again, one.index_url, name).installed()[name] == "2.0"
    sandbox.wheelmark("index", "yank", name, "2.0", "--data", one.data).ok()
    last = Sandbox(sandbox.folder / "last", sandbox.binary)
    assert INSTALL[tool](last, one.index_url, name).installed()[name] == "1.0"


def test_pip_takes_what_a_requirements_file_pins_by_hash(one: Index, sandbox: Sandbox) -> None:
    pinned = sandbox.work / "requirements.txt"
    lines = [
        f"{name}==1.0 " + " ".join(f"--hash=sha256:{file['hashes']['sha256']}" for file in page(one, name)["files"])
        for name in PROJECTS
    ]
    lines.append(f"one-base==1.5 --hash=sha256:{BASE.sha256}")
    pinned.write_text("\n".join(lines) + "\n")
    check(with_pip(sandbox, one.index_url, "--require-hashes", "-r", str(pinned)))
    check(with_uv(sandbox, one.index_url, "--require-hashes", "-r", str(pinned)))


def test_uv_leaves_out_what_is_younger_than_a_date(one: Index, sandbox: Sandbox) -> None:
    """Which needs the times of the files: without them uv would refuse."""
    venv = sandbox.venv()
    old = sandbox.plain_uv(venv, one.index_url, "--exclude-newer", "2020-01-01T00:00:00Z", "by-uv").failed()
    assert "by-uv" in old.err and venv.installed() == {}
    sandbox.plain_uv(venv, one.index_url, "--exclude-newer", "2100-01-01T00:00:00Z", "by-uv").ok()


def test_bandersnatch_mirrors_it(one: Index, sandbox: Sandbox, tmp_path: Path) -> None:
    folder = tmp_path / "bandersnatch"
    settings = block("plain-mirrors.md", "ini", "api-method = simple").replacing(
        {
            "https://index.example": one.url("").rstrip("/"),
            "/srv/mirror": folder / "mirror",
            "; allow-non-https = true": "allow-non-https = true",
        }
    )
    mirror = Bandersnatch.with_settings(folder, settings)
    done = mirror.mirror().ok()
    assert "ERROR" not in done.text, done
    have = mirror.files()
    for name in (*PROJECTS, "one-base"):
        assert {file["filename"]: file["hashes"]["sha256"] for file in page(one, name)["files"]}.items() <= have.items()
    with Site(tree_at(mirror.web)) as site:
        for install in (with_pip, with_uv):
            check(install(sandbox, site.url("simple/"), *PROJECTS))


def test_devpi_mirrors_it(one: Index, sandbox: Sandbox, make_devpi) -> None:
    command = block("plain-mirrors.md", "sh", "type=mirror").replacing({"https://index.example/": one.url("")})
    settings = dict(word.split("=", 1) for word in command.split() if "=" in word)
    assert settings.pop("type") == "mirror"
    devpi = make_devpi()
    url = devpi.make_mirror("team", settings.pop("mirror_url"), **settings)
    for install in (with_pip, with_uv):
        check(install(sandbox, url, *PROJECTS))


def test_the_index_had_no_fault_of_its_own(one: Index) -> None:
    """Behind all of the above: nothing that a server should not say."""
    faults = [line for line in one.log_text().splitlines() if " ERROR " in line or '"level":"ERROR"' in line or "panicked" in line]
    assert faults == []
    assert json.loads(one.get("/simple/", Accept=JSON_PAGE).body)["meta"]["api-version"] == "1.4"
