"""The servers that are not ours, driven as the other tests drive them: that the harness holds."""

from __future__ import annotations

import pytest
import requests

from harness.bandersnatch import SMALL_PROJECTS, Bandersnatch
from harness.distributions import normalised, wheel
from harness.nginx import Nginx
from harness.registry import links
from harness.sandbox import Sandbox


def test_devpi_takes_uploads_and_mirrors_an_index(make_devpi, sandbox: Sandbox) -> None:
    devpi = make_devpi()
    url = devpi.make_index()
    devpi.upload(wheel("alpha", "1.0").write(sandbox.work))
    mirror = devpi.make_mirror("copy", url)
    for simple_url in (url, mirror):
        venv = sandbox.venv()
        sandbox.plain_pip(venv, simple_url, "alpha").ok()
        assert venv.installed() == {"alpha": "1.0"}
    devpi.remove("alpha", "1.0")
    sandbox.plain_pip(sandbox.venv(), url, "--no-cache-dir", "alpha").failed()


def test_pypiserver_serves_a_directory(make_pypiserver, sandbox: Sandbox) -> None:
    server = make_pypiserver()
    made = wheel("beta", "2.0")
    made.write(server.files)
    found = links(requests.get(server.simple_url + "beta/", timeout=30))
    assert [(name, digest) for name, _url, digest in found] == [(made.filename, made.sha256)]
    venv = sandbox.venv()
    sandbox.plain_uv(venv, server.simple_url, "beta").ok()
    assert venv.installed() == {"beta": "2.0"}


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_nginx_serves_a_tree_as_documented(make_nginx, shared_index, sandbox: Sandbox, tool: str) -> None:
    shared_index.publish(wheel("gamma", "3.0"))
    server: Nginx = make_nginx(shared_index.tree)
    sandbox.wheelmark("trust", "add", server.index_url, "--root", shared_index.root_file).ok()
    venv = sandbox.venv()
    sandbox.install(tool, venv, "gamma").ok()
    assert venv.installed() == {"gamma": "3.0"}
    assert "/metadata/timestamp.json" in server.access.read_text()


def test_bandersnatch_brings_real_projects(bandersnatch_tree, make_nginx, sandbox: Sandbox) -> None:
    made = Bandersnatch(sandbox.folder, "unused")
    made.directory.symlink_to(bandersnatch_tree.parent)
    assert set(made.pages()) == {normalised(name) for name in SMALL_PROJECTS}
    files = made.files()
    assert len(files) >= len(SMALL_PROJECTS)
    assert any(name.startswith("docopt") for name in files)
