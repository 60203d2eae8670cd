"""Which of a provider's keys a call uses: each in its turn by weight, and not while it rests.

Smooth weighted round robin: of three keys with weights 5, 1 and 1, seven calls go a a b a c a a. A key that was refused
(for what it is, or for what its account has left) rests; when all of them rest, the one that comes back first is used,
since a call is better refused by the provider than by a guess. Knows no key's value, no clock (`now_ms` is an argument)
and no lock: whoever shares one locks it. Source: nginx, "Upstream: smooth weighted round-robin balancing" (2012).
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["Rotation"]


class Rotation:
    """The keys of one provider, by names that tell them apart, with their weights (1 or more)."""

    __slots__ = ("_awake", "_credits", "_names", "_until_ms", "_weights")

    def __init__(self, weights: Mapping[str, int]) -> None:
        if not weights or min(weights.values()) < 1:
            raise ValueError("a rotation has at least one key, and no weight below 1")
        self._weights = dict(weights)
        self._names = tuple(self._weights)
        self._credits = dict.fromkeys(self._names, 0)
        self._until_ms: dict[str, int] = {}
        self._awake = self._names

    def order(self, now_ms: int) -> tuple[str, ...]:
        """Take a turn: every key in the order in which one call tries them, those that rest last.

        >>> keys = Rotation({"a": 2, "b": 1})
        >>> [keys.order(0)[0] for _ in range(6)]
        ['a', 'b', 'a', 'a', 'b', 'a']
        """
        if len(self._names) == 1:
            return self._names
        awake = self._wake(now_ms)
        if not awake:
            return tuple(sorted(self._names, key=self._until_ms.__getitem__))
        for name in awake:
            self._credits[name] += self._weights[name]
        turn = sorted(awake, key=self._credits.__getitem__, reverse=True)
        self._credits[turn[0]] -= sum(self._weights[name] for name in awake)
        return (*turn, *sorted(self._until_ms, key=self._until_ms.__getitem__))

    def rest(self, name: str, until_ms: int) -> None:
        """Leave a key alone until then (epoch milliseconds). A longer rest that it has already stays."""
        if name in self._weights:
            self._until_ms[name] = max(until_ms, self._until_ms.get(name, until_ms))

    def wake(self, name: str, until_ms: int) -> None:
        """A key works after all: it was used while it rested until then, and accepted. Another rest stays."""
        if self._until_ms.get(name) == until_ms:
            del self._until_ms[name]

    def resting(self, now_ms: int) -> dict[str, int]:
        """The keys that rest, each with the epoch milliseconds at which it comes back."""
        return {name: until_ms for name, until_ms in self._until_ms.items() if until_ms > now_ms}

    def _wake(self, now_ms: int) -> tuple[str, ...]:
        """The keys that do not rest. Where they are others than before, all begin anew with equal credit."""
        self._until_ms = self.resting(now_ms)
        awake = tuple(name for name in self._names if name not in self._until_ms)
        if awake != self._awake:
            self._awake = awake
            self._credits = dict.fromkeys(self._names, 0)
        return awake
