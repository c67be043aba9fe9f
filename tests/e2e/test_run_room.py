"""What a run of `exec` keeps for itself, and that nothing of it stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import Sandbox, installer

PATIENCE = 60.0


def rooms(sandbox: Sandbox) -> list[Path]:
    return list((Path(sandbox.env["WHEELMARK_HOME"]) / "runs").glob("run-*"))


def wait_until_gone(sandbox: Sandbox) -> None:
    """What a run leaves is removed while its caller goes on already."""
    deadline = time.monotonic() + PATIENCE
    while left := rooms(sandbox):
        assert time.monotonic() < deadline, left
        time.sleep(0.01)


def test_what_is_installed_outlives_the_cache_of_the_run(shared_index: Index, sandbox: Sandbox) -> None:
    sandbox.trust(shared_index)
    dist = wheel("outlives", says="still here")
    shared_index.publish(dist)
    for mode in (None, "copy", "hardlink", "symlink"):
        sandbox.env.pop("UV_LINK_MODE", None)
        if mode:
            sandbox.env["UV_LINK_MODE"] = mode
        venv = sandbox.venv()
        sandbox.install("uv", venv, "outlives").ok()
        wait_until_gone(sandbox)
        assert venv.says("outlives") == "still here", mode
        (module,) = venv.path.glob("lib/*/site-packages/outlives.py")
        assert not module.is_symlink() and module.stat().st_nlink == 1, mode


def test_a_run_that_was_killed_is_cleared_away_by_the_next(shared_index: Index, sandbox: Sandbox) -> None:
    sandbox.trust(shared_index)
    script = 'mkdir -p "$UV_CACHE_DIR/archive/a" && echo began && sleep 600'
    command = [str(sandbox.binary), "exec", "--", "sh", "-c", script]
    killed = subprocess.Popen(
        command, env=sandbox.env, cwd=sandbox.work, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert killed.stdout is not None and killed.stdout.readline() == "began\n"
    (room,) = rooms(sandbox)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert room.exists()
    sandbox.wheelmark("exec", "--", "true").ok()
    assert not room.exists()
    wait_until_gone(sandbox)


CONTAINER = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")


def test_in_a_container_everything_is_gone_before_the_end(shared_index: Index, sandbox: Sandbox) -> None:
    # Its processes end with the first one, and what is left then becomes part of an image.
    if shutil.which("unshare") is None or sandbox.run(*CONTAINER, "true").code != 0:
        pytest.skip("this system makes no namespaces for us")
    sandbox.trust(shared_index)
    shared_index.publish(*(wheel(f"contained-{number}") for number in range(30)))
    venv = sandbox.venv()
    names = [f"contained-{number}" for number in range(30)]
    sandbox.run(*CONTAINER, sandbox.binary, "exec", "--", *installer("uv", venv), *names).ok()
    assert rooms(sandbox) == []
    assert len(venv.installed()) == len(names)


def test_a_run_that_kept_nothing_leaves_nothing_behind_for_a_moment(shared_index: Index, sandbox: Sandbox) -> None:
    sandbox.trust(shared_index)
    sandbox.wheelmark("exec", "--", "true").ok()
    assert rooms(sandbox) == []


def test_two_runs_at_once_leave_each_other_alone(shared_index: Index, sandbox: Sandbox) -> None:
    sandbox.trust(shared_index)
    shared_index.publish(wheel("beside", says="both"))
    venvs = [sandbox.venv() for _ in range(6)]
    runs = [
        subprocess.Popen(
            [str(word) for word in (sandbox.binary, "exec", "--", *installer("uv", venv), "beside")],
            env=sandbox.env,
            cwd=sandbox.work,
            stderr=subprocess.PIPE,
            text=True,
        )
        for venv in venvs
    ]
    for run, venv in zip(runs, venvs):
        _, said = run.communicate(timeout=120)
        assert run.returncode == 0, said
        assert venv.says("beside") == "both"
    wait_until_gone(sandbox)
