"""Fakes for tests of programs that use Bursar: a clock that is told the time, transports that answer from a script,
and the books in memory.

They are real implementations of the same interfaces. The transports have real seats, bounds on their queue and endings;
only the provider is a list of replies. They never wait for time: what stalls under a deadline fails with `timeout` at
once.

    transport = ScriptedTransport([chat_answer("Rhine, Nile, Amazon"), Failed("timeout", True, "slow")])
"""

from bursar.call.exchange import Answer, Exchange, Failed, Opened, Progress
from bursar.edges.stores.memory import MemoryStore
from bursar.testing.clock import ManualClock
from bursar.testing.script import STALL, StreamedAnswer, chat_answer, chat_stream
from bursar.testing.transports import ScriptedBlockingTransport, ScriptedTransport

__all__ = [
    "STALL",
    "Answer",
    "Exchange",
    "Failed",
    "ManualClock",
    "MemoryStore",
    "Opened",
    "Progress",
    "ScriptedBlockingTransport",
    "ScriptedTransport",
    "StreamedAnswer",
    "chat_answer",
    "chat_stream",
]
