"""The bursar.yaml that `bursar config init` writes: short, commented, and loadable as it stands."""

from __future__ import annotations

_TEXT = """\
# bursar.yaml: what may be spent, and on whom. `bursar config check` reads it, `bursar config schema` describes it.

time_zone: UTC                      # in which days and months begin
books: sqlite:///bursar.db          # the ledger, beside this file
mode: enforce                       # observe counts everything and refuses nothing

llm:
  active: openai                    # the provider of model names without one
  providers:
    openai:
      api_key: ${OPENAI_API_KEY}    # also file:/run/secrets/key, or {command: [op, read, "op://vault/openai/key"]}
      model: gpt-4o-mini            # where a call names no model
      max_cost_per_request: 0.50    # USD, all attempts of one call together
    # openrouter:
    #   api_key: ${OPENROUTER_API_KEY}
    #   fallback_models: [openai/gpt-4o-mini, anthropic/claude-haiku-4.5]
    # local:                        # any name: an OpenAI-compatible server
    #   base_url: http://localhost:8080/v1
    #   price: free

budgets:                            # every budget that matches a call binds it
  everything: {usd: 5, per: day}
  # teams: {usd: 200, per: month, each: team}
  # users: {usd: 1, per: day, each: user, missing: refuse}

# limits:
#   keys: {requests: 600, per: minute, each: key}
#   flight: {in_flight: 20, each: key}

# routes:                           # names of your own for models, in order of preference
#   fast: [openai/gpt-4o-mini, local/qwen3]

# prices:                           # USD per million tokens, where the list is wrong or silent
#   openai/gpt-4o: {from: 2026-01-01, input: 2.50, cached_input: 1.25, output: 10.00}
"""


def init_text() -> str:
    """A commented configuration with one budget, ready to be written to bursar.yaml."""
    return _TEXT
