"""Every endpoint, driven by schemathesis from the index's own OpenAPI document, without a 5xx.

It makes requests that the document allows and requests that it does not: wrong methods, names and
headers of any bytes, forms with fields missing or of other types. With a token, so that uploads
get past the door; the time is bounded, and the seed is fixed so that a failure comes again.
"""

from __future__ import annotations

import base64
import json
import re
import subprocess

import pytest

from harness.distributions import sdist, wheel
from harness.index import Index
from harness.sandbox import TOOLS, Sandbox
from harness.upload import request

# Together some two minutes: beside much else, half a minute was over before the hundredth request.
SECONDS = 45
EXAMPLES = 25

METHODS = {"get", "head", "post", "put", "patch", "delete", "options"}


@pytest.mark.parametrize("known", [True, False], ids=["with a token", "without"])
def test_no_endpoint_fails(index: Index, sandbox: Sandbox, known: bool) -> None:
    index.publish(wheel("six", "1.0"), sdist("six", "2.0"))
    # How far the fuzzer comes in its time depends on the machine: each operation is asked for once before.
    ask_for_each(index, index.token if known else None)
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
    wrong = [line for line in asked if 'status="5' in line]
    assert not wrong, (wrong, index.log_text()[-4000:])
    assert index.get("/readyz").body == b"ok\n"


def ask_for_each(index: Index, token: str | None) -> None:
    """A request for each operation of the document, with a name that is allowed in each place and no body."""
    basic = base64.b64encode(f"__token__:{token}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}"} if token else {}
    paths = json.loads(index.get("/openapi.json").body)["paths"]
    operations = [(method, path) for path, said in paths.items() for method in said if method in METHODS]
    assert len(operations) > 25, operations
    for method, path in operations:
        url = index.url(re.sub(r"\{[^}]*\}", "six", path))
        answer = request(method.upper(), url, headers=headers)
        assert 200 <= answer.status < 500, (method, path, answer)
