"""What the model answers to a messages request: thought, text, tool uses and searches; why it stops; what it uses.

All of it is decided before the first byte is sent. Usage here is all that is billed: summing up a long prompt
(compaction) and the pages that a search found are in it, whatever the reply shows of them where.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bursar.sim import text
from bursar.sim.asks import ChatAsk
from bursar.sim.failures import refuse
from bursar.sim.generation import REASONING_SHARE, Choice, Generation, called_tools, gone_on, mark, tool_choice
from bursar.sim.markedcache import Cached
from bursar.sim.messages_ask import MessageAsk
from bursar.sim.prices import Model, Terms
from bursar.sim.usage import Usage
from bursar.sim.wishes import Wishes

SEARCH_TOKENS = 12
"""Output tokens of one search: what is searched for."""
FOUND_TOKENS = 2_000
"""Input tokens of one search: what was found."""
SUMMARY_TOKENS = 24


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. `compacted_tokens` of input, and the summary, are billed but stand in the iterations only."""

    generation: Generation
    stop_reason: str
    stop_sequence: str | None = None
    searches: int = 0
    compacted_tokens: int = 0
    summary: tuple[str, ...] = ()

    @property
    def choice(self) -> Choice:
        return self.generation.choices[0]

    @property
    def shown(self) -> Usage:
        """The usage that the reply shows at its top: without the compaction."""
        used = self.generation.usage
        return replace(
            used,
            prompt_tokens=used.prompt_tokens - self.compacted_tokens,
            completion_tokens=used.completion_tokens - len(self.summary),
        )

    @property
    def begun(self) -> Usage:
        """The usage that a stream shows at its start: nothing found yet, and one token that stands for all to come."""
        found = self.searches * FOUND_TOKENS
        return replace(
            self.shown,
            prompt_tokens=self.shown.prompt_tokens - found,
            completion_tokens=1,
            reasoning_tokens=0,
            web_searches=0,
        )


def check_room(model: Model, prompt_tokens: int) -> None:
    """Raises RefusedRequestError where the prompt leaves no room in the model's context."""
    if prompt_tokens >= model.context_tokens:
        message = f"prompt is too long: {prompt_tokens} tokens > {model.context_tokens} maximum"
        refuse(message, "messages", "context_length_exceeded")


def answer_to(
    ask: MessageAsk,
    model: Model,
    words: text.Words,
    seed: int,
    *,
    prompt_tokens: int,
    cached: Cached,
    terms: Terms,
    begun: str = "",
) -> Answer:
    """The answer to one ask whose prompt the model has room for; `begun`: what its last turn has of it already."""
    room = model.context_tokens - prompt_tokens
    chat = ask.as_chat()
    wishes = chat.wishes()
    limit = min(ask.max_tokens, room)
    wished = 1 if wishes.web_searches is None else wishes.web_searches
    searches = min(wished, limit // SEARCH_TOKENS) if ask.searches() else 0
    digest = text.digest(seed, model.id, (chat.without_last() if begun else chat).lines())
    left = limit - searches * SEARCH_TOKENS
    spoken, sequence = speak(ask, chat, words, wishes, limit=model.output_tokens_max if begun else left, digest=digest)
    if begun:
        spoken = gone_on(spoken, begun, left)
    summary = tuple(words.pieces(digest, 2, SUMMARY_TOKENS)) if wishes.compacted_tokens and ask.compacts else ()
    compacted = wishes.compacted_tokens if summary else 0
    used = Usage(
        prompt_tokens=prompt_tokens + searches * FOUND_TOKENS + compacted,
        completion_tokens=spoken.tokens + searches * SEARCH_TOKENS + len(summary),
        cached_tokens=cached.read_tokens,
        cache_write_tokens=cached.written_5m_tokens + cached.written_1h_tokens,
        cache_write_1h_tokens=cached.written_1h_tokens,
        reasoning_tokens=len(spoken.reasoning),
        web_searches=searches,
    )
    if cached == Cached():
        used = mark(used, wishes, cached_tokens=0, writes_cache=True)
    reason = "model_context_window_exceeded" if spoken.finish_reason == "length" and room < ask.max_tokens else ""
    reason = reason or STOP_REASONS[spoken.finish_reason]
    return Answer(Generation(model, [spoken], used, terms), reason, sequence, searches, compacted, summary)


STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "refusal": "refusal",
    "sequence": "stop_sequence",
}


def speak(
    ask: MessageAsk, chat: ChatAsk, words: text.Words, wishes: Wishes, *, limit: int, digest: int
) -> tuple[Choice, str | None]:
    """The answer within `limit` tokens, and the stop sequence that ended it."""
    if wishes.refuses:
        return Choice(0, words.pieces(digest, 0, min(wishes.tokens or 0, limit)), [], (), "refusal"), None
    tools = called_tools(chat, wishes)
    if ask.tool_choice is not None and ask.tool_choice.disable_parallel_tool_use:
        tools = tools[:1]
    planned = text.planned_tokens(digest) if wishes.tokens is None else wishes.tokens
    if tools and wishes.tokens is None:
        planned = 0
    thought = thought_tokens(ask, wishes, planned)
    reasoning = words.pieces(digest + 1, 0, min(thought, limit))
    left = limit - len(reasoning)
    if wishes.echo is not None and not tools:
        said = text.split_pieces(wishes.echo)
    else:
        said = words.pieces(digest, 0, max(0, planned - thought))
    said, sequence = cut_at(said, ask.stop_sequences)
    pieces = said[:left]
    if len(pieces) < len(said) or thought > limit:
        return Choice(0, pieces, reasoning, (), "length"), None
    if sequence is not None:
        return Choice(0, pieces, reasoning, (), "sequence"), sequence
    if not tools:
        return Choice(0, pieces, reasoning, (), "stop"), None
    called = tool_choice(tools, 0, left - len(pieces), digest)
    return replace(called, pieces=pieces, reasoning=reasoning), None


def thought_tokens(ask: MessageAsk, wishes: Wishes, planned: int) -> int:
    """How many tokens are thought before anything is said: a third of the answer, at least one, within the budget."""
    if not ask.thinks or ask.thinking is None:
        return 0
    usual = max(1, planned // REASONING_SHARE)
    wished = usual if wishes.reasoning_tokens is None else wishes.reasoning_tokens
    return wished if ask.thinking.budget_tokens is None else min(wished, ask.thinking.budget_tokens)


def cut_at(pieces: list[str], sequences: list[str]) -> tuple[list[str], str | None]:
    """What is said before the first stop sequence, and which one that is.

    >>> cut_at(["to", " the", " ledger"], ["led", "x"])
    (['to', ' the '], 'led')
    """
    whole = "".join(pieces)
    places = [(whole.find(sequence), sequence) for sequence in sequences if sequence in whole]
    if not places:
        return pieces, None
    place, sequence = min(places)
    return text.split_pieces(whole[:place]), sequence
