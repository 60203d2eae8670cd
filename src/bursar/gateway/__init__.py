"""The gateway: the engine behind HTTP, for every language, with a key and budgets for every team.

`app` is the ASGI callable and says what is served where. `calls` governs a call that came in; `auth` knows who asks.
Only `serving` and `protocol` know the server that carries it.
"""
