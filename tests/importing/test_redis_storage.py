"""Imports into the storage this package is about: what is read back is what was listed."""

import io
from pathlib import Path

from pharox.models import ProxyStatus

from pharox_redis import RedisStorage
from pharox_redis.importing import FieldMap, ImportSummary, Outcome, Terms, import_list, open_list

DATA = Path(__file__).parents[1] / "data"
MAPPED = [
    "country=geo.country.iso",
    "city=geo.city.names.en",
    "latitude=geo.at.0",
    "longitude=geo.at.1",
    "asn=asn.number",
]


def run(storage: RedisStorage, content: bytes, terms: Terms | None = None) -> ImportSummary:
    listed = open_list(io.BytesIO(content), fields=FieldMap.parse(MAPPED))
    return import_list(storage, "pool", listed.entries, terms or Terms())


def test_a_second_import_changes_nothing(storage: RedisStorage) -> None:
    content = (DATA / "proxies.json").read_bytes()
    first = run(storage, content)
    assert (first.counts[Outcome.NEW], first.written) == (6, 6)
    pool = storage.get_pool_by_name("pool")
    assert pool is not None
    before = storage.list_proxies(str(pool.id))
    again = run(storage, content)
    assert (again.counts, again.written) == ({Outcome.UNCHANGED: 6}, 0)
    assert storage.list_proxies(str(pool.id)) == before
    (alice,) = (
        proxy for proxy in before if proxy.credentials and proxy.credentials.user == "alice"
    )
    assert alice.credentials is not None
    assert alice.credentials.password == "wonder:land"
    assert (alice.country, alice.latitude, alice.asn) == ("FR", 48.9, 64497)


def test_an_update_keeps_leases_and_live_state(storage: RedisStorage) -> None:
    run(storage, b'[{"ip": "192.0.2.1", "port": 80}]', Terms(max_concurrency=3))
    lease = storage.acquire_lease("pool", "worker", 60)
    assert lease is not None
    proxy = storage.get_proxy(str(lease.proxy_id))
    storage.save_proxy(proxy.model_copy(update={"status": ProxyStatus.SLOW}))
    summary = run(storage, b'[{"ip": "192.0.2.1", "port": 80, "isp": "Example"}]')
    assert summary.changed == [("http://192.0.2.1:80", ("isp",))]
    got = storage.get_proxy(str(lease.proxy_id))
    assert (got.isp, got.status, got.max_concurrency) == ("Example", ProxyStatus.SLOW, 3)
    assert got.current_leases == 1


def test_imported_proxies_can_be_leased(storage: RedisStorage) -> None:
    run(storage, b"192.0.2.1:80\n192.0.2.2:80\n")
    leases = [storage.acquire_lease("pool", "worker", 60) for _ in range(3)]
    assert [lease is None for lease in leases] == [False, False, True]
