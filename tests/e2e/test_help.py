"""What helps people with the commands themselves: completions, manuals, colours."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from harness.sandbox import Sandbox


def test_help_and_manuals(binary: Path, sandbox: Sandbox, tmp_path: Path) -> None:
    for shell in ("bash", "zsh", "fish", "elvish", "powershell"):
        assert "cross-check" in sandbox.wheelmark("completions", shell).ok().out
    (tmp_path / "wheelmark.bash").write_text(sandbox.wheelmark("completions", "bash").out)
    completed = sandbox.run(
        "bash", "-c",
        f"source {tmp_path}/wheelmark.bash; COMP_WORDS=(wheelmark cross); COMP_CWORD=1; _wheelmark wheelmark cross wheelmark; "
        'echo "${COMPREPLY[@]}"',
    )  # fmt: skip
    assert completed.ok().out.strip() == "cross-check"
    sandbox.wheelmark("man", tmp_path / "man").ok()
    pages = {path.name for path in (tmp_path / "man").iterdir()}
    assert {"wheelmark.1", "wheelmark-up.1", "wheelmark-index-backup.1", "wheelmark-trust-mirror-add.1"} <= pages


@pytest.mark.parametrize("words", [["--help"], ["index", "backup"], ["trust", "show", "nothing"], ["index", "config", "show"]])
def test_no_color_is_obeyed_on_a_terminal(binary: Path, sandbox: Sandbox, words: list[str]) -> None:
    def shown(env: dict[str, str]) -> bytes:
        ours, theirs = pty.openpty()
        plain = {name: value for name, value in sandbox.env.items() if name != "NO_COLOR"}
        process = subprocess.Popen(
            [binary, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=plain | {"TERM": "xterm"} | env
        )
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:
                break
            if not piece:
                break
            said += piece
        os.close(ours)
        process.wait(30)
        return said

    assert b"\x1b[" in shown({}), "no colour to be taken away"
    assert b"\x1b[" not in shown({"NO_COLOR": "1"})
