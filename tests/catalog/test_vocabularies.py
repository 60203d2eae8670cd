"""The shipped vocabularies are tiktoken's own, whole, and open without a network."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import threading
from importlib import resources
from pathlib import Path

import pytest

from bursar.catalog import vocabularies

CACHE_NAMES = {
    "cl100k_base": hashlib.sha1(  # noqa: S324 - tiktoken names its cache so
        b"https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
    ).hexdigest(),
    "o200k_base": hashlib.sha1(  # noqa: S324 - tiktoken names its cache so
        b"https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"
    ).hexdigest(),
}
SAMPLES = [
    "The quick brown fox jumps over the lazy dog, 1234567 times.",
    "def f(x):\n\treturn {'a': [x ** 2 for _ in range(10)]}  # \r\n",
    "東京都は日本の首都です。Привет, мир! 👩‍👩‍👧‍👦 naïve café",
    "<|endoftext|> stays text   \n\n   ",
]


@pytest.mark.parametrize("name", sorted(vocabularies.NAMES))
def test_it_is_the_encoding_that_tiktoken_would_have_downloaded(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tiktoken takes the file from its cache only when the digest is the one it expects.
    packed = resources.files(vocabularies).joinpath(f"{name}.tiktoken.gz").read_bytes()
    (tmp_path / CACHE_NAMES[name]).write_bytes(gzip.decompress(packed))
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    import tiktoken_ext.openai_public as theirs

    parts = getattr(theirs, name)()
    ours = vocabularies.encoding(name)
    assert ours.name == parts["name"]
    assert ours._pat_str == parts["pat_str"]
    assert ours._mergeable_ranks == parts["mergeable_ranks"]
    assert ours._special_tokens == parts["special_tokens"]


@pytest.mark.parametrize("name", sorted(vocabularies.NAMES))
@pytest.mark.parametrize("text", SAMPLES)
def test_texts_come_back_whole(name: str, text: str) -> None:
    encoding = vocabularies.encoding(name)
    assert encoding.decode(encoding.encode_ordinary(text)) == text


def test_it_is_loaded_once_however_many_threads_ask() -> None:
    found = []
    threads = [threading.Thread(target=lambda: found.append(vocabularies.encoding("cl100k_base"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(found) == 8
    assert len({id(one) for one in found}) == 1


def test_a_name_that_is_not_shipped_says_what_is() -> None:
    with pytest.raises(ValueError, match="'p50k_base' is shipped; there are cl100k_base, o200k_base"):
        vocabularies.encoding("p50k_base")


def test_a_changed_vocabulary_is_refused() -> None:
    text = b"IQ== 0\n"
    good = hashlib.sha256(text).hexdigest()
    assert vocabularies.unpack(gzip.compress(text), good) == text
    with pytest.raises(ValueError, match=r"SHA-256 .* is expected; reinstall bursar"):
        vocabularies.unpack(gzip.compress(b"IQ== 1\n"), good)


@pytest.mark.parametrize("packed", [b"", b"not gzip", gzip.compress(b"IQ== 0\n")[:-4]])
def test_a_cut_vocabulary_is_refused(packed: bytes) -> None:
    with pytest.raises(ValueError, match="reinstall bursar"):
        vocabularies.unpack(packed, hashlib.sha256(b"IQ== 0\n").hexdigest())


@pytest.mark.parametrize("name", sorted(vocabularies.NAMES))
def test_the_archive_carries_no_time_of_its_making(name: str) -> None:
    packed = resources.files(vocabularies).joinpath(f"{name}.tiktoken.gz").read_bytes()
    assert packed[4:8] == bytes(4)


def test_what_was_loaded_is_at_hand() -> None:
    code = (
        "from bursar.catalog import vocabularies\n"
        "print(vocabularies.loaded('cl100k_base'))\n"
        "vocabularies.encoding('cl100k_base')\n"
        "print(vocabularies.loaded('cl100k_base'), vocabularies.loaded('o200k_base'))\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.split() == ["False", "True", "False"]
