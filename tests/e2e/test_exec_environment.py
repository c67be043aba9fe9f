"""What a person's caches and variables hold does not lead a command around the proxy of its run."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.index import Index
from harness.sandbox import Sandbox
from harness.site import Site, index_of

OURS = wheel("inhouse-tool", "1.0", says="ours")
HOSTILE = wheel("inhouse-tool", "99.0", says="hostile")


@pytest.fixture
def trusting(shared_index: Index, sandbox: Sandbox) -> Sandbox:
    shared_index.publish(OURS)
    sandbox.trust(shared_index)
    return sandbox


def test_a_warm_cache_of_pips_is_not_used(trusting: Sandbox, shared_index: Index) -> None:
    with Site(index_of(HOSTILE), cacheable=True) as hostile:
        wanted = f"inhouse-tool @ {hostile.url(f'files/{HOSTILE.filename}')}"
        host = hostile.url().removeprefix("http://").rstrip("/")
        # pip keeps what comes by https, or from hosts that it is told to trust as much.
        kept = {"PIP_TRUSTED_HOST": host}
        for _ in range(2):
            venv = trusting.venv()
            trusting.plain_pip(venv, shared_index.index_url, wanted, env=kept).ok()
            assert venv.says("inhouse_tool") == "hostile"
        assert len(hostile.asked) == 1, "the second time it came from the cache, without a request"

        venv = trusting.venv()
        done = trusting.install("pip", venv, wanted, env=kept).failed()
        assert "wheelmark: index mode" in done.err
        assert f"REFUSED {host}" in done.err
        assert venv.installed() == {}


def test_no_spelling_of_a_variable_leads_around_the_proxy(trusting: Sandbox, shared_index: Index) -> None:
    folder = trusting.work / "wheels"
    folder.mkdir()
    (folder / HOSTILE.filename).write_bytes(HOSTILE.content)
    with Site(index_of(HOSTILE)) as hostile:
        host = "127.0.0.1"
        spellings = {
            "No_Proxy": {"No_Proxy": host},
            "PIP_proxy": {"PIP_proxy": hostile.url()},
            "PIP_--proxy": {"PIP_--proxy": hostile.url()},
            "PIP_find_links": {"PIP_find_links": str(folder)},
            "PIP_pypi_url": {"PIP_pypi_url": hostile.url("simple/")},
            "PIP_extra_INDEX_url": {"PIP_extra_INDEX_url": hostile.url("simple/")},
        }
        named = trusting.work / "requirements.txt"
        named.write_text(f"--extra-index-url {hostile.url('simple/')}\ninhouse-tool\n")
        around = {}
        for name, env in spellings.items():
            words = ("-r", named) if name == "No_Proxy" else ("inhouse-tool",)
            plain = trusting.venv()
            trusting.plain_pip(plain, shared_index.index_url, *words, env=env | {"PIP_NO_CACHE_DIR": "1"})
            venv, before = trusting.venv(), len(hostile.asked)
            trusting.install("pip", venv, *words, env=env)
            if len(hostile.asked) > before or (venv.installed() and venv.says("inhouse_tool") == "hostile"):
                around[name] = hostile.asked[before:]
        assert around == {}


def test_what_a_command_is_given_has_one_spelling(trusting: Sandbox) -> None:
    show = "import os; print(sorted(name for name in os.environ if name.lower() in ('no_proxy', 'pip_proxy', 'https_proxy')))"
    env = {"No_Proxy": "*", "PIP_proxy": "http://elsewhere.example", "Https_Proxy": "http://elsewhere.example"}
    done = trusting.wheelmark("exec", "--", "python3", "-c", show, env=env).ok()
    assert done.out.strip() == "['HTTPS_PROXY', 'PIP_PROXY', 'https_proxy']"


def test_git_has_the_password_of_the_run(trusting: Sandbox) -> None:
    """So that what it asks for is refused and reported, and not mistaken for somebody else's."""
    done = trusting.wheelmark("exec", "--", "git", "ls-remote", "https://forge.example/x.git").failed()
    assert "REFUSED forge.example:443" in done.err
    done = trusting.wheelmark("exec", "--", "git", "ls-remote", "http://forge.example/x.git").failed()
    assert "REFUSED forge.example" in done.err
