"""What the simulator says: words drawn by the request's digest from a pool that the seed shuffles.

The same seed, model and messages give the same text in every process and on every machine. One piece is one token.
Never reads a clock and keeps no state between requests.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterable

from bursar.sim.prices import Model

POOL_WORDS = 8192
TOKENS_MIN = 5
TOKENS_SPAN = 196

_VOCABULARY = (
    "account agreed almost amber answer around audit balance because before bell between bill book bridge bright "
    "butter calm candle careful cargo change chart clear clerk cloud coin common copper corner count credit daily "
    "debit desk double early earth eight entry evening every exact fair figure final first five folder four garden "
    "gather gentle glass grain green harbour hold honest hour house income ink island journal keep kind lantern large "
    "later leaf ledger letter level light line little long lower map market measure merchant middle mill minute money "
    "morning narrow near never nine north note number ocean office often open orange order other outer page paper "
    "part patient pencil penny plain point price proof pure quarter question quick quiet rate ready reason record "
    "remain reserve result return river road round row rule sail same save season second settle seven shelf ship "
    "short silver simple six small smooth south spare spend steady still stone store street sum table tally ten thank "
    "then three through tide total town trade true twelve twenty under until upper value voucher wait warm water "
    "weigh west whole window wind winter within word work year yellow "
)
_PIECES = re.compile(r"\s*\S+")


def digest(seed: int, model: str, lines: Iterable[str]) -> int:
    """64 bits that stand for this request under this seed."""
    mixed = hashlib.blake2b(digest_size=8)
    mixed.update(f"{seed}\0{model}".encode())
    for line in lines:
        mixed.update(b"\0")
        mixed.update(line.encode("utf-8", "surrogatepass"))
    return int.from_bytes(mixed.digest(), "big")


def planned_tokens(request_digest: int) -> int:
    """How long the answer would be if nothing limited it: 5 to 200 tokens."""
    return TOKENS_MIN + (request_digest >> 24) % TOKENS_SPAN


def split_pieces(text: str) -> list[str]:
    """A text as tokens: words with the space before them; a trailing space belongs to the last.

    >>> split_pieces("to the ledger")
    ['to', ' the', ' ledger']
    """
    pieces = _PIECES.findall(text)
    rest = len(text) - sum(map(len, pieces))
    if rest and pieces:
        pieces[-1] += text[-rest:]
    return pieces


class Words:
    """The pool of one seed. Slicing it is all that a request costs."""

    def __init__(self, seed: int) -> None:
        chooser = random.Random(f"words {seed}")
        self._pool = [" " + word for word in chooser.choices(_VOCABULARY.split(), k=POOL_WORDS)]

    def pieces(self, request_digest: int, choice: int, count: int) -> list[str]:
        """`count` words for one choice; the first is a capital and has no space before it."""
        if count <= 0:
            return []
        start = (request_digest + choice * 7919) % POOL_WORDS
        pieces = self._pool[start : start + count]
        while len(pieces) < count:
            pieces.extend(self._pool[: count - len(pieces)])
        pieces[0] = pieces[0].strip().capitalize()
        return pieces


def reasons(model: Model) -> bool:
    """Whether the model thinks before it speaks; o3 and gpt-5 do under any name."""
    name = model.id.rpartition("/")[2]
    return model.reasoning or name.startswith(("o1", "o3", "o4", "gpt-5"))
