"""Every key of the schema, one small function each.

Two kinds of keys exist. *Directory* keys (pool names, consumer names, which pool a proxy is in)
have no hash tag; they are hints, the pool's own key decides. Everything that belongs to a pool
carries the pool's tag, a 22-character form of its id, so that on a Cluster a pool is one slot and
many pools spread. User text never enters a key. The Lua scripts get the pool's key as their only
key and build the others by appending the same literal suffixes (a test holds the two against each
other).

The schema version is part of every key: a later layout can live beside this one.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from uuid import UUID

SCHEMA_VERSION = 1


def pool_tag(pool_id: UUID) -> str:
    """The short form of a pool id that stands in its keys: 22 characters of URL-safe base64."""
    return base64.urlsafe_b64encode(pool_id.bytes)[:22].decode("ascii")


def pool_of_tag(tag: str) -> UUID:
    """The pool id of a directory entry: a tag, perhaps with a number behind a point that tells one
    claim from the next. ``ValueError`` if it is none."""
    return UUID(bytes=base64.urlsafe_b64decode(tag.partition(".")[0] + "=="))


@lru_cache(maxsize=10_000)
def lease_prefix(pool_id: UUID) -> str:
    """The first 13 characters of every lease id of a pool: 48 bits of a hash of its id, as text."""
    digest = hashlib.sha256(pool_id.bytes).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}"


def lease_tail(lease_id: str) -> str:
    """What follows the pool's prefix in a lease's id: by this a pool's keys and scripts know it."""
    return lease_id[14:]


class Keys:
    """The keys below one prefix. All methods return ``str`` and cost no I/O."""

    __slots__ = ("root",)

    def __init__(self, prefix: str) -> None:
        self.root = f"{prefix}:{SCHEMA_VERSION}"

    # -- directories ---------------------------------------------------------------------------

    def pools(self) -> str:
        """hash: pool name -> pool tag. No TTL."""
        return f"{self.root}:pools"

    def consumers(self) -> str:
        """hash: consumer name -> consumer id, immutable once set. No TTL."""
        return f"{self.root}:consumers"

    def directory(self, proxy_id: str) -> str:
        """hash: proxy id -> pool tag[.number]; 1024 of them, by the id's last bits. No TTL.

        So many stay compact up to some 130,000 proxies, and cost little where there are few.
        """
        try:
            bucket = int(proxy_id[-3:], 16) & 1023
        except ValueError:
            bucket = 0  # no proxy has such an id
        return f"{self.root}:proxies:{bucket:03x}"

    # -- one pool ------------------------------------------------------------------------------

    def pool(self, pool_id: UUID) -> str:
        """hash: the pool's model, its running numbers, the filling states of its views. No TTL."""
        return f"{self.root}:{{{pool_tag(pool_id)}}}"

    def proxies(self, pool_id: UUID) -> str:
        """zset: proxy ids by insertion number. No TTL."""
        return f"{self.pool(pool_id)}:proxies"

    def proxy(self, pool_id: UUID, proxy_id: str) -> str:
        """hash: a proxy's indexed and live fields, each short. No TTL."""
        return f"{self.pool(pool_id)}:proxy:{proxy_id}"

    def doc(self, pool_id: UUID, proxy_id: str) -> str:
        """string: the rest of a proxy's model, JSON. No TTL."""
        return f"{self.pool(pool_id)}:doc:{proxy_id}"

    def held(self, pool_id: UUID, proxy_id: str) -> str:
        """zset: a proxy's leases and claims by expiry in ms; its size is the load. No TTL."""
        return f"{self.pool(pool_id)}:held:{proxy_id}"

    def health(self, pool_id: UUID, proxy_id: str) -> str:
        """list: a proxy's health records, newest first, bounded. No TTL."""
        return f"{self.pool(pool_id)}:health:{proxy_id}"

    def view(self, pool_id: UUID, name: str) -> str:
        """zset: proxy ids by rank, parked ones and a sentinel ``~`` at +inf. No TTL."""
        return f"{self.pool(pool_id)}:view:{name}"

    def views(self, pool_id: UUID) -> str:
        """hash: view name -> digest and program of its filter. No TTL."""
        return f"{self.pool(pool_id)}:views"

    def used(self, pool_id: UUID) -> str:
        """zset: filtered views by their last noted use in ms. No TTL."""
        return f"{self.pool(pool_id)}:used"

    def lease(self, pool_id: UUID, tail: str) -> str:
        """string: a lease's record, by its id's tail. TTL: until the end of its retention."""
        return f"{self.pool(pool_id)}:lease:{tail}"

    def expiry(self, pool_id: UUID) -> str:
        """zset: ``holder:proxy id`` of live leases and claims by expiry in ms. No TTL."""
        return f"{self.pool(pool_id)}:expiry"

    def leases(self, pool_id: UUID, consumer_id: str) -> str:
        """zset: the tails of a consumer's lease ids by the end of retention in ms. TTL: until the
        last one's end, and up to an eighth of its span longer."""
        return f"{self.pool(pool_id)}:leases:{consumer_id}"

    def claims(self, pool_id: UUID) -> str:
        """zset, scores 0: each claim as ``p<proxy>:<token>`` and ``t<token>:<proxy>``. No TTL."""
        return f"{self.pool(pool_id)}:claims"

    def extra(self, pool_id: UUID) -> str:
        """set: ``proxy id:n`` for a proxy's n-th lease, from its second on. No TTL."""
        return f"{self.pool(pool_id)}:extra"

    def idle(self, pool_id: UUID) -> str:
        """set: proxies whose status is not active. No TTL."""
        return f"{self.pool(pool_id)}:idle"

    def reserved(self, pool_id: UUID) -> str:
        """set: proxies that would be free but for claims. No TTL."""
        return f"{self.pool(pool_id)}:reserved"

    def fence(self, pool_id: UUID, mark: str) -> str:
        """string: the pool must not come to have the name of this mark. TTL: an hour."""
        return f"{self.pool(pool_id)}:fence:{mark}"

    def retired(self, pool_id: UUID) -> str:
        """set: proxies to be deleted when nobody holds them any more. No TTL."""
        return f"{self.pool(pool_id)}:retired"

    def once(self, pool_id: UUID, tail: str) -> str:
        """string: the request that a lease was granted to, by its id's tail. TTL: the caller's."""
        return f"{self.pool(pool_id)}:once:{tail}"

    def gone(self, pool_id: UUID) -> str:
        """set: proxies whose delete is under way. No TTL."""
        return f"{self.pool(pool_id)}:gone"
