"""Lock files that hold URLs: read and written at the real URLs, and verified all the same.

The index is reached through a front, by https (with an authority that the test makes) and by
plain http. Every attack is first shown to succeed, or to be none of the tool's own business,
without wheelmark.
"""

from __future__ import annotations

import datetime
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.distributions import sdist, wheel
from harness.index import Index
from harness.sandbox import Outcome, Sandbox
from harness.site import Site, index_of
from harness.tls import FAR, Certificates, Front, Upstream, make_certificates

GOOD = wheel("locked-wheel", "1.0", says="good", extra=("Requires-Dist: needed-wheel>=1",))
NEEDED = wheel("needed-wheel", "1.2", says="good")
SOURCE = sdist("locked-source", "1.0", says="good")
EVIL = wheel("locked-wheel", "1.0", says="evil", extra=("Requires-Dist: needed-wheel>=1",))
LARGE = wheel("large-locked", "1.0", says="good", payload=6 * 1024 * 1024)

TOOL = wheel("a-tool", "1.0", script="works")

REFUSED = 86


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def stored(shared_index: Index) -> Index:
    shared_index.publish(GOOD, NEEDED, SOURCE, LARGE, TOOL)
    return shared_index


@dataclass
class World:
    """A front to the index, and a sandbox that trusts it."""

    front: Front
    sandbox: Sandbox
    projects: int = 0

    def project(self, *needs: str, tool: str = "") -> Path:
        """A folder with a pyproject.toml that needs these projects."""
        self.projects += 1
        folder = self.sandbox.work / f"project{self.projects}"
        folder.mkdir()
        listed = ", ".join(f'"{need}"' for need in needs)
        (folder / "pyproject.toml").write_text(
            f'[project]\nname = "mine"\nversion = "0"\nrequires-python = ">=3.10"\ndependencies = [{listed}]\n{tool}'
        )
        return folder

    def plain(self, *command: object, cwd: Path, **env: str) -> Outcome:
        """Without wheelmark, with nothing cached."""
        none = {"UV_DEFAULT_INDEX": self.front.index_url, "UV_NO_CACHE": "1", "PIP_NO_CACHE_DIR": "1"}
        return self.sandbox.run(*command, cwd=cwd, env=none | env)

    def verified(self, *command: object, cwd: Path, options: tuple[object, ...] = (), **env: str) -> Outcome:
        return self.sandbox.wheelmark("exec", "--report", cwd / "report.json", *options, "--", *command, cwd=cwd, env=env)

    def report(self, cwd: Path) -> dict:
        return json.loads((cwd / "report.json").read_text())

    def files(self, cwd: Path) -> set[str]:
        return {entry["file"] for entry in self.report(cwd)["files"]}


@pytest.fixture(params=["https", "http"])
def world(request, stored: Index, certificates: Certificates, tmp_path: Path, binary: Path) -> Iterator[World]:
    secure = certificates if request.param == "https" else None
    with Front(stored.port, secure) as front:
        sandbox = Sandbox(tmp_path / "sandbox", binary, certificates.env if secure else None)
        sandbox.wheelmark("trust", "add", front.index_url, "--root", stored.root_file).ok()
        yield World(front, sandbox)


def test_a_warm_cache_is_not_trusted(world: World) -> None:
    """What an earlier, unverified run left under the same URLs is not used."""
    world.front.lie = evil_twin
    fooled = world.project("locked-wheel")
    cache = {"UV_CACHE_DIR": str(world.sandbox.folder / "uv-cache"), "UV_NO_CACHE": "0"}
    world.plain("uv", "lock", cwd=fooled, **cache).ok()
    world.plain("uv", "sync", cwd=fooled, **cache).ok()
    world.front.lie = lambda _path, body: body
    offline = world.project("locked-wheel")
    (offline / "uv.lock").write_bytes((fooled / "uv.lock").read_bytes())
    world.plain("uv", "sync", "--frozen", "--offline", cwd=offline, **cache).ok()
    assert says(offline) == "evil", "the cache alone is enough for the plain tool"

    ours = world.project("locked-wheel")
    (ours / "uv.lock").write_bytes((fooled / "uv.lock").read_bytes())
    world.verified("uv", "sync", "--frozen", cwd=ours).failed()
    assert "locked_wheel" in says(ours)


@pytest.fixture
def secure(stored: Index, certificates: Certificates, tmp_path: Path, binary: Path) -> Iterator[World]:
    with Front(stored.port, certificates) as front:
        sandbox = Sandbox(tmp_path / "sandbox", binary, certificates.env)
        sandbox.wheelmark("trust", "add", front.index_url, "--root", stored.root_file).ok()
        yield World(front, sandbox)


# Run in the place of an installer: shows what it was given.
SHOW = """
import os, sys
open("certificates.pem", "w").write(open(os.environ["SSL_CERT_FILE"]).read())
names = "SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE PIP_CERT UV_CACHE_DIR PIP_CACHE_DIR HTTPS_PROXY".split()
for name in names + ["UV_DEFAULT_INDEX", "PIP_INDEX_URL"]:
    print(name, os.environ[name])
print("mode", oct(os.stat(os.path.dirname(os.environ["SSL_CERT_FILE"])).st_mode & 0o777))
"""


def test_the_authority_of_a_run(secure: World, certificates: Certificates) -> None:
    """What the command is given: constrained, short-lived, private, gone afterwards."""
    folder = secure.project()
    (folder / "show.py").write_text(SHOW)
    done = secure.verified("python3", "show.py", cwd=folder, options=("--mode", "connect")).ok()
    given = dict(line.split(" ", 1) for line in done.out.splitlines())
    assert given["UV_DEFAULT_INDEX"] == given["PIP_INDEX_URL"] == secure.front.index_url
    bundle = Path(given["SSL_CERT_FILE"])
    assert {Path(given[name]).parent for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT")} == {bundle.parent}
    assert given["mode"] == "0o700" and not bundle.exists(), "private, and gone with the run"

    text = (folder / "certificates.pem").read_text()
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n", text, re.S)
    mine = certificates.authority.read_text().split("-----BEGIN CERTIFICATE-----")[1].split("-----END")[0]
    assert re.sub(r"\s", "", mine) in re.sub(r"\s", "", text), "what the person trusts stays trusted"
    authority = folder / "authority.pem"
    authority.write_text(blocks[-1])
    shown = secure.sandbox.run("openssl", "x509", "-in", authority, "-noout", "-text").ok().out
    assert "CA:TRUE, pathlen:0" in shown
    constraints = shown.split("X509v3 Name Constraints: critical")[1]
    permitted, excluded = constraints.split("Excluded:")
    assert re.findall(r"DNS:\S+|IP:\S+", permitted) == ["DNS:localhost"]
    assert "IP:0.0.0.0/0.0.0.0" in excluded
    begins, ends = re.search(r"Not Before: (.*)\n\s*Not After : (.*)\n", shown).groups()
    lifetime = _moment(ends) - _moment(begins)
    assert lifetime <= 25 * 3600
    assert "PRIVATE KEY" not in text


def _moment(text: str) -> float:
    return datetime.datetime.strptime(text, "%b %d %H:%M:%S %Y GMT").timestamp()


def test_python_tools_believe_only_the_hosts_of_the_index(secure: World) -> None:
    """OpenSSL, by Python's ssl with its strictest flags, through the proxy of a run."""
    folder = secure.project()
    (folder / "probe.py").write_text(
        """
import base64, os, socket, ssl, sys
from urllib.parse import urlsplit

proxy = urlsplit(os.environ["HTTPS_PROXY"])
password = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN


def ask(to, name, given=True):
    stream = socket.create_connection((proxy.hostname, proxy.port))
    known = f"Proxy-Authorization: Basic {password}\\r\\n" if given else ""
    stream.sendall(f"CONNECT {to} HTTP/1.1\\r\\nHost: {to}\\r\\n{known}\\r\\n".encode())
    said = stream.recv(4096).decode().splitlines()[0]
    if " 200 " not in said:
        return said
    try:
        inside = context.wrap_socket(stream, server_hostname=name)
    except ssl.SSLError as error:
        return f"{type(error).__name__} {error.reason}"
    inside.sendall(b"GET /simple/needed-wheel/ HTTP/1.1\\r\\nHost: elsewhere\\r\\nConnection: close\\r\\n\\r\\n")
    return inside.recv(4096).decode().splitlines()[0]


host = sys.argv[1]
print(ask(host, "localhost"))
print(ask(host, "elsewhere.example"))
print(ask("elsewhere.example:443", "elsewhere.example"))
print(ask("unasked.example:443", "unasked.example", given=False))
"""
    )
    done = secure.verified("python3", "probe.py", secure.front.host, cwd=folder, options=("--mode", "connect"))
    host_mismatch, sni_mismatch, elsewhere, without_password = done.out.splitlines()
    assert host_mismatch.startswith("HTTP/1.1 421 ")
    assert sni_mismatch.startswith("SSL"), sni_mismatch
    assert elsewhere.startswith("HTTP/1.1 403 wheelmark refused elsewhere.example:443")
    assert done.code == REFUSED
    # Another user of the machine knows no password: refused, and no part of the report.
    assert without_password.startswith("HTTP/1.1 407 ")
    assert [entry["host"] for entry in secure.report(folder)["refused"]] == ["elsewhere.example:443"]


def test_one_connection_carries_many_requests(secure: World) -> None:
    folder = secure.project()
    (folder / "probe.py").write_text(
        """
import base64, http.client, os, ssl, sys
from urllib.parse import urlsplit

proxy = urlsplit(os.environ["HTTPS_PROXY"])
host, port = sys.argv[1].split(":")
context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
connection = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=context)
password = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode()
connection.set_tunnel(host, int(port), {"Proxy-Authorization": f"Basic {password}"})
connection.connect()
first = connection.sock
for _ in range(20):
    connection.request("GET", "/simple/needed-wheel/")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200 and connection.sock is first
print("same")
"""
    )
    done = secure.verified("python3", "probe.py", secure.front.host, cwd=folder, options=("--mode", "connect")).ok()
    assert done.out == "same\n"


def says(folder: Path) -> str:
    python = folder / ".venv" / "bin" / "python"
    done = subprocess.run([python, "-c", "import locked_wheel; print(locked_wheel.SAYS)"], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


def test_uv_locks_the_real_urls_and_syncs_them_verified(world: World) -> None:
    needs = ("locked-wheel", "locked-source", "large-locked")
    plain = world.project(*needs)
    world.plain("uv", "lock", cwd=plain).ok()
    ours = world.project(*needs)
    done = world.verified("uv", "lock", cwd=ours).ok()
    assert "wheelmark: connect mode (uv lock writes uv.lock)" in done.err
    assert (ours / "uv.lock").read_bytes() == (plain / "uv.lock").read_bytes()
    assert f"{world.front.base}/packages/locked-wheel/{GOOD.filename}" in (ours / "uv.lock").read_text()

    done = world.verified("uv", "sync", "--frozen", cwd=ours).ok()
    assert "wheelmark: connect mode (uv sync reads uv.lock)" in done.err
    assert "verified" in done.err
    assert says(ours) == "good"
    assert world.files(ours) == {dist.filename for dist in (GOOD, NEEDED, SOURCE, LARGE)}
    assert world.report(ours)["refused"] == []
    # A lock that exists is taken as it is.
    world.verified("uv", "sync", "--locked", cwd=ours).ok()
    world.verified("uv", "tree", "--frozen", cwd=ours).ok()


def test_index_mode_alone_would_be_passed_by(world: World) -> None:
    """Why there is a mode: a frozen lock goes to its URLs, whatever index is named."""
    folder = world.project("locked-wheel")
    world.plain("uv", "lock", cwd=folder).ok()
    done = world.verified("uv", "sync", "--frozen", cwd=folder, options=("--mode", "index")).failed()
    assert "wheelmark: index mode (as --mode says)" in done.err
    assert world.front.host in done.err


def test_a_hash_that_was_changed_in_the_lock_is_refused(world: World) -> None:
    folder = world.project("locked-wheel")
    world.verified("uv", "lock", cwd=folder).ok()
    lock = folder / "uv.lock"
    lock.write_text(lock.read_text().replace(GOOD.sha256, "0" * 64))
    done = world.verified("uv", "sync", "--frozen", cwd=folder).failed()
    assert "hash" in done.text.lower()
    assert not list((folder / ".venv").glob("lib/*/site-packages/locked_wheel.py"))


def test_a_byte_that_was_changed_at_the_index_is_refused(world: World) -> None:
    folder = world.project("locked-wheel")
    world.verified("uv", "lock", cwd=folder).ok()
    flipped = bytes([GOOD.content[0]]) + bytes([GOOD.content[1] ^ 1]) + GOOD.content[2:]
    world.front.lie = lambda path, body: flipped if path.endswith(GOOD.filename) else body
    done = world.verified("uv", "sync", "--frozen", cwd=folder).failed()
    assert f"wheelmark refused {GOOD.filename}" in done.text
    assert "its sha256 is not the signed one" in done.text
    assert not list((folder / ".venv").glob("lib/*/site-packages/locked_wheel.py"))
    assert [entry["file"] for entry in world.report(folder)["refused"]] == [GOOD.filename]


# Poetry and pdm. Both keep digests in their locks and look for the files on the index's pages.

POETRY = """
[tool.poetry]
package-mode = false
[[tool.poetry.source]]
name = "ours"
url = "{url}"
priority = "primary"
"""
PDM = "[tool.pdm]\ndistribution = false\n"


def tool_project(world: World, tool: str) -> Path:
    text = POETRY.format(url=world.front.index_url) if tool == "poetry" else PDM
    folder = world.project("locked-wheel", tool=text)
    if tool == "poetry":
        (folder / "poetry.toml").write_text("[virtualenvs]\nin-project = true\n")
    return folder


def plain_tool(world: World, tool: str, *words: str, cwd: Path) -> Outcome:
    """Without wheelmark, and with caches of its own each time."""
    caches = cwd / "caches"
    env = {"PDM_PYPI_URL": world.front.index_url, "PDM_CACHE_DIR": str(caches), "POETRY_CACHE_DIR": str(caches)}
    return world.sandbox.run(tool, *words, cwd=cwd, env=env)


@pytest.mark.parametrize("tool", ["poetry", "pdm"])
def test_poetry_and_pdm(world: World, tool: str) -> None:
    plain = tool_project(world, tool)
    plain_tool(world, tool, "lock", cwd=plain).ok()
    ours = tool_project(world, tool)
    done = world.verified(tool, "lock", cwd=ours).ok()
    assert f"wheelmark: connect mode ({tool} uses {tool}.lock)" in done.err
    name = f"{tool}.lock"
    assert (ours / name).read_bytes() == (plain / name).read_bytes()
    done = world.verified(tool, "install", cwd=ours).ok()
    assert says(ours) == "good"
    assert world.files(ours) == {GOOD.filename, NEEDED.filename}
    assert world.report(ours)["refused"] == []
    assert [route["argument"] for route in world.report(ours)["routes_not_closed"]] == [tool]


@pytest.mark.parametrize("tool", ["poetry", "pdm"])
def test_poetry_and_pdm_are_not_fooled_by_an_evil_twin(world: World, tool: str) -> None:
    world.front.lie = evil_twin
    fooled = tool_project(world, tool)
    plain_tool(world, tool, "lock", cwd=fooled).ok()
    plain_tool(world, tool, "install", cwd=fooled).ok()
    assert says(fooled) == "evil", "the plain tool installs it without a word"

    ours = tool_project(world, tool)
    world.verified(tool, "lock", cwd=ours).failed()
    # Nor does a lock file help that was made from the twin.
    (ours / f"{tool}.lock").write_bytes((fooled / f"{tool}.lock").read_bytes())
    world.verified(tool, "install", cwd=ours).failed()
    assert "locked_wheel" in says(ours), "it is not there"


def test_a_tool_of_uvs_remembers_the_real_url(world: World) -> None:
    """The receipt says where an upgrade comes from: it must not be the proxy of a run that is over."""
    folder = world.sandbox.work
    tools = {"UV_TOOL_DIR": str(world.sandbox.folder / "tools"), "UV_TOOL_BIN_DIR": str(world.sandbox.folder / "bin")}
    done = world.verified("uv", "tool", "install", "a-tool", cwd=folder, **tools).ok()
    assert "wheelmark: connect mode (uv tool install" in done.err
    assert world.files(folder) == {TOOL.filename}
    receipt = (Path(tools["UV_TOOL_DIR"]) / "a-tool" / "uv-receipt.toml").read_text()
    assert "127.0.0.1" not in receipt and "runs/run-" not in receipt, receipt
    world.verified("uv", "tool", "upgrade", "a-tool", cwd=folder, **tools).ok()
    done = world.verified("uvx", "a-tool", cwd=folder, **tools).ok()
    assert done.out == "works\n"


def test_poetry_without_a_source_is_told_how_to_name_one(world: World) -> None:
    folder = world.project("locked-wheel", tool="[tool.poetry]\npackage-mode = false\n")
    done = world.verified("poetry", "lock", cwd=folder).failed()
    assert "REFUSED pypi.org:443" in done.err
    assert f"poetry source add --priority=primary NAME {world.front.index_url}" in done.err


def test_poetry_keeps_its_environments_where_they_were(world: World) -> None:
    folder = tool_project(world, "poetry")
    (folder / "poetry.toml").unlink()
    world.verified("poetry", "lock", cwd=folder).ok()
    world.verified("poetry", "install", cwd=folder).ok()
    usual = Path(world.sandbox.env["XDG_CACHE_HOME"]) / "pypoetry"
    assert list(usual.glob("virtualenvs/*/lib/*/site-packages/locked_wheel.py"))
    world.verified("poetry", "install", cwd=folder, POETRY_VIRTUALENVS_PATH="{cache-dir}/envs").ok()
    assert list(usual.glob("envs/*/lib/*/site-packages/locked_wheel.py"))


def evil_twin(path: str, body: bytes) -> bytes:
    """Another file, and a page, metadata and targets that all agree with it."""
    if path.endswith(GOOD.filename):
        return EVIL.content
    if path.endswith(".metadata"):
        return body
    good = {GOOD.sha256: EVIL.sha256, f'"size":{len(GOOD.content)}': f'"size":{len(EVIL.content)}'}
    if "/simple/locked-wheel" in path or "/metadata/" in path:
        text = body.decode()
        for old, new in good.items():
            text = text.replace(old, new)
        return text.encode()
    return body


def test_an_evil_twin_is_refused(world: World) -> None:
    """A page and its file changed together fool whoever asks the index for both."""
    world.front.lie = evil_twin
    fooled = world.project("locked-wheel")
    world.plain("uv", "lock", cwd=fooled).ok()
    world.plain("uv", "sync", "--frozen", cwd=fooled).ok()
    assert says(fooled) == "evil", "the plain tool installs it without a word"

    ours = world.project("locked-wheel")
    world.verified("uv", "lock", cwd=ours).failed()
    # Nor does a lock file help that was made from the twin.
    (ours / "uv.lock").write_bytes((fooled / "uv.lock").read_bytes())
    world.verified("uv", "sync", "--frozen", cwd=ours).failed()
    assert "locked_wheel" in says(ours), "it is not there"


def test_a_lock_file_that_names_another_host_is_refused(world: World) -> None:
    with Site(index_of(GOOD, NEEDED)) as site:
        folder = world.project("locked-wheel")
        world.plain("uv", "lock", cwd=folder, UV_DEFAULT_INDEX=site.url("simple/")).ok()
        world.plain("uv", "sync", "--frozen", cwd=folder).ok()
        asked = len(site.asked)
        (folder / ".venv").rename(folder / "before")
        done = world.verified("uv", "sync", "--frozen", cwd=folder).failed()
        host = site.url().removeprefix("http://").rstrip("/")
        assert f"REFUSED {host}" in done.err
        assert len(site.asked) == asked, "nothing was asked of it"
        assert "locked_wheel" in says(folder)


def test_pip_with_a_pylock(world: World) -> None:
    folder = world.project("locked-wheel")
    world.verified("uv", "export", "--format", "pylock.toml", "-o", "pylock.toml", "--no-emit-project", cwd=folder).ok()
    assert f"{world.front.base}/packages/" in (folder / "pylock.toml").read_text()
    venv = world.sandbox.venv()
    install = ("pip", "--python", venv.python, "install", "-r", "pylock.toml")
    done = world.verified(*install, cwd=folder).ok()
    assert "wheelmark: connect mode (pip install reads pylock.toml)" in done.err
    assert venv.says("locked_wheel") == "good"
    assert world.files(folder) == {GOOD.filename, NEEDED.filename}
    uvs = world.sandbox.venv()
    world.verified("uv", "pip", "sync", "--python", uvs.python, "pylock.toml", cwd=folder).ok()
    assert uvs.says("locked_wheel") == "good"

    world.front.lie = lambda path, body: body[:-1] + b"x" if path.endswith(GOOD.filename) else body
    other = world.sandbox.venv()
    install = ("pip", "--python", other.python, "install", "-r", "pylock.toml")
    done = world.verified(*install, cwd=folder).failed()
    assert f"wheelmark refused {GOOD.filename}" in done.text
    assert other.installed() == {}


def test_an_index_behind_a_proxy_and_a_private_authority(
    stored: Index, certificates: Certificates, tmp_path: Path, binary: Path
) -> None:
    """wheelmark goes by the variables of its own environment, the command by those it is given."""
    with Front(stored.port, certificates) as front, Upstream({f"{FAR}:443": front.host}) as upstream:
        sandbox = Sandbox(tmp_path / "sandbox", binary, {**certificates.env, **upstream.env})
        url = f"https://{FAR}/simple/"
        sandbox.wheelmark("trust", "add", url, "--root", stored.root_file).ok()
        world = World(front, sandbox)
        plain, ours = world.project("locked-wheel"), world.project("locked-wheel")
        world.plain("uv", "lock", cwd=plain, UV_DEFAULT_INDEX=url).ok()
        world.verified("uv", "lock", cwd=ours).ok()
        assert (ours / "uv.lock").read_bytes() == (plain / "uv.lock").read_bytes()
        assert f"https://{FAR}/packages/locked-wheel/" in (ours / "uv.lock").read_text()
        world.verified("uv", "sync", "--frozen", cwd=ours).ok()
        assert says(ours) == "good"
        assert set(upstream.asked) == {f"{FAR}:443"}

def configure(sandbox: Sandbox, text: str) -> None:
    home = Path(sandbox.env["WHEELMARK_HOME"])
    home.mkdir(exist_ok=True)
    (home / "wheelmark.toml").write_text(text)


def test_a_tunnel_is_reported_and_goes_through_the_proxy_of_the_network(
    stored: Index, certificates: Certificates, tmp_path: Path, binary: Path
) -> None:
    """A file at a host that the configuration lets through: not verified, and said to be so."""
    with Front(stored.port, certificates) as front, Upstream({f"{FAR}:443": front.host}) as upstream:
        sandbox = Sandbox(tmp_path / "sandbox", binary, {**certificates.env, **upstream.env})
        sandbox.wheelmark("trust", "add", front.index_url, "--root", stored.root_file).ok()
        world = World(front, sandbox)
        folder = world.project(f"needed-wheel @ https://{FAR}/packages/needed-wheel/{NEEDED.filename}")
        world.plain("uv", "lock", cwd=folder).ok()
        done = world.verified("uv", "sync", "--frozen", cwd=folder).failed()
        assert f"REFUSED {FAR}:443" in done.err
        asked = len(upstream.asked)

        configure(sandbox, f'tunnel = ["{FAR}"]\n')
        done = world.verified("uv", "sync", "--frozen", cwd=folder).ok()
        assert len(upstream.asked) > asked
        assert f"not verified: `{FAR}`" in done.err
        assert FAR in {route["argument"] for route in world.report(folder)["routes_not_closed"]}
        assert world.files(folder) == set()

        configure(sandbox, 'tunnel = ["*.test"]\n')
        done = world.verified("uv", "sync", "--frozen", cwd=folder).failed()
        assert "`*.test` is not a host" in done.err


def test_several_indexes_each_at_its_own_urls(
    stored: Index, make_index, certificates: Certificates, tmp_path: Path, binary: Path
) -> None:
    """One project of a private index, named in the project file; its namesake elsewhere is no way in."""
    own = wheel("acme-own", "1.0", says="good", extra=("Requires-Dist: needed-wheel",))
    private = make_index().start()
    private.publish(own)
    stored.publish(wheel("acme-own", "9.0", says="confused"))
    with Front(private.port, certificates) as ours, Front(stored.port, certificates) as theirs:
        sandbox = Sandbox(tmp_path / "sandbox", binary, certificates.env)
        for front, index in ((ours, private), (theirs, stored)):
            sandbox.wheelmark("trust", "add", front.index_url, "--root", index.root_file).ok()
        rule = '[[map]]\nprojects = ["{}"]\nindexes = ["{}"]\n'
        configure(sandbox, rule.format("acme-*", ours.index_url) + rule.format("*", theirs.index_url))
        world = World(theirs, sandbox)
        named = (
            f'[[tool.uv.index]]\nname = "own"\nurl = "{ours.index_url}"\nexplicit = true\n'
            '[tool.uv.sources]\nacme-own = { index = "own" }\n'
        )
        folder = world.project("acme-own", "locked-wheel", tool=named)
        world.verified("uv", "lock", cwd=folder).ok()
        lock = (folder / "uv.lock").read_text()
        assert f"{ours.base}/packages/acme-own/" in lock and f"{theirs.base}/packages/locked-wheel/" in lock
        world.verified("uv", "sync", "--frozen", cwd=folder).ok()
        assert {"acme_own-1.0-py3-none-any.whl", GOOD.filename} <= world.files(folder)

        # Without the source, uv asks the other index for it.
        careless = world.project("acme-own")
        world.plain("uv", "lock", cwd=careless).ok()
        assert "acme_own-9.0" in (careless / "uv.lock").read_text(), "the plain tool takes the namesake"
        world.verified("uv", "sync", "--frozen", cwd=careless).failed()
        (careless / "uv.lock").unlink()
        done = world.verified("uv", "lock", cwd=careless).failed()
        assert ours.index_url in done.err and theirs.index_url in done.err, "both homes are named"
