"""What stands behind every door: settings, books, teller and prices, and the plan of each call that they make."""

from bursar.engine.asked import Asked
from bursar.engine.engine import Engine, open_engine
from bursar.engine.ids import Ids

__all__ = ["Asked", "Engine", "Ids", "open_engine"]
