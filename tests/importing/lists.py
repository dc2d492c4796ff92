"""Records as lists can give them, for property tests of what is written and read back."""

from hypothesis import strategies as st
from pharox.models import Proxy, ProxyProtocol, ProxyStatus

from pharox_redis.importing import Record
from pharox_redis.importing.values import MASKED

HOSTS = st.one_of(
    st.ip_addresses().map(str).filter(lambda host: "%" not in host),
    st.from_regex(r"[a-z0-9_]([a-z0-9_-]{0,5}[a-z0-9_])?(\.[a-z]{2,5}){0,2}", fullmatch=True),
).filter(lambda host: not host.rpartition(".")[2].isdigit() or host.count(".") == 3)

_characters = st.characters(exclude_categories=["Cs"])
# Blanks, separators, quotes and what else means something in one of the formats come often.
_awkward = st.text(st.one_of(st.sampled_from(" :@/#%+,;\t'\"\\[]{}|*é東\x1b\x00"), _characters),
                   min_size=1, max_size=12)  # fmt: skip

SECRETS = _awkward.filter(
    lambda text: bool(text.strip()) and not set(text) & {"\n", "\r"} and text != MASKED
)
LABELS = _awkward.map(str.strip).filter(bool)


def _record(user: str | None, password: str | None, **values: object) -> Record:
    paired = {} if user is None or password is None else {"user": user, "password": password}
    return Record(**values, **paired)  # type: ignore[arg-type]


def records(labels: st.SearchStrategy[str] = LABELS) -> st.SearchStrategy[Record]:
    """Whole records: status and number of leases are given."""
    return st.builds(
        _record,
        st.none() | SECRETS,
        st.none() | SECRETS,
        protocol=st.sampled_from(ProxyProtocol),
        host=HOSTS,
        port=st.integers(1, 65535),
        source=st.none() | labels,
        country=st.none() | labels,
        city=st.none() | labels,
        latitude=st.none() | st.floats(-90, 90),
        longitude=st.none() | st.floats(-180, 180),
        isp=st.none() | labels,
        asn=st.none() | st.integers(0, 2**32 - 1),
        status=st.sampled_from(ProxyStatus),
        max_concurrency=st.integers(1, 2**31 - 1) | st.just("unlimited"),
    )


def said_of(proxy: Proxy) -> tuple[object, ...]:
    """All of a proxy that a list can say, to compare proxies by."""
    credentials = proxy.credentials
    return (
        proxy.protocol, str(proxy.host), proxy.port,
        credentials and (credentials.user, credentials.password),
        proxy.source, proxy.country, proxy.city, proxy.latitude, proxy.longitude, proxy.isp,
        proxy.asn, proxy.status, proxy.max_concurrency,
    )  # fmt: skip
