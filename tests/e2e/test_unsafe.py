"""`--unsafely-disable-package-verification`: the one way to turn verification off."""

from __future__ import annotations

import json

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import Sandbox
from harness.site import Site, index_of

FLAG = "--unsafely-disable-package-verification"
BOTH = pytest.mark.parametrize("tool", ["pip", "uv"])
RED = "\x1b[31m"


def own_settings(tool: str, url: str) -> dict[str, str]:
    return {"PIP_INDEX_URL": url} if tool == "pip" else {"UV_DEFAULT_INDEX": url}


@BOTH
def test_the_command_runs_with_its_own_settings_and_says_so_twice(tool: str, index: Index, sandbox: Sandbox) -> None:
    index.publish(wheel("demo", says="good"))
    sandbox.trust(index)
    venv, report = sandbox.venv(), sandbox.folder / "report.json"
    with Site(index_of(wheel("demo", says="evil"))) as evil:
        env = own_settings(tool, evil.url("simple/"))
        refused = sandbox.venv()
        sandbox.install(tool, refused, "demo", env=env).ok()
        assert refused.says("demo") == "good", "with verification the command's own index has no say"

        done = sandbox.install(tool, venv, "demo", options=(FLAG, "--report", report), env=env).ok()
    assert venv.says("demo") == "evil"
    start, _, end = done.err.partition("PACKAGE VERIFICATION IS DISABLED")
    assert "wheelmark: WARNING" in start
    assert "NOTHING WAS VERIFIED" in end
    assert RED not in done.err
    said = json.loads(report.read_text())
    assert said["verified"] is False
    assert said["files"] == []
    assert said["routes_not_closed"][0]["argument"] == FLAG


def test_a_verified_run_says_so_in_its_report(index: Index, sandbox: Sandbox) -> None:
    index.publish(wheel("demo"))
    sandbox.trust(index)
    report = sandbox.folder / "report.json"
    sandbox.install("pip", sandbox.venv(), "demo", options=("--report", report)).ok()
    assert json.loads(report.read_text())["verified"] is True


def test_it_is_red_where_colour_is_wanted_and_keeps_the_exit_code(sandbox: Sandbox) -> None:
    env = {"FORCE_COLOR": "1"}
    del sandbox.env["NO_COLOR"]
    done = sandbox.wheelmark("exec", FLAG, "--", "sh", "-c", "exit 7", env=env)
    assert done.code == 7, done
    assert done.err.count(f"{RED}wheelmark: WARNING") == 2


@pytest.mark.parametrize("command", ["pip", "uv"])
def test_the_short_commands_have_it(command: str, sandbox: Sandbox) -> None:
    done = sandbox.wheelmark(command, FLAG, "--version").ok()
    assert done.err.count("WARNING") == 2


@pytest.mark.parametrize("other", [["--strict"], ["--index", "https://pkg.example/simple/"]])
def test_it_goes_with_no_option_that_asks_for_verification(other: list[str], sandbox: Sandbox) -> None:
    done = sandbox.wheelmark("exec", FLAG, *other, "--", "true")
    assert done.code == 2, done


@pytest.mark.parametrize("short", ["--unsafely", "--unsafely-disable-package-verificatio", "-u", "-U"])
def test_there_is_no_short_form(short: str, sandbox: Sandbox) -> None:
    done = sandbox.wheelmark("exec", short, "--", "true").failed()
    assert "DISABLED" not in done.err
    assert "no index is trusted" in done.err, "what is no option of ours is the command, and that is verified"


def test_no_variable_turns_verification_off(sandbox: Sandbox) -> None:
    names = ["UNSAFELY_DISABLE_PACKAGE_VERIFICATION", "WHEELMARK_UNSAFELY_DISABLE_PACKAGE_VERIFICATION"]
    done = sandbox.wheelmark("exec", "--", "true", env={name: "1" for name in names}).ok()
    assert "no index is trusted" in done.err and "DISABLED" not in done.err


@pytest.mark.parametrize("where", ["system", "user"])
def test_a_configuration_can_forbid_it_and_none_can_turn_it_on(where: str, sandbox: Sandbox) -> None:
    system, user = sandbox.folder / "system", sandbox.folder / "wheelmark"
    for folder in (system, user):
        folder.mkdir(mode=0o700, exist_ok=True)
    env = {"WHEELMARK_SYSTEM_DIR": str(system)}
    ran = sandbox.work / "ran"
    sandbox.wheelmark("exec", FLAG, "--", "touch", ran, env=env).ok()
    ran.unlink()
    (system / "wheelmark.toml").write_text("allow-unsafe = true\n")
    (user / "wheelmark.toml").write_text("allow-unsafe = true\n")
    done = sandbox.wheelmark("exec", "--", "touch", ran, env=env).ok()
    assert "no index is trusted" in done.err and "DISABLED" not in done.err, "verification is on all the same"
    ran.unlink()
    ({"system": system, "user": user}[where] / "wheelmark.toml").write_text("allow-unsafe = false\n")
    done = sandbox.wheelmark("exec", FLAG, "--", "touch", ran, env=env)
    assert done.code == 1 and "is not allowed here" in done.err
    assert not ran.exists()
    (system / "wheelmark.toml").write_text("allow-unsafe = \n")
    sandbox.wheelmark("exec", FLAG, "--", "touch", ran, env=env).failed()
    assert not ran.exists(), "a configuration that cannot be read is no permission"
