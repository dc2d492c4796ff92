"""``pharox-redis stats``: the table of pools."""

from collections.abc import Callable

from pharox.models import ProxyPool, ProxyStatus
from typer.testing import Result

from pharox_redis import RedisStorage

Command = Callable[..., Result]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.replace("┃", "│").strip("│").split("│")]


def test_no_pools(command: Command) -> None:
    result = command("stats")
    assert (result.exit_code, result.stdout) == (0, "There are no pools.\n")


def test_every_pool_has_its_numbers(command: Command, stored: RedisStorage) -> None:
    content = "".join(f"192.0.2.{n}:80\n" for n in range(1, 6)).encode()
    command("import", "-", "--pool", "shop", "--max-concurrency", "2", stdin=content)
    stored.save_pool(ProxyPool(name="[bold]empty\n"))
    pool = stored.get_pool_by_name("shop")
    assert pool is not None
    proxy = stored.list_proxies(str(pool.id))[4]
    stored.save_proxy(proxy.model_copy(update={"status": ProxyStatus.BANNED}))
    for _ in range(3):
        assert stored.acquire_lease("shop", "worker", 60)
    result = command("stats")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert cells(lines[1]) == ["pool", "total", "active", "available", "leased", "total leases"]
    # In order of name; first available: two leases on the first proxy, one on the second.
    assert [cells(line) for line in lines[3:5]] == [
        [r"[bold]empty\n", "0", "0", "0", "0", "0"],
        ["shop", "5", "4", "3", "2", "3"],
    ]
    assert len(lines) == 6
