"""What people are told of ceremonies: names, what is next, what went wrong, and what to do."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.holders import Cast, Holder, OFFLINE
from harness.index import Index, free_port


@pytest.fixture
def first(make_index, tmp_path: Path) -> Cast:
    """An index on the day of its first run."""
    index: Index = make_index(fresh=True).start()
    index.publish(wheel("demo", "1.0"))
    return Cast(index, tmp_path)


def hold(cast: Cast, name: str, holders: list[Holder], *options: object) -> Path:
    """A ceremony from beginning to end."""
    ceremony, begun = cast.operator.begin(name, *options)
    cast.collect(ceremony, begun["words"], holders)
    cast.operator.told("ceremony", "finish", ceremony)
    cast.operator.told("ceremony", "publish", ceremony, "--data", cast.index.data)
    return ceremony


def test_holders_keep_their_names(first: Cast, tmp_path: Path) -> None:
    operator, data = first.operator, first.index.data
    alice, alice_public = first.new_holder("alice", tmp_path)
    bob, bob_public = first.new_holder("bob", tmp_path)
    spent = Path(f"{data}-offline-keys")
    spent.mkdir()
    ceremony, begun = operator.begin("custody", "--replace", f"1={alice_public}", "--replace", f"2={bob_public}")
    review = operator.run("ceremony", "review", ceremony).stdout
    # What Alice's program told her to read aloud stands here, too.
    public = json.loads(alice_public.read_text())
    assert public["name"] == "alice" and "alice takes the place of holder 1" in review
    first.collect(ceremony, begun["words"], [*first.holders, alice, bob])
    operator.told("ceremony", "finish", ceremony)
    published = operator.told("ceremony", "publish", ceremony, "--data", data)
    assert published["first_keys_spent"] is True
    again = operator.run("ceremony", "publish", ceremony, "--data", data).stdout
    assert "destroy them now" in again and str(spent) in again

    holders = operator.told("index", "keys", "--data", data)["holders"]
    assert [holder["name"] for holder in holders] == ["alice", "bob"]
    assert "alice, holder 1: " in operator.run("index", "keys", "--data", data).stdout

    # Months later, and anywhere: the names came with what is published.
    dave, dave_public = first.new_holder("Dave", tmp_path)
    begun = operator.run("ceremony", "begin", "--data", data, "--out", tmp_path / "june", "--replace", f"2={dave_public}")
    assert "Dave takes the place of bob, holder 2" in begun.stdout, begun.stdout + begun.stderr
    sheet = tmp_path / "sheet.html"
    made = operator.run(
        "ceremony", "sheet", tmp_path / "june", "--out", sheet, "--token", "alice=Card 11", "--token", "dave=Card 22",
        "--token", "2=Card 33",
    )
    assert made.returncode == 0, made.stderr
    rows = [row for row in sheet.read_text().split("<tr>") if "Card" in row]
    assert "alice, holder 1" in rows[0] and "Card 11" in rows[0]
    assert "bob, holder 2" in rows[1] and "Card 33" in rows[1]
    assert "Dave, in place of bob, holder 2" in rows[2] and "Card 22" in rows[2]
    nobody = operator.run("ceremony", "sheet", tmp_path / "june", "--out", tmp_path / "no", "--token", "zoe=X")
    assert nobody.returncode == 1 and "no holder zoe" in nobody.stderr and "alice, holder 1" in nobody.stderr

    # `up` does not say of keys that count for nothing that they can take the index.
    assert first.index.stop() == 0
    command = [str(first.index.binary), "up", "--data", str(data), "--listen", f"127.0.0.1:{free_port()}"]
    with subprocess.Popen(command, env=first.index.env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as up:
        said = ""
        while str(spent) not in said:
            line = up.stdout.readline()
            assert line, said
            said += line
        said += up.stdout.readline()
        up.terminate()
    assert "A ceremony has replaced all of them" in said and "can take the index" not in said


def test_the_words_of_new_keys_are_those_that_their_holder_was_shown(first: Cast, tmp_path: Path) -> None:
    operator = first.operator
    public = tmp_path / "zoe.json"
    made = operator.told("ceremony", "keygen", "--name", "zoe", "--out", tmp_path / "zoe.age", "--public", public)
    assert len(made["words"].split()) == 16
    begun = operator.run(
        "ceremony", "begin", "--data", first.index.data, "--out", tmp_path / "c", "--replace", f"1={public}"
    )
    assert begun.returncode == 0, begun.stderr
    assert made["words"].split() == [word for word in begun.stdout.split() if word in made["words"].split()][:16]


def test_what_is_next_is_what_is_said(first: Cast, fake_clock: Callable[[str], dict[str, str]], tmp_path: Path) -> None:
    operator, data = first.operator, first.index.data
    carol, public = first.new_holder("carol", tmp_path)
    ceremony, begun = operator.begin("third", "--add", public)

    def status(code: int = 0) -> tuple[str, str]:
        told = operator.told("ceremony", "status", ceremony, code=code)
        return told["stage"], operator.run("ceremony", "status", ceremony).stdout.splitlines()[-1]

    assert status(3)[0] == "signing"
    first.collect(ceremony, begun["words"])
    assert status() == ("signing", "complete: `wheelmark ceremony finish` is next")
    operator.told("ceremony", "finish", ceremony)
    assert status() == ("finished", "finished: `wheelmark ceremony publish` is next")

    # One more signature comes in: nobody has changed anything.
    first.collect(ceremony, begun["words"], [carol])
    published = operator.told("ceremony", "publish", ceremony, "--data", data)
    assert published["published"] and not published["first_keys_spent"]
    root = json.loads((first.index.tree / "metadata" / "2.root.json").read_bytes())
    assert len(root["signatures"]) == 3
    stage, said = status()
    assert stage == "published" and said == f"published in snapshot {published['snapshot_version']}: nothing is left to do"


def test_too_few_are_warned_of(first: Cast, tmp_path: Path) -> None:
    _carol, public = first.new_holder("carol", tmp_path)
    hold(first, "third", first.holders, "--add", public)
    _, begun = first.operator.begin("remove", "--remove", "3")
    assert len(begun["cautions"]) >= 1 and "all 2 holders have to sign" in begun["cautions"][0]
    shown = first.operator.run("ceremony", "review", tmp_path / "remove").stdout
    assert "NOTE: from then on all 2 holders have to sign" in shown
    _, dave = first.new_holder("dave", tmp_path)
    _, begun = first.operator.begin("replace", "--replace", f"3={dave}")
    assert not any("have to sign" in caution for caution in begun["cautions"])


def test_who_comes_too_early_is_told_when_it_will_do(first: Cast, tmp_path: Path) -> None:
    early = first.operator.run("ceremony", "begin", "--data", first.index.data, "--out", tmp_path / "early")
    assert early.returncode == 1 and "would stay as it is" in early.stderr
    assert "a ceremony brings it an hour or more" in early.stderr and "hint:" in early.stderr
    assert not (tmp_path / "early").exists()


def test_what_was_signed_a_moment_ago_holds_up_nothing_else(
    first: Cast, fake_clock: Callable[[str], dict[str, str]]
) -> None:
    """Only what gains is signed: `claimed` was renewed alone today."""
    assert first.index.stop() == 0
    first.index.env |= fake_clock("+60d")
    for holder in first.holders:
        holder.env = first.index.env
    first.index.start()
    hold(first, "claimed", first.holders, "--role", "claimed")
    _, begun = first.operator.begin("rest")
    assert [role["role"] for role in begun["roles"]] == [role for role in OFFLINE if role != "claimed"]


def test_fewer_days_hold_up_no_change_of_keys(first: Cast, tmp_path: Path) -> None:
    own = first.index.data / "ceremony-policy.toml"
    own.write_text("[days]\nclaimed = 60\n")
    _, public = first.new_holder("alice", tmp_path)
    _, begun = first.operator.begin("lost", "--replace", f"1={public}")
    assert any(caution.startswith("claimed is to end earlier") for caution in begun["cautions"]), begun["cautions"]
    own.write_text("[days]\nclaimed = 20\n")
    refused = first.operator.run(
        "ceremony", "begin", "--data", first.index.data, "--out", tmp_path / "soon", "--replace", f"1={public}"
    )
    assert refused.returncode == 1 and "not for 30 days from now on" in refused.stderr
    assert "--policy" in refused.stderr


def test_an_older_ground_is_not_called_another_index(
    first: Cast, fake_clock: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    operator, holder = first.operator, first.holders[0]
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", first.index.tree, copy], check=True)
    carol, public = first.new_holder("carol", tmp_path)
    hold(first, "third", first.holders, "--add", public)
    newest = first.index.tree / "metadata" / "2.root.json"
    fingerprint = operator.told("index", "keys", "--data", first.index.data)["root_fingerprint"]
    _, dave = first.new_holder("dave", tmp_path)
    out = tmp_path / "fork"
    begun = operator.told("ceremony", "begin", "--tree", copy, "--out", out, "--add", dave)

    # Somebody who knows nothing but a fingerprint: it can be either.
    stranger = Holder(first.index.binary, tmp_path / "stranger", carol.keys, carol.phrase, carol.env | {"WHEELMARK_HOME": str(tmp_path / "home")})
    told = stranger.sign(out, fingerprint, begun["words"]).stderr
    assert "another index, or it stands on an older state" in told and "version 1 of root" in told, told
    # Whoever has the file of the newer root, or has signed before, is told what it is.
    told = stranger.sign(out, str(newest), begun["words"]).stderr
    assert "the root that you trust is a later one" in told, told
    told = holder.sign(holder.take(out), fingerprint, begun["words"]).stderr
    assert "the root that you trust is a later one" in told, told


def test_two_secrets_are_not_taken_for_one(first: Cast, tmp_path: Path) -> None:
    """Four digits are a PIN, and no passphrase that is too short."""
    reader, writer = os.pipe()
    os.write(writer, b"1234\n")
    os.close(writer)
    command = [
        first.index.binary, "ceremony", "keygen", "--name", "bob", "--out", tmp_path / "bob.age",
        "--public", tmp_path / "bob.json", "--passphrase-fd", reader,
        "--signer", "root=pkcs11:token=bob?module-path=/nowhere/p11.so",
    ]
    done = subprocess.run(
        [str(word) for word in command], env=first.index.env, capture_output=True, text=True, pass_fds=[reader], timeout=60
    )
    os.close(reader)
    assert done.returncode == 1 and "both" in done.stderr and "a token want one" in done.stderr, done.stderr
    assert "pin-source" in done.stderr


def answered(command: list[str], env: dict[str, str], answers: list[tuple[str, str]]) -> tuple[int, str]:
    """Runs a command on a terminal, and types each answer when its question has come."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, env=env | {"TERM": "dumb"}, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said, deadline = "", time.monotonic() + 120
    try:
        while time.monotonic() < deadline:
            ready, _, _ = select.select([ours], [], [], 0.5)
            if ready:
                try:
                    said += os.read(ours, 65536).decode(errors="replace")
                except OSError:
                    break
            if answers and said.count(answers[0][0]) >= 1:
                question, answer = answers.pop(0)
                said = said.split(question, 1)[1] if answers else said
                # Whoever asks has to have switched the echo off.
                time.sleep(0.2)
                os.write(ours, answer.encode() + b"\n")
        return process.wait(60), said
    finally:
        process.kill()
        os.close(ours)


def test_a_typo_does_not_begin_it_all_anew(first: Cast, tmp_path: Path) -> None:
    _, public = first.new_holder("carol", tmp_path)
    ceremony, begun = first.operator.begin("third", "--add", public)
    holder = first.holders[0]
    mine = holder.take(ceremony)
    command = [str(word) for word in (
        holder.binary, "ceremony", "sign", mine, "--trust", first.operator.fingerprint,
        "--signer", f"file:{holder.keys}", "--words", begun["words"],
    )]
    wrong = ("passphrase of", "not the phrase")
    code, said = answered(command, holder.env, [wrong, ("passphrase of", holder.phrase)])
    assert code == 0 and "signatures written" in said, said
    again = holder.take(ceremony)
    command[command.index(str(mine))] = str(again)
    code, said = answered(command, holder.env, [wrong, wrong, wrong])
    assert code == 1 and "stays closed" in said, said
    assert not list((again / "signatures").iterdir())
