"""A proxy's URL: what a client reads from it is what the proxy has."""

from __future__ import annotations

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pharox.models import Proxy, ProxyCredentials, ProxyPool, ProxyProtocol

from pharox_redis.urls import proxy_url
from tests.support.builders import make_proxy

POOL = ProxyPool(name="pool")
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


def proxy(user: str, password: str) -> Proxy:
    return make_proxy(POOL, credentials=ProxyCredentials(user=user, password=password))


@given(words, words)
def test_user_and_password_come_back(user: str, password: str) -> None:
    url = httpx.URL(proxy_url(proxy(user, password)))
    assert (url.username, url.password) == (user, password)


def test_a_space_is_no_plus() -> None:
    assert "a%20b:c%2Bd@" in proxy_url(proxy("a b", "c+d"))


def test_a_masked_one_has_the_user_only() -> None:
    shown = proxy_url(proxy("me", "secret"), secret=False)
    assert "me:***@" in shown and "secret" not in shown


@pytest.mark.parametrize(
    ("host", "shown"),
    [("2001:db8::1", "[2001:db8::1]"), ("192.0.2.1", "192.0.2.1"), ("a.b", "a.b")],
)
def test_hosts(host: str, shown: str) -> None:
    made = make_proxy(POOL, host=host, port=8080, protocol=ProxyProtocol.SOCKS5)
    assert proxy_url(made) == f"socks5://{shown}:8080"
