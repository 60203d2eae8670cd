"""A provider to practise on: it answers, bills, limits and fails like a real one, and remembers the truth.

Decides nothing for Bursar and imports nothing of it: its prices, token counts and encoders are its own, so that one
mistake cannot hide on both sides. `python -m bursar.sim` runs it, `bursar.sim.server.running` starts it inside a test
and `bursar.sim.process.start_process` beside one.
"""
