"""Usage as disjoint leaves, so that no token can be billed twice.

Providers report totals that contain one another (cached tokens inside prompt tokens, reasoning inside completion
tokens). `Usage.of` takes such a report apart: every token lands in exactly one leaf, and the leaves of a side add up
to the side's total. Where a report contradicts itself the total is believed, the dearest leaves keep their claim, and
the usage is marked, never refused: a bad number from a provider must not lose a bill. Which leaves are the dearest is
a matter of prices: the leaves follow the usual order, and `dearest` shares a contradictory report out again at a
model's own prices.

The idea of decomposing overlapping counts before pricing is that of genai-prices' decompose.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

# Leaves of the input and output sides. Order: the dearest claim first, so that a contradictory report is read as
# the most expensive one it can mean. The plain leaf of a side takes what no other leaf claims.
INPUT_LEAVES = (
    "video_input",
    "audio_input",
    "cache_write_12h",
    "cache_write_1h",
    "cache_write_30m",
    "cache_write",
    "image_input",
    "input",
    "cached_audio_input",
    "cached_image_input",
    "cached_input",
)
OUTPUT_LEAVES = ("audio_output", "image_output", "reasoning_output", "rejected_prediction", "output")
# Counted in pieces (or seconds), not tokens; they never enter a token total.
FEE_LEAVES = ("requests", "web_searches", "file_searches", "audio_seconds")
LEAVES = INPUT_LEAVES + OUTPUT_LEAVES + FEE_LEAVES

# No model has a context of a billion tokens; a larger number is a fault of the report and would only overflow.
TOKENS_MAX = 2**30

EMPTY: Mapping[str, int] = MappingProxyType({})

_INPUT = frozenset(INPUT_LEAVES)
_OUTPUT = frozenset(OUTPUT_LEAVES)
# What a report can claim of a side's total; the plain leaf takes the rest.
_INPUT_PARTS = _INPUT - {"input"}
_OUTPUT_PARTS = _OUTPUT - {"output"}
_FEES = frozenset(FEE_LEAVES)


@dataclass(frozen=True, slots=True)
class Usage:
    """What an attempt used.

    leaves: count by leaf name (`LEAVES`), each above 0; tokens of input and output, pieces for fees.
    contradictory: the report did not add up and was read as the dearest thing it could mean.
    claims: where the parts of a report did not fit into its totals, those parts; else empty.
    """

    leaves: Mapping[str, int] = field(default_factory=lambda: EMPTY)
    contradictory: bool = False
    claims: Mapping[str, int] = field(default_factory=lambda: EMPTY, repr=False, compare=False)

    @property
    def input_tokens(self) -> int:
        """All input tokens: plain, cached, written to a cache, audio, image."""
        return sum([count for leaf, count in self.leaves.items() if leaf in _INPUT])

    @property
    def output_tokens(self) -> int:
        """All output tokens: visible, reasoning, audio, image."""
        return sum([count for leaf, count in self.leaves.items() if leaf in _OUTPUT])

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
        input_left, output_left = input_tokens, output_tokens
        claims: dict[str, int] = {}
        for leaf, count in parts.items() if parts else ():
            if not count:
                continue
            if leaf in _INPUT_PARTS:
                input_left -= count
            elif leaf in _OUTPUT_PARTS:
                output_left -= count
            elif leaf not in _FEES:
                continue
            claims[leaf] = count
        if input_left < 0 or output_left < 0:
            read = _read(input_tokens, output_tokens, claims, INPUT_LEAVES, OUTPUT_LEAVES)
            return cls(MappingProxyType(read), contradictory=True, claims=MappingProxyType(claims))
        leaves = {"input": input_left} if input_left else {}
        leaves.update(claims)
        if output_left:
            leaves["output"] = output_left
        return cls(MappingProxyType(leaves), contradictory, EMPTY)

    def dearest(self, prices: Mapping[str, int]) -> Usage:
        """A report whose parts did not fit, shared out so that it costs the most it can mean at these prices.

        >>> usage = Usage.of(10, 0, {"cache_write": 8, "image_input": 6})
        >>> dict(usage.leaves), dict(usage.dearest({"image_input": 9, "cache_write": 5, "input": 4}).leaves)
        ({'cache_write': 8, 'image_input': 2}, {'image_input': 6, 'cache_write': 4})
        """
        if not self.claims:
            return self
        # The sort is stable: leaves of one price keep the usual order.
        inputs, outputs = (
            tuple(sorted(leaves, key=lambda leaf: -prices.get(leaf, 0))) for leaves in (INPUT_LEAVES, OUTPUT_LEAVES)
        )
        read = _read(self.input_tokens, self.output_tokens, self.claims, inputs, outputs)
        return Usage(MappingProxyType(read), self.contradictory)


def _read(
    input_tokens: int,
    output_tokens: int,
    claims: Mapping[str, int],
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
) -> dict[str, int]:
    """The leaves of totals into which the claims on at least one side do not fit; `inputs` and `outputs` in order."""
    leaves = _share(input_tokens, inputs, "input", claims) | _share(output_tokens, outputs, "output", claims)
    leaves.update((leaf, count) for leaf, count in claims.items() if leaf in _FEES)
    return leaves


def _share(total: int, names: tuple[str, ...], plain: str, claims: Mapping[str, int]) -> dict[str, int]:
    """Hand a side's total to the leaves that claim it, in the order of `names`.

    The plain leaf takes what nobody claims; where more is claimed than there is, all that is left when its turn comes,
    before the cheaper leaves, which stand after it.
    """
    leaves: dict[str, int] = {}
    claimed = sum([claims.get(name, 0) for name in names])
    left = total
    for name in names:
        wanted = claims.get(name, 0) if name != plain else left if claimed > total else total - claimed
        count = min(left, wanted)
        if count:
            leaves[name] = count
            left -= count
    return leaves


EMPTY_USAGE = Usage()
