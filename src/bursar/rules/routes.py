"""Which of a call's candidates is asked first, and which after each failure.

Candidates stand in the order in which the user wants them. A failure rules out those that would fail in the same way:
a context that is too long goes only to one with more of it, a wrong key not to another model of the same key, a request
that was refused not to the same model under another key. A provider that is silent or cannot be reached comes after
all others. Whether there is a next attempt at all is `rules.retries`'s to say, whether a breaker is open the
breaker's. Source: DESIGN section 8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from bursar.rules.retries import Problem, ProblemKind

__all__ = ["Candidate", "Choice", "following"]

# The whole provider is in doubt, not the model alone.
_OF_THE_PROVIDER: frozenset[ProblemKind] = frozenset({"connect", "timeout", "stalled"})
# Another key would lead to the same machines.
_OF_THE_MODEL: frozenset[ProblemKind] = frozenset({"unavailable", "broken", "malformed"})


class Candidate(NamedTuple):
    """One way to an answer: a model of a provider, under one of its keys.

    name: "provider/model". context_tokens: its context window, 0 where that is not known. key: which of the
    provider's keys, by a name that tells them apart.
    """

    name: str
    context_tokens: int = 0
    key: str = ""

    @property
    def provider(self) -> str:
        """The first segment of the name."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Choice:
    """The candidate to ask, by its index; None where none is left that may help.

    opens_again_ms: when the first of those whose breaker is open may be asked, epoch milliseconds; None where no
    breaker stands in the way.
    """

    index: int | None
    opens_again_ms: int | None = None


def following(
    candidates: Sequence[Candidate],
    failed: Sequence[tuple[int, Problem]],
    opens_ms: Callable[[int], int],
    *,
    on_content: Literal["stop", "next"] = "stop",
) -> Choice:
    """The candidate that comes after these failures, or first where there are none.

    failed: the candidates that were asked, by index, each with what it came to; none of them is chosen again.
    opens_ms: 0 for a candidate whose breaker lets a call through, else when it may, epoch milliseconds. on_content:
    whether others are asked what one refused for its content.

    >>> both = [Candidate("openai/gpt-4o", 128_000), Candidate("anthropic/claude-haiku-4-5", 200_000)]
    >>> following(both, [], lambda index: 0).index
    0
    >>> following(both, [(0, Problem("context", 400))], lambda index: 0).index
    1
    """
    asked = {index for index, _ in failed}
    if on_content == "stop" and any(problem.kind == "content" for _, problem in failed):
        return Choice(None)
    chosen, opens_again = None, None
    for index, candidate in enumerate(candidates):
        if index in asked or not all(_may_help(candidate, candidates[at], problem) for at, problem in failed):
            continue
        at_ms = opens_ms(index)
        if at_ms:
            opens_again = at_ms if opens_again is None else min(opens_again, at_ms)
        elif not any(_doubtful(candidate, candidates[at], problem) for at, problem in failed):
            return Choice(index, opens_again)
        elif chosen is None:
            chosen = index
    return Choice(chosen, opens_again)


def _may_help(candidate: Candidate, failed: Candidate, problem: Problem) -> bool:
    """Whether a candidate may answer where another failed."""
    if problem.kind == "context":
        return candidate.context_tokens > failed.context_tokens
    if problem.kind in ("rejected", "content"):
        return candidate.name != failed.name
    # 403 may speak of the model, or of the region it is served in.
    if problem.kind == "quota" or (problem.kind == "auth" and problem.status != 403):
        return (candidate.provider, candidate.key) != (failed.provider, failed.key)
    return True


def _doubtful(candidate: Candidate, failed: Candidate, problem: Problem) -> bool:
    """Whether a candidate is likely to fail as another did: asked when nobody else is left."""
    if problem.kind in _OF_THE_PROVIDER:
        return candidate.provider == failed.provider
    return problem.kind in _OF_THE_MODEL and candidate.name == failed.name
