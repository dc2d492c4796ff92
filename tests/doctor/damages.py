"""Every way to damage the raw keys that the doctor must see: what is done, what is told, and what
a person does where a repair is not enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pharox.models import ProxyPool

from pharox_redis.keys import pool_tag
from tests.doctor.world import World

Plant = Callable[[World], object]
ELSEWHERE = "0123abcd-0000-4000-8000-00000000dead"


class Damage(NamedTuple):
    """What is planted, the kind it must be told as, and what must be done besides a repair: before
    it, or after."""

    plant: Plant
    kind: str
    remedy: Plant | None = None


def _second_number(w: World) -> None:
    first = w.client.zscore(w.at("proxies"), str(w.free.id))
    w.client.zadd(w.at("proxies"), {str(w.wide.id): first})
    w.client.hset(w.proxy(w.wide), "seq", int(first))


def _lose_pool(w: World) -> None:
    w.client.delete(w.key)


def _revive_pool(w: World) -> None:
    w.storage.save_pool(w.pool)


def _orphan(w: World) -> None:
    w.client.sadd(w.key.replace(w.tag, pool_tag(ProxyPool(name="x").id)) + ":idle", "x")


def _lease_of_no_proxy(w: World) -> None:
    w.client.delete(w.proxy(w.wide), w.at("doc", str(w.wide.id)))
    w.client.zrem(w.at("proxies"), str(w.wide.id))


def _in_two_pools(w: World) -> None:
    other = w.storage.ensure_pool("other")
    key = w.keys.pool(other.id)
    for name in ("proxy", "doc"):
        copied = w.client.dump(w.at(name, str(w.free.id)))
        w.client.restore(f"{key}:{name}:{w.free.id}", 0, copied)
    w.client.hset(f"{key}:proxy:{w.free.id}", mapping={"seq": 1, "views": "f0"})
    w.client.hset(key, "seq", 1)
    w.client.zadd(f"{key}:proxies", {str(w.free.id): 1})
    w.client.zadd(f"{key}:view:f0", {str(w.free.id): 1})


def _name_taken(w: World) -> None:
    other = w.storage.ensure_pool("other")
    w.client.hset(w.keys.pool(other.id), "name", "pool")
    w.client.hdel(w.keys.pools(), "other")


def _name_given_back(w: World) -> None:
    other = next(
        key
        for key in w.client.scan_iter(match=f"{w.keys.root}:{{*}}")
        if key.decode() != w.key and w.client.hget(key, "name") == b"pool"
    )
    w.client.hset(other, "name", "other")


def _claim_part(*missing: str) -> Plant:
    def plant(w: World) -> None:
        holder, id = w.claim(), str(w.claimed.id)
        if "held" in missing:
            w.client.zrem(w.held(w.claimed), holder)
        if "expiry" in missing:
            w.client.zrem(w.at("expiry"), f"{holder}:{id}")
        if "claims" in missing:
            w.client.zrem(w.at("claims"), f"p{id}:{holder[1:]}")
        if "mark" in missing:
            w.client.hdel(w.proxy(w.claimed), "claim")

    return plant


def _view_key(w: World, selector: str = "f", filtered: bool = True) -> str:
    return w.at("view", w.view(selector, filtered))


DAMAGES: dict[str, Damage] = {
    # -- the pool's own key and registry
    "pool lost": Damage(_lose_pool, "pool-lost", _revive_pool),
    "pool document lost": Damage(
        lambda w: w.client.hdel(w.key, "doc"), "pool-document-lost", _revive_pool
    ),
    "pool document unreadable": Damage(
        lambda w: w.client.hset(w.key, "doc", "{"), "pool-document-lost", _revive_pool
    ),
    "two states": Damage(lambda w: w.client.hset(w.key, "deleting", "pool"), "two-states"),
    "seq behind": Damage(lambda w: w.client.hset(w.key, "seq", 2), "wrong-counter"),
    "seq lost": Damage(lambda w: w.client.hdel(w.key, "seq"), "wrong-counter"),
    "seq unreadable": Damage(lambda w: w.client.hset(w.key, "seq", "x"), "wrong-counter"),
    "rr unreadable": Damage(lambda w: w.client.hset(w.key, "rr", "x"), "wrong-counter"),
    **{
        f"{name} unreadable": Damage(
            lambda w, n=name: w.client.hset(w.key, n, "1.5"), "wrong-counter"
        )
        for name in ("got", "miss", "swept")
    },
    "rr lost": Damage(lambda w: w.client.hdel(w.key, "rr"), "wrong-round"),
    "the pool expires": Damage(lambda w: w.client.pexpire(w.key, 900_000), "has-an-end"),
    "the list expires": Damage(lambda w: w.client.pexpire(w.at("proxies"), 900_000), "has-an-end"),
    "a view expires": Damage(lambda w: w.client.pexpire(_view_key(w), 900_000), "has-an-end"),
    "state lost": Damage(lambda w: w.client.hdel(w.key, w.state(w.view())), "wrong-view"),
    "state lost, unfiltered": Damage(
        lambda w: w.client.hdel(w.key, w.state(w.view("u", False))), "wrong-view"
    ),
    "state unreadable": Damage(
        lambda w: w.client.hset(w.key, w.state(w.view("u")), "junk"), "wrong-view"
    ),
    "state of no view": Damage(lambda w: w.client.hset(w.key, "v:f:nothing", "f9 *"), "wrong-view"),
    "program unreadable": Damage(
        lambda w: w.client.hset(
            w.at("views"), w.view(), w.state(w.view()).split(":", 2)[2] + " [broken"
        ),
        "wrong-view",
    ),
    "registry entry lost": Damage(lambda w: w.client.hdel(w.at("views"), w.view()), "wrong-view"),
    "f0's entry lost": Damage(lambda w: w.client.hdel(w.at("views"), "f0"), "wrong-view"),
    "registry lost": Damage(lambda w: w.client.delete(w.at("views")), "wrong-view"),
    "registry of another type": Damage(
        lambda w: w.client.delete(w.at("views")) and w.client.set(w.at("views"), "x"), "wrong-type"
    ),
    "a view's name of no form": Damage(
        lambda w: w.client.hset(w.at("views"), "x1", "digest []"), "wrong-view"
    ),
    "view lost": Damage(lambda w: w.client.delete(_view_key(w)), "view-lost"),
    "f0 lost": Damage(lambda w: w.client.delete(w.at("view", "f0")), "view-lost"),
    "sentinel lost": Damage(lambda w: w.client.zrem(_view_key(w), "~"), "view-lost"),
    "sentinel moved": Damage(lambda w: w.client.zadd(_view_key(w), {"~": 1}), "view-lost"),
    "view of another type": Damage(
        lambda w: w.client.delete(_view_key(w)) and w.client.set(_view_key(w), "x"), "wrong-type"
    ),
    "view of no registry": Damage(
        lambda w: w.client.zadd(w.at("view", "l77"), {"~": "inf"}), "strange-view"
    ),
    "used lost": Damage(lambda w: w.client.delete(w.at("used")), "wrong-used"),
    "used names no view": Damage(lambda w: w.client.zadd(w.at("used"), {"f99": 1}), "wrong-used"),
    "used names f0": Damage(lambda w: w.client.zadd(w.at("used"), {"f0": 1}), "wrong-used"),
    # -- sets
    "extra lost": Damage(lambda w: w.client.delete(w.at("extra")), "wrong-extra"),
    "extra too many": Damage(
        lambda w: w.client.sadd(w.at("extra"), f"{w.free.id}:2"), "wrong-extra"
    ),
    "extra of no form": Damage(lambda w: w.client.sadd(w.at("extra"), "x:01"), "wrong-extra"),
    "extra of no proxy": Damage(
        lambda w: w.client.sadd(w.at("extra"), f"{ELSEWHERE}:2"), "wrong-extra"
    ),
    "idle lost": Damage(lambda w: w.client.delete(w.at("idle")), "wrong-idle"),
    "idle too many": Damage(lambda w: w.client.sadd(w.at("idle"), str(w.free.id)), "wrong-idle"),
    "idle of no proxy": Damage(lambda w: w.client.sadd(w.at("idle"), ELSEWHERE), "left-of-a-proxy"),
    "idle of another type": Damage(
        lambda w: w.client.delete(w.at("idle")) and w.client.set(w.at("idle"), "x"), "wrong-type"
    ),
    "reserved lost": Damage(lambda w: w.client.delete(w.at("reserved")), "wrong-reserved"),
    "reserved too many": Damage(
        lambda w: w.client.sadd(w.at("reserved"), str(w.free.id)), "wrong-reserved"
    ),
    "reserved of no proxy": Damage(
        lambda w: w.client.sadd(w.at("reserved"), ELSEWHERE), "left-of-a-proxy"
    ),
    "retired though active": Damage(
        lambda w: w.client.sadd(w.at("retired"), str(w.free.id)), "wrong-retired"
    ),
    "retired of no proxy": Damage(
        lambda w: w.client.sadd(w.at("retired"), ELSEWHERE), "left-of-a-proxy"
    ),
    "gone marks a live proxy": Damage(
        lambda w: w.client.sadd(w.at("gone"), str(w.free.id)), "wrong-gone"
    ),
    "gone of no proxy": Damage(lambda w: w.client.sadd(w.at("gone"), ELSEWHERE), "left-of-a-proxy"),
    "hidden but listed": Damage(
        lambda w: w.client.hset(w.proxy(w.banned), "gone", "1"), "wrong-gone"
    ),
    # -- proxies
    "not listed": Damage(lambda w: w.client.zrem(w.at("proxies"), str(w.free.id)), "not-listed"),
    "listed and nothing else": Damage(
        lambda w: w.client.zadd(w.at("proxies"), {ELSEWHERE: 77}), "left-of-a-proxy"
    ),
    "list lost": Damage(lambda w: w.client.delete(w.at("proxies")), "not-listed"),
    "listed by another number": Damage(
        lambda w: w.client.zadd(w.at("proxies"), {str(w.free.id): 40}), "wrong-number"
    ),
    "number lost": Damage(lambda w: w.client.hdel(w.proxy(w.free), "seq"), "wrong-number"),
    "number unreadable": Damage(
        lambda w: w.client.hset(w.proxy(w.free), "seq", "x"), "wrong-number"
    ),
    "number infinite": Damage(
        lambda w: w.client.zadd(w.at("proxies"), {str(w.free.id): "inf"}), "wrong-number"
    ),
    "number twice": Damage(_second_number, "wrong-number"),
    "revision lost": Damage(lambda w: w.client.hdel(w.proxy(w.free), "rev"), "wrong-revision"),
    "revision unreadable": Damage(
        lambda w: w.client.hset(w.proxy(w.free), "rev", "x"), "wrong-revision"
    ),
    "round unreadable": Damage(lambda w: w.client.hset(w.proxy(w.free), "rr", "x"), "wrong-round"),
    "latency unreadable": Damage(
        lambda w: w.client.hset(w.proxy(w.free), "ms", "x"), "wrong-latency"
    ),
    "hash lost": Damage(
        lambda w: w.client.delete(w.proxy(w.leased)),
        "proxy-lost",
        lambda w: w.storage.save_proxy(w.leased),
    ),
    "hash lost, then deleted": Damage(
        lambda w: w.client.delete(w.proxy(w.free)),
        "proxy-lost",
        lambda w: w.storage.delete_proxy(w.free.id),
    ),
    "status lost": Damage(
        lambda w: w.client.hdel(w.proxy(w.leased), "st"),
        "proxy-lost",
        lambda w: w.storage.save_proxy(w.leased),
    ),
    "status unknown": Damage(
        lambda w: w.client.hset(w.proxy(w.free), "st", "great"),
        "proxy-unreadable",
        lambda w: w.storage.save_proxy(w.free),
    ),
    "limit unreadable": Damage(
        lambda w: w.client.hset(w.proxy(w.free), "max", "x"),
        "proxy-unreadable",
        lambda w: w.storage.save_proxy(w.free),
    ),
    "last check lost": Damage(
        lambda w: w.client.hdel(w.proxy(w.free), "chk"),
        "proxy-unreadable",
        lambda w: w.storage.save_proxy(w.free),
    ),
    "document lost": Damage(
        lambda w: w.client.delete(w.at("doc", str(w.free.id))),
        "document-lost",
        lambda w: w.storage.save_proxy(w.free),
    ),
    "document unreadable": Damage(
        lambda w: w.client.set(w.at("doc", str(w.free.id)), "{"),
        "proxy-unreadable",
        lambda w: w.storage.save_proxy(w.free),
    ),
    "hash of another type": Damage(
        lambda w: w.client.delete(w.proxy(w.free)) and w.client.set(w.proxy(w.free), "x"),
        "wrong-type",
        lambda w: w.client.delete(w.proxy(w.free)) and w.storage.save_proxy(w.free),
    ),
    "holds of another type": Damage(
        lambda w: w.client.delete(w.held(w.leased)) and w.client.set(w.held(w.leased), "x"),
        "wrong-type",
        lambda w: w.client.delete(w.held(w.leased)),
    ),
    "health of another type": Damage(
        lambda w: w.client.set(w.at("health", str(w.wide.id)), "x"),
        "wrong-type",
        lambda w: w.client.delete(w.at("health", str(w.wide.id))),
    ),
    "the proxies' list of another type": Damage(
        lambda w: w.client.delete(w.at("proxies")) and w.client.set(w.at("proxies"), "x"),
        "not-checked",
        lambda w: w.client.delete(w.at("proxies")),
    ),
    "a proxy expires": Damage(lambda w: w.client.pexpire(w.proxy(w.free), 900_000), "has-an-end"),
    "a document expires": Damage(
        lambda w: w.client.pexpire(w.at("doc", str(w.free.id)), 900_000), "has-an-end"
    ),
    "holds expire": Damage(lambda w: w.client.pexpire(w.held(w.leased), 900_000), "has-an-end"),
    "health expires": Damage(
        lambda w: w.client.pexpire(w.at("health", str(w.free.id)), 900_000), "has-an-end"
    ),
    "document of no proxy": Damage(
        lambda w: w.client.set(w.at("doc", ELSEWHERE), "{}"), "left-of-a-proxy"
    ),
    "health of no proxy": Damage(
        lambda w: w.client.lpush(w.at("health", ELSEWHERE), "x"), "left-of-a-proxy"
    ),
    "holds of no proxy": Damage(
        lambda w: w.client.zadd(w.at("held", ELSEWHERE), {"8000-8000-000000000000": 1}),
        "left-of-a-proxy",
    ),
    "a stray field": Damage(
        lambda w: w.client.hset(w.at("proxy", ELSEWHERE), "co", "DE"), "left-of-a-proxy"
    ),
    # -- views
    "not in f0": Damage(lambda w: w.client.zrem(w.at("view", "f0"), str(w.free.id)), "not-in-view"),
    "not in a view": Damage(lambda w: w.client.zrem(_view_key(w), str(w.free.id)), "not-in-view"),
    "strange in a view": Damage(
        lambda w: w.client.zadd(_view_key(w), {str(w.claimed.id): 1}), "strange-in-view"
    ),
    "no proxy in a view": Damage(
        lambda w: w.client.zadd(_view_key(w), {ELSEWHERE: 1}), "left-of-a-proxy"
    ),
    "parked though free": Damage(
        lambda w: w.client.zadd(w.at("view", "f0"), {str(w.free.id): "inf"}), "wrong-rank"
    ),
    "free though parked": Damage(
        lambda w: w.client.zadd(w.at("view", "f0"), {str(w.banned.id): 1}), "wrong-rank"
    ),
    **{
        f"wrong rank in {selector}": Damage(
            lambda w, s=selector: w.client.zadd(_view_key(w, s), {str(w.wide.id): 3.5}),
            "wrong-rank",
        )
        for selector in "furl"
    },
    "does not know its views": Damage(
        lambda w: w.client.hdel(w.proxy(w.free), "views"), "unknown-view"
    ),
    # -- leases
    "hold lost": Damage(lambda w: w.client.zrem(w.held(w.leased), w.tail()), "wrong-hold"),
    "all holds lost": Damage(lambda w: w.client.delete(w.held(w.wide)), "wrong-hold"),
    "not in expiry": Damage(lambda w: w.client.zrem(w.at("expiry"), w.member()), "wrong-hold"),
    "expiry lost": Damage(lambda w: w.client.delete(w.at("expiry")), "wrong-hold"),
    "held by nothing": Damage(
        lambda w: (
            w.client.zrem(w.at("expiry"), w.member()),
            w.client.zrem(w.held(w.leased), w.tail()),
        ),
        "wrong-hold",
    ),
    "held for ever": Damage(
        lambda w: w.client.zadd(w.held(w.leased), {w.tail(): "inf"}), "wrong-hold"
    ),
    "due at another time": Damage(
        lambda w: w.client.zincrby(w.at("expiry"), 5000, w.member()), "wrong-hold"
    ),
    "never due": Damage(lambda w: w.client.zadd(w.at("expiry"), {w.member(): "inf"}), "wrong-hold"),
    "hold without expiry or record": Damage(
        lambda w: w.client.zadd(w.held(w.free), {"8000-8000-000000000000": 5}), "dead-hold"
    ),
    "hold without an end": Damage(
        lambda w: w.client.zadd(w.held(w.free), {"8000-8000-000000000000": "inf"}), "dead-hold"
    ),
    "expiry of nothing": Damage(
        lambda w: w.client.zadd(w.at("expiry"), {f"8000-8000-000000000000:{w.free.id}": 5}),
        "dead-hold",
    ),
    "expiry of no proxy": Damage(
        lambda w: w.client.zadd(w.at("expiry"), {f"8000-8000-000000000000:{ELSEWHERE}": 5}),
        "dead-hold",
    ),
    "held though released": Damage(
        lambda w: w.set_record(0, released=str(int(w.leases[0].acquired_at.timestamp() * 1000))),
        "dead-hold",
    ),
    "held though void": Damage(
        lambda w: w.client.set(w.record(), "void", keepttl=True), "dead-hold"
    ),
    "held on another proxy": Damage(
        lambda w: (
            w.client.zadd(w.held(w.free), {w.tail(): w.client.zscore(w.held(w.leased), w.tail())}),
            w.client.zadd(w.at("expiry"), {f"{w.tail()}:{w.free.id}": 9e12}),
        ),
        "dead-hold",
    ),
    "over, and due later": Damage(
        lambda w: w.set_record(
            0, acquired="1000", expires=str(int(w.leases[0].acquired_at.timestamp() * 1000))
        ),
        "dead-hold",
    ),
    "record lost": Damage(
        lambda w: w.client.delete(w.record()),
        "record-lost",
        lambda w: w.storage.release_lease(w.leases[0]),
    ),
    "record lost, held only": Damage(
        lambda w: (w.client.delete(w.record()), w.client.zrem(w.at("expiry"), w.member())),
        "wrong-hold",
        lambda w: w.storage.release_lease(w.leases[0]),
    ),
    "record lost, due only": Damage(
        lambda w: (w.client.delete(w.record()), w.client.zrem(w.held(w.leased), w.tail())),
        "wrong-hold",
        lambda w: w.storage.release_lease(w.leases[0]),
    ),
    "record unreadable": Damage(
        lambda w: w.client.set(w.record(), "junk", keepttl=True),
        "record-unreadable",
        lambda w: (w.client.delete(w.record()), w.storage.release_lease(w.leases[0])),
    ),
    "record of another type": Damage(
        lambda w: w.client.delete(w.record()) and w.client.lpush(w.record(), "x"),
        "record-unreadable",
        lambda w: (w.client.delete(w.record()), w.storage.release_lease(w.leases[0])),
    ),
    "record for ever": Damage(lambda w: w.client.persist(w.record()), "record-end"),
    "record ends early": Damage(lambda w: w.client.pexpire(w.record(), 60_000), "record-end"),
    "void for ever": Damage(
        lambda w: w.client.set(w.at("lease", "8000-8000-000000000000"), "void"), "record-end"
    ),
    "note for ever": Damage(
        lambda w: w.client.persist(next(w.client.scan_iter(match=w.at("once", "*")))), "note-end"
    ),
    "not in the index": Damage(lambda w: w.client.zrem(w.index(), w.tail()), "wrong-index"),
    "index lost": Damage(lambda w: w.client.delete(w.index()), "wrong-index"),
    "index ends early": Damage(lambda w: w.client.pexpire(w.index(), 60_000), "wrong-index"),
    "index for ever": Damage(lambda w: w.client.persist(w.index()), "index-end"),
    "index of another type": Damage(
        lambda w: w.client.delete(w.index()) and w.client.set(w.index(), "x"), "wrong-type"
    ),
    "void in an index": Damage(
        lambda w: (
            w.client.set(w.at("lease", "8000-8000-000000000000"), "void", px=900_000),
            w.client.zadd(w.index(), {"8000-8000-000000000000": 9e12}),
        ),
        "wrong-index",
    ),
    "in another's index": Damage(
        lambda w: (
            w.client.zadd(w.at("leases", ELSEWHERE), {w.tail(): 9e12}),
            w.client.pexpire(w.at("leases", ELSEWHERE), 900_000),
        ),
        "wrong-index",
    ),
    "lease of no proxy": Damage(_lease_of_no_proxy, "left-of-a-proxy"),
    "strange in expiry": Damage(
        lambda w: w.client.zadd(w.at("expiry"), {"nothing": 5}), "strange-member"
    ),
    "claim not held": Damage(_claim_part("held"), "wrong-claim"),
    "claim not due": Damage(_claim_part("expiry"), "wrong-claim"),
    "claim not noted": Damage(_claim_part("claims"), "wrong-claim"),
    "claim only noted": Damage(_claim_part("held", "expiry"), "wrong-claim"),
    "claim only held": Damage(_claim_part("claims", "expiry"), "wrong-claim"),
    "claim not shown": Damage(_claim_part("mark"), "hidden-claim"),
    "claim with a score": Damage(
        lambda w: w.client.zadd(w.at("claims"), {f"p{w.claimed.id}:{w.claim()[1:]}": 7}),
        "wrong-claim",
    ),
    "claims of another type": Damage(
        lambda w: w.client.delete(w.at("claims")) and w.client.set(w.at("claims"), "x"),
        "wrong-type",
    ),
    "strange in claims": Damage(
        lambda w: w.client.zadd(w.at("claims"), {"x": 0}), "strange-member"
    ),
    # -- directories and other keys
    "no directory entry": Damage(
        lambda w: w.client.hdel(w.keys.directory(str(w.free.id)), str(w.free.id)), "no-entry"
    ),
    "a directory entry of no pool": Damage(
        lambda w: w.client.hset(
            w.keys.directory(str(w.free.id)),
            str(w.free.id),
            pool_tag(ProxyPool(name="x").id) + ".abcd",
        ),
        "no-entry",
    ),
    "a directory entry of no form": Damage(
        lambda w: w.client.hset(w.keys.directory(str(w.free.id)), str(w.free.id), "x"), "no-entry"
    ),
    "in two pools": Damage(
        _in_two_pools,
        "two-pools",
        # By its id it is found in the other one.
        lambda w: w.storage.delete_proxy(w.free.id),
    ),
    "no name": Damage(lambda w: w.client.hdel(w.keys.pools(), "pool"), "no-name"),
    "a name of no form": Damage(lambda w: w.client.hset(w.keys.pools(), "pool", "x"), "no-name"),
    "a name of no pool": Damage(
        lambda w: w.client.hset(w.keys.pools(), "pool", pool_tag(ProxyPool(name="x").id) + ".abcd"),
        "no-name",
    ),
    "a name taken": Damage(_name_taken, "name-taken", _name_given_back),
    "consumer unreadable": Damage(
        lambda w: w.client.hset(w.keys.consumers(), "consumer", "x"),
        "wrong-consumer",
        lambda w: w.client.hdel(w.keys.consumers(), "consumer"),
    ),
    "an orphan": Damage(_orphan, "left-of-a-pool"),
    "a strange key": Damage(
        lambda w: w.client.set(w.at("nothing"), "x"),
        "strange-key",
        lambda w: w.client.delete(w.at("nothing")),
    ),
    "a strange key of no pool": Damage(
        lambda w: w.client.set(f"{w.keys.root}:x", "x"),
        "strange-key",
        lambda w: w.client.delete(f"{w.keys.root}:x"),
    ),
}
