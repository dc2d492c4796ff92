"""The words for everything that can be wrong with the data.

One row for each kind that the scripts and flows of the audit tell: how bad it is, what it means for
whoever leases, and what to do where a repair cannot.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pharox_redis.doctor.findings import Level

_REPAIR: Final = "Run doctor --repair: it is recomputed."
_OUT_OF_USE: Final = (
    "Delete it: pharox-redis proxy delete ID (or save it again under its id). If it is still"
    " active, doctor --repair takes it out of use first: it gets no new leases, and those it has"
    " go on."
)
_INTACT: Final = (
    "Find out who wrote it (another program with this prefix?) and delete the key by hand."
)


class Kind(NamedTuple):
    """How bad a kind of finding is, what is wrong, and what to do."""

    level: Level
    wrong: str
    todo: str


KINDS: Final[dict[str, Kind]] = {
    # -- a pool as a whole
    "pool-lost": Kind(
        Level.REQUIRED,
        "The pool's own key is lost, and its proxies are still there: the pool does not exist for"
        " anybody.",
        "Save the pool again under its id and name, then run doctor --repair; or delete its keys.",
    ),
    "pool-document-lost": Kind(
        Level.REQUIRED,
        "The pool's description is lost or unreadable: lists of pools fail.",
        "Save the pool again under its id and name.",
    ),
    "two-states": Kind(
        Level.REQUIRED,
        "The pool exists and is marked as being deleted at once: a delete would go on emptying it.",
        _REPAIR,
    ),
    "pool-deleting": Kind(
        Level.INFO,
        "A delete of the pool is under way, or was broken off.",
        "If nobody is deleting it now, delete it again, or run doctor --repair: the delete is"
        " carried on.",
    ),
    "wrong-counter": Kind(
        Level.REQUIRED,
        "One of the pool's running numbers is unreadable or behind: new proxies would take places"
        " of others, or acquires fail when they are counted.",
        _REPAIR,
    ),
    "wrong-type": Kind(
        Level.REQUIRED,
        "A key holds something of another type: commands on it fail.",
        _INTACT + " What only derives from other keys is dropped by doctor --repair.",
    ),
    "has-an-end": Kind(
        Level.REQUIRED,
        "A key that must stay has a TTL: it will vanish.",
        "Run doctor --repair: the TTL is taken away.",
    ),
    "not-checked": Kind(
        Level.REQUIRED,
        "The pool could not be checked further.",
        "Mend what is told of it first, then run doctor again.",
    ),
    # -- proxies
    "proxy-lost": Kind(
        Level.REQUIRED,
        "What a proxy is (status, limit, what filters look at) is lost: it is listed, and cannot"
        " be leased.",
        "Run doctor --repair; then save the proxy again under its id, or delete it.",
    ),
    "document-lost": Kind(
        Level.REQUIRED,
        "A proxy's document (host, port, credentials) is lost: while it is active, acquires get it"
        " and fail.",
        _OUT_OF_USE,
    ),
    "proxy-unreadable": Kind(
        Level.REQUIRED,
        "A proxy's hash or document has a value that cannot be read: lists fail on it, and"
        " acquires while it is active.",
        _OUT_OF_USE,
    ),
    "left-of-a-proxy": Kind(
        Level.ADVISED,
        "Keys name a proxy that does not exist.",
        "Run doctor --repair: they are cleared away.",
    ),
    "wrong-gone": Kind(
        Level.REQUIRED,
        "A proxy that is being deleted is still listed somewhere, or one that is not is marked"
        " for it.",
        _REPAIR,
    ),
    "not-listed": Kind(
        Level.REQUIRED,
        "A proxy is not in its pool's list: lists and figures lack it.",
        _REPAIR,
    ),
    "wrong-number": Kind(
        Level.REQUIRED,
        "A proxy's insertion number is not the one it is listed by, or another's too.",
        _REPAIR,
    ),
    "wrong-revision": Kind(
        Level.REQUIRED, "A proxy's revision is lost: it cannot be saved.", _REPAIR
    ),
    "wrong-round": Kind(
        Level.ADVISED,
        "A proxy's round-robin number is unreadable, or ahead of the pool's.",
        _REPAIR,
    ),
    "wrong-latency": Kind(Level.ADVISED, "A proxy's latency is unreadable.", _REPAIR),
    "wrong-idle": Kind(
        Level.ADVISED,
        "A proxy is in the set of those not active, or not, against its status: "
        "the pool's figures are wrong.",
        _REPAIR,
    ),
    "wrong-reserved": Kind(
        Level.ADVISED,
        "A proxy is in the set of those that only claims hold, or not, against its holds: the"
        " pool's figures are wrong.",
        _REPAIR,
    ),
    "wrong-extra": Kind(
        Level.ADVISED,
        "A proxy's second and further leases are miscounted: the figure of leased proxies is"
        " wrong.",
        _REPAIR,
    ),
    "wrong-retired": Kind(
        Level.REQUIRED,
        "A proxy that is active is marked to be deleted when nobody holds it.",
        "Run doctor --repair: the mark is taken away.",
    ),
    "hidden-claim": Kind(
        Level.ADVISED, "A proxy does not show that it has claims: figures are wrong.", _REPAIR
    ),
    # -- views
    "not-in-view": Kind(
        Level.REQUIRED,
        "A proxy is missing in a view that accepts it: who asks that view never gets it.",
        _REPAIR,
    ),
    "strange-in-view": Kind(
        Level.REQUIRED,
        "A proxy is in a view whose filter does not accept it: it is leased to who did not ask"
        " for it.",
        _REPAIR,
    ),
    "wrong-rank": Kind(
        Level.REQUIRED,
        "A proxy has the wrong place in a view: it is parked though it is free, or leased out of"
        " turn.",
        _REPAIR,
    ),
    "unknown-view": Kind(
        Level.REQUIRED,
        "A proxy does not know that it is in a view, and will not be parked there when leased.",
        _REPAIR,
    ),
    "view-lost": Kind(
        Level.ADVISED,
        "A view is lost (evicted, or deleted by hand).",
        "Run doctor --repair, or wait: it is filled again when it is asked.",
    ),
    "wrong-view": Kind(
        Level.REQUIRED,
        "A view's entry or filling state is damaged: filters are answered wrongly, or saves fail.",
        "Run doctor --repair: the view is dropped, and made again when needed.",
    ),
    "wrong-used": Kind(
        Level.ADVISED,
        "A view is not in the list of those in use, or the list names one that is not there.",
        _REPAIR,
    ),
    "strange-view": Kind(Level.ADVISED, "A view that no registry names takes up memory.", _REPAIR),
    # -- leases
    "wrong-hold": Kind(
        Level.REQUIRED,
        "A lease is not held as its record says: its proxy may be leased over its limit, or stay"
        " leased for ever.",
        "Run doctor --repair: holds are put back as the records have them.",
    ),
    "dead-hold": Kind(
        Level.REQUIRED,
        "A hold without a live lease keeps a proxy from being leased.",
        "Run doctor --repair: it ends.",
    ),
    "wrong-claim": Kind(
        Level.REQUIRED, "A claim is there in part: it will not end as it should.", _REPAIR
    ),
    "strange-member": Kind(
        Level.REQUIRED,
        "A sorted set of leases or claims has a member that is none: sweeps would fail on it.",
        "Run doctor --repair: it is removed.",
    ),
    "record-lost": Kind(
        Level.ADVISED,
        "The record of a live lease is lost: its proxy stays leased, but the lease cannot be found"
        " by its id.",
        "Release it by the lease object, or wait: it ends at its expiry.",
    ),
    "record-unreadable": Kind(
        Level.REQUIRED,
        "A lease's record cannot be read: lists of leases fail.",
        "Delete the key by hand; the lease then ends at its expiry.",
    ),
    "record-end": Kind(
        Level.ADVISED,
        "A lease's record has no end, or one before its lease's.",
        "Run doctor --repair: it gets its end.",
    ),
    "note-end": Kind(
        Level.ADVISED,
        "The note of a request that was made once has no end.",
        "Run doctor --repair: it is kept for a day more.",
    ),
    "wrong-index": Kind(
        Level.ADVISED,
        "A consumer's list lacks one of its leases, or has one that is not its.",
        _REPAIR,
    ),
    "index-end": Kind(Level.ADVISED, "A consumer's list of leases has no end.", _REPAIR),
    "unswept": Kind(
        Level.INFO,
        "Leases or claims have been over for more than a minute: nobody acquires here, and nobody"
        " sweeps.",
        "Run a sweeper (pharox-redis sweep --every 1s), if their ends matter.",
    ),
    # -- directories
    "no-name": Kind(
        Level.REQUIRED, "The pool's name does not lead to it: nobody can lease by it.", _REPAIR
    ),
    "name-taken": Kind(
        Level.REQUIRED,
        "Another pool has this pool's name, too.",
        "Rename or delete one of them, by its id.",
    ),
    "void-name": Kind(
        Level.INFO,
        "A name leads to no pool: a create, rename or delete was broken off. It can be taken by"
        " any pool.",
        "Nothing, or run doctor --repair: it is released.",
    ),
    "no-entry": Kind(Level.REQUIRED, "A proxy cannot be found by its id.", _REPAIR),
    "two-pools": Kind(
        Level.REQUIRED,
        "A proxy is in two pools, and found by its id in the other.",
        "Delete it by its id, then run doctor --repair: it is found in this one.",
    ),
    "void-entry": Kind(
        Level.INFO,
        "A proxy's entry leads to no proxy: a save or delete was broken off. It does no harm.",
        "Nothing, or run doctor --repair: it is released.",
    ),
    "wrong-consumer": Kind(
        Level.REQUIRED,
        "A consumer's id cannot be read: it cannot lease.",
        "Remove the field with HDEL: it is registered anew when it leases.",
    ),
    # -- keys
    "left-of-a-pool": Kind(
        Level.ADVISED,
        "A key of a pool that does not exist.",
        "Run doctor --repair: it is removed.",
    ),
    "strange-key": Kind(
        Level.ADVISED, "A key under the prefix that the library does not know.", _INTACT
    ),
}
"""Kind -> how bad, what is wrong, what to do."""
