"""What the commands about users, tokens and access say where something would go wrong unnoticed."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from harness.distributions import wheel
from harness.index import Index, free_port
from harness.people import administer, token
from harness.sandbox import Sandbox
from harness.upload import request

MakeIndex = Callable[..., Index]


def test_a_token_goes_into_a_file_of_its_own(make_index: MakeIndex, tmp_path: Path) -> None:
    index = make_index()
    administer(index, "user", "add", "alice").ok()
    create = ("token", "create", "--user", "alice", "--scope", "read")
    out = tmp_path / "token"
    made = administer(index, *create, "--out", out).ok()
    assert "wmk_" not in made.text
    assert out.read_text().startswith("wmk_") and len(out.read_text()) == 68
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    tokens = administer(index, "token", "list").ok().out
    # Nothing is written over, and no token is made whose secret nobody has.
    before = out.read_bytes()
    administer(index, *create, "--out", out).failed()
    assert out.read_bytes() == before and administer(index, "token", "list").ok().out == tokens
    nobody = tmp_path / "nobody"
    administer(index, "token", "create", "--user", "bob", "--scope", "read", "--out", nobody).failed()
    assert not nobody.exists()


def test_tokens_that_are_good_for_nothing_are_told_of(make_index: MakeIndex) -> None:
    index = make_index()
    administer(index, "user", "add", "alice").ok()
    create = ("token", "create", "--user", "alice", "--scope", "read")
    assert "good for nothing" in administer(index, *create, "--expires", "0s").failed().text
    assert "further away" in administer(index, *create, "--expires", "100000000d").failed().text
    refused = administer(index, *create, "--expires", "400000000000000d").failed()
    assert "a time such as" in refused.text and "panicked" not in refused.text
    administer(index, *create).ok()
    assert "1 token is good again if they are enabled" in administer(index, "user", "disable", "alice").ok().out
    assert "warning: alice is disabled" in administer(index, *create).ok().err
    enabled = administer(index, "user", "enable", "alice").ok().out
    assert "2 tokens are good: alice-" in enabled and "token revoke" in enabled
    ended = administer(index, "user", "disable", "alice", "--revoke-tokens").ok().out
    assert "2 tokens are revoked for good" in ended
    assert "none of their tokens is left" in administer(index, "user", "enable", "alice").ok().out


def test_an_owner_who_becomes_a_maintainer_is_told_of(make_index: MakeIndex) -> None:
    index = make_index()
    for name in ("alice", "bob"):
        administer(index, "user", "add", name).ok()
    administer(index, "project", "create", "flask", "--owner", "alice").ok()
    administer(index, "project", "owner", "add", "flask", "bob").ok()
    changed = administer(index, "project", "maintainer", "add", "flask", "bob").ok().out
    assert changed == "bob is maintainer of flask, and its owner no longer.\n"
    again = administer(index, "project", "maintainer", "add", "flask", "bob").ok().out
    assert again == "bob is maintainer of flask already.\n"


def test_what_closing_does_not_close_is_said(make_index: MakeIndex) -> None:
    index = make_index()
    index.start()
    closed = administer(index, "access", "private").ok()
    assert closed.out == "private: who has a token reads from now on\n"
    assert "purge" in closed.err and "wheelmark mirror" in closed.err
    assert administer(index, "access").ok().err == ""
    assert request("GET", index.url("/metrics")).status == 401


def test_an_older_version_that_still_runs_is_not_cut_off(make_index: MakeIndex) -> None:
    """It would go on taking a token that was revoked where it does not look."""
    index = make_index()
    index.start()
    catalogue = index.data / "catalogue.sqlite"

    def version(new: int | None = None) -> int:
        with sqlite3.connect(catalogue) as database:
            if new is not None:
                database.execute(f"PRAGMA user_version = {new}")
            return database.execute("PRAGMA user_version").fetchone()[0]

    now = version()
    version(now - 1)
    refused = administer(index, "token", "revoke", "first").failed()
    assert "an older version of wheelmark runs" in refused.text and "hint: stop it" in refused.text
    assert version() == now - 1
    version(now)
    administer(index, "token", "revoke", "first").ok()


def test_a_tree_that_something_else_serves_is_not_said_to_be_closed(make_index: MakeIndex) -> None:
    index = make_index()
    settings = index.data / "settings.json"
    said = json.loads(settings.read_text()) | {"format": 2, "tree": str(index.data / "repository")}
    settings.write_text(json.dumps(said))
    refused = administer(index, "access", "private").failed()
    assert "a web server of your own" in refused.err and "from now on" not in refused.out


def test_the_copy_of_a_private_index_is_not_served_by_mistake(make_index: MakeIndex, sandbox: Sandbox) -> None:
    index = make_index().start()
    index.publish(wheel("hidden", "1.0"))
    administer(index, "user", "add", "reader").ok()
    secret = sandbox.folder / "secret"
    secret.write_text(token(index, "reader", "read"))
    sandbox.wheelmark("login", index.index_url, "--token-file", secret).ok()
    port = free_port()
    words = ("mirror", index.index_url, sandbox.folder / "copy", "--root", index.root_file)
    served = (*words, "--serve", f"127.0.0.1:{port}", "--json")

    def serves(*more: str) -> str:
        command = [str(word) for word in (sandbox.binary, *served, *more)]
        running = subprocess.Popen(
            command, env=sandbox.env, cwd=sandbox.work, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        try:
            assert running.stdout is not None
            return running.stdout.readline()
        finally:
            running.terminate()
            running.communicate(timeout=30)

    # Who has a token for what is open may serve it.
    assert json.loads(serves())["result"] == "serving"
    administer(index, "access", "private").ok()
    deadline = time.monotonic() + 20
    while index.get("simple/").status != 401:
        assert time.monotonic() < deadline, "it stays public"
        time.sleep(0.1)
    refused = sandbox.wheelmark(*served).failed()
    assert "is not read without a token" in refused.err and "--serve-openly" in refused.err, f"{refused}"
    sandbox.wheelmark(*words).ok()
    assert json.loads(serves("--serve-openly"))["result"] == "serving"
