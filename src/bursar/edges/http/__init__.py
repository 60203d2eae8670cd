"""HTTP to the providers: one pool of connections each, in two colours that share seats, limits and figures.

`asynchronous` and `blocking` perform one exchange at a time and answer with a value of `call.exchange`; they never
retry, know no money, and let no exception of an HTTP library out. Neither library is imported before it is used.
"""

from bursar.edges.http.async_body import AsyncBody
from bursar.edges.http.asynchronous import AsyncTransport
from bursar.edges.http.blocking import BlockingTransport
from bursar.edges.http.blocking_body import BlockingBody
from bursar.edges.http.pool import PoolLimits, PoolStatistics, Seat

__all__ = [
    "AsyncBody",
    "AsyncTransport",
    "BlockingBody",
    "BlockingTransport",
    "PoolLimits",
    "PoolStatistics",
    "Seat",
]
