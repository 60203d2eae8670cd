"""What a call would cost, before it is made: choose the dearest model that fits.

export OPENAI_API_KEY=...      # or a simulator: bursar sim --port 8089, and what it prints
python examples/estimate.py
"""

from __future__ import annotations

import bursar

MODELS = ("openai/gpt-4o", "openai/gpt-4.1-mini", "openai/gpt-4o-mini")
QUESTION = "Name three rivers, and what grows along them."

with bursar.Client(budget_usd="0.002", per="hour", books="memory:") as llm:
    for model in MODELS:
        quote = llm.estimate(QUESTION, model=model, max_tokens=300)
        print(quote)
        if quote.fits:
            print(llm.chat(QUESTION, model=model, max_tokens=300).receipt)
            break
