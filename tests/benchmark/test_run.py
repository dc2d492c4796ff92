"""A run in this process, with sections of the test's own: failures, exit codes, what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from pharox_redis.benchmark import results, run
from pharox_redis.benchmark.bench import SMALL, Bench
from pharox_redis.benchmark.rows import Budget, Limit, Row, Verdict
from pharox_redis.benchmark.run import Options, UnknownSectionError, chosen, main
from pharox_redis.benchmark.sections.batch import batch
from pharox_redis.benchmark.sections.registry import SECTIONS, Entry
from pharox_redis.embedded import EmbeddedServer
from pharox_redis.storage import RedisStorage

Sections = Callable[..., None]


@pytest.fixture
def sections(monkeypatch: pytest.MonkeyPatch) -> Sections:
    """Replaces the sections."""

    def replace(**measures: Callable[[Bench], Iterator[Row]]) -> None:
        entries = tuple(Entry(name, f"about {name}", measure) for name, measure in measures.items())
        monkeypatch.setattr(run, "SECTIONS", entries)

    return replace


@pytest.fixture
def kept(valkey_url: str) -> Iterator[redis.Redis]:
    """Somebody else's key on the server, which survives."""
    with redis.Redis.from_url(valkey_url) as client:
        client.set("somebody's", "value")
        before = set(client.keys())
        yield client
        # Another test's leases may run out meanwhile.
        assert set(client.keys()) <= before and client.get("somebody's") == b"value"
        client.delete("somebody's")


def good(_: Bench) -> Iterator[Row]:
    yield Row("good", "kept", 1.0, "x", Budget(Limit.AT_LEAST, 0.5))


def missed(_: Bench) -> Iterator[Row]:
    yield Row("missed", "missed", 0.1, "x", Budget(Limit.AT_LEAST, 0.5))


def messy(bench: Bench) -> Iterator[Row]:
    """Leaves a pool, leases, and keys of peers behind, and yields a row before it fails."""
    pool = bench.pool(50)
    assert bench.storage().acquire_lease(pool.name, "bench", 60)
    bench.client.set(f"{bench.prefix}:lock:0", "held")
    yield Row("messy", "before", 1.0, "x")
    raise ValueError("broke")


def test_sections_are_unique_and_documented() -> None:
    names = [entry.name for entry in SECTIONS]
    assert len(set(names)) == len(names) and all(entry.title for entry in SECTIONS)


def test_sections_are_chosen_by_name_in_the_tables_order() -> None:
    assert chosen([]) == list(SECTIONS)
    assert [entry.name for entry in chosen(["batch", "pairs"])] == ["pairs", "batch"]
    with pytest.raises(UnknownSectionError, match="'nonsense'; there are pairs, "):
        chosen(["pairs", "nonsense"])


def test_a_failing_section_costs_its_own_rows_only(
    valkey_url: str,
    sections: Sections,
    kept: redis.Redis,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sections(messy=messy, good=good)
    assert main(Options(valkey_url, profile=SMALL, out=tmp_path)) == 1
    rows = results.read(tmp_path / "results.json").rows
    assert [(row.section, row.what, row.verdict, row.note) for row in rows] == [
        ("messy", "before", Verdict.NO_BUDGET, ""),
        ("messy", "about messy", Verdict.NOT_RUN, "ValueError: broke"),
        ("good", "kept", Verdict.PASS, ""),
    ]
    out = capsys.readouterr()
    assert "ValueError: broke" in out.out and "Traceback" not in out.out + out.err
    assert "measuring good" in out.err, "without a terminal a line says what is being done"


@pytest.mark.parametrize(("strict", "code"), [(False, 0), (True, 1)])
def test_a_missed_budget_is_an_error_only_if_asked_for(
    valkey_url: str, sections: Sections, strict: bool, code: int
) -> None:
    sections(missed=missed)
    assert main(Options(valkey_url, profile=SMALL, strict=strict)) == code


def test_kept_budgets_are_no_error(valkey_url: str, sections: Sections) -> None:
    sections(good=good)
    assert main(Options(valkey_url, profile=SMALL, strict=True)) == 0


def test_interrupted_it_leaves_nothing(
    valkey_url: str,
    sections: Sections,
    kept: redis.Redis,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    closed: list[bool] = []

    def interrupted(bench: Bench) -> Iterator[Row]:
        try:
            for row in messy(bench):
                yield row
                raise KeyboardInterrupt
        finally:
            closed.append(True)

    sections(interrupted=interrupted)
    assert main(Options(valkey_url, profile=SMALL, out=tmp_path)) == 130
    assert "interrupted" in capsys.readouterr().err
    assert closed and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no redis://u:ge%40heim@h/0 here", "no redis://***@h/0 here"),
        ("AUTH u ge@heim failed", "AUTH u *** failed"),
        ("password=other", "password=***"),
        ("nothing secret", "nothing secret"),
    ],
)
def test_passwords_do_not_show(text: str, shown: str) -> None:
    urls = Options("redis://u:ge%40heim@h/0", "postgresql://u:other@h/db")
    assert run.masked(text, urls) == shown
    assert run.masked(text, Options("redis://h/0", None)) == text


def test_a_failing_section_shows_no_password(
    sections: Sections, capsys: pytest.CaptureFixture[str]
) -> None:
    def telling(_: Bench) -> Iterator[Row]:
        yield Row("telling", "w", 1.0, "x")
        raise ValueError("cannot use geheim")

    sections(telling=telling)
    with EmbeddedServer({"requirepass": "geheim"}) as server:
        assert main(Options(server.url, profile=SMALL)) == 1
    out = capsys.readouterr()
    assert "cannot use ***" in out.out and "geheim" not in out.out + out.err


def test_errors_of_many_tasks_are_told_by_the_first(sections: Sections) -> None:
    group = ExceptionGroup("many", [ExceptionGroup("inner", [ValueError("first")])])
    assert run.reason(group) == "ValueError: first"
    assert run.reason(RuntimeError()) == "RuntimeError"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://user:geheim@127.0.0.1:1/0", "refused"),
        ("http://user:geheim@h", "URL"),
        ("redis+cluster://user:geheim@127.0.0.1:1", "."),
    ],
)
def test_a_server_that_cannot_be_used(
    url: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(Options(url, profile=SMALL)) == 1
    out = capsys.readouterr()
    assert out.out == "" and said in out.err and out.err.startswith("Error: ")
    assert "geheim" not in out.err and "Traceback" not in out.err


def test_a_postgres_that_cannot_be_used(
    valkey_url: str, kept: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sqlalchemy", reason="needs pharox[postgres]")
    url = "postgresql://user:geheim@127.0.0.1:1/db"
    assert main(Options(valkey_url, url, profile=SMALL)) == 1
    err = capsys.readouterr().err
    assert err.startswith("Error: ") and "geheim" not in err


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(Options(out=tmp_path / "file" / "folder", profile=SMALL)) == 1
    assert capsys.readouterr().err.startswith("Error: ")


def test_batches_are_measured_per_lease(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def acquire_leases(
        self: RedisStorage, pool: str, consumer: str, seconds: float, *, count: int, filters: object
    ) -> list[object]:
        return [self.acquire_lease(pool, consumer, seconds, filters) for _ in range(count)]

    def release_leases(self: RedisStorage, leases: list[object]) -> int:
        for lease in leases:
            self.release_lease(lease)
        return len(leases)

    monkeypatch.setattr(RedisStorage, "acquire_leases", acquire_leases, raising=False)
    monkeypatch.setattr(RedisStorage, "release_leases", release_leases, raising=False)
    (row,) = batch(bench)
    # One at a time, whatever it is called: the same cost per lease, not that of the whole batch.
    assert row.figure is not None and 1 / 4 < row.figure < 4
    assert bench.storage().list_leases() == []


def test_a_storage_without_batches_is_a_row_not_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(RedisStorage, "acquire_leases", raising=False)
    (row,) = batch(bench)
    assert (row.verdict, row.note) == (Verdict.NOT_RUN, "RedisStorage has no acquire_leases")
