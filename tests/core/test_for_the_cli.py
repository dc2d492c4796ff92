"""What commands ask of a storage beyond the rest: a consumer's id, and how far a delete is."""

from __future__ import annotations

import pytest
from pharox.exceptions import PoolNotFoundError
from pharox.models import Consumer

from tests.conftest import StorageFactory
from tests.support.blocking import AnyStorage
from tests.support.builders import make_proxies
from tests.support.flavours import Trips


def test_a_consumer_is_found_and_none_is_made(
    storage: AnyStorage, make_storage: StorageFactory
) -> None:
    assert storage.find_consumer("one") is None
    consumer = Consumer(name="one")
    make_storage().add_consumer(consumer)
    assert storage.find_consumer("one") == consumer.id == storage.ensure_consumer("one")
    trips = Trips(storage)
    assert storage.find_consumer("one") == consumer.id
    assert trips.take() == []
    assert make_storage().find_consumer("two") is None


@pytest.mark.parametrize("count", [0, 1, 450])
def test_a_delete_tells_how_far_it_is(storage: AnyStorage, count: int) -> None:
    pool = storage.ensure_pool("a")
    storage.add_proxies_bulk(make_proxies(pool, count))
    told: list[int] = []
    storage.delete_pool(pool.id, on_progress=told.append)
    assert told == sorted(told) and (told[0], told[-1]) == (0, count)
    assert len(set(told)) >= count // 200 + (count > 0)
    with pytest.raises(PoolNotFoundError):
        storage.delete_pool(pool.id, on_progress=told.append)
