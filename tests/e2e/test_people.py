"""Users, tokens and private reading, with the tools that people have."""

from __future__ import annotations

import base64
import json
import os
import re
import ssl
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index, free_port
from harness.people import add_users, administer, audit_log, token
from harness.sandbox import Sandbox, Venv
from harness.site import Site
from harness.tls import Certificates, make_certificates
from harness.upload import request, upload

TOOLS = pytest.mark.parametrize("tool", ["pip", "uv"])
UPLOADERS = pytest.mark.parametrize("uploader", ["twine", "uv"])


@pytest.fixture(scope="module")
def people(shared_index: Index) -> Index:
    """An index with three users, and a project of alice's."""
    add_users(shared_index, "alice", "bob", "carol")
    secret = token(shared_index, "alice", "upload")
    assert upload(shared_index.upload_url, secret, wheel("hers", "1.0")).status == 200
    return shared_index


def send(sandbox: Sandbox, uploader: str, index: Index, secret: str, *files: Path):
    how = {"twine": sandbox.twine, "uv": sandbox.uv_publish}[uploader]
    return how(index, *files, token=secret)


def write(sandbox: Sandbox, dist) -> Path:
    path = sandbox.work / dist.filename
    path.write_bytes(dist.content)
    return path


# Uploading.


@UPLOADERS
def test_each_is_told_why_not(people: Index, sandbox: Sandbox, uploader: str) -> None:
    file = write(sandbox, wheel("hers", f"2.{len(uploader)}"))
    bob = token(people, "bob", "upload")
    done = send(sandbox, uploader, people, bob, file).failed()
    assert "Not your project" in done.text or "neither owner nor maintainer" in done.text, f"{done}"

    reader = token(people, "alice", "read")
    done = send(sandbox, uploader, people, reader, file).failed()
    assert "the token is for reading alone" in done.text, f"{done}"

    other = token(people, "alice", "upload", "--project", "another")
    done = send(sandbox, uploader, people, other, file).failed()
    assert "another" in done.text and "alone" in done.text, f"{done}"

    mine = token(people, "alice", "upload", "--project", "hers")
    send(sandbox, uploader, people, mine, file).ok()


@UPLOADERS
def test_expired_and_revoked_tokens_are_told_so(people: Index, sandbox: Sandbox, uploader: str) -> None:
    file = write(sandbox, wheel("hers", f"3.{len(uploader)}"))
    short = token(people, "alice", "upload", "--expires", "1s")
    gone = token(people, "alice", "upload")
    listed = json.loads(administer(people, "token", "list", "--user", "alice", "--json").ok().out)
    assert "wmk_" not in json.dumps(listed)
    administer(people, "token", "revoke", newest(listed)["id"]).ok()
    time.sleep(1.1)
    for secret, word in [(short, "expired"), (gone, "revoked")]:
        done = send(sandbox, uploader, people, secret, file).failed()
        assert word in done.text, f"{done}"


def newest(listed: list[dict]) -> dict:
    return max(listed, key=lambda row: row["created_at"])


def test_maintainers_come_and_go(people: Index) -> None:
    carol = token(people, "carol", "upload")
    first = upload(people.upload_url, carol, wheel("hers", "4.0"))
    assert first.status == 403 and "maintainer add hers carol" in first.json()["hint"], f"{first}"
    administer(people, "project", "maintainer", "add", "hers", "carol").ok()
    assert upload(people.upload_url, carol, wheel("hers", "4.0")).status == 200
    shown = json.loads(administer(people, "project", "show", "hers", "--json").ok().out)
    assert [(m["user"], m["role"]) for m in shown["members"]] == [("alice", "owner"), ("carol", "maintainer")]
    administer(people, "project", "maintainer", "remove", "hers", "carol").ok()
    assert upload(people.upload_url, carol, wheel("hers", "4.1")).status == 403
    last = administer(people, "project", "owner", "remove", "hers", "alice").failed()
    assert "only owner" in last.err and "hint: " in last.err, f"{last}"


def test_who_uploads_first_owns_it(people: Index) -> None:
    bob = token(people, "bob", "upload")
    assert upload(people.upload_url, bob, wheel("his", "1.0")).status == 200
    shown = json.loads(administer(people, "project", "show", "his", "--json").ok().out)
    assert [(m["user"], m["role"]) for m in shown["members"]] == [("bob", "owner")]
    administer(people, "project", "create", "kept", "--owner", "alice").ok()
    assert upload(people.upload_url, bob, wheel("kept", "1.0")).status == 403
    # The operator's token, which the first run made, goes everywhere.
    people.publish(wheel("kept", "1.0"), wheel("hers", "9.0"), wheel("his", "9.0"))


def test_a_disabled_user_does_nothing(people: Index) -> None:
    add_users(people, "dave")
    dave = token(people, "dave", "admin")
    administer(people, "user", "disable", "dave").ok()
    answer = upload(people.upload_url, dave, wheel("his", "5.0"))
    assert answer.status == 403 and answer.json()["title"] == "User disabled", f"{answer}"
    administer(people, "user", "enable", "dave").ok()
    assert upload(people.upload_url, dave, wheel("his", "5.0")).status == 200


def test_the_log_says_who_did_what(make_index) -> None:
    index = make_index().start()
    add_users(index, "alice")
    alice = token(index, "alice", "upload")
    assert upload(index.upload_url, alice, wheel("logged", "1.0")).status == 200
    assert upload(index.upload_url, alice, wheel("logged", "1.1"), change={"filetype": "sdist"}).status == 400
    assert upload(index.upload_url, "wmk_" + "0" * 64, wheel("logged", "1.2")).status == 403
    log = audit_log(index)
    assert [row["action"] for row in log] == [
        "user-added", "token-created", "role-granted", "upload-accepted", "upload-refused", "access-refused",
    ]
    made, accepted, refused = log[1], log[3], log[5]
    assert made["account"] and made["user"] is None and made["address"] is None
    assert accepted["user"] == "alice" and accepted["token"] == made["subject"]
    assert accepted["subject"] == wheel("logged", "1.0").filename and accepted["address"] == "127.0.0.1"
    assert (refused["user"], refused["token"]) == (None, None)
    assert "wmk_" not in json.dumps(log) and "wmk_" not in index.log_text()
    of_project = audit_log(index, "--project", "logged")
    assert [row["number"] for row in of_project] == [row["number"] for row in log if row["project"] == "logged"]
    last = administer(index, "audit-log", "--last", "1").ok().out
    assert len(last.splitlines()) == 1 and "access-refused" in last, last
    # No secret is anywhere in the data directory but in the file of the first run.
    for path in index.data.rglob("*"):
        if path.is_file() and path.name != "token":
            assert alice.encode() not in path.read_bytes(), path


def test_guessing_is_told_to_wait_and_locks_nobody_out(make_index) -> None:
    index = make_index().start()
    add_users(index, "alice")
    alice = token(index, "alice", "upload")
    answers = [upload(index.upload_url, f"wmk_{n:064x}", wheel("guessed", "1.0")) for n in range(40)]
    statuses = [answer.status for answer in answers]
    assert statuses[:30] == [403] * 30 and statuses[-1] == 429, statuses
    assert 1 <= int(answers[-1].header("Retry-After")) <= 6
    assert answers[-1].json()["title"] == "Too many attempts"
    assert upload(index.upload_url, alice, wheel("guessed", "1.0")).status == 200
    rows = [row for row in audit_log(index) if row["action"] == "access-refused"]
    assert len(rows) == statuses.count(403) <= 32


# Reading.

HIDDEN = wheel("hidden", "1.0", says="for us alone")


class Private:
    """A private index, and a token that reads it."""

    def __init__(self, index: Index) -> None:
        self.index = index
        index.publish(HIDDEN)
        add_users(index, "reader")
        self.secret = token(index, "reader", "read")
        administer(index, "access", "private").ok()
        deadline = time.monotonic() + 20
        while index.get("simple/").status != 401:
            assert time.monotonic() < deadline, "it stays public"
            time.sleep(0.1)

    def url_with(self, secret: str) -> str:
        return self.index.index_url.replace("://", f"://__token__:{secret}@")

    def netrc(self, sandbox: Sandbox) -> dict[str, str]:
        path = sandbox.folder / "home" / ".netrc"
        path.write_text(f"machine 127.0.0.1\nlogin __token__\npassword {self.secret}\n")
        path.chmod(0o600)
        return {"NETRC": str(path)}

    def keyring(self, sandbox: Sandbox) -> dict[str, str]:
        """A `keyring` program on PATH that knows the token, and notes what it is asked."""
        folder = sandbox.folder / "keyring"
        folder.mkdir()
        program = folder / "keyring"
        program.write_text(
            f"#!{sys.executable}\n"
            "import json, pathlib, sys\n"
            f"kept = pathlib.Path({str(folder / 'kept.json')!r})\n"
            "known = json.loads(kept.read_text())\n"
            "words = [w for w in sys.argv[1:] if not w.startswith('--')]\n"
            f"with open({str(folder / 'asked')!r}, 'a') as asked: print(*sys.argv[1:], file=asked)\n"
            "verb, service, user = (words + [''] * 3)[:3]\n"
            "if verb == 'set': known[service] = sys.stdin.readline().strip(); kept.write_text(json.dumps(known))\n"
            "elif verb == 'del': del known[service]; kept.write_text(json.dumps(known))\n"
            "else:\n"
            "    found = next((v for k, v in known.items() if service.startswith(k) or service in k), None)\n"
            "    if found is None: sys.exit(1)\n"
            "    whole = '--output=json' in sys.argv\n"
            "    print(json.dumps({'username': '__token__', 'password': found}) if whole else found)\n"
        )
        program.chmod(0o755)
        (folder / "kept.json").write_text(json.dumps({f"http://127.0.0.1:{self.index.port}": self.secret}))
        return {"PATH": f"{folder}{os.pathsep}{sandbox.env['PATH']}"}


@pytest.fixture(scope="module")
def private(_make) -> Private:
    started: list[Index] = []
    yield Private(_make(started).start())
    for index in started:
        index.kill()


def plain(sandbox: Sandbox, tool: str, url: str, *more: object, **how) -> tuple[object, Venv]:
    venv = sandbox.venv()
    run = {"pip": sandbox.plain_pip, "uv": sandbox.plain_uv}[tool]
    return run(venv, url, "hidden", *more, **how), venv


@TOOLS
def test_without_a_token_nothing_is_read(private: Private, sandbox: Sandbox, tool: str) -> None:
    done, venv = plain(sandbox, tool, private.index.index_url)
    done.failed()
    assert venv.installed() == {}
    for path in ("simple/", "simple/hidden/", "metadata/timestamp.json", "metadata/1.root.json",
                 f"packages/hidden/{HIDDEN.filename}", "pypi/hidden/json"):
        answer = private.index.get(path)
        assert answer.status == 401 and b"hidden" not in answer.body, f"{path}: {answer}"
        assert answer.header("WWW-Authenticate") == 'Basic realm="wheelmark"'
    assert private.index.get("healthz").status == 200


@TOOLS
@pytest.mark.parametrize("way", ["url", "netrc", "keyring", "variables"])
def test_installers_read_with_a_token(private: Private, sandbox: Sandbox, tool: str, way: str) -> None:
    url, more, env = private.index.index_url, [], {}
    if way == "url":
        url = private.url_with(private.secret)
    elif way == "netrc":
        env = private.netrc(sandbox)
    elif way == "keyring":
        url = url.replace("://", "://__token__@")
        env = private.keyring(sandbox)
        more = ["--keyring-provider", "subprocess"]
    elif tool == "pip":
        env = {"PIP_INDEX_URL": private.url_with(private.secret)}
    else:
        env = {"UV_INDEX": f"ours={url}", "UV_INDEX_OURS_USERNAME": "__token__", "UV_INDEX_OURS_PASSWORD": private.secret}
    if way == "variables":
        venv = sandbox.venv()
        words = {
            "pip": ["pip", "--python", venv.python, "install", "hidden"],
            "uv": ["uv", "pip", "install", "--python", venv.python, "hidden"],
        }[tool]
        done = sandbox.run(*words, env=env)
    else:
        done, venv = plain(sandbox, tool, url, *more, env=env)
    done.ok()
    assert venv.installed() == {"hidden": "1.0"}, f"{done}"


@TOOLS
def test_verified_after_login(private: Private, sandbox: Sandbox, tool: str) -> None:
    index = private.index
    refused = sandbox.wheelmark("trust", "add", index.index_url, "--root", index.root_file)
    assert refused.code != 0 and "wheelmark login" in refused.err, f"{refused}"

    wrong = sandbox.folder / "wrong"
    wrong.write_text("wmk_" + "0" * 64)
    done = sandbox.wheelmark("login", index.index_url, "--token-file", wrong).failed()
    assert "does not take the token" in done.err, f"{done}"
    login(sandbox, private)
    sandbox.trust(index)
    report = sandbox.folder / "report.json"
    venv = sandbox.venv()
    sandbox.install(tool, venv, "hidden", options=("--report", report)).ok()
    assert venv.says("hidden") == "for us alone"
    assert sandbox.wheelmark("explain", "hidden").ok()

    # The secret is in one file, which its owner alone can read.
    where = [path for path in sandbox.folder.rglob("*")
             if path.is_file() and path.name != "good" and private.secret.encode() in path.read_bytes()]
    assert [path.name for path in where] == ["credentials.toml"], where
    assert stat.S_IMODE(where[0].stat().st_mode) == 0o600
    encoded = base64.b64encode(f"__token__:{private.secret}".encode())
    for path in (*sandbox.folder.rglob("*.json"), *sandbox.work.rglob("*")):
        assert not path.is_file() or encoded not in path.read_bytes(), path

    sandbox.wheelmark("logout", index.index_url).ok()
    done = sandbox.install(tool, sandbox.venv(), "hidden").failed()
    assert "asks for a token" in done.text and "wheelmark login" in done.text, f"{done}"


def login(sandbox: Sandbox, private: Private, *more: object, **how) -> None:
    good = sandbox.folder / "good"
    good.write_text(private.secret + "\n")
    done = sandbox.wheelmark("login", private.index.index_url, "--token-file", good, *more, **how).ok()
    good.unlink()
    assert private.secret not in done.text


def test_the_client_reads_netrc_and_keyring(private: Private, sandbox: Sandbox) -> None:
    env = private.netrc(sandbox)
    sandbox.wheelmark("trust", "add", private.index.index_url, "--root", private.index.root_file, env=env).ok()
    venv = sandbox.venv()
    sandbox.install("pip", venv, "hidden", env=env).ok()
    Path(env["NETRC"]).unlink()
    sandbox.install("pip", sandbox.venv(), "hidden").failed()

    env = private.keyring(sandbox)
    login(sandbox, private, "--keyring", env=env)
    kept = (sandbox.folder / "wheelmark" / "credentials.toml").read_text()
    assert "wmk_" not in kept, kept
    venv = sandbox.venv()
    sandbox.install("pip", venv, "hidden", env=env).ok()
    assert venv.installed() == {"hidden": "1.0"}
    sandbox.wheelmark("logout", private.index.index_url, env=env).ok()
    sandbox.install("pip", sandbox.venv(), "hidden", env=env).failed()


def test_lock_files_hold_no_token(private: Private, sandbox: Sandbox) -> None:
    login(sandbox, private)
    sandbox.trust(private.index)
    project = sandbox.work / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "locked"\nversion = "1"\nrequires-python = ">=3.9"\ndependencies = ["hidden"]\n'
    )
    sandbox.wheelmark("exec", "--", "uv", "lock", cwd=project).ok()
    locked = (project / "uv.lock").read_text()
    assert private.index.index_url.rstrip("/") in locked and "hidden" in locked, locked
    assert "wmk_" not in locked and "__token__" not in locked and "@127" not in locked, locked


def test_a_copy_is_made_with_the_token(private: Private, sandbox: Sandbox) -> None:
    copy = sandbox.folder / "copy"
    words = ("mirror", private.index.index_url, copy, "--root", private.index.root_file)
    done = sandbox.wheelmark(*words).failed()
    assert "token" in done.err, f"{done}"
    login(sandbox, private)
    sandbox.wheelmark(*words).ok()
    assert list(copy.rglob(f"*{HIDDEN.filename}")), "the file was not copied"


def test_the_daemon_hands_nobody_a_private_index(private: Private, sandbox: Sandbox) -> None:
    """It answers to every user of the machine, so it signs in nowhere."""
    login(sandbox, private)
    sandbox.trust(private.index)
    port = free_port()
    daemon = subprocess.Popen(
        [sandbox.binary, "proxy", "--listen", f"127.0.0.1:{port}"],
        env=sandbox.env, cwd=sandbox.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    try:
        assert daemon.stdout is not None
        said = [daemon.stdout.readline() for _ in range(4)]
        url = re.search(r"--index-url (\S+)", "".join(said))
        assert url, said
        done, venv = plain(sandbox, "pip", url[1])
        done.failed()
        assert venv.installed() == {}
        answer = request("GET", url[1].rstrip("/") + "/hidden/")
        assert answer.status != 200 or HIDDEN.filename.encode() not in answer.body, f"{answer}"
    finally:
        daemon.terminate()
        _, err = daemon.communicate(timeout=20)
    assert "it does not use your token" in err and private.secret not in err, err


class Headers(Site):
    """A site that keeps the credentials it is sent; with `certificates`, it speaks TLS."""

    def __init__(self, pages, certificates: Certificates | None = None) -> None:
        super().__init__(pages)
        self.signed_in: list[str | None] = []
        signed_in, handler = self.signed_in, self._server.RequestHandlerClass
        answer = handler.do_GET

        def keep(request) -> None:
            signed_in.append(request.headers.get("Authorization"))
            answer(request)

        handler.do_GET = handler.do_HEAD = keep
        if certificates is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificates.certificate, certificates.key)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )


def test_what_a_source_links_to_is_sent_no_password(sandbox: Sandbox) -> None:
    """netrc has a password for the other host, too, which the source has no right to use."""
    dist = wheel("linked", "1.0")
    netrc = sandbox.folder / "home" / ".netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\nmachine localhost login me password other\n")
    certificates = make_certificates(sandbox.folder)
    env = {"NETRC": str(netrc), **certificates.env}
    with Headers(lambda path: ("application/octet-stream", dist.content), certificates) as elsewhere:
        far = elsewhere.url(f"files/{dist.filename}").replace("http://127.0.0.1", "https://localhost")
        link = f'<a href="{far}#sha256={dist.sha256}">{dist.filename}</a>'
        pages = {"/simple/": '<a href="linked/">linked</a>', "/simple/linked/": link}
        html = lambda path: ("text/html", pages[path].encode()) if path in pages else None  # noqa: E731
        with Headers(html) as source:
            out = sandbox.folder / "out"
            done = sandbox.wheelmark("sign-tree", source.url("simple/"), "--out", out, env=env, timeout=200)
    assert source.signed_in and None not in source.signed_in, f"{source.signed_in} {done}"
    assert elsewhere.asked, f"the link was not followed: {done}"
    assert set(elsewhere.signed_in) == {None}, f"{elsewhere.signed_in} {done}"


def test_login_says_what_it_could_not_try(private: Private, make_index, sandbox: Sandbox) -> None:
    open_index = make_index().start()
    secret = sandbox.folder / "secret"
    secret.write_text("wmk_" + "1" * 64)
    done = sandbox.wheelmark("login", open_index.index_url, "--token-file", secret).ok()
    assert "could not be tried" in done.err, f"{done}"
    done = sandbox.wheelmark("login", open_index.url("nowhere/simple/"), "--token-file", secret).failed()
    assert "there is no index at" in done.err, f"{done}"
    secret.write_text("wmk_" + "1" * 5000)
    done = sandbox.wheelmark("login", open_index.index_url, "--token-file", secret).failed()
    assert "that is no token" in done.err, f"{done}"


def test_a_locked_keyring_stops_no_other_index(private: Private, make_index, sandbox: Sandbox) -> None:
    env = private.keyring(sandbox)
    login(sandbox, private, "--keyring", env=env)
    asked = sandbox.folder / "keyring" / "asked"
    asked.unlink()
    (sandbox.folder / "keyring" / "kept.json").write_text("{}")
    open_index = make_index().start()
    open_index.publish(HIDDEN)
    sandbox.wheelmark("trust", "add", open_index.index_url, "--root", open_index.root_file, env=env).ok()
    sandbox.install("pip", sandbox.venv(), "hidden", env=env).ok()
    assert not asked.exists(), "the keyring was asked for what nobody needed"


def test_no_token_in_the_open_or_in_a_url(private: Private, sandbox: Sandbox) -> None:
    secret = sandbox.folder / "secret"
    secret.write_text(private.secret)
    done = sandbox.wheelmark("login", "http://index.example/simple/", "--token-file", secret).failed()
    assert "is not https" in done.err and "hint: " in done.err, f"{done}"
    done = sandbox.wheelmark("login", private.url_with(private.secret), "--token-file", secret).failed()
    assert private.secret not in done.text, f"{done}"
    done = sandbox.wheelmark("trust", "add", private.url_with(private.secret), "--root", private.index.root_file).failed()
    assert private.secret not in done.text, f"{done}"


def test_a_file_that_others_can_read_is_not_used(private: Private, sandbox: Sandbox) -> None:
    login(sandbox, private)
    (sandbox.folder / "wheelmark" / "credentials.toml").chmod(0o644)
    done = sandbox.wheelmark("trust", "add", private.index.index_url, "--root", private.index.root_file).failed()
    assert "can be read by other users" in done.err and "chmod 600" in done.err, f"{done}"


def test_a_revoked_reader_reads_no_more(private: Private, sandbox: Sandbox) -> None:
    secret = token(private.index, "reader", "read")
    headers = {"Authorization": "Bearer " + secret}
    url = private.index.url("simple/hidden/")
    assert request("GET", url, headers=headers).status == 200
    listed = json.loads(administer(private.index, "token", "list", "--user", "reader", "--json").ok().out)
    administer(private.index, "token", "revoke", newest(listed)["id"]).ok()
    answer = request("GET", url, headers=headers)
    assert answer.status == 401 and answer.json()["title"] == "Token revoked", f"{answer}"


def test_the_help_teaches(sandbox: Sandbox) -> None:
    for words in (["index"], ["index", "user"], ["index", "token"], ["index", "token", "create"], ["index", "project"],
                  ["index", "access"], ["index", "audit-log"], ["login"], ["logout"]):
        done = sandbox.wheelmark(*words, "--help").ok()
        assert "Usage:" in done.out, f"{done}"
        if words[-1] not in ("logout",):
            assert re.search(r"^  wheelmark |^  .*wheelmark ", done.out, re.M), f"no example: {done}"
