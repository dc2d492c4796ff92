-- end_lease: end a lease that is known by its id alone, and tell what it was.
--
-- Guarantees: as release; the reply is the lease as it is after this call, also if nothing is kept
-- of it.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   lease_id      the lease: what follows the pool's prefix in its id
--   retention_ms  how long the record stays readable from now
-- RETURNS
--   {lease_id, proxy_id, consumer, acquired_ms, expires_ms, released_ms, pool_name}; nil if there
--   is no such lease
-- ERRORS
--   PHAROX_ARGUMENT, PHAROX_CORRUPT, TRYAGAIN
-- COMPLEXITY
--   O(log n) in each view of its proxy

--- @include "moving"
--- @include "now"
--- @include "valid_span"
--- @include "read_lease"
--- @include "end_lease"

local pool = KEYS[1]
local lease_id = ARGV[1]
local retention_ms = ARGV[2]

local away = moving(pool)
if away then
  return away
end

local ms, retention = now(), valid_span(retention_ms, 0)
if not retention then
  return redis.error_reply('PHAROX_ARGUMENT ' .. lease_id)
end
local record = redis.call('GET', pool .. ':lease:' .. lease_id)
local name = redis.call('HGET', pool, 'name')
local lease = read_lease(record, lease_id, ms)
if not lease or not name then
  return false
end
if lease.corrupt then
  return redis.error_reply('PHAROX_CORRUPT lease:' .. lease_id)
end
local ended = end_lease(pool, record, lease_id, lease.proxy_id, ms, retention)
return {lease_id, lease.proxy_id, lease.consumer, lease.acquired, lease.expires,
  lease.released or ended and ms or '', name}
