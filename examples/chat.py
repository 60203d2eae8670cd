"""One call, one stream, and where the budget stands.

export OPENAI_API_KEY=...      # or a simulator: bursar sim --port 8089, and what it prints
python examples/chat.py
"""

from __future__ import annotations

import bursar

MODEL = "openai/gpt-4o-mini"

with bursar.Client(budget_usd=1) as llm:
    reply = llm.chat("Name three rivers.", model=MODEL, max_tokens=60)
    print(reply.text)
    print(reply.receipt)

    with llm.stream("And three lakes.", model=MODEL, max_tokens=60) as stream:
        for delta in stream:
            print(delta.text, end="", flush=True)
    print()
    if stream.reply is not None:
        print(stream.reply.cost)

    for balance in llm.budgets():
        print(f"{balance.allowance}: {balance.left / 1e9:.6f} USD left of {balance.limit / 1e9:.2f}")
