"""Carrying imports out on a storage: batches, counts, and that a second import changes nothing."""

import io
from collections.abc import Iterator, Sequence
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pharox.exceptions import PharoxError
from pharox.models import Proxy, ProxyPool, ProxyProtocol, ProxyStatus
from pharox.storage.in_memory import InMemoryStorage

from pharox_redis.importing import (
    ImportSummary,
    Issue,
    Outcome,
    Record,
    Terms,
    import_list,
    open_list,
)
from pharox_redis.importing.records import Parsed
from pharox_redis.models import ProxyPage, ProxyState

HTTP = ProxyProtocol.HTTP
PAGE = 200


class RecordingStorage(InMemoryStorage):
    """pharox's own storage, with what imports need beyond it, and a note of each bulk write."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[Proxy]] = []
        self.retired: set[UUID] = set()

    def get_pool_by_name(self, name: str) -> ProxyPool | None:
        return next((pool for pool in self.list_pools() if pool.name == name), None)

    def ensure_pool(self, name: str) -> ProxyPool:
        pool = self.get_pool_by_name(name)
        if pool is None:
            pool = ProxyPool(name=name)
            self.add_pool(pool)
        return pool

    def page_proxies(self, pool_id: UUID | str, *, after: str = "") -> ProxyPage:
        start = int(after or 0)
        rest = self.list_proxies(str(pool_id))[start:]
        page = [ProxyState(proxy, None, proxy.id in self.retired) for proxy in rest[:PAGE]]
        return ProxyPage(page, str(start + PAGE) if len(rest) > PAGE else "")

    def add_proxies_bulk(self, proxies: Sequence[Proxy]) -> int:
        self.batches.append(list(proxies))
        self.retired -= {proxy.id for proxy in proxies}
        return super().add_proxies_bulk(proxies)

    def proxies(self, pool_name: str = "pool") -> list[Proxy]:
        pool = self.get_pool_by_name(pool_name)
        return [] if pool is None else InMemoryStorage.list_proxies(self, str(pool.id))


@pytest.fixture
def storage() -> RecordingStorage:
    return RecordingStorage()


def many(count: int) -> list[Parsed]:
    return [Record(HTTP, f"10.0.{n >> 8}.{n & 255}", 80) for n in range(count)]


def counts(summary: ImportSummary) -> dict[str, int]:
    return {outcome.value: number for outcome, number in summary.counts.items()}


def test_proxies_are_written_500_at_a_time(storage: RecordingStorage) -> None:
    summary = import_list(storage, "pool", many(1201), Terms())
    assert [len(batch) for batch in storage.batches] == [500, 500, 201]
    assert (summary.written, counts(summary)) == (1201, {"new": 1201})
    assert summary.pool_is_new


def test_writing_begins_before_the_list_is_read_to_its_end(storage: RecordingStorage) -> None:
    written_by_then = []

    def entries() -> Iterator[Parsed]:
        yield from many(750)
        written_by_then.append(len(storage.proxies()))

    import_list(storage, "pool", entries(), Terms())
    assert written_by_then == [500]


def test_a_second_import_writes_nothing(storage: RecordingStorage) -> None:
    entries = [*many(600), Issue("line", 1, "no"), *many(3)]
    import_list(storage, "pool", entries, Terms())
    before = storage.proxies()
    storage.batches.clear()
    summary = import_list(storage, "pool", entries, Terms())
    assert storage.batches == []
    assert storage.proxies() == before
    assert counts(summary) == {"unchanged": 600, "unreadable": 1, "duplicate": 3}
    assert (summary.entries, summary.readable, summary.written) == (604, 603, 0)
    assert not summary.pool_is_new


def test_only_what_changed_is_written_and_live_state_stays(storage: RecordingStorage) -> None:
    import_list(storage, "pool", many(3), Terms())
    proxy = storage.proxies()[1]
    storage.save_proxy(
        proxy.model_copy(update={"status": ProxyStatus.BANNED, "max_concurrency": 5})
    )
    storage.batches.clear()
    changed = Record(HTTP, "10.0.0.1", 80, "DE-user", "x"), Record(HTTP, "10.0.0.1", 80, city="X")
    summary = import_list(storage, "pool", [*many(1), *changed], Terms())
    assert counts(summary) == {"unchanged": 1, "new": 1, "changed": 1}
    new, known = storage.batches[0]
    assert (known.id, known.status, known.max_concurrency) == (proxy.id, "banned", 5)
    assert (known.checked_at, known.city) == (proxy.checked_at, "X")
    assert new.credentials is not None
    assert summary.new == ["http://10.0.0.1:80 user 'DE-user'"]
    assert summary.changed == [("http://10.0.0.1:80", ("city",))]


@pytest.mark.parametrize(
    ("status", "terms", "now", "changes"),
    [
        ("inactive", Terms(), "active", ("retired", "status")),
        ("inactive", Terms(ProxyStatus.SLOW), "slow", ("retired", "status")),
        ("banned", Terms(), "banned", ("retired",)),
        ("banned", Terms(reset_status=True), "active", ("retired", "status")),
    ],
)
def test_a_retired_proxy_that_is_listed_stays(
    storage: RecordingStorage, status: str, terms: Terms, now: str, changes: tuple[str, ...]
) -> None:
    import_list(storage, "pool", many(2), Terms(ProxyStatus(status)))
    storage.retired = {storage.proxies()[0].id}
    summary = import_list(storage, "pool", many(1), terms)
    assert summary.changed == [("http://10.0.0.0:80", changes)]
    assert [proxy.status for proxy in storage.proxies()] == [now, status]
    assert storage.retired == set()
    assert counts(import_list(storage, "pool", many(1), Terms())) == {"unchanged": 1}


def test_pools_do_not_share_proxies(storage: RecordingStorage) -> None:
    import_list(storage, "pool", many(2), Terms())
    import_list(storage, "other", many(2), Terms())
    ids = [proxy.id for name in ("pool", "other") for proxy in storage.proxies(name)]
    assert len(set(ids)) == 4


def test_a_dry_run_counts_and_writes_nothing(storage: RecordingStorage) -> None:
    summary = import_list(storage, "pool", many(3), Terms(), dry_run=True)
    assert (counts(summary), summary.written, summary.pool_is_new) == ({"new": 3}, 0, True)
    assert storage.list_pools() == []
    import_list(storage, "pool", many(2), Terms())
    storage.batches.clear()
    summary = import_list(storage, "pool", many(3), Terms(), dry_run=True)
    assert counts(summary) == {"unchanged": 2, "new": 1}
    assert storage.batches == []
    assert len(storage.proxies()) == 2


@pytest.mark.parametrize("entries", [[], [Issue("line", n, "no") for n in range(30)]])
def test_a_list_with_nothing_readable_makes_no_pool(
    storage: RecordingStorage, entries: list[Parsed]
) -> None:
    summary = import_list(storage, "pool", entries, Terms())
    assert storage.list_pools() == []
    assert (summary.readable, summary.entries) == (0, len(entries))


def test_only_the_first_issues_are_direct(storage: RecordingStorage) -> None:
    entries = [Issue("line", n, "no") for n in range(1, 51)]
    summary = import_list(storage, "pool", [*entries[:10], *many(30), *entries[10:]], Terms())
    assert summary.issues == entries[:20]
    assert len(summary.new) == 20
    assert counts(summary) == {"unreadable": 50, "new": 30}


def test_progress_is_told_as_it_goes(storage: RecordingStorage) -> None:
    told: list[tuple[int, int]] = []
    import_list(
        storage,
        "pool",
        many(1200),
        Terms(),
        on_progress=lambda summary: told.append((summary.entries, summary.written)),
    )
    assert told == [(500, 500), (1000, 1000), (1200, 1200)]


def test_what_was_written_before_a_failure_is_counted_and_completed() -> None:
    class Failing(RecordingStorage):
        healthy = False

        def add_proxies_bulk(self, proxies: Sequence[Proxy]) -> int:
            if self.batches and not self.healthy:
                raise PharoxError("gone")
            return super().add_proxies_bulk(proxies)

    storage = Failing()
    summary = ImportSummary()
    with pytest.raises(PharoxError):
        import_list(storage, "pool", many(1200), Terms(), summary=summary)
    assert summary.written == len(storage.proxies()) == 500
    storage.healthy = True
    again = import_list(storage, "pool", many(1200), Terms())
    assert counts(again) == {"unchanged": 500, "new": 700}
    assert len(storage.proxies()) == 1200


def test_two_imports_at_once_make_no_duplicates() -> None:
    class Unaware(RecordingStorage):
        """Each import reads the pool before the other has written to it."""

        def list_proxies(self, pool_id: str) -> list[Proxy]:
            return []

    storage = Unaware()
    import_list(storage, "pool", many(5), Terms())
    import_list(storage, "pool", many(5), Terms())
    assert [len(batch) for batch in storage.batches] == [5, 5]
    assert len(storage.proxies()) == 5


lines = st.lists(
    st.sampled_from(
        [
            "192.0.2.1:80",
            "http://192.0.2.1:80",
            "192.0.2.1:80:me:a",
            "192.0.2.1:80:me:b",
            "socks5://192.0.2.1:80",
            "GATE.example:80",
            "gate.example.:80",
            "[2001:db8::1]:80",
            "[2001:DB8:0::1]:80",
            "nonsense",
            "# comment",
            "",
        ]
    )
)


@settings(deadline=None)
@given(lines)
def test_importing_any_list_again_changes_nothing(listed: list[str]) -> None:
    storage = RecordingStorage()
    content = "\n".join(listed).encode()
    first = import_list(storage, "pool", open_list(io.BytesIO(content)).entries, Terms())
    before = storage.proxies()
    identities = {(p.protocol, str(p.host), p.port, p.credentials and p.credentials.user)
                  for p in before}  # fmt: skip
    assert len(identities) == len(before) == first.written
    storage.batches.clear()
    again = import_list(storage, "pool", open_list(io.BytesIO(content)).entries, Terms())
    assert storage.batches == []
    assert storage.proxies() == before
    assert again.counts[Outcome.UNCHANGED] == first.counts[Outcome.NEW]
    assert again.counts[Outcome.DUPLICATE] == first.counts[Outcome.DUPLICATE]
