"""The two OpenAI vocabularies that ship with Bursar, opened without a network.

Decides nothing. tiktoken brings the BPE engine but downloads its vocabularies when they are first used, which fails on
a host without internet; here they lie beside this file, gzipped, and are checked against the SHA-256 that tiktoken
itself expects. Never reads tiktoken's cache or its environment variables, never downloads.

Source: openai/tiktoken 0.14, `tiktoken_ext/openai_public.py` (patterns, special tokens, digests), MIT licence, see
LICENSE here.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import threading
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tiktoken

__all__ = ["NAMES", "encoding", "loaded"]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What tiktoken needs to know of one vocabulary beside its ranks."""

    sha256: str
    pattern: str
    special_tokens: dict[str, int]


_CL100K_PATTERN = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+"""
    r"""|\s++$|\s*[\r\n]|\s+(?!\S)|\s"""
)
_O200K_PATTERN = (
    r"""[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?"""
    r"""|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?"""
    r"""|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)

_VOCABULARIES = {
    "cl100k_base": Vocabulary(
        sha256="223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
        pattern=_CL100K_PATTERN,
        special_tokens={
            "<|endoftext|>": 100257,
            "<|fim_prefix|>": 100258,
            "<|fim_middle|>": 100259,
            "<|fim_suffix|>": 100260,
            "<|endofprompt|>": 100276,
        },
    ),
    "o200k_base": Vocabulary(
        sha256="446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
        pattern=_O200K_PATTERN,
        special_tokens={"<|endoftext|>": 199999, "<|endofprompt|>": 200018},
    ),
}

NAMES = frozenset(_VOCABULARIES)
"""The names that `encoding` knows."""

# Two threads that ask first at once would each spend 0.3 s and 80 MB on the same vocabulary.
_loading = threading.Lock()
_loaded: dict[str, tiktoken.Encoding] = {}


def encoding(name: str) -> tiktoken.Encoding:
    """The tokeniser of one shipped vocabulary, loaded once a process (about 0.3 s and 80 MB for o200k_base).

    Args:
        name: one of `NAMES`.

    Raises:
        ValueError: no such vocabulary is shipped, or its file is not the one that was shipped.
    """
    found = _loaded.get(name)
    if found is None:
        with _loading:
            found = _loaded.get(name) or _loaded.setdefault(name, _load(name))
    return found


def loaded(name: str) -> bool:
    """Whether `encoding` returns this vocabulary at once."""
    return name in _loaded


def _load(name: str) -> tiktoken.Encoding:
    vocabulary = _VOCABULARIES.get(name)
    if vocabulary is None:
        raise ValueError(f"no vocabulary {name!r} is shipped; there are {', '.join(sorted(NAMES))}")
    packed = resources.files(__name__).joinpath(f"{name}.tiktoken.gz").read_bytes()

    import tiktoken

    return tiktoken.Encoding(
        name=name,
        pat_str=vocabulary.pattern,
        mergeable_ranks=ranks(unpack(packed, vocabulary.sha256)),
        special_tokens=vocabulary.special_tokens,
    )


def unpack(packed: bytes, sha256: str) -> bytes:
    """Gunzip a vocabulary and prove it.

    Raises:
        ValueError: it does not unpack, or its SHA-256 (in hex) is another.
    """
    try:
        text = gzip.decompress(packed)
    except (OSError, EOFError) as error:
        raise ValueError(f"a shipped vocabulary does not unpack ({error}); reinstall bursar") from error
    found = hashlib.sha256(text).hexdigest()
    if found != sha256:
        raise ValueError(f"a shipped vocabulary has SHA-256 {found} where {sha256} is expected; reinstall bursar")
    return text


def ranks(text: bytes) -> dict[bytes, int]:
    """Parse tiktoken's file format: a line each of base64 token, space, decimal rank.

    >>> ranks(b"IQ== 0\\nIg== 1\\n")
    {b'!': 0, b'"': 1}
    """
    parsed = {}
    for line in text.splitlines():
        token, rank = line.split()
        parsed[base64.b64decode(token)] = int(rank)
    return parsed
