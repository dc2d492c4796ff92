"""Proxies. A password comes in and never goes out, but in the URL of a lease."""

from __future__ import annotations

from typing import Annotated, Any, Self
from uuid import UUID

from pharox.models import Proxy, ProxyCredentials, ProxyProtocol, ProxyStatus
from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from pharox_redis.importing.hosts import canonical_host
from pharox_redis.privacy import PrivateCredentials
from pharox_redis.service.limits import LONGEST_TEXT
from pharox_redis.service.wire.base import Incoming, Label, Moment, Outgoing
from pharox_redis.urls import proxy_url

LARGEST_ASN = 2**32 - 1
LARGEST_CONCURRENCY = 2**31 - 1


def _host(text: str) -> str:
    host = canonical_host(text)
    if host is None:
        raise ValueError("it is neither an IP address nor a host name")
    return host


def _secret(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("it has half a surrogate pair, which has no UTF-8 form") from None
    if not text.strip():
        raise ValueError("it must not be blank")
    return value


class ProxyIn(Incoming):
    """A proxy to be added. It can be leased at once, unless its status says otherwise."""

    host: Annotated[str, StringConstraints(min_length=1, max_length=255), AfterValidator(_host)]
    port: Annotated[int, Field(strict=True, ge=1, le=65535)]
    protocol: ProxyProtocol = ProxyProtocol.HTTP
    username: Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_TEXT)] | None = None
    password: (
        Annotated[SecretStr, Field(max_length=LONGEST_TEXT), AfterValidator(_secret)] | None
    ) = None
    country: Label | None = None
    city: Label | None = None
    latitude: Annotated[float, Field(strict=True, ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(strict=True, ge=-180, le=180)] | None = None
    isp: Label | None = None
    asn: Annotated[int, Field(strict=True, ge=0, le=LARGEST_ASN)] | None = None
    source: Label | None = None
    status: ProxyStatus = ProxyStatus.ACTIVE
    max_concurrency: Annotated[
        int | None,
        Field(
            strict=True,
            ge=1,
            le=LARGEST_CONCURRENCY,
            description="Leases at once; null: any number.",
        ),
    ] = None

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password come together, or not at all")
        if self.username is not None:
            _secret(SecretStr(self.username))
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("latitude and longitude come together, or not at all")
        return self

    def to_proxy(self, pool_id: UUID, proxy_id: UUID) -> Proxy:
        """The model that is stored."""
        values: dict[str, Any] = self.model_dump(exclude={"username", "password"})
        return Proxy(id=proxy_id, pool_id=pool_id, credentials=self._credentials, **values)

    def changes(self) -> dict[str, Any]:
        """What is said here of a proxy that is known."""
        given = self.model_dump(exclude={"username", "password"}, exclude_unset=True)
        return {**given, "credentials": self._credentials}

    @property
    def _credentials(self) -> ProxyCredentials | None:
        if self.username is None or self.password is None:
            return None
        return PrivateCredentials(user=self.username, password=self.password.get_secret_value())


class StatusIn(Incoming):
    """Another status for a proxy."""

    status: ProxyStatus


class ProxyOut(Outgoing):
    """A proxy, without its password."""

    id: UUID
    pool_id: UUID
    host: str
    port: int
    protocol: str
    status: str
    username: str | None
    country: str | None
    city: str | None
    latitude: float | None
    longitude: float | None
    isp: str | None
    asn: int | None
    source: str | None
    max_concurrency: int | None
    current_leases: int
    latency_ms: int | None
    checked_at: Moment

    @classmethod
    def of(cls, proxy: Proxy, latency_ms: int | None) -> ProxyOut:
        """As the storage has it."""
        return cls(**_values(proxy, latency_ms))


class LeasedProxyOut(ProxyOut):
    """The proxy of an active lease."""

    url: Annotated[
        str | None,
        Field(description="Ready to use, password included; null for keys that may only read."),
    ]

    @classmethod
    def leased(cls, proxy: Proxy, *, secret: bool) -> LeasedProxyOut:
        """As the lease has it; with its URL if the caller may use it (``secret``)."""
        return cls(**_values(proxy, None), url=proxy_url(proxy) if secret else None)


def _values(proxy: Proxy, latency_ms: int | None) -> dict[str, Any]:
    return {
        "id": proxy.id,
        "pool_id": proxy.pool_id,
        "host": str(proxy.host),
        "port": proxy.port,
        "protocol": proxy.protocol.value,
        "status": proxy.status.value,
        "username": proxy.credentials.user if proxy.credentials else None,
        "country": proxy.country,
        "city": proxy.city,
        "latitude": proxy.latitude,
        "longitude": proxy.longitude,
        "isp": proxy.isp,
        "asn": proxy.asn,
        "source": proxy.source,
        "max_concurrency": proxy.max_concurrency,
        "current_leases": proxy.current_leases,
        "latency_ms": latency_ms,
        "checked_at": proxy.checked_at,
    }
