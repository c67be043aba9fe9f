"""Indexes with many claimed projects: what a release costs there, and what clients read of them.

For each number of claims, `claimed_index` (crates/repository/examples) makes an index, half of whose claims are
sealed, 5,000 at most, and times its engine: a start, a release, and the night, in which all that is signed online is
signed anew. Then clients read one project there that is not sealed, over HTTP on this machine:

- fresh: somebody who begins in the evening: the root is trusted, and the project looked up;
- next day: the same person in the morning, who knows the state of the evening;
- python-tuf the same, or what stops it.

Ours is timed as a command, from its start to its end (`wheelmark trust add` and `wheelmark explain`), python-tuf
in a process that has loaded it. Bytes are those of the bodies that were asked for, as they are and as an index
would send them with zstd. Memory is the highest resident set of the process. Figures are medians of the rounds. The
last line is JSON.

    WHEELMARK_BIN=… python tests/e2e/bench_claimed.py [--claims N,N,…] [--bins N] [--rounds N] [--folder DIR]
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import zstandard

from harness.sandbox import Sandbox

CLAIMS = "100,1000,5000,10000,20000,50000,100000"
# As the server of an index does.
GZIP, ZSTD = 6, 9

PYTHON_TUF = """
import json, resource, sys, time
from pathlib import Path
from tuf.ngclient import Updater
url, root, folder, page = sys.argv[1:]
folder = Path(folder)
(folder / "targets").mkdir(parents=True, exist_ok=True)
begun = time.perf_counter()
said = {"stopped_by": None}
try:
    updater = Updater(
        metadata_dir=str(folder / "metadata"), metadata_base_url=f"{url}metadata/",
        target_dir=str(folder / "targets"), target_base_url=f"{url}targets/", bootstrap=Path(root).read_bytes(),
    )
    updater.refresh()
    info = updater.get_targetinfo(page)
    assert info is not None
    assert Path(updater.download_target(info)).stat().st_size == info.length
except Exception as error:
    said["stopped_by"] = f"{type(error).__name__}: {error}"
said["seconds"] = time.perf_counter() - begun
said["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps(said))
"""


class Serving:
    """Serves a tree, with a timestamp of another moment if one is set, and counts what is asked for."""

    def __init__(self, tree: Path) -> None:
        serving = self
        self.tree, self.timestamp = tree, tree / "metadata" / "timestamp.json"
        self.asked: list[Path] = []

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path = serving.at(self.path)
                if path.is_file():
                    serving.asked.append(path)
                    status, content = 200, path.read_bytes()
                else:
                    status, content = 404, b""
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/"

    def at(self, path: str) -> Path:
        return self.timestamp if path == "/metadata/timestamp.json" else self.tree / path.lstrip("/")

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@cache
def sizes(path: Path) -> dict[str, int]:
    content = path.read_bytes()
    packed = {"gzip": gzip.compress(content, GZIP), "zstd": zstandard.ZstdCompressor(level=ZSTD).compress(content)}
    # What is smaller as it is is sent as it is.
    return {"raw": len(content)} | {coding: min(len(content), len(body)) for coding, body in packed.items()}


class Bench:
    def __init__(self, folder: Path, binary: Path, rounds: int) -> None:
        self.folder, self.binary, self.rounds = folder, binary, rounds

    def made(self, claims: int, bins: int) -> dict:
        maker = self.binary.parent / "examples" / "claimed_index"
        words = [maker, "--claims", claims, "--bins", bins, "--folder", self.folder / "indexes"]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def one(self, claims: int, bins: int) -> dict:
        made = self.made(claims, bins)
        metadata = Path(made["tree"]) / "metadata"
        figures = {name: made[name] for name in ("claims", "sealed", "shards", "bins", "load_s", "publish_s", "renew_s")}
        figures["bytes"] = {role: sizes(metadata / name) for role, name in made["files"].items()}
        serving = Serving(Path(made["tree"]))
        try:
            for name, reads in (("ours", self.ours), ("python-tuf", self.python_tuf)):
                runs = [reads(serving, made, f"{claims}-{number}") for number in range(self.rounds)]
                figures[name] = {when: middle([run[when] for run in runs]) for when in runs[0]}
        finally:
            serving.end()
        shutil.rmtree(Path(made["tree"]).parent)
        return figures

    def days(self, serving: Serving, made: dict, reads: Callable[[bool], dict]) -> dict[str, dict]:
        """What is read by somebody who begins in the evening, and by the same one in the morning."""
        found = {}
        timestamps = {"fresh": Path(made["evening"]), "next day": serving.tree / "metadata" / "timestamp.json"}
        for when, serving.timestamp in timestamps.items():
            serving.asked.clear()
            found[when] = reads(when == "fresh")
            asked = [sizes(path) for path in serving.asked]
            found[when] |= {"requests": len(asked)} | {kind: sum(size[kind] for size in asked) for kind in ("raw", "zstd")}
        return found

    def ours(self, serving: Serving, made: dict, name: str) -> dict[str, dict]:
        sandbox = Sandbox(self.folder / f"person-{name}", self.binary)
        index = f"{serving.url}simple/"

        def reads(is_fresh: bool) -> dict:
            trust = ["trust", "add", index, "--root", made["root"]]
            total = {"seconds": 0.0, "rss": 0, "stopped_by": None}
            for words in [trust, ["explain", made["project"]]][not is_fresh:]:
                run = command([self.binary, *words], sandbox)
                total["seconds"] += run["seconds"]
                total["rss"] = max(total["rss"], run["rss"])
                total["stopped_by"] = run["stopped_by"]
                if run["stopped_by"]:
                    break
            return total

        return self.days(serving, made, reads)

    def python_tuf(self, serving: Serving, made: dict, name: str) -> dict[str, dict]:
        folder = self.folder / f"python-tuf-{name}"
        page = f"simple/{made['project']}/index.json"

        def reads(_is_fresh: bool) -> dict:
            words = [sys.executable, "-c", PYTHON_TUF, serving.url, made["root"], folder, page]
            done = subprocess.run([str(word) for word in words], capture_output=True, text=True, timeout=600)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout.splitlines()[-1])

        return self.days(serving, made, reads)


def command(words: list[object], sandbox: Sandbox) -> dict:
    """How long a command took, the most memory that it had, and what it said if it failed."""
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [str(word) for word in words], env=sandbox.env, cwd=sandbox.work,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = " ".join(said.read().decode(errors="replace").split())
    stopped_by = text[-300:] if process.returncode else None
    return {"seconds": time.perf_counter() - begun, "rss": usage.ru_maxrss * 1024, "stopped_by": stopped_by}


def middle(runs: list[dict]) -> dict:
    """The medians of some runs; what stopped one of them."""
    stopped = [run["stopped_by"] for run in runs if run["stopped_by"]]
    numbers = {name: [run[name] for run in runs] for name, value in runs[0].items() if isinstance(value, (int, float))}
    return {name: round(statistics.median(values), 4) for name, values in numbers.items()} | {"stopped_by": (stopped or [None])[0]}


def thousands(size: int) -> str:
    return f"{size / 1000:,.0f} kB" if size < 10_000_000 else f"{size / 1e6:,.1f} MB"


def shown(figures: dict) -> None:
    shards = f", in {figures['shards']} shards" if figures["shards"] else ""
    print(f"\n{figures['claims']:,} claims, {figures['sealed']:,} of them sealed{shards}")
    for role, size in figures["bytes"].items():
        print(f"  {role:<18}{thousands(size['raw']):>12}   gzip {thousands(size['gzip']):>10}   zstd {thousands(size['zstd']):>10}")
    print(
        f"  a release {figures['publish_s'] * 1e3:,.0f} ms, the night's renewal {figures['renew_s'] * 1e3:,.0f} ms,"
        f" a start {figures['load_s']:.2f} s"
    )
    for name in ("ours", "python-tuf"):
        for when, run in figures[name].items():
            said = f"stopped: {run['stopped_by']}" if run["stopped_by"] else (
                f"{run['requests']:>3.0f} requests  {thousands(run['raw']):>10}   zstd {thousands(run['zstd']):>10}"
                f"   {run['seconds']:>7.2f} s   {run['rss'] / 1e6:>5.0f} MB of memory"
            )
            print(f"  {name:<11} {when:<9} {said}")
    sys.stdout.flush()


def main() -> int:
    options = argparse.ArgumentParser(description="what many claimed projects cost")
    options.add_argument("--claims", default=CLAIMS, help="how many, separated by commas")
    options.add_argument("--bins", type=int, default=64)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--folder", type=Path)
    args = options.parse_args()
    binary = Path(os.environ["WHEELMARK_BIN"]).absolute()
    with tempfile.TemporaryDirectory(prefix="wheelmark-bench-", dir=args.folder or os.environ.get("TMPDIR")) as folder:
        bench = Bench(Path(folder), binary, args.rounds)
        every = []
        for claims in args.claims.split(","):
            every.append(bench.one(int(claims), args.bins))
            shown(every[-1])
    print(json.dumps({"bench": "claimed", "rounds": args.rounds, "indexes": every}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
