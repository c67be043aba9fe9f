"""`wheelmark setup`: from then on, a new shell's plain pip and uv are verified; and back again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.front import Certificate, Front
from harness.index import Index, free_port
from harness.passing import Passing
from harness.sandbox import TOOLS, Outcome, Sandbox

BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])
SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])

GOOD, EVIL = wheel("demo", says="good"), wheel("demo", says="evil")

PIP_CONF = "# mine\n[global]\nno-input = true\nindex-url = https://me:s3cret@old.example/simple/\n\n[install]\nno-compile = true\n"
UV_TOML = '# mine\ncompile-bytecode = false\n\n[[index]]\nname = "old"\nurl = "https://old.example/simple/"\ndefault = true\n'
PROFILE = "# my profile\nexport MINE=1\n"
BASHRC = "# my bashrc\ncase $- in *i*) ;; *) return;; esac\n"


class Home:
    """A home with login shells, in which nothing points pip and uv anywhere but their own files."""

    def __init__(self, folder: Path, binary: Path, front: Front, index: Index, scheme: str) -> None:
        self.front, self.index, self.port = front, index, free_port()
        self.sandbox = Sandbox(folder, binary)
        self.home = folder / "home"
        for name in list(self.sandbox.env):
            if name.startswith(("PIP_CONFIG", "PIP_CACHE", "UV_CACHE", "XDG_", "WHEELMARK_HOME")):
                del self.sandbox.env[name]
        self.roots = front.certificate.root if scheme == "https" else None
        if self.roots:
            self.sandbox.env["SSL_CERT_FILE"] = str(self.roots)
        near = ["--metadata-url", index.metadata_url, "--targets-url", index.targets_url]
        self.sandbox.wheelmark("trust", "add", front.index_url, "--root", index.root_file, *near).ok()
        self.processes: list[subprocess.Popen[bytes]] = []

    def setup(self, *options: object) -> Outcome:
        return self.sandbox.wheelmark("setup", *options)

    def set_up(self, *options: object) -> dict:
        return json.loads(self.setup("--no-service", "--port", self.port, "--json", *options).ok().out)

    def undo(self) -> Outcome:
        return self.setup("--undo").ok()

    def run_daemon(self, said: dict) -> subprocess.Popen[bytes]:
        env = {k: v for k, v in self.sandbox.env.items() if k != "SSL_CERT_FILE"}
        log = (self.sandbox.folder / "daemon.log").open("ab")
        process = subprocess.Popen(said["command"], env=env, stdout=subprocess.DEVNULL, stderr=log)
        self.processes.append(process)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return process
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, "the proxy did not begin to listen"
                time.sleep(0.05)

    def login(self, command: str) -> Outcome:
        """What a person types into a new login shell, which knows nothing of ours."""
        env = {k: v for k, v in self.sandbox.env.items() if k != "SSL_CERT_FILE"}
        words = ["bash", "-lc", f"export PATH={TOOLS}:$PATH; {command}"]
        done = subprocess.run(
            words, env=env, cwd=self.sandbox.work, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150
        )
        return Outcome(words, done.returncode, done.stdout, done.stderr)

    def install(self, tool: str, venv, *more: str) -> Outcome:
        how = f"pip --python {venv.python} install" if tool == "pip" else f"uv pip install --python {venv.python}"
        return self.login(f"{how} {' '.join(more) or 'demo'}")

    def plain(self, tool: str, venv) -> Outcome:
        """The same without any setup."""
        index = f"PIP_INDEX_URL={self.front.index_url} UV_DEFAULT_INDEX={self.front.index_url}"
        believe = f"PIP_CERT={self.roots} SSL_CERT_FILE={self.roots}" if self.roots else ""
        how = f"pip --python {venv.python} install" if tool == "pip" else f"uv pip install --python {venv.python}"
        return self.login(f"env {index} {believe} {how} --no-cache-dir demo")

    def listing(self) -> dict[str, tuple[str, int]]:
        """Everything below the home: files by content and mode, links, directories."""
        found = {}
        for path in sorted(self.home.rglob("*")):
            if ".cache" in path.parts or ("share" in path.parts and "uv" in path.parts):
                continue
            kind = "directory" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(self.home))] = (kind, path.stat().st_mode)
        return found

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def make_home(tmp_path: Path, binary: Path, index: Index) -> Iterator:
    made: list[Home] = []
    fronts: list[Front] = []

    def make(scheme: str) -> Home:
        certificate = Certificate(tmp_path / "tls") if scheme == "https" else None
        front = Front(index, certificate)
        front.certificate = certificate
        front.__enter__()
        fronts.append(front)
        index.publish(GOOD)
        home = Home(tmp_path / "person", binary, front, index, scheme)
        made.append(home)
        return home

    yield make
    for home in made:
        home.end()
    for front in fronts:
        front.close()


def personal_files(home: Path, pip: str = PIP_CONF, uv: str = UV_TOML) -> None:
    for name, text in {
        ".config/pip/pip.conf": pip,
        ".config/uv/uv.toml": uv,
        ".profile": PROFILE,
        ".bashrc": BASHRC,
    }.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o640)


@SCHEMES
@BOTH
def test_a_new_shells_plain_install_is_verified(tool: str, scheme: str, make_home) -> None:
    home = make_home(scheme)
    home.front.evil = EVIL
    fooled = home.sandbox.venv()
    home.plain(tool, fooled).ok()
    assert fooled.says("demo") == "evil", "without setup the lie succeeds"

    home.run_daemon(home.set_up())
    venv, asked = home.sandbox.venv(), len(home.front.asked)
    home.install(tool, venv).ok()
    assert venv.says("demo") == "good", "what the front says is not what is signed"
    assert len(home.front.asked) == asked, "the installer did not go there itself"

    home.front.evil = None
    stored = home.index.tree / "targets/packages/demo" / f"{GOOD.sha256}.{GOOD.filename}"
    os.chmod(stored, 0o600)
    stored.write_bytes(EVIL.content)
    shutil.rmtree(home.home / ".local/share/wheelmark/setup/caches", ignore_errors=True)
    refused = home.sandbox.venv()
    done = home.install(tool, refused).failed()
    assert refused.installed() == {}
    assert f"wheelmark refused {GOOD.filename}" in done.text, done


@SCHEMES
def test_lock_files_hold_real_urls_and_install_verified(scheme: str, make_home) -> None:
    home = make_home(scheme)
    home.run_daemon(home.set_up())
    project = home.sandbox.work / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["demo"]\n'
    )
    home.login("cd project && uv lock").ok()
    lock = (project / "uv.lock").read_text()
    assert home.front.index_url.rstrip("/") in lock
    assert f"{home.front.url}packages/demo/{GOOD.filename}" in lock
    assert str(home.port) not in lock
    home.login("cd project && uv sync --frozen --no-install-project").ok()


@SCHEMES
def test_undo_leaves_the_home_as_it_was(scheme: str, make_home) -> None:
    home = make_home(scheme)
    personal_files(home.home)
    before = home.listing()
    said = home.set_up()
    home.run_daemon(said)
    home.install("pip", home.sandbox.venv()).ok()
    home.install("uv", home.sandbox.venv()).ok()
    assert home.listing() != before
    conflicts = json.dumps(said["conflicts"])
    assert "old.example" in conflicts and "s3cret" not in conflicts
    home.end()
    home.undo()
    after = home.listing()
    trust = {name for name in after.keys() ^ before.keys() if name.startswith(".local/share/wheelmark/indexes")}
    assert {k: v for k, v in after.items() if k not in trust and "wheelmark/indexes" not in k} == {
        k: v for k, v in before.items() if "wheelmark/indexes" not in k
    }


def test_files_that_setup_made_are_gone_and_a_missing_home_too(make_home) -> None:
    home = make_home("https")
    before = home.listing()
    home.set_up()
    made = home.listing().keys() - before.keys()
    assert {".config/pip/pip.conf", ".config/uv/uv.toml", ".profile", ".config/environment.d/60-wheelmark.conf"} <= made
    home.undo()
    assert home.listing() == before


def test_what_the_user_edited_meanwhile_stays(make_home) -> None:
    home = make_home("https")
    personal_files(home.home)
    home.set_up()
    edited = {".config/pip/pip.conf": "\n[list]\nformat = json\n", ".bashrc": "alias ll='ls -l'\n"}
    originals = {".config/pip/pip.conf": PIP_CONF, ".bashrc": BASHRC}
    for name, more in edited.items():
        with (home.home / name).open("a") as file:
            file.write(more)
    done = home.undo()
    assert "cleaned" in done.out and "restored" in done.out
    for name, more in edited.items():
        assert (home.home / name).read_text() == originals[name] + more
    assert (home.home / ".config/uv/uv.toml").read_text() == UV_TOML


def test_twice_is_once(make_home) -> None:
    home = make_home("https")
    personal_files(home.home)
    assert home.set_up()["changed"] is True
    once = home.listing()
    again = home.set_up()
    assert again["changed"] is False
    assert {file["fate"] for file in again["files"]} == {"unchanged"}
    assert home.listing() == once


def test_another_port_is_a_change_and_still_undone(make_home) -> None:
    home = make_home("http")
    personal_files(home.home)
    before = home.listing()
    home.set_up()
    home.port = free_port()
    assert home.set_up()["changed"] is True
    assert str(home.port) in (home.home / ".config/pip/pip.conf").read_text()
    home.undo()
    assert home.listing() == before


def test_what_another_setup_has_no_use_for_is_put_back_at_once(make_home) -> None:
    home = make_home("https")
    personal_files(home.home)
    before = home.listing()
    home.set_up()
    assert (home.home / ".bashrc").read_text() != BASHRC
    plain = ["--metadata-url", home.index.metadata_url, "--targets-url", home.index.targets_url]
    home.sandbox.wheelmark("trust", "add", home.index.index_url, "--root", home.index.root_file, *plain).ok()
    home.set_up("--index", home.index.index_url)
    assert (home.home / ".bashrc").read_text() == BASHRC, "over plain http no shell needs certificates"
    assert home.index.index_url in (home.home / ".config/pip/pip.conf").read_text()
    home.undo()
    untrusted = {k: v for k, v in home.listing().items() if "wheelmark/indexes" not in k}
    assert untrusted == {k: v for k, v in before.items() if "wheelmark/indexes" not in k}


def test_a_directory_that_setup_did_not_make_is_not_its_own(make_home) -> None:
    home = make_home("https")
    theirs = home.home / ".local/share/wheelmark/setup/keys"
    theirs.mkdir(parents=True)
    before = home.listing()
    done = home.setup("--no-service", "--port", home.port).failed()
    assert "no setup made it" in done.err and "hint:" in done.err
    assert home.listing() == before


def test_a_block_without_its_end_is_not_guessed_at(make_home) -> None:
    home = make_home("https")
    personal_files(home.home)
    home.set_up()
    path = home.home / ".bashrc"
    path.write_text(path.read_text().replace("# <<< wheelmark setup <<<\n", ""))
    before = home.listing()
    for options in (["--undo"], ["--no-service", "--port", home.port]):
        done = home.setup(*options).failed()
        assert ".bashrc" in done.err and "hint:" in done.err
        assert home.listing() == before


def test_the_users_own_certificates_outlast_a_shell_that_knows_ours(make_home) -> None:
    home = make_home("https")
    said = home.set_up()
    command = said["command"]
    home.run_daemon(said)
    assert command[command.index("--roots") + 1] == str(home.roots)
    bundle = command[command.index("--certificates") + 1]
    env = {"SSL_CERT_FILE": bundle}
    done = home.sandbox.wheelmark("setup", "--no-service", "--port", home.port, "--json", env=env)
    again = json.loads(done.ok().out)
    assert again["command"] == command and again["changed"] is False


def test_certificates_that_cannot_be_read_are_seen_before_anything_is_changed(make_home) -> None:
    home = make_home("https")
    roots = home.sandbox.folder / "damaged.pem"
    roots.write_bytes(home.roots.read_bytes() + b"# \xff\n")
    before = home.listing()
    done = home.sandbox.wheelmark("setup", "--no-service", env={"SSL_CERT_FILE": str(roots)}).failed()
    assert "damaged.pem" in done.err and "hint:" in done.err
    assert home.listing() == before


def test_a_later_export_of_certificates_is_told(make_home) -> None:
    home = make_home("https")
    personal_files(home.home)
    with (home.home / ".bashrc").open("a") as file:
        file.write("export SSL_CERT_FILE=/corporate.pem\n")
    assert home.set_up()["certificates_overruled"] == [str(home.home / ".bashrc")]


def test_plain_http_is_for_this_machine_alone(make_home) -> None:
    home = make_home("http")
    far = "http://pkg.example/simple/"
    near = ["--metadata-url", home.index.metadata_url, "--targets-url", home.index.targets_url]
    home.sandbox.wheelmark("trust", "add", far, "--root", home.index.root_file, *near).ok()
    before = home.listing()
    done = home.setup("--no-service", "--index", far).failed()
    assert "plain http" in done.err and "hint:" in done.err
    assert home.listing() == before


def test_several_indexes_are_not_set_up_as_if_they_were_one(make_home, make_index) -> None:
    home = make_home("http")
    other = make_index().start()
    home.sandbox.wheelmark("trust", "add", other.index_url, "--root", other.root_file).ok()
    config = home.home / ".config/wheelmark/wheelmark.toml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(
        f'[[map]]\nprojects = ["acme-*"]\nindexes = ["{other.index_url}"]\n'
        f'[[map]]\nprojects = ["*"]\nindexes = ["{home.front.index_url}"]\n'
    )
    before = home.listing()
    done = home.setup("--no-service", "--port", home.port).failed()
    assert "one index" in done.err and "--index" in done.err and "wheelmark exec" in done.err
    assert home.listing() == before
    assert home.set_up("--index", other.index_url)["index"] == other.index_url


def test_a_dry_run_changes_nothing(make_home) -> None:
    home = make_home("https")
    personal_files(home.home)
    before = home.listing()
    said = json.loads(home.setup("--dry-run", "--json").ok().out)
    assert home.listing() == before
    assert {file["fate"] for file in said["files"]} == {"edited", "made"}


def test_undo_without_setup_says_so(sandbox: Sandbox) -> None:
    done = sandbox.wheelmark("setup", "--undo").ok()
    assert "nothing to undo" in done.out


def test_a_file_that_cannot_be_edited_line_by_line_is_left_alone(make_home) -> None:
    home = make_home("http")
    personal_files(home.home, uv='pip = { index-url = "https://old.example/simple/" }\n')
    before = home.listing()
    done = home.setup("--no-service", "--port", home.port)
    assert done.code == 1
    assert "uv.toml" in done.err and "hint:" in done.err
    assert home.listing() == before


def test_where_no_service_manager_answers_nothing_is_changed(make_home) -> None:
    home = make_home("http")
    before = home.listing()
    # No systemctl on this PATH, and no bus anywhere.
    done = home.sandbox.wheelmark("setup", "--port", home.port, env={"PATH": str(TOOLS), "XDG_RUNTIME_DIR": "/nonexistent"})
    assert done.code == 1
    assert "--no-service" in done.err
    assert home.listing() == before


def test_variables_that_outweigh_the_files_are_named(make_home) -> None:
    home = make_home("http")
    done = home.sandbox.wheelmark(
        "setup", "--no-service", "--port", home.port, env={"PIP_INDEX_URL": "https://old.example/simple/"}
    ).ok()
    assert "PIP_INDEX_URL is set in this shell" in done.out


def test_what_other_files_of_pip_say_against_it_is_told(make_home) -> None:
    home = make_home("http")
    old = home.home / ".pip/pip.conf"
    old.parent.mkdir()
    old.write_text("[global]\nindex-url = https://old.example/simple/\n[install]\nproxy = http://me:s3cret@old.example:1\n")
    said = home.set_up()
    told = {"file": str(old), "lines": ["proxy = http://****@old.example:1"]}
    assert told in said["not_verified"], "of this machine's own files there may be more"
    done = home.setup("--no-service", "--port", home.port).ok()
    assert f"not verified: {old} outweighs" in done.out and "s3cret" not in done.out


@SCHEMES
@BOTH
def test_when_the_proxy_is_down_nothing_goes_around_it(tool: str, scheme: str, make_home) -> None:
    home = make_home(scheme)
    process = home.run_daemon(home.set_up())
    home.install(tool, home.sandbox.venv()).ok()
    process.kill()
    process.wait()
    asked = len(home.front.asked)
    venv = home.sandbox.venv()
    home.install(tool, venv).failed()
    assert venv.installed() == {}
    assert len(home.front.asked) == asked, "nobody went to the index"


@SCHEMES
@BOTH
def test_when_the_index_is_down_that_is_said_and_it_comes_back_by_itself(tool: str, scheme: str, make_home) -> None:
    home = make_home(scheme)
    home.run_daemon(home.set_up())
    home.index.stop()
    venv = home.sandbox.venv()
    begun = time.monotonic()
    done = home.install(tool, venv).failed()
    assert time.monotonic() - begun < 60, "it says so at once; this bound is for a busy machine"
    assert venv.installed() == {}
    # The connection that the proxy had kept broke off, or no new one was to be had.
    assert "424" in done.text and "wheelmark refused" in done.text, done
    assert "could not connect" in done.text or "broke off" in done.text, done
    # The connections that the proxy held are gone; it makes new ones.
    home.index.start()
    deadline = time.monotonic() + 60
    while home.install(tool, venv).code != 0:
        assert time.monotonic() < deadline
        time.sleep(1)
    assert venv.says("demo") == "good"


@SCHEMES
@BOTH
def test_exec_verifies_by_itself_after_a_setup(tool: str, scheme: str, make_home) -> None:
    """Not by the proxy of the setup, which is not even there."""
    home = make_home(scheme)
    personal_files(home.home)
    (home.home / ".config/other").mkdir()
    process = home.run_daemon(home.set_up())
    home.install(tool, home.sandbox.venv()).ok()
    process.kill()
    process.wait()
    home.install(tool, home.sandbox.venv()).failed()
    report = home.sandbox.work / "report.json"
    verified = f"{home.sandbox.binary} exec --report {report}"

    def is_verified() -> None:
        said = json.loads(report.read_text())
        assert [file["file"] for file in said["files"]] == [GOOD.filename]
        assert said["routes_not_closed"] == []

    venv = home.sandbox.venv()
    how = f"pip --python {venv.python} install" if tool == "pip" else f"uv pip install --python {venv.python}"
    home.login(f"{verified} -- {how} demo").ok()
    assert venv.says("demo") == "good"
    is_verified()
    if tool == "pip":
        return
    project = home.sandbox.work / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "mine"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["demo"]\n'
        "[tool.uv]\npackage = false\n"
    )
    home.login(f"cd project && {verified} -- uv sync").ok()
    assert home.front.index_url.rstrip("/") in (project / "uv.lock").read_text()
    is_verified()
    # Nothing else of the configuration is hidden, and nothing is changed for good.
    shown = home.login(f"{verified} -- sh -c 'ls $XDG_CONFIG_HOME; cat $XDG_CONFIG_HOME/uv/uv.toml'").ok().out
    assert "other\npip\n" in shown and shown.endswith(UV_TOML)
    assert "wheelmark setup" in (home.home / ".config/uv/uv.toml").read_text()


def test_exec_verifies_by_itself_after_a_setup_of_the_machine(make_home) -> None:
    home = make_home("http")
    said = json.loads(home.setup("--dry-run", "--json", "--system").ok().out)
    text = next(file["text"] for file in said["files"] if file["path"] == "/etc/uv/uv.toml")
    # Where uv looks for it first; the proxy that it names is not there.
    machine = home.sandbox.folder / "machine"
    (machine / "uv").mkdir(parents=True)
    (machine / "uv/uv.toml").write_text(text)
    home.sandbox.env["XDG_CONFIG_DIRS"] = f"{machine}:/etc/xdg"
    home.install("uv", home.sandbox.venv()).failed()
    venv, report = home.sandbox.venv(), home.sandbox.work / "report.json"
    home.login(f"{home.sandbox.binary} exec --report {report} -- uv pip install --python {venv.python} demo").ok()
    assert venv.says("demo") == "good"
    assert json.loads(report.read_text())["routes_not_closed"] == []


@BOTH
@pytest.mark.parametrize(
    "scheme, name",
    [("http", "NO_PROXY"), ("https", "no_proxy"), ("http", "HTTP_PROXY"), ("https", "HTTPS_PROXY"), ("https", "ALL_PROXY")],
)
def test_proxy_variables_lead_nobody_around(tool: str, scheme: str, name: str, make_home) -> None:
    home = make_home(scheme)
    home.run_daemon(home.set_up())
    with Front(home.index) as other:
        home.sandbox.env[name] = "127.0.0.1,localhost" if name.lower() == "no_proxy" else other.url
        asked, venv = len(home.front.asked), home.sandbox.venv()
        home.install(tool, venv).ok()
        assert venv.says("demo") == "good"
        assert other.asked == [] and len(home.front.asked) == asked


@pytest.fixture(scope="session")
def old_pip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The last pip that lets the shell's proxy variables outweigh its own setting."""
    folder = tmp_path_factory.mktemp("old-pip")
    env = {name: value for name, value in os.environ.items() if name not in ("PIP_NO_INDEX", "PIP_CONFIG_FILE")}
    wanted = [TOOLS / "pip", "install", "--quiet", "--no-deps", "--target", folder, "pip==22.0.4"]
    if subprocess.run(wanted, env=env, capture_output=True).returncode:
        pytest.skip("skipped: needs pip 22.0.4")
    return f"env PYTHONPATH={folder} {sys.executable} -m pip"


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "NO_PROXY"])
def test_an_old_pip_that_is_led_past_the_proxy_installs_nothing(name: str, make_home, old_pip: str) -> None:
    home = make_home("https")
    home.front.evil = EVIL
    home.run_daemon(home.set_up())

    def install(*more: str) -> tuple[Outcome, Path]:
        folder = home.sandbox.folder / f"installed{len(list(home.sandbox.folder.glob('installed*')))}"
        return home.login(f"{old_pip} install --target {folder} {' '.join(more)} demo"), folder

    done, folder = install()
    assert "SAYS = 'good'" in content(folder), done
    with Passing() as passing:
        home.sandbox.env[name] = "127.0.0.1" if name == "NO_PROXY" else passing.url
        leads = name.upper() == "HTTPS_PROXY"  # the others do not go before its own setting
        done, folder = install("--no-cache-dir", "--cert", str(home.roots))
        if leads:
            assert "SAYS = 'evil'" in content(folder), "it leaves, and believes the index's own certificate"
            assert passing.asked
        else:
            assert content(folder) == ""
        asked, passed = len(home.front.asked), len(passing.asked)
        done, folder = install("--no-cache-dir")
        assert len(home.front.asked) == asked, "it asked for nothing there"
        if leads:
            done.failed()
            assert content(folder) == ""
            assert "CERTIFICATE_VERIFY_FAILED" in done.text, done
            assert len(passing.asked) > passed
        else:
            assert "SAYS = 'good'" in content(folder)
        said = home.setup("--no-service", "--port", home.port).ok().out
        assert (f"{name} is set in this shell" in said) == leads


def content(folder: Path) -> str:
    installed = folder / "demo.py"
    return installed.read_text() if installed.exists() else ""


@BOTH
def test_an_index_named_elsewhere_is_refused(tool: str, make_home) -> None:
    home = make_home("http")
    home.run_daemon(home.set_up())
    with Front(home.index) as other:
        other.evil = wheel("hidden", says="evil")
        venv = home.sandbox.venv()
        name = "--extra-index-url" if tool == "pip" else "--index"
        home.install(tool, venv, name, other.index_url, "hidden").failed()
        assert other.asked == []


@pytest.mark.parametrize("scope", ["user", "system"])
def test_the_units_are_what_systemd_takes(scope: str, make_home, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("skipped: needs systemd-analyze")
    home = make_home("https")
    options = ["--system"] if scope == "system" else []
    said = json.loads(home.setup("--dry-run", "--json", *options).ok().out)
    files = {file["path"]: file["text"] for file in said["files"]}
    unit = next(text for path, text in files.items() if path.endswith("wheelmark.service"))
    path = tmp_path / "wheelmark.service"

    def verify(text: str) -> str:
        path.write_text(text)
        words = ["systemd-analyze", "verify", "--man=no", str(path)]
        done = subprocess.run(words, capture_output=True, text=True)
        return "".join(line for line in done.stderr.splitlines(True) if str(path) in line or path.name in line)

    assert verify(unit.replace("[Service]", "[Service]\nNoSuchKey=1")), "it would see a mistake"
    assert verify(unit) == ""
    assert "NoNewPrivileges=yes" in unit and f"SSL_CERT_FILE={home.roots}" in unit
    if scope == "system":
        assert "DynamicUser=yes" in unit and "StateDirectory=wheelmark-proxy\n" in unit
        assert {"/etc/pip.conf", "/etc/uv/uv.toml", "/etc/profile.d/wheelmark.sh"} <= files.keys()
        root = next(text for path, text in files.items() if path.endswith("setup-root.json"))
        assert root.encode() == home.index.root_file.read_bytes()
        assert "ExecStartPre=-" in unit and "WHEELMARK_HOME=/var/lib/wheelmark-proxy\n" in unit


def test_the_service_reads_the_same_trust_and_configuration(make_home) -> None:
    home = make_home("http")
    elsewhere = {"WHEELMARK_HOME": str(home.home / ".local/share/wheelmark"), "WHEELMARK_SYSTEM_DIR": "/opt/wheelmark"}
    done = home.sandbox.wheelmark("setup", "--dry-run", "--json", env=elsewhere).ok()
    unit = next(f["text"] for f in json.loads(done.out)["files"] if f["path"].endswith("wheelmark.service"))
    for name, value in elsewhere.items():
        assert f"Environment={name}={value}\n" in unit
    plain = json.loads(home.setup("--dry-run", "--json").ok().out)
    assert not any("WHEELMARK_HOME" in file["text"] for file in plain["files"])
