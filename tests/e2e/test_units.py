"""The units for systemd, judged by systemd's own tools."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index

UNITS = Path(__file__).parents[2] / "packaging" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))

# How exposed a service may be, in tenths, as `systemd-analyze security` counts: 20 is "OK" still.
EXPOSURE = {"wheelmark-snapshotter": 5, "wheelmark-status": 10, "wheelmark-web": 15}


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"skipped: needs {name} (Debian: systemd)")
    return found


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120)


def installed(unit: Path, binary: Path, tmp_path: Path) -> Path:
    """The unit as it would be installed with the program under test."""
    text = unit.read_text()
    assert "ExecStart=/usr/bin/wheelmark " in text
    made = tmp_path / unit.name
    made.write_text(text.replace("=/usr/bin/wheelmark ", f"={binary} "))
    return made


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_systemd_finds_no_fault(unit: Path, binary: Path, tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    done = run(analyze, "verify", "--man=no", "--recursive-errors=no", installed(unit, binary, tmp_path))
    assert (done.returncode, done.stderr.strip()) == (0, ""), done.stderr
    broken = tmp_path / "broken.service"
    broken.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPrivilege="))
    done = run(analyze, "verify", "--man=no", "--recursive-errors=no", broken)
    assert "NoNewPrivilege" in done.stderr, "a mistake would be seen"


def test_every_timer_has_its_service(tmp_path: Path) -> None:
    timers = sorted(UNITS.glob("*.timer"))
    assert timers and all(timer.with_suffix(".service").is_file() for timer in timers)
    for timer in timers:
        [when] = re.findall(r"^OnCalendar=(.*)$", timer.read_text(), re.MULTILINE)
        done = run(tool("systemd-analyze"), "calendar", when)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_little_is_exposed(unit: Path, binary: Path, tmp_path: Path) -> None:
    analyze = tool("systemd-analyze")
    made = installed(unit, binary, tmp_path)
    threshold = EXPOSURE[unit.stem]
    done = run(analyze, "security", "--offline=true", f"--threshold={threshold}", "--no-pager", made)
    if "unrecognized option" in done.stderr:
        pytest.skip("skipped: needs systemd 250 or later")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_the_program_knows_its_arguments(unit: Path, binary: Path) -> None:
    [line] = re.findall(r"^ExecStart=/usr/bin/wheelmark (.*)$", unit.read_text(), re.MULTILINE)
    words = line.split()
    assert run(binary, *words, "--help").returncode == 0
    subcommand = words[: words.index("--data")]
    done = run(binary, *subcommand, "--data", "/nonexistent/index")
    assert done.returncode == 1 and "unexpected argument" not in done.stderr, done.stderr


def test_users_and_place_are_made(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    done = run(tool("systemd-sysusers"), f"--root={tmp_path}", UNITS / "wheelmark.sysusers.conf")
    assert done.returncode == 0, done.stderr
    users = {line.split(":")[0]: line.split(":") for line in (tmp_path / "etc/passwd").read_text().splitlines()}
    groups = {line.split(":")[0]: line.split(":")[2] for line in (tmp_path / "etc/group").read_text().splitlines()}
    assert set(users) == {"wheelmark", "wheelmark-web"}
    assert users["wheelmark"][2] != users["wheelmark-web"][2]
    assert {user[3] for user in users.values()} == {groups["wheelmark"]}
    done = run(tool("systemd-tmpfiles"), f"--root={tmp_path}", "--create", UNITS / "wheelmark.tmpfiles.conf")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "var/lib/wheelmark").stat().st_mode & 0o777 == 0o755


def test_what_the_units_hide_is_where_the_index_keeps_it(make_index) -> None:
    """The paths in the web's unit are those of a data directory."""
    index: Index = make_index().start()
    index.publish(wheel("demo"))
    text = (UNITS / "wheelmark-web.service").read_text()
    named = re.findall(r"Paths=-?/var/lib/wheelmark/index/(\S+)", text)
    # The catalogue's folder comes with the two users.
    lacking = [name for name in named if name != "web" and not (index.data / name).exists()]
    assert named and not lacking, lacking
    hidden = re.findall(r"InaccessiblePaths=-?/var/lib/wheelmark/(\S+)", text)
    assert {"index/operator", "index/online-key", "index-offline-keys"} <= set(hidden)
