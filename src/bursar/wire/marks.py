"""How a stream of bytes says that an attempt took the place of one that broke off, once its reader had seen some.

A comment of server-sent events: SDKs skip it, and whoever reads the stream can see it. After `continue` the events go
on as those of one reply, in every dialect. After `restart` a whole reply begins, with its own id and opening events,
and what came before the mark is void. Who does not look at marks takes both for one (chat), or stumbles over a second
`message_start` or `response.created`: a route for such readers says `never`. Source: the HTML Standard, 9.2.6,
"Interpreting an event stream".
"""

from __future__ import annotations

__all__ = ["continued_mark", "restarted_mark"]


def continued_mark(times: int) -> bytes:
    """The mark of a reply that goes on, for the n-th time.

    >>> continued_mark(1)
    b': bursar continue 1\\n\\n'
    """
    return b": bursar continue %d\n\n" % times


def restarted_mark(times: int) -> bytes:
    """The mark of a reply that begins anew, for the n-th time."""
    return b": bursar restart %d\n\n" % times
