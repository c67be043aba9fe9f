"""Verifying attestations beside PyPI's own verifier, `pypi-attestations`, in one run.

Three figures, as ratios: one verification in a process that runs already, the whole command from its
start to its end, and the CPU that the costliest upload takes which the limits let through. Rounds of
both alternate. `--rounds N` says how many. Ends with one line of JSON.

    WHEELMARK_BIN=… python tests/e2e/bench_attest.py [--rounds N]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from harness.foreign import program

FIXTURES = Path(__file__).parents[2] / "crates" / "provenance" / "tests" / "fixtures"
FILE = FIXTURES / "abi3info-2024.10.8-py3-none-any.whl"
PROVENANCE = FIXTURES / f"{FILE.name}.provenance"

#: The targets: how many times as fast as the other verifier.
WANTED = {"verification": 2.5, "command": 40.0}
MOST_CPU_MS = 50.0

IN_PROCESS = """
import json, pathlib, statistics, sys, time
from sigstore.models import ClientTrustConfig
from sigstore.verify import Verifier
from pypi_attestations import Distribution, Provenance
import pypi_attestations._impl as implementation

# One verifier, from the root that comes with the package: nothing is fetched, and nothing is made anew
# for every file.
verifier = Verifier.production(offline=True)
implementation.Verifier.production = staticmethod(lambda offline=False: verifier)
folder, rounds = pathlib.Path(sys.argv[1]), int(sys.argv[2])
took = []
for _ in range(rounds):
    for path in sorted(folder.glob("*.provenance")):
        file = path.with_suffix("")
        said = path.read_bytes()
        distribution = Distribution.from_file(file)
        begun = time.perf_counter()
        provenance = Provenance.model_validate_json(said)
        for bundle in provenance.attestation_bundles:
            for attestation in bundle.attestations:
                attestation.verify(bundle.publisher, distribution, offline=True)
        took.append((time.perf_counter() - begun) * 1e3)
print(json.dumps({"verifications": len(took), "median_ms": statistics.median(took), "least_ms": min(took)}))
"""


def last_line(command: list[object]) -> dict:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])


def command_ms(command: list[object], env: dict[str, str]) -> float:
    begun = time.monotonic()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return (time.monotonic() - begun) * 1e3


def cpu_ms(program: Path, rounds: int) -> float:
    process = subprocess.Popen([program, "hostile", str(rounds)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return (usage.ru_utime + usage.ru_stime) * 1e3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    binary = Path(os.environ["WHEELMARK_BIN"]).absolute()
    speed = binary.parent / "examples" / "attest_speed"
    python = program("venv-attestations", "python")
    reference = program("venv-attestations", "pypi-attestations")
    env = os.environ | {"HOME": os.environ.get("HOME", "/tmp")}
    ours: list[float] = []
    theirs: list[float] = []
    our_command: list[float] = []
    their_command: list[float] = []
    for _ in range(options.rounds):
        ours.append(last_line([speed, "real", FIXTURES, 30])["median_ms"])
        theirs.append(last_line([python, "-c", IN_PROCESS, FIXTURES, 10])["median_ms"])
        our_command.append(command_ms([binary, "verify", FILE, "--provenance", PROVENANCE, "--publisher", "github:woodruffw/abi3info@release.yml"], env))
        their_command.append(command_ms([reference, "verify", "pypi", "--offline", "--repository", "https://github.com/woodruffw/abi3info", "--provenance-file", PROVENANCE, FILE], env))
    medians = {
        "verification_ms": statistics.median(ours),
        "reference_verification_ms": statistics.median(theirs),
        "command_ms": statistics.median(our_command),
        "reference_command_ms": statistics.median(their_command),
    }
    ratios = {
        "verification": medians["reference_verification_ms"] / medians["verification_ms"],
        "command": medians["reference_command_ms"] / medians["command_ms"],
    }
    uploads = last_line([speed, "hostile", 20])
    worst = max(uploads, key=lambda name: uploads[name]["least_ms"])
    # CPU rather than time, over all of them: what another round takes.
    rounds = 20
    cpu = (cpu_ms(speed, rounds + 1) - cpu_ms(speed, 1)) / rounds
    print(f"one verification      {medians['verification_ms']:8.2f} ms, the reference {medians['reference_verification_ms']:8.2f} ms: {ratios['verification']:.1f} ×")
    print(f"the whole command     {medians['command_ms']:8.2f} ms, the reference {medians['reference_command_ms']:8.2f} ms: {ratios['command']:.1f} ×")
    print(f"the worst upload      {uploads[worst]['least_ms']:8.2f} ms ({worst}); all {len(uploads)} together {cpu:.2f} ms of CPU")
    missed = [name for name, wanted in WANTED.items() if ratios[name] < wanted]
    if uploads[worst]["least_ms"] > MOST_CPU_MS:
        missed.append("the worst upload")
    print(json.dumps({"ratios": ratios, "wanted": WANTED, "uploads": uploads, "uploads_cpu_ms": cpu, "missed": missed} | medians))
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
