"""Which commands a user must be granted: those of docs/security.md, held against it by a test.

The server is asked by ``redis.acl_check_cmd`` in a script (Redis 7.0, Valkey): nothing is run, and
no right is needed but EVAL. A key of no pool stands for all of the prefix.
"""

from __future__ import annotations

from typing import Any, Final

from redis.exceptions import NoPermissionError, ResponseError

from pharox_redis.drivers import text

LEASING: Final = frozenset(
    {
        *("evalsha", "exists", "get", "hdel", "hexists", "hget", "hgetall", "hincrby", "hmget"),
        *("hscan", "hset", "hsetnx", "hvals", "lpush", "lrange", "ltrim", "mget", "pexpireat"),
        *("pexpiretime", "ping", "sadd", "scard", "set", "sismember", "srandmember", "srem"),
        *("time", "unlink", "zadd", "zcard", "zcount", "zlexcount", "zrange", "zrangebylex"),
        *("zrangebyscore", "zrem", "zscore"),
    }
)
"""What whoever leases needs, but for EVAL, which can be done without."""

OPERATING: Final = frozenset(
    {
        *("config|get", "hkeys", "hlen", "info", "llen", "memory|usage", "persist"),
        *("pttl", "scan", "smismember", "sscan", "strlen", "type", "zmscore"),
        *("zscan",),
    }
)
"""What looking after pools needs besides, this command too."""

_ASK: Final = """
if not redis.acl_check_cmd then
  return {'?'}
end
local refused = {}
for _, name in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(name, '[^|]+') do
    words[#words + 1] = word
  end
  if name == 'evalsha' then
    words[#words + 1] = 'x'
    words[#words + 1] = '1'
  end
  words[#words + 1] = KEYS[1]
  if name ~= 'exists' and name ~= 'mget' and name ~= 'unlink' then
    words[#words + 1] = '1'
    words[#words + 1] = '1'
  end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if known and not allowed then
    refused[#refused + 1] = name
  end
end
return refused
"""


def refused_commands(client: Any, key: str) -> set[str] | None:
    """Which of the commands above the client's user may not run on a key, None if the server does
    not tell. Raises ``NoPermissionError`` if the user may not ask, which takes EVAL."""
    try:
        reply = text(client.eval(_ASK, 1, key, *sorted(LEASING | OPERATING)))
    except NoPermissionError:
        raise
    except ResponseError:
        return None
    return None if reply == ["?"] else set(reply)
