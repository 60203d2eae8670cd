"""Many agents at once: one budget over all of them, and one for each run, which ends the run that uses it up.

export OPENAI_API_KEY=...      # or a simulator: bursar sim --port 8089, and what it prints
python examples/agents.py
"""

from __future__ import annotations

import asyncio

import bursar

MODEL = "openai/gpt-4o-mini"
ROUNDS_MAX = 50
CONFIG = {
    "budgets": {
        "everything": {"usd": "0.01", "per": "day"},
        "runs": {"usd": "0.0005", "per": "total", "each": "session"},
    }
}


async def agent(llm: bursar.AsyncClient, name: str) -> str:
    """Ask until the run's own budget ends it."""
    run = llm.session(name, tags={"team": "search"})
    messages = [{"role": "user", "content": "Plan a journey along a river."}]
    for rounds in range(ROUNDS_MAX):
        try:
            reply = await run.chat(messages, model=MODEL, max_tokens=200)
        except bursar.BudgetExceededError as error:
            return f"{name}: {rounds} rounds, then {error.budget} had {error.left_nano_usd / 1e9:.6f} USD left"
        messages += [{"role": "assistant", "content": reply.text}, {"role": "user", "content": "Go on."}]
    return f"{name}: {ROUNDS_MAX} rounds"


async def main() -> None:
    """Eight agents beside each other."""
    async with bursar.AsyncClient(CONFIG, books="memory:") as llm:
        for line in await asyncio.gather(*(agent(llm, f"run-{number}") for number in range(8))):
            print(line)
        spent = next(balance for balance in llm.budgets() if balance.allowance == "everything")
        print(f"everything: {spent.spent / 1e9:.6f} USD spent, {spent.held} held")


asyncio.run(main())
