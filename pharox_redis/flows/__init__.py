"""Every operation once, as a generator that does no I/O.

A flow yields what it wants done (a :class:`~pharox_redis.scripts.Call` of a script, a plain
:class:`Command`, a list of those to be sent at once, an :class:`OnMaster`, a :class:`Pause`), is
sent the reply, and returns its result. A driver (``drivers/``) performs the steps on a client,
blocking or not. So no logic is written twice, and a flow can be tested by feeding it replies.

What a driver promises: replies are decoded to ``str`` and ``int``; an error is thrown into the flow
as one of this library's exceptions; in a list each failed item's place holds its exception. A list
says nothing of order: on a Cluster its items run on many servers. A caller that goes away is told
to the flow by :class:`Interrupted`.
"""

from pharox_redis.flows.base import Command, Context, Flow, Interrupted, OnMaster, Pause, Step

__all__ = ["Command", "Context", "Flow", "Interrupted", "OnMaster", "Pause", "Step"]
