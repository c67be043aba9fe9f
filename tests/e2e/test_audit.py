"""`wheelmark index audit` finds what was damaged, and names it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.distributions import sdist, wheel
from harness.index import Index, open_database
from harness.online_key import OnlineKey

WHEEL = wheel("tool", "1.0", says="one")
OTHER = wheel("tool", "2.0", says="two")
SOURCE = sdist("part", "1.0")
GONE = wheel("part", "0.9", says="gone")


def run(index: Index, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(index.binary), "index", *words, "--data", str(index.data)]
    return subprocess.run(command, env=index.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180)


def audit(index: Index, *words: str, code: int = 0) -> dict:
    """`wheelmark index audit`; what it says as JSON."""
    done = run(index, "audit", *words, "--json")
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def damage(index: Index, *words: str) -> dict[str, list[str]]:
    """What is damaged, by kind."""
    found: dict[str, list[str]] = {}
    for one in audit(index, *words, code=1)["damage"]:
        found.setdefault(one["kind"], []).append(one["path"])
    return found


@pytest.fixture
def sound(index: Index) -> Index:
    """An index with a few files, one of them removed, that does not run and is sound."""
    index.publish(WHEEL, OTHER, SOURCE, GONE)
    assert run(index, "remove", "part", "0.9", "--yes").returncode == 0
    assert run(index, "yank", "tool", "1.0", "--reason", "old").returncode == 0
    index.stop()
    assert audit(index)["sound"] is True
    return index


def object_of(index: Index, dist, suffix: str = "") -> Path:
    folder = index.tree / "targets" / "packages" / dist.filename.split("-")[0]
    (found,) = [p for p in folder.iterdir() if p.name.endswith(f".{dist.filename}{suffix}")]
    return found


def sql(index: Index, statement: str) -> None:
    with open_database(index.database) as database:
        assert database.execute(statement).rowcount > 0, statement


def bin_of(index: Index, family: str, target: str) -> Path:
    for path in sorted((index.tree / "metadata").glob(f"*.{family}-*.json"), key=lambda p: -int(p.name.split(".")[0])):
        if target in json.loads(path.read_bytes())["signed"]["targets"]:
            return path
    raise AssertionError(f"no bin lists {target}")


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def a_byte_of_a_wheel(index: Index) -> tuple[str, str]:
    path = object_of(index, WHEEL)
    flip(path)
    return "altered", path.name


def a_file_is_missing(index: Index) -> tuple[str, str]:
    path = object_of(index, SOURCE)
    path.unlink()
    return "missing", path.name


def an_extra_file(index: Index) -> tuple[str, str]:
    path = object_of(index, SOURCE).with_name(f"{'0' * 64}.part-7.0.tar.gz")
    path.write_bytes(b"nobody uploaded this")
    return "extra", path.name


def a_file_that_is_no_object(index: Index) -> tuple[str, str]:
    path = index.tree / "targets" / "packages" / "part" / "README"
    path.write_bytes(b"what is this?")
    return "extra", path.name


def a_page(index: Index) -> tuple[str, str]:
    path = index.page_on_disk("tool")
    path.write_bytes(path.read_bytes().replace(b'"2.0"', b'"2.1"'))
    return "altered", path.name


def a_bin(index: Index) -> tuple[str, str]:
    path = bin_of(index, "packages", f"packages/tool/{OTHER.filename}")
    path.write_bytes(path.read_bytes().replace(OTHER.sha256.encode(), b"0" * 64))
    return "metadata", path.name


def a_file_in_the_place_of_the_next_root(index: Index) -> tuple[str, str]:
    """Nobody follows it; what is damaged beside it is found all the same."""
    (index.tree / "metadata" / "2.root.json").write_text("{}")
    a_byte_of_a_wheel(index)
    assert "altered" in damage(index)
    return "stray-root", "metadata/2.root.json"


def a_row_with_another_hash(index: Index) -> tuple[str, str]:
    sql(index, f"update file set sha256 = '{'0' * 64}' where filename = '{WHEEL.filename}'")
    return "row-differs", WHEEL.filename


def a_row_that_is_not_yanked(index: Index) -> tuple[str, str]:
    sql(index, f"update file set yanked = null where filename = '{WHEEL.filename}'")
    return "row-differs", WHEEL.filename


def a_removed_name_that_is_free(index: Index) -> tuple[str, str]:
    sql(index, f"delete from file where filename = '{GONE.filename}'")
    return "row-missing", GONE.filename


def a_row_is_missing(index: Index) -> tuple[str, str]:
    sql(index, f"delete from file where filename = '{SOURCE.filename}'")
    return "row-missing", SOURCE.filename


def a_row_of_nothing(index: Index) -> tuple[str, str]:
    with open_database(index.database) as database:
        database.execute("insert into journal (seq, change) values (3000, '')")
        database.execute("insert into outcome (seq, snapshot_version) values (3000, 1)")
        database.execute(
            "insert into file (project, filename, sha256, size, uploaded_at, uploaded_by, seq, published) "
            f"values ('tool', 'tool-9.0.tar.gz', '{'0' * 64}', 1, '2026-01-01T00:00:00Z', 'x', 3000, 1)"
        )
    return "row-extra", "tool-9.0.tar.gz"


def a_plain_name_that_leads_elsewhere(index: Index) -> tuple[str, str]:
    path = index.tree / "packages" / "tool" / WHEEL.filename
    path.unlink()
    path.hardlink_to(object_of(index, OTHER))
    return "plain-differs", path.name


def the_timestamp_rolled_back(index: Index) -> tuple[str, str]:
    (index.tree / "metadata" / "timestamp.json").write_bytes((index.data.parent / "old-timestamp").read_bytes())
    return "rolled-back", "metadata/timestamp.json"


def a_role_missing_from_the_snapshot(index: Index) -> tuple[str, str]:
    OnlineKey(index).publish(lambda snapshot: snapshot.meta.pop("recently-claimed.json"))
    return "metadata", "metadata"


def a_key_that_is_not_roots(index: Index) -> tuple[str, str]:
    path = index.tree / "metadata" / "timestamp.json"
    envelope = json.loads(path.read_bytes())
    for signature in envelope["signatures"]:
        signature["keyid"] = "0" * 64
    path.write_text(json.dumps(envelope))
    return "metadata", "metadata/timestamp.json"


def another_online_key(index: Index) -> tuple[str, str]:
    key = index.data / "online-key"
    made = subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519"], capture_output=True, check=True).stdout
    key.write_bytes(made)
    return "key", "online-key"


def a_convenience_copy(index: Index) -> tuple[str, str]:
    path = index.tree / "simple" / "tool" / "index.html"
    path.write_bytes(path.read_bytes().replace(WHEEL.sha256.encode(), b"0" * 64))
    return "copy-differs", "simple/tool/index.html"


def the_core_metadata(index: Index) -> tuple[str, str]:
    path = object_of(index, WHEEL, ".metadata")
    path.write_bytes(path.read_bytes().replace(b"tool", b"fool", 1))
    return "altered", path.name


def plain_names_alone(index: Index) -> tuple[str, str]:
    shutil.rmtree(index.tree / "targets" / "packages")
    return "missing", "targets/packages"


def no_plain_names(index: Index) -> tuple[str, str]:
    shutil.rmtree(index.tree / "packages")
    return "plain-missing", "packages/"


def the_bytes_of_a_withheld_file(index: Index) -> tuple[str, str]:
    assert run(index, "status", "part", "quarantined").returncode == 0
    path = object_of(index, SOURCE)
    flip(path)
    return "altered", path.name


PLANTED: list[Callable[[Index], tuple[str, str]]] = [
    a_byte_of_a_wheel,
    a_file_is_missing,
    an_extra_file,
    a_file_that_is_no_object,
    a_page,
    a_bin,
    a_row_with_another_hash,
    a_row_that_is_not_yanked,
    a_removed_name_that_is_free,
    a_row_is_missing,
    a_row_of_nothing,
    a_plain_name_that_leads_elsewhere,
    the_timestamp_rolled_back,
    a_role_missing_from_the_snapshot,
    a_key_that_is_not_roots,
    another_online_key,
    a_file_in_the_place_of_the_next_root,
    a_convenience_copy,
    the_core_metadata,
    plain_names_alone,
    no_plain_names,
    the_bytes_of_a_withheld_file,
]


def test_each_planted_damage_is_found_and_named(sound: Index) -> None:
    """One after the other, each on the sound index."""
    good = sound.data.with_name("good")
    shutil.copytree(sound.data, good)
    sound.start()
    old = (sound.tree / "metadata" / "timestamp.json").read_bytes()
    (sound.data.parent / "old-timestamp").write_bytes(old)
    sound.publish(wheel("later", "1.0"))
    sound.stop()
    shutil.rmtree(good)
    shutil.copytree(sound.data, good)
    missed = []
    for plant in PLANTED:
        shutil.rmtree(sound.data)
        shutil.copytree(good, sound.data)
        kind, named = plant(sound)
        # What is written in the very moment in which an audit begins may be a publish under way.
        time.sleep(0.1)
        found = damage(sound)
        if not any(named in path for path in found.get(kind, [])):
            missed.append(f"{plant.__name__}: {kind} {named} is not in {found}")
    assert not missed, "\n".join(missed)


def test_a_sound_index_is_sound_while_it_publishes(index: Index) -> None:
    index.publish(WHEEL)
    asking = subprocess.Popen(
        [str(index.binary), "index", "audit", "--data", str(index.data), "--json"],
        env=index.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )
    number = 0
    while asking.poll() is None:
        index.publish(wheel("busy", f"{number}.0"))
        number += 1
    said, errors = asking.communicate()
    assert asking.returncode == 0, said + errors
    assert json.loads(said)["counts"]["files"] >= 1


def test_people_read_it_and_nothing_is_written(sound: Index) -> None:
    def there() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sound.tree.rglob("*") if p.is_file() and not p.name.startswith(".")}

    before = there()
    done = run(sound, "audit")
    assert done.returncode == 0 and done.stdout.startswith("sound\n"), done
    a_byte_of_a_wheel(sound)
    done = run(sound, "audit")
    assert done.returncode == 1 and "DAMAGED: 1 finding" in done.stdout and "restore it from a backup" in done.stdout, done
    flip(object_of(sound, WHEEL))
    assert there() == before


def test_what_could_not_be_looked_at_is_not_sound(sound: Index) -> None:
    (sound.data / "online-key").write_text("not a key")
    told = audit(sound, code=1)
    assert told["sound"] is False and told["damage"] == [] and "online key" in told["left_out"][0]


def test_against_a_backup_a_copy_and_a_mirror(sound: Index, make_index, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    assert run(sound, "backup", str(backup)).returncode == 0
    assert audit(sound, "--against", str(backup))["against"][0]["counts"]["files"] == 3
    copy = tmp_path / "copy"
    shutil.copytree(sound.tree, copy)
    sound.start()
    url = sound.index_url
    assert audit(sound, "--against", str(copy), "--against", url)["sound"] is True

    # The copy has another byte; the index is behind the copy.
    flip(copy / object_of(sound, WHEEL).relative_to(sound.tree))
    found = audit(sound, "--against", str(copy), code=1)["damage"]
    assert [(one["place"], one["kind"]) for one in found] == [(str(copy), "altered")]
    flip(copy / object_of(sound, WHEEL).relative_to(sound.tree))

    before = tmp_path / "before"
    shutil.copytree(sound.data, before, ignore=shutil.ignore_patterns("*.sock"))
    sound.publish(wheel("later", "1.0"))
    # Nothing is wrong with it, and whoever has the online key can have put it there.
    found = audit(sound, "--against", str(copy))
    assert found["sound"] is True
    added = {"by_online_key": 1, "by_claims_not_sealed": 0, "by_sealed_claims": 0}
    added["not_sealed"] = [f"packages/later/{wheel('later', '1.0').filename}"]
    assert found["against"][0]["added"] == added
    said = run(sound, "audit", "--against", str(copy)).stdout
    assert "1 file since" in said and "signed for by the online key alone" in said, said
    newer = tmp_path / "newer"
    shutil.copytree(sound.tree, newer)
    sound.stop()
    shutil.rmtree(sound.data)
    shutil.copytree(before, sound.data)
    assert "rolled-back" in damage(sound, "--against", str(newer))

    none = run(sound, "audit", "--against", str(tmp_path / "nothing"))
    assert none.returncode == 2 and "hint:" in none.stderr


def test_what_the_online_key_signed_anew_comes_to_light(sound: Index, tmp_path: Path) -> None:
    """Whoever has the online key can sign other bytes; the backup knows."""
    backup = tmp_path / "backup"
    assert run(sound, "backup", str(backup)).returncode == 0
    target = f"packages/part/{SOURCE.filename}"
    OnlineKey(sound).publish_bin(bin_of(sound, "packages", target), lambda role: role.targets.pop(target))
    assert "vanished" in damage(sound, "--against", str(backup))
