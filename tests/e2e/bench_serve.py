"""What serving costs beside nginx, devpi and pypiserver: `cargo xtask bench serve`.

All four run on one machine, in one run, with the same wheel. `wrk` (Debian's) asks each of them
for one page and one file over and over, with 32 connections; whose turn it is changes from round to
round. nginx serves our tree as it lies on the disk, by the settings of docs/layout.md, so page
and file are the same bytes as ours. What counts is requests a second; p99 is of the same runs.

Figures are medians of the rounds; the last line is JSON.

    WHEELMARK_BIN=… python tests/e2e/bench_serve.py [--rounds N] [--seconds N]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from harness.devpi import Devpi
from harness.distributions import wheel
from harness.foreign import Daemon
from harness.index import Index
from harness.nginx import Nginx
from harness.pypiserver import Pypiserver
from harness.sandbox import environment

CONNECTIONS = 32
JSON_PAGE = "application/vnd.pypi.simple.v1+json"

# As ratios of requests a second: ours to theirs.
TARGETS = {("nginx", "page"): 0.5, ("nginx", "file"): 0.7, ("devpi", "page"): 50.0, ("devpi", "file"): 50.0}


@dataclass(frozen=True)
class Round:
    a_second: float
    p99: float  # milliseconds


def main() -> int:
    options = argparse.ArgumentParser(description="serving, beside nginx, devpi and pypiserver")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=5)
    args = options.parse_args()
    loader = shutil.which("wrk")
    if loader is None:
        sys.exit("needs wrk (Debian: apt-get install wrk)")
    started: list[Daemon] = []
    with tempfile.TemporaryDirectory(prefix="wheelmark-bench-", dir=os.environ.get("TMPDIR")) as folder:
        index, urls = serve(Path(folder), started)
        try:
            figures = measure(loader, urls, args.rounds, args.seconds)
        finally:
            index.kill()
            for daemon in started:
                daemon.stop()
    print(json.dumps(figures))
    return 0


def serve(folder: Path, started: list[Daemon]) -> tuple[Index, dict[tuple[str, str], str]]:
    """All four, with one wheel; the URL of page and file of each."""
    made = wheel("six", "1.0", payload=10_000)
    file = made.write(folder)
    (folder / "index").mkdir()
    env = environment(folder / "index")
    Path(env["TMPDIR"]).mkdir(parents=True)
    index = Index(Path(os.environ["WHEELMARK_BIN"]), folder / "index" / "data", env, bins=16).start()
    index.publish(made)

    def start(daemon: Daemon) -> Daemon:
        started.append(daemon)
        return daemon.start()

    nginx = start(Nginx.of_directory(folder / "nginx", index.tree))
    devpi = start(Devpi(folder / "devpi"))
    devpi.make_index()
    devpi.upload(file)
    pypiserver = Pypiserver(folder / "pypiserver")
    shutil.copy(file, pypiserver.files)
    start(pypiserver)
    listed = devpi._session.get(devpi.simple_url() + "six/", headers={"Accept": JSON_PAGE}).json()
    of_devpi = listed["files"][0]["url"]
    if not of_devpi.startswith("http"):
        from urllib.parse import urljoin

        of_devpi = urljoin(devpi.simple_url() + "six/", of_devpi)
    return index, {
        ("wheelmark", "page"): index.url("/simple/six/"),
        ("wheelmark", "file"): index.url(f"/packages/six/{made.filename}"),
        ("nginx", "page"): f"{nginx.url}simple/six/",
        ("nginx", "file"): f"{nginx.url}packages/six/{made.filename}",
        ("devpi", "page"): devpi.simple_url() + "six/",
        ("devpi", "file"): of_devpi,
        ("pypiserver", "page"): pypiserver.simple_url + "six/",
        ("pypiserver", "file"): f"{pypiserver.url}packages/{made.filename}",
    }


def measure(loader: str, urls: dict[tuple[str, str], str], rounds: int, seconds: int) -> dict:
    found: dict[tuple[str, str], list[Round]] = {}
    for number in range(rounds):
        asked = list(urls.items())
        for key, url in asked if number % 2 else reversed(asked):
            found.setdefault(key, []).append(ask(loader, url, seconds))
    figures: dict = {"bench": "serve", "rounds": rounds, "connections": CONNECTIONS}
    speed: dict[tuple[str, str], float] = {}
    for (server, what), measured in sorted(found.items()):
        speed[server, what] = statistics.median(one.a_second for one in measured)
        p99 = statistics.median(one.p99 for one in measured)
        figures[f"{server}_{what}_per_second"] = round(speed[server, what])
        figures[f"{server}_{what}_p99_ms"] = round(p99, 2)
        print(f"{server:11} {what}  {speed[server, what]:9.0f}/s  p99 {p99:8.2f} ms", flush=True)
    for (server, what), target in TARGETS.items():
        ratio = speed["wheelmark", what] / speed[server, what]
        figures[f"ratio_{server}_{what}"] = round(ratio, 2)
        said = "" if ratio >= target else "  MISSED"
        print(f"{what}s: {ratio:.2f} x {server} (target {target}){said}", flush=True)
    return figures


def ask(loader: str, url: str, seconds: int) -> Round:
    command = [loader, "-t", "1", "-c", str(CONNECTIONS), "-d", f"{seconds}s", "--latency", "-H", f"Accept: {JSON_PAGE}", url]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=seconds + 60).stdout
    assert "Non-2xx" not in said, f"{url}\n{said}"
    a_second = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    assert a_second and p99, said
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return Round(float(a_second[1]), float(p99[1]) * scale)


if __name__ == "__main__":
    sys.exit(main())
