"""Usage as disjoint leaves, so that no token can be billed twice.

Providers report totals that contain one another (cached tokens inside prompt tokens, reasoning inside completion
tokens). `Usage.of` takes such a report apart: every token lands in exactly one leaf, and the leaves of a side add up
to the side's total. Where a report contradicts itself the total is believed, the dearest leaves keep their claim, and
the usage is marked, never refused: a bad number from a provider must not lose a bill.

The idea of decomposing overlapping counts before pricing is that of genai-prices' decompose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# Leaves of the input and output sides. Order: the dearest claim first, so that a contradictory report is read as
# the most expensive one it can mean. The plain leaf of a side takes what no other leaf claims.
INPUT_LEAVES = (
    "cache_write_12h",
    "cache_write_1h",
    "cache_write_30m",
    "cache_write",
    "audio_input",
    "image_input",
    "video_input",
    "input",
    "cached_audio_input",
    "cached_input",
)
OUTPUT_LEAVES = ("audio_output", "image_output", "reasoning_output", "rejected_prediction", "output")
# Counted in pieces, not tokens; they never enter a token total.
FEE_LEAVES = ("requests", "web_searches")
LEAVES = INPUT_LEAVES + OUTPUT_LEAVES + FEE_LEAVES

# No model has a context of a billion tokens; a larger number is a fault of the report and would only overflow.
TOKENS_MAX = 2**30

_INPUT = frozenset(INPUT_LEAVES)
_OUTPUT = frozenset(OUTPUT_LEAVES)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used.

    leaves: count by leaf name (`LEAVES`), each above 0; tokens of input and output, pieces for fees.
    contradictory: the report did not add up and was read as the dearest thing it could mean.
    """

    leaves: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    contradictory: bool = False

    @property
    def input_tokens(self) -> int:
        """All input tokens: plain, cached, written to a cache, audio, image."""
        return sum(count for leaf, count in self.leaves.items() if leaf in _INPUT)

    @property
    def output_tokens(self) -> int:
        """All output tokens: visible, reasoning, audio, image."""
        return sum(count for leaf, count in self.leaves.items() if leaf in _OUTPUT)

    @property
    def total_tokens(self) -> int:
        """Input and output tokens together."""
        return self.input_tokens + self.output_tokens

    @classmethod
    def of(
        cls,
        input_tokens: int,
        output_tokens: int,
        parts: Mapping[str, int] | None = None,
        *,
        contradictory: bool = False,
    ) -> Usage:
        """Take inclusive totals apart. `parts` maps leaf names to counts that lie inside their side's total.

        >>> dict(Usage.of(100, 20, {"cached_input": 40, "reasoning_output": 5}).leaves)
        {'input': 60, 'cached_input': 40, 'reasoning_output': 5, 'output': 15}
        >>> Usage.of(10, 0, {"cached_input": 40})
        Usage(leaves=mappingproxy({'input': 10}), contradictory=True)
        """
        if not parts:
            plain = {"input": input_tokens, "output": output_tokens}
            return cls(MappingProxyType({leaf: count for leaf, count in plain.items() if count}), contradictory)
        leaves: dict[str, int] = {}
        whole = _share(leaves, input_tokens, INPUT_LEAVES, "input", parts)
        whole &= _share(leaves, output_tokens, OUTPUT_LEAVES, "output", parts)
        leaves.update((leaf, parts[leaf]) for leaf in FEE_LEAVES if parts.get(leaf))
        return cls(MappingProxyType(leaves), contradictory or not whole)


def _share(leaves: dict[str, int], total: int, names: tuple[str, ...], plain: str, parts: Mapping[str, int]) -> bool:
    """Hand the total to the leaves that claim it, dearest first; True when the claims fit."""
    claimed = sum(parts.get(name, 0) for name in names)
    left = total
    for name in names:
        # In a report that fits, the plain leaf takes what nobody claims; in one that does not, it comes before the
        # cheaper leaves, which stand after it in the table.
        count = min(left, (total - claimed if claimed <= total else left) if name == plain else parts.get(name, 0))
        if count:
            leaves[name] = count
            left -= count
    return claimed <= total


EMPTY_USAGE = Usage()
