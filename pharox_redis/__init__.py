"""Redis and Valkey storage for pharox: proxy leases that hold across processes and machines.

``RedisStorage`` is the storage; ``RedisProxyManager`` leases from it in one round trip. Both have a
twin for asyncio: ``AsyncRedisStorage`` and ``AsyncRedisProxyManager``.
"""

from pharox_redis.aio import AsyncRedisStorage
from pharox_redis.aio_manager import AsyncRedisProxyManager
from pharox_redis.errors import (
    CorruptRecordError,
    IdempotencyConflictError,
    InvalidProxyError,
    InvalidUrlError,
    LeaseConflictError,
    LeaseIdError,
    NotReplicatedError,
    PharoxRedisError,
    PoolNameTakenError,
    PredicateScanLimitError,
    ProxyPoolConflictError,
    StorageAccessError,
    StorageError,
    StorageFullError,
    StorageUnavailableError,
    UnsupportedClientError,
    UnsupportedServerError,
)
from pharox_redis.manager import RedisProxyManager
from pharox_redis.models import (
    LeasePage,
    PoolFigures,
    ProxyLease,
    ProxyPage,
    ProxyState,
    new_lease_id,
)
from pharox_redis.settings import Settings
from pharox_redis.storage import RedisStorage

__version__ = "0.1.0"

__all__ = [
    "AsyncRedisProxyManager",
    "AsyncRedisStorage",
    "CorruptRecordError",
    "IdempotencyConflictError",
    "InvalidProxyError",
    "InvalidUrlError",
    "LeaseConflictError",
    "LeaseIdError",
    "LeasePage",
    "NotReplicatedError",
    "PharoxRedisError",
    "PoolFigures",
    "PoolNameTakenError",
    "PredicateScanLimitError",
    "ProxyLease",
    "ProxyPage",
    "ProxyPoolConflictError",
    "ProxyState",
    "RedisProxyManager",
    "RedisStorage",
    "Settings",
    "StorageAccessError",
    "StorageError",
    "StorageFullError",
    "StorageUnavailableError",
    "UnsupportedClientError",
    "UnsupportedServerError",
    "__version__",
    "new_lease_id",
]
