"""Every endpoint, driven by schemathesis from the index's own OpenAPI document, without a 5xx.

It makes requests that the document allows and requests that it does not: wrong methods, names and
headers of any bytes, forms with fields missing or of other types. With a token, so that uploads
get past the door; the time is bounded, and the seed is fixed so that a failure comes again.
"""

from __future__ import annotations

import subprocess

import pytest

from harness.distributions import sdist, wheel
from harness.index import Index
from harness.sandbox import TOOLS, Sandbox

# Together some two minutes: beside much else, half a minute was over before the hundredth request.
SECONDS = 45
EXAMPLES = 25


@pytest.mark.parametrize("known", [True, False], ids=["with a token", "without"])
def test_no_endpoint_fails(index: Index, sandbox: Sandbox, known: bool) -> None:
    index.publish(wheel("six", "1.0"), sdist("six", "2.0"))
    auth = ["--auth", f"__token__:{index.token}"] if known else []
    done = subprocess.run(
        [
            TOOLS / "schemathesis", "run", index.url("/openapi.json"), *auth, "--checks", "not_a_server_error",
            "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", "1",
            "--generation-database", "none", "--workers", "4", "--request-timeout", "20", "--max-time", str(SECONDS),
            "--no-color",
        ],
        cwd=sandbox.work, env=sandbox.env, capture_output=True, text=True, timeout=SECONDS + 60,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-8000:]
    served = index.get("/metrics").body.decode()
    asked = [line for line in served.splitlines() if line.startswith("wheelmark_http_requests_total")]
    count = sum(int(line.rsplit(" ", 1)[1]) for line in asked)
    # How many it comes to in that time depends on the machine; few would mean that little was tried.
    assert count > 25, (count, said[-3000:])
    wrong = [line for line in asked if 'status="5' in line]
    assert not wrong, (wrong, index.log_text()[-4000:])
    assert index.get("/readyz").body == b"ok\n"
