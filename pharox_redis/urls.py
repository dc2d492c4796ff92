"""A proxy's URL, for HTTP clients.

pharox's ``Proxy.url`` writes a space in user-info as ``+``, which is a plus there: clients that are
given such a URL log in with the wrong password. Here everything but letters, digits and ``_.-~`` is
percent-encoded.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from pharox.models import Proxy

from pharox_redis.importing.hosts import is_ipv6

MASK: Final = "***"


def proxy_url(proxy: Proxy, *, secret: bool = True) -> str:
    """A proxy's URL, ready to use; without ``secret`` its password is masked. O(1)."""
    host = f"[{proxy.host}]" if is_ipv6(str(proxy.host)) else str(proxy.host)
    user_info, known = "", proxy.credentials
    if known is not None:
        password = quote(known.password, safe="") if secret else MASK
        user_info = f"{quote(known.user, safe='')}:{password}@"
    return f"{proxy.protocol.value}://{user_info}{host}:{proxy.port}"
