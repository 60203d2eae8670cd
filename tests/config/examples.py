"""The configurations that must load as they stand: what the project began with, and what shows all keys."""

from __future__ import annotations

SEED = """\
llm:
  providers:
    openai:
      # Cost management
      enable_cost_tracking: true
      cost_warning_threshold: 1.00  # USD per request
      daily_cost_limit: 50.00       # USD per day
      max_cost_per_request: 0.10    # USD
      
      # Performance monitoring
      enable_metrics: true
      log_costs: true
      log_token_usage: true
      
    openrouter:
      # OpenRouter-specific features
      enable_fallbacks: true
      fallback_models:
        - "openai/gpt-3.5-turbo"
        - "anthropic/claude-3-haiku"
      
      # Provider routing preferences
      provider_preferences:
        allow_fallbacks: true
        data_collection: "deny"
      
      # App identification (for better service ranking)
      app_name: "MCP Platform"
      app_url: "https://localhost:8000"
"""  # noqa: W293

WHOLE = """\
time_zone: UTC                      # of calendar windows; default UTC
books: sqlite:///bursar.db          # relative to this file; else $BURSAR_DB, else the working directory; its path is logged when it is made
mode: enforce                       # or observe
max_wait_seconds: 10
llm:
  active: openai                    # provider of bare model names
  providers:
    openai:
      base_url: https://api.openai.com/v1      # default of the provider's row
      api_key: ${OPENAI_API_KEY}
      model: gpt-4o-mini            # default model
      enable_cost_tracking: true    # the seed's keys, all of them, here:
      cost_warning_threshold: 1.00
      daily_cost_limit: 50.00       # a budget like any other; all that match bind
      max_cost_per_request: 0.10
      enable_metrics: true
      log_costs: true
      log_token_usage: true
      max_connections: 100
      max_keepalive: 20
      keepalive_expiry: 5.0
      connect_timeout: 10.0         # and read_, write_, pool_timeout
      requests_per_minute: 3500     # limits of this provider; also tokens_per_minute, requests_per_day,
      tokens_per_minute: 500000     # tokens_per_day, concurrent_requests
      max_retries: 3
      circuit_breaker_threshold: 5  # consecutive failures
      circuit_breaker_timeout: 60   # seconds, base of the open time
      discount: 0%                  # off the list price
      extra_headers: {}
    openrouter:
      enable_fallbacks: true
      fallback_models: [openai/gpt-4o-mini, anthropic/claude-3-haiku]
      provider_preferences: {allow_fallbacks: true, data_collection: deny}
      app_name: MCP Platform
      app_url: https://localhost:8000
    local: {base_url: "http://gpu:8000/v1", price: free}     # any name: an OpenAI-compatible server
routes:                             # names of ours -> candidates in order
  fast: [openai/gpt-4o-mini, local/qwen3]
prices:                             # overrides, USD per million, from a date
  openai/gpt-4o: {from: 2026-01-01, input: 2.50, cached_input: 1.25, output: 10.00}
budgets:
  company: {usd: 40000, per: month, alert_at: [50%, 80%, 95%]}
  teams: {usd: 2000, per: month, each: team}
  users: {usd: 5, per: day, each: user, missing: refuse}
  runs: {usd: 2, per: total, each: session}
limits:
  keys: {requests: 600, per: minute, each: key}
  flight: {in_flight: 20, each: key}
retention: {ledger: 400d, prompts: never}
alerts: {webhook: "${ALERT_WEBHOOK}"}
gateway: {host: 127.0.0.1, port: 8000}
"""  # noqa: E501
