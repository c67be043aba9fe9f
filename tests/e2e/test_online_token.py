"""The online key on a token: the process that signs has it for the time that it runs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from harness.custody import PIN, SoftToken
from harness.distributions import wheel
from harness.index import Index, NotReady
from harness.sandbox import Sandbox


@pytest.fixture
def token(tmp_path: Path) -> SoftToken:
    return SoftToken(tmp_path / "token", "index", os.environ)


def uri(token: SoftToken, **query: object) -> str:
    return "&".join([token.named(f"token={token.label};object=online"), *(f"{name}={value}" for name, value in query.items())])


def test_an_index_signs_with_a_token(make_index, sandbox: Sandbox, tmp_path: Path, token: SoftToken) -> None:
    pin = tmp_path / "pin"
    pin.write_text(PIN + "\n")
    pin.chmod(0o600)
    index: Index = make_index(fresh=True)
    index.env["SOFTHSM2_CONF"] = token.env["SOFTHSM2_CONF"]
    index.options += ["--online-key", uri(token, **{"pin-source": pin})]
    index.start()
    index.publish(wheel("demo", "1.0"))
    sandbox.trust(index)
    sandbox.install("pip", sandbox.venv(), "demo").ok()
    root = json.loads((index.tree / "metadata" / "1.root.json").read_bytes())["signed"]
    [online] = root["roles"]["timestamp"]["keyids"]
    assert root["keys"][online]["scheme"] == "ecdsa-sha2-nistp256"
    assert not (index.data / "online-key").exists()
    assert PIN not in index.log_text()

    # The same key after another start, and for a command where no index runs.
    assert index.stop() == 0
    command = [index.binary, "index", "--data", index.data, "renew", "--online-key", index.options[-1], "--json"]
    done = subprocess.run([str(word) for word in command], env=index.env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and json.loads(done.stdout)["renewed"], done.stderr
    index.start()
    index.publish(wheel("demo", "2.0"))
    sandbox.install("pip", sandbox.venv(), "demo==2.0").ok()

    # A wrong PIN, and no PIN: told of, and tried once.
    assert index.stop() == 0
    pin.write_text("000000\n")
    with pytest.raises(NotReady, match="the PIN is not that of the token"):
        index.start()
    index.options[-1] = uri(token)
    with pytest.raises(NotReady, match="nobody can be asked for the PIN"):
        index.start()
    pin.write_text(PIN + "\n")
    pin.chmod(0o644)
    index.options[-1] = uri(token, **{"pin-source": pin})
    with pytest.raises(NotReady, match="open to others"):
        index.start()
    pin.chmod(0o600)
    index.start().publish(wheel("demo", "3.0"))
