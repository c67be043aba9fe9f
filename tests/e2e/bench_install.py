"""What verification costs an installation: `cargo xtask bench install`.

Time. uv installs 200 small packages from one running index, alternately by itself and through
`wheelmark exec`, each time into an empty virtual environment that was made before the clock
starts. `exec` gives uv an empty cache of its own on purpose, because a warm one would install
without a single check; so uv by itself begins with an empty cache, too, in every round. What
differs between cold and warm is what *we* keep:

- cold: the trust store holds the root and the record of trust, nothing else: the whole chain,
  every delegated role and every page is fetched and verified;
- warm: the trust store is the one that the round before left behind.

The time of a run is that of the whole command, its start and its summary included. What it
hands over to be removed when it has ended, its private cache, is waited for before the next
round begins, and printed beside. uv by itself leaves its cache where it is.

uv puts files into the environment in its own way, not in the one that the other tests ask for.
Every run has an environment, a cache and a trust store of its own, on one file system, and
nothing is deleted until all is measured: file systems take their time after that. The rounds of
the kinds follow each other in turns, and the ratio is that of the medians. uv by itself with a
filled cache is printed beside them: nothing is downloaded then, and nothing verified; we have no
answer to that and claim none. The processor time is that of the command and all it starts,
without the index.

Memory. A wheel of 1 GiB, published by `uv publish`, is installed through `wheelmark exec` and
fetched from `wheelmark proxy`; the figure is the highest resident set that the kernel saw
(VmHWM), beside the one after an ordinary small package.

The last line is JSON.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import NamedTuple

from harness.distributions import core_metadata, wheel
from harness.index import Index, free_port
from harness.sandbox import TOOLS, Sandbox, Venv, environment

PACKAGES = 200
# Of each package; about what a small library has. Without modules: as little as a wheel can be.
MODULES = 12
PAYLOAD = 8_000
LARGE = 1 << 30

TARGETS = {"cold": 1.10, "warm": 1.05}
MEMORY_TARGET = 64 << 20


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--packages", type=int, default=PACKAGES)
    options.add_argument("--modules", type=int, default=MODULES, help="of each package; 0: a single file")
    options.add_argument("--without-memory", action="store_true")
    options.add_argument("--without-time", action="store_true")
    args = options.parse_args()
    binary = Path(os.environ["WHEELMARK_BIN"])
    with tempfile.TemporaryDirectory(prefix="wheelmark-bench-", dir=os.environ.get("TMPDIR")) as folder:
        bench = Bench(Path(folder), binary)
        try:
            figures = {
                "bench": "install", "packages": args.packages, "modules": args.modules, "rounds": args.rounds,
            }
            if not args.without_time:
                figures |= bench.times(args.packages, args.modules, args.rounds)
            if not args.without_memory:
                figures |= bench.memory()
        finally:
            bench.index.kill()
    print(json.dumps(figures))
    return 0


class Bench:
    """An index, and somebody who installs from it."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self.folder, self.binary = folder, binary
        (folder / "index").mkdir()
        env = environment(folder / "index")
        Path(env["TMPDIR"]).mkdir(parents=True)
        self.index = Index(binary, folder / "index" / "data", env, bins=64)
        self.index.start()
        self.sandbox = Sandbox(folder / "user", binary)
        del self.sandbox.env["UV_LINK_MODE"]
        self.sandbox.trust(self.index)
        self.home = Path(self.sandbox.env["WHEELMARK_HOME"])
        self.fresh_home = shutil.copytree(self.home, folder / "home-fresh")
        self.venv = self.sandbox.venv()
        self.runs = 0
        self.warm_home = self.home
        self.filled_cache = self.new("cache")

    # Time.

    def times(self, packages: int, modules: int, rounds: int) -> dict:
        names = [f"bench-{number}" for number in range(packages)]
        began = time.monotonic()
        contents = {"modules": modules} if modules else {"payload": PAYLOAD}
        made = [wheel(name, **contents) for name in names]
        self.index.publish(*made)
        print(f"published {packages} packages of {len(made[0].content):,} bytes in {time.monotonic() - began:.1f} s", flush=True)
        kinds = {
            "plain": lambda: self.plain(names, self.new("cache")),
            "cold": lambda: self.exec(names, self.cold_home()),
            "warm": lambda: self.exec(names, self.warm_home),
            "cached": lambda: self.plain(names, self.filled_cache),
        }
        took: dict[str, list[Run]] = {kind: [] for kind in kinds}
        # One round for the machine's own caches, and to fill those that are kept.
        for run in kinds.values():
            run()
        for number in range(rounds):
            order = list(kinds) if number % 2 == 0 else list(reversed(kinds))
            for kind in order:
                took[kind].append(kinds[kind]())
        return report(took)

    def plain(self, names: list[str], cache: Path) -> "Run":
        env = {"UV_CACHE_DIR": str(cache)}
        return self.timed(names, env, "uv", "--default-index", self.index.index_url)

    def exec(self, names: list[str], home: Path) -> "Run":
        env = {"WHEELMARK_HOME": str(home)}
        run = self.timed(names, env, self.binary, "exec", "--", "uv")
        began = time.perf_counter()
        while list((home / "runs").glob("run-*")):
            time.sleep(0.001)
        return run._replace(clearing=time.perf_counter() - began)

    def timed(self, names: list[str], env: dict[str, str], *command: object) -> "Run":
        venv = Venv(shutil.copytree(self.venv.path, self.new("venv"), symlinks=True))
        at = command.index("uv") + 1
        command = (*command[:at], *INSTALL, venv.python, *command[at:])
        used = processor_time()
        began = time.perf_counter()
        done = self.sandbox.run(*command, *names, env=env)
        run = Run(time.perf_counter() - began, processor_time() - used)
        done.ok()
        assert len(venv.installed()) == len(names), done
        return run

    def new(self, what: str) -> Path:
        """A path for what a single run has."""
        self.runs += 1
        return self.folder / "runs" / f"{self.runs}-{what}"

    def cold_home(self) -> Path:
        """A trust store that holds what trust itself is, and nothing that was fetched since."""
        home = shutil.copytree(self.fresh_home, self.new("home"))
        for index in (home / "indexes").iterdir():
            for kept in index.iterdir() if index.is_dir() else ():
                if kept.is_dir():
                    shutil.rmtree(kept)
                elif kept.name not in ("index.toml", "root.json"):
                    kept.unlink()
        return home

    def empty(self) -> Venv:
        """The virtual environment, with nothing in it any more."""
        for site in self.venv.path.glob("lib/*/site-packages"):
            shutil.rmtree(site)
            site.mkdir()
        return self.venv

    # Memory.

    def memory(self) -> dict:
        large = large_wheel(self.folder / "dist")
        began = time.monotonic()
        self.sandbox.uv_publish(self.index, large, timeout=600).ok()
        large.unlink()
        print(f"published a wheel of {LARGE >> 20} MiB in {time.monotonic() - began:.1f} s", flush=True)
        small = wheel("bench-small", payload=PAYLOAD)
        self.index.publish(small)
        figures = self.memory_of_proxy(small.filename, large.name) | self.memory_of_exec()
        print(f"\nhighest resident set, target below {MEMORY_TARGET >> 20} MiB:")
        for name in ("proxy", "exec"):
            with_large, without = (figures[f"{name}_{kind}_bytes"] for kind in ("large", "small"))
            print(f"  wheelmark {name:<6}{mib(with_large)} with a wheel of {LARGE >> 20} MiB, {mib(without)} without it")
        return figures

    def memory_of_proxy(self, small: str, large: str) -> dict:
        command = [self.binary, "proxy", "--listen", f"127.0.0.1:{free_port()}"]
        process = subprocess.Popen(command, env=self.sandbox.env, stdout=subprocess.PIPE, text=True)
        try:
            url = None
            while url is None:
                line = process.stdout.readline()
                assert line, "the proxy ended"
                url = re.search(r"http://\S+/simple/", line)
            base = url.group().removesuffix("simple/")
            fetch(f"{base}packages/bench-small/{small}")
            before = peak(process.pid)
            length = fetch(f"{base}packages/bench-large/{large}")
            assert length > LARGE
            return {"proxy_small_bytes": before, "proxy_large_bytes": peak(process.pid)}
        finally:
            process.terminate()
            process.wait(20)

    def memory_of_exec(self) -> dict:
        figures = {}
        for kind in ("small", "large"):
            command = [self.binary, "exec", "--", "uv", *INSTALL, self.empty().python, f"bench-{kind}"]
            process = subprocess.Popen([str(word) for word in command], env=self.sandbox.env, stderr=subprocess.PIPE)
            highest = 0
            while process.poll() is None:
                highest = max(highest, peak(process.pid) or 0)
                time.sleep(0.01)
            assert process.returncode == 0, process.stderr.read()
            figures[f"exec_{kind}_bytes"] = highest
        self.empty()
        return figures


INSTALL = ("pip", "install", "--quiet", "--no-deps", "--python")


class Run(NamedTuple):
    """One installation: how long it took, the processor time, and what went on after its end; all in seconds."""

    took: float
    used: float
    clearing: float = 0.0


def processor_time() -> float:
    """What all commands that have ended so far have used."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def report(runs: dict[str, list[Run]]) -> dict:
    plain = statistics.median(run.took for run in runs["plain"])
    print(f"\n{'':<28}{'median':>9}{'fastest':>9}{'slowest':>9}{'ratio':>8}{'processor':>11}{'clearing':>10}  target")
    figures: dict[str, object] = {}
    for kind, name in (
        ("plain", "uv, empty cache"),
        ("cold", "through exec, cold"),
        ("warm", "through exec, warm"),
        ("cached", "uv, filled cache"),
    ):
        took, used, clearing = zip(*runs[kind])
        median = statistics.median(took)
        figures[f"{kind}_s"] = round(median, 4)
        figures[f"{kind}_processor_s"] = round(statistics.median(used), 4)
        line = f"  {name:<26}{median:>7.3f} s{min(took):>7.3f} s{max(took):>7.3f} s{median / plain:>8.3f}"
        line += f"{statistics.median(used):>9.3f} s{statistics.median(clearing):>8.3f} s"
        if kind in TARGETS:
            figures[f"{kind}_ratio"] = round(median / plain, 4)
            figures[f"{kind}_clearing_s"] = round(statistics.median(clearing), 4)
            met = "met" if median / plain <= TARGETS[kind] else "missed"
            line += f"  {TARGETS[kind]:.2f} {met}"
        print(line)
    return figures


def in_record(digest: bytes) -> str:
    """A digest as RECORD has it."""
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def large_wheel(folder: Path) -> Path:
    """A wheel with one member of 1 GiB that does not compress, in pieces that are all the same."""
    folder.mkdir()
    block = os.urandom(1 << 24)
    digest = hashlib.sha256()
    info = "bench_large-1.0.dist-info"
    path = folder / "bench_large-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        payload = zipfile.ZipInfo("bench_large.bin", (2024, 1, 1, 0, 0, 0))
        payload.external_attr = 0o100644 << 16
        payload.file_size = LARGE
        with archive.open(payload, "w") as member:
            for _ in range(LARGE // len(block)):
                member.write(block)
                digest.update(block)
        sha256 = in_record(digest.digest())
        members = {
            f"{info}/METADATA": core_metadata("bench-large", "1.0"),
            f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: bench\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        }
        rows = [f"bench_large.bin,sha256={sha256},{LARGE}"]
        rows += [f"{name},sha256={in_record(hashlib.sha256(content).digest())},{len(content)}" for name, content in members.items()]
        members[f"{info}/RECORD"] = ("\n".join([*rows, f"{info}/RECORD,,"]) + "\n").encode()
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name, (2024, 1, 1, 0, 0, 0)), content)
    return path


def fetch(url: str) -> int:
    """Reads a file to its end, as fast as it comes; its length."""
    length = 0
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=300) as answer:
        while piece := answer.read(1 << 20):
            length += len(piece)
    return length


def peak(pid: int) -> int:
    """The highest resident set of a process so far, in bytes; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def mib(length: int) -> str:
    return f"{length / (1 << 20):>7.1f} MiB"


if __name__ == "__main__":
    assert (TOOLS / "uv").is_file(), f"{sys.executable} lacks uv: pip install -r tests/e2e/requirements.txt"
    sys.exit(main())
