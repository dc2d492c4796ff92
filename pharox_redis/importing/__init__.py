"""Importing proxy lists as providers deliver them.

The way of a list, each part a pure function of the one before:

``open_list`` reads lines, CSV, JSON or JSON Lines lazily into records and issues (`records` says
what these are); ``plan`` compares them with the pool and decides what each means; ``apply`` writes
what is new or changed. ``import_list`` is all of that for one storage and pool.

``read_wanted``, ``plan_sync`` and ``apply_sync`` make a pool equal to a list, which also takes
proxies out of it. ``write_list`` is the way back, from proxies to a list that ``open_list`` reads.

* ``text``, ``formats``, ``readers`` - from bytes to the entries of a list
* ``notation``, ``fields``, ``objects``, ``values``, ``hosts`` - from an entry to a record
* ``plan``, ``apply`` - from records to the pool
* ``sync`` - from records to a pool that has nothing else
* ``pools`` - what all this needs of a storage
* ``writers`` - from proxies to a list

Nothing here needs a Redis: any storage with the few methods of `ImportStorage` will do.
"""

from pharox_redis.importing.apply import ImportSummary, apply, import_list
from pharox_redis.importing.fields import FieldMap
from pharox_redis.importing.formats import ListFormat
from pharox_redis.importing.notation import parse_notation
from pharox_redis.importing.plan import Outcome, Step, Terms, plan
from pharox_redis.importing.pools import ImportStorage, SyncStorage
from pharox_redis.importing.readers import ProxyList, open_list
from pharox_redis.importing.records import (
    Identity,
    Issue,
    ListError,
    Record,
    Unreadable,
    identity_of,
    proxy_id,
)
from pharox_redis.importing.sync import (
    SyncPlan,
    SyncResult,
    Wanted,
    apply_sync,
    plan_sync,
    read_wanted,
)
from pharox_redis.importing.writers import ExportSummary, write_list

__all__ = [
    "ExportSummary",
    "FieldMap",
    "Identity",
    "ImportStorage",
    "ImportSummary",
    "Issue",
    "ListError",
    "ListFormat",
    "Outcome",
    "ProxyList",
    "Record",
    "Step",
    "SyncPlan",
    "SyncResult",
    "SyncStorage",
    "Terms",
    "Unreadable",
    "Wanted",
    "apply",
    "apply_sync",
    "identity_of",
    "import_list",
    "open_list",
    "parse_notation",
    "plan",
    "plan_sync",
    "proxy_id",
    "read_wanted",
    "write_list",
]
