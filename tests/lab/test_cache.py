"""The cache of compiles: free second questions, bounded, whole entries only, safe with several processes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cairn.errors import Missing, UsageError
from cairn.lab.cache import Cache, default_cache
from cairn.lab.failures import classify
from cairn.lab.installed import versions_of
from cairn.lab.service import CompileService
from cairn.lab.stored import CompileResult, decode, encode, key_of, lasting

KEYS = [f"{number:064x}" for number in range(64)]


def test_what_was_stored_comes_back(tmp_path):
    cache = Cache(tmp_path / "cache")
    assert cache.get(KEYS[0]) is None
    cache.put(KEYS[0], b"first")
    cache.put(KEYS[1], b"")
    assert cache.get(KEYS[0]) == b"first"
    assert cache.get(KEYS[1]) == b""
    assert cache.use().entries == 2
    assert (tmp_path / "cache" / "00").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:-1] + b"x"])
def test_a_damaged_entry_is_dropped(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.put(KEYS[0], b"content")
    path = next(tmp_path.rglob("*.entry"))
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(KEYS[0]) is None
    assert not path.exists()


def test_what_was_used_longest_ago_goes_first(tmp_path):
    cache = Cache(tmp_path, max_bytes=10_000)
    for age, key in enumerate(KEYS[:9]):
        cache.put(key, bytes(1_000))
        path = next(tmp_path.glob(f"??/{key}.entry"))
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    assert cache.get(KEYS[0]) is not None  # used just now
    for key in KEYS[9:12]:
        cache.put(key, bytes(1_000))
    assert cache.get(KEYS[0]) is not None
    assert cache.get(KEYS[1]) is None
    assert cache.get(KEYS[11]) is not None
    assert cache.use().bytes <= 10_000
    cache.put(KEYS[20], bytes(20_000))
    assert cache.get(KEYS[20]) is None  # larger than all of it


def test_a_folder_that_cannot_be_used_is_an_empty_cache(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = Cache(tmp_path / "file" / "cache")
    cache.put(KEYS[0], b"content")
    assert cache.get(KEYS[0]) is None
    assert cache.clear().entries == 0


WRITER = """
import sys
from pathlib import Path
from cairn.lab.cache import Cache
cache = Cache(Path(sys.argv[1]), max_bytes=300_000)
for round in range(40):
    for number in range(16):
        key = f"{number:064x}"
        cache.put(key, bytes([number]) * 10_000)
        content = cache.get(key)
        assert content is None or content == bytes([number]) * 10_000
"""


def test_several_processes_share_a_folder(tmp_path):
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)]) for _ in range(3)]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0, 0]
    assert not list(tmp_path.rglob("new-*"))
    assert Cache(tmp_path).clear().entries == 16
    assert Cache(tmp_path).use().entries == 0


def test_the_folder_comes_from_the_environment(monkeypatch, private_home, tmp_path):
    monkeypatch.delenv("CAIRN_CACHE")
    assert default_cache().folder == private_home / ".cache" / "cairn" / "compiles"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache().folder == tmp_path / "cairn" / "compiles"
    monkeypatch.setenv("CAIRN_CACHE", str(tmp_path / "here"))
    assert default_cache().folder == tmp_path / "here" / "compiles"
    monkeypatch.setenv("CAIRN_CACHE_MIB", "3")
    assert default_cache().max_bytes == 3 * 2**20
    monkeypatch.setenv("CAIRN_CACHE", "off")
    assert default_cache() is None
    monkeypatch.setenv("CAIRN_CACHE", "")
    monkeypatch.setenv("CAIRN_CACHE_MIB", "plenty")
    with pytest.raises(UsageError):
        default_cache()


def test_the_key_holds_everything_that_decides():
    asked = (b"program", "v5e:2x2", {"jax": "1", "libtpu": "2"}, "--flag")
    keys = {
        key_of(*asked),
        key_of(b"other", *asked[1:]),
        key_of(asked[0], "v6e:2x2", *asked[2:]),
        key_of(*asked[:2], {"jax": "1", "libtpu": "3"}, asked[3]),
        key_of(*asked[:3], "--other"),
    }
    assert len(keys) == 5
    assert key_of(*asked) == key_of(asked[0], asked[1], {"libtpu": "2", "jax": "1"}, asked[3])


def test_only_lasting_answers_are_kept():
    assert lasting(CompileResult("tpu-v5e", None))
    assert lasting(CompileResult("tpu-v5e", classify("ValueError", "Out of bound slice")))
    assert not lasting(CompileResult("tpu-v5e", classify("timeout", "no schedule")))
    assert not lasting(CompileResult("tpu-v5e", classify("crash", "signal 6")))


def test_bytes_that_are_no_answer():
    assert decode(b"nonsense") is None
    assert decode(encode(CompileResult("tpu-v5e", None))).cached


def test_an_interpreter_that_is_not_there(tmp_path):
    with pytest.raises(Missing):
        versions_of(tmp_path / "python")


@pytest.mark.tpu_compiler
def test_the_second_question_starts_nothing(export_toy, tmp_path):
    python, cache = Path(sys.executable), Cache(tmp_path)
    with CompileService(python, cache=cache) as service:
        first = service.compile(export_toy("add"), "tpu-v5e", 60)
        bad = service.compile(export_toy("misaligned"), "tpu-v5e", 60)
        assert service.starts == 1
        assert not first.cached
    with CompileService(python, cache=cache) as service:
        again = service.compile(export_toy("add"), "tpu-v5e", 60)
        assert again.cached
        assert (again.dump, again.memory, again.versions) == (first.dump, first.memory, first.versions)
        assert service.compile(export_toy("misaligned"), "tpu-v5e", 60).failure == bad.failure
        assert service.starts == 0
        path = next(path for path in tmp_path.rglob("*.entry") if path.stat().st_size > 2_000)
        path.write_bytes(path.read_bytes()[:-9])
        assert service.compile(export_toy("add"), "tpu-v5e", 60).dump == first.dump
        assert service.starts == 1
        assert (
            service.compile(export_toy("add"), "tpu-v6e", 60).dump != first.dump
        )  # another target, another answer
