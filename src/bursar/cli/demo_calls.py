"""The calls that the demo makes: which models, how long, which the caller leaves and which the provider fails.

Decides them from a count and a seed alone, so that Bursar and the naive counter are given the very same work. Sends
nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

# Model -> how often it is asked. The dear ones are what a budget is for.
MODELS = {
    "openai/gpt-4o-mini": 5,
    "openai/gpt-4o": 5,
    "openai/gpt-4.1-mini": 4,
    "openrouter/anthropic/claude-sonnet-4.5": 4,
    "openrouter/meta-llama/llama-3.3-70b-instruct": 3,
    "groq/llama-3.3-70b-versatile": 3,
    "groq/llama-3.1-8b-instant": 2,
}
PROMPTS = (
    "Summarise this ticket in two sentences: the invoice of May was charged twice.",
    "Write a friendly reply to a customer whose parcel is late.",
    "Which three figures belong on the first page of a monthly report?",
    "Translate into plain English: the lessee shall indemnify the lessor.",
    "Name a risk of this plan and how to find out early.",
    "Turn these notes into a list of tasks: call the bank, move the meeting, pay rent.",
)
MAX_TOKENS = (150, 200, 250)
# What the provider does to a call that it fails, written as the simulator reads it.
FAULTS_STREAMED = ("truncate", "drop:6", "error_in_stream:5", "status:503")
FAULTS_WHOLE = ("status:500", "status:429,retry_after=1", "malformed_json", "missing_usage", "status:503", "refuse")
# A call in so many is left by its caller, and one in so many is failed by the provider.
LEFT_ONE_IN = 14
FAILED_ONE_IN = 22


@dataclass(frozen=True, slots=True)
class DemoCall:
    """One call. The caller goes away after so many deltas (streamed) or seconds (not); None: it stays."""

    model: str
    prompt: str
    max_tokens: int
    stream: bool
    fault: str = ""
    leave_after_deltas: int | None = None
    cancel_after_seconds: float | None = None

    @property
    def headers(self) -> dict[str, str] | None:
        """What tells the simulator to fail this call."""
        return {"x-sim-fault": self.fault} if self.fault else None


def demo_calls(count: int, seed: int) -> list[DemoCall]:
    """So many calls; the same for the same seed."""
    chance = random.Random(f"demo {seed}")
    return [_call(chance, number) for number in range(count)]


def _call(chance: random.Random, number: int) -> DemoCall:
    model = chance.choices(list(MODELS), list(MODELS.values()))[0]
    # The number makes every prompt, and so every answer, another one.
    prompt = f"{chance.choice(PROMPTS)} (case {number + 1})"
    max_tokens, stream = chance.choice(MAX_TOKENS), chance.random() < 0.5
    fate = chance.random()
    if fate < 1 / LEFT_ONE_IN:
        deltas, seconds = (chance.randint(2, 8), None) if stream else (None, chance.uniform(0.05, 0.12))
        return DemoCall(model, prompt, max_tokens, stream, leave_after_deltas=deltas, cancel_after_seconds=seconds)
    if fate > 1 - 1 / FAILED_ONE_IN:
        fault = chance.choice(FAULTS_STREAMED if stream else FAULTS_WHOLE)
        return DemoCall(model, prompt, max_tokens, stream, fault)
    return DemoCall(model, prompt, max_tokens, stream)
