"""What ceremonies have to keep to, and a ceremony on paper."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harness.distributions import wheel
from harness.holders import Cast, Holder
from harness.index import Index


@pytest.fixture(scope="module")
def shared_cast(_make, tmp_path_factory: pytest.TempPathFactory):
    """An index on the day of its first run; nothing here publishes a ceremony."""
    started: list[Index] = []
    index: Index = _make(started, fresh=True).start()
    index.publish(wheel("demo", "1.0"))
    cast = Cast(index, tmp_path_factory.mktemp("cast"))
    yield cast
    for each in started:
        each.kill()


@pytest.fixture
def cast(shared_cast: Cast, fake_clock) -> Cast:
    """The same, and whoever runs it sees a clock that is 60 days ahead."""
    shared_cast.operator.index.env |= fake_clock("+60d")
    for holder in shared_cast.holders:
        holder.env = shared_cast.operator.index.env
    return shared_cast


def policy(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "policy.toml"
    file.write_text(text)
    return file


def days_of(begun: dict, role: str) -> int:
    import datetime

    told = {each["role"]: each for each in begun["roles"]}
    ends = datetime.datetime.fromisoformat(told[role]["expires"])
    now = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=60)
    return round((ends - now).total_seconds() / 86400)


def test_the_default_is_a_policy_and_changes_nothing(cast: Cast, tmp_path: Path) -> None:
    printed = cast.operator.run("ceremony", "policy")
    assert printed.returncode == 0
    file = policy(tmp_path, printed.stdout)
    assert cast.operator.run("ceremony", "policy", file).returncode == 0
    without = cast.operator.told("ceremony", "begin", "--data", cast.index.data, "--out", tmp_path / "without")
    with_it = cast.operator.told(
        "ceremony", "begin", "--data", cast.index.data, "--out", tmp_path / "with", "--policy", file
    )
    lives = {role["role"]: days_of(without, role["role"]) for role in without["roles"]}
    assert lives == {"root": 365, "targets": 365, "claimed": 90, "simple": 365, "packages": 365}
    assert lives == {role["role"]: days_of(with_it, role["role"]) for role in with_it["roles"]}


def test_a_policy_in_the_data_directory_counts_and_shortens_lives(cast: Cast, tmp_path: Path) -> None:
    own = cast.index.data / "ceremony-policy.toml"
    own.write_text("[days]\nroot = 350\n[due]\nclaimed = 45\n[holders]\nnames = ['Alice', 'Bob']\n")
    try:
        begun = cast.operator.told("ceremony", "begin", "--data", cast.index.data, "--out", tmp_path / "short")
        assert (days_of(begun, "root"), days_of(begun, "targets")) == (350, 365)
        told = cast.operator.run("index", "keys", "--data", cast.index.data, "--json")
        # 60 days in, `claimed` has 30 days left: by this policy it has been due for 15.
        assert '"due"' in told.stdout and told.returncode in (3, 4)
        _, mallory = cast.new_holder("mallory", tmp_path)
        refused = cast.operator.run(
            "ceremony", "begin", "--data", cast.index.data, "--out", tmp_path / "no", "--add", mallory, "--threshold", "2"
        )
        assert refused.returncode == 1 and "mallory would join, and the policy does not name them" in refused.stderr
        _, alice = cast.new_holder("alice", tmp_path)
        begun = cast.operator.run(
            "ceremony", "begin", "--data", cast.index.data, "--out", tmp_path / "yes", "--add", alice, "--threshold", "2"
        )
        assert begun.returncode == 0, begun.stderr
    finally:
        own.unlink()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[days]\nroot = 366\n", "1 to 365 days"),
        ("[days]\nrott = 300\n", "rott"),
        ("[holders]\nfewest = 3\nsign = 2\n", "there would be 2 holders, and the policy asks for 3"),
        ("[holders]\nfewest = 3\nsign = 3\n", "signed by 2 holders, and the policy asks for 3"),
        ("not toml at all", "is no policy"),
    ],
)
def test_what_a_policy_does_not_allow_is_not_begun(cast: Cast, tmp_path: Path, text: str, says: str) -> None:
    out = tmp_path / "out"
    refused = cast.operator.run(
        "ceremony", "begin", "--data", cast.index.data, "--out", out, "--policy", policy(tmp_path, text)
    )
    assert refused.returncode == 1 and says in refused.stderr, refused.stderr
    assert not out.exists()


def test_a_holder_signs_nothing_beyond_their_own_policy(cast: Cast, tmp_path: Path) -> None:
    ceremony, begun = cast.operator.begin("beyond")
    holder: Holder = cast.holders[0]
    mine = holder.take(ceremony)
    strict = policy(tmp_path, "[days]\nclaimed = 60\n")
    refused = holder.sign(mine, cast.operator.fingerprint, begun["words"], "--policy", str(strict))
    assert refused.returncode == 1 and "longer than the 60 days that are allowed" in refused.stderr, refused.stderr
    assert not list((mine / "signatures").iterdir())
    allowed = policy(tmp_path, "[days]\nclaimed = 90\n")
    done = holder.sign(mine, cast.operator.fingerprint, begun["words"], "--policy", str(allowed))
    assert done.returncode == 0, done.stderr


class Reader(HTMLParser):
    """Holds a page to what it may be: every element closed, and nothing that loads or runs."""

    VOID = {"meta", "br"}

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name in ("src", "href", "style")], attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text.append(data)


def test_a_ceremony_on_paper(cast: Cast, tmp_path: Path) -> None:
    operator = cast.operator
    _, newcomer = cast.new_holder("Zoë <b>&co", tmp_path)
    ceremony, begun = operator.begin("paper", "--replace", f"2={newcomer}")
    cast.collect(ceremony, begun["words"], cast.holders[:1])
    out = tmp_path / "sheet.html"
    made = operator.run("ceremony", "sheet", ceremony, "--out", out, "--token", "1=Token <7>")
    assert made.returncode == 0, made.stderr
    html = out.read_text()
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    assert reader.seen <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "table", "tr", "th", "td", "p", "ul", "li",
        "code", "br", "div", "strong",
    }, reader.seen
    assert "default-src 'none'" in html and "http://" not in html and "https://" not in html
    text = re.sub(r"\s+", " ", "".join(reader.text))
    for shown in [
        begun["ceremony"], operator.fingerprint, "Zoë <b>&co, in place of holder 2", "Token <7>",
        *(role["payload_sha256"] for role in begun["roles"]), *begun["words"].split(), "The next ceremony: from",
    ]:
        assert shown in text, shown
    # Holder 1 has signed, the others have not.
    assert text.count("✓") == 4 + 1

    there = operator.run("ceremony", "sheet", ceremony, "--out", out)
    assert there.returncode == 1 and "--overwrite" in there.stderr
    assert operator.run("ceremony", "sheet", ceremony, "--out", out, "--overwrite").returncode == 0
    nobody = operator.run("ceremony", "sheet", ceremony, "--out", tmp_path / "no.html", "--token", "9=X")
    assert nobody.returncode == 1 and "no holder 9" in nobody.stderr


def test_it_prints_on_two_pages(cast: Cast, tmp_path: Path) -> None:
    browser = next((found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip("skipped: needs a browser that prints (chromium)")
    ceremony, _begun = cast.operator.begin("printed")
    sheet, printed = tmp_path / "sheet.html", tmp_path / "sheet.pdf"
    assert cast.operator.run("ceremony", "sheet", ceremony, "--out", sheet).returncode == 0
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer", f"--print-to-pdf={printed}"]
    subprocess.run([*command, sheet.as_uri()], check=True, capture_output=True, timeout=120)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed.read_bytes())) <= 2
