"""The cost of signing what exists: many small generated wheels in a directory, by the binary.

Two imports of the same directory: one undisturbed, with the peak of its memory, and one that is
killed again and again and goes on. Then a run that finds nothing new. `--files N` says how many
there are, `--projects N` in how many projects, `--folder DIR` where all of it lies. Ends with one
line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from harness.distributions import wheel
from harness.sandbox import environment


def generate(folder: Path, files: int, projects: int) -> None:
    for number in range(files):
        name = f"project-{number % projects}"
        wheel(name, f"1.{number}").write(folder / name)


def run(binary: Path, source: Path, out: Path, env: dict[str, str], kill_after: float | None = None) -> dict:
    """One run: seconds, peak of memory, and the counts of its report if it was not killed."""
    begun = time.monotonic()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [binary, "sign-tree", source, "--out", out, "--json"],
            env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.DEVNULL,
        )
        if kill_after is not None:
            try:
                process.wait(kill_after)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    counts = json.loads(text)["counts"] if text else {}
    assert counts or process.returncode == -signal.SIGKILL, process.returncode
    return {"seconds": time.monotonic() - begun, "rss": usage.ru_maxrss * 1024, "counts": counts}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--projects", type=int, default=5_000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--kills", type=int, default=4)
    options = parser.parse_args()
    binary = Path(os.environ["WHEELMARK_BIN"]).absolute()
    folder = Path(tempfile.mkdtemp(prefix="sign-tree-", dir=options.folder))
    try:
        (folder / "tmp").mkdir()
        env = environment(folder)
        source = folder / "source"
        print(f"making {options.files} wheels of {options.projects} projects", flush=True)
        generate(source, options.files, options.projects)

        whole = run(binary, source, folder / "whole", env)
        assert whole["counts"]["back_signed"] == options.files, whole
        rate = options.files / whole["seconds"]
        print(f"signed in {whole['seconds']:.1f} s: {rate:.0f} files/s, peak of memory {whole['rss'] / 1e6:.0f} MB", flush=True)

        again = run(binary, source, folder / "whole", env)
        assert again["counts"]["unchanged"] == options.files and again["counts"]["bytes_read"] == 0, again
        print(f"nothing new: {again['seconds']:.1f} s, peak of memory {again['rss'] / 1e6:.0f} MB", flush=True)

        step, killed = whole["seconds"] / (options.kills + 1), 0
        for _ in range(options.kills):
            killed += not run(binary, source, folder / "killed", env, kill_after=step)["counts"]
        last = run(binary, source, folder / "killed", env)
        read = last["counts"]["back_signed"]
        assert last["counts"]["unchanged"] + read == options.files, last
        print(f"killed {killed} times, then {read} files were left to be read, {last['seconds']:.1f} s", flush=True)
        figures = {
            "files": options.files, "files_per_second": round(rate), "peak_rss": whole["rss"],
            "unchanged_seconds": round(again["seconds"], 2), "killed": killed, "left_after_kills": read,
        }
        print(json.dumps(figures))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
