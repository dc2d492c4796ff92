-- get_lease: a lease's record while it lives. Reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   lease_id      the lease: what follows the pool's prefix in its id
-- RETURNS
--   {lease_id, proxy_id, consumer, acquired_ms, expires_ms, released_ms | "", pool_name} or nil
-- ERRORS
--   PHAROX_CORRUPT, TRYAGAIN
-- COMPLEXITY
--   O(1)

--- @include "moving"
--- @include "now"
--- @include "read_lease"

local pool = KEYS[1]
local lease_id = ARGV[1]

local away = moving(pool)
if away then
  return away
end

local ms = now()
local lease = read_lease(redis.call('GET', pool .. ':lease:' .. lease_id), lease_id, ms)
local name = redis.call('HGET', pool, 'name')
if not lease or not name then
  return false
end
if lease.corrupt then
  return redis.error_reply('PHAROX_CORRUPT lease:' .. lease_id)
end
return {lease_id, lease.proxy_id, lease.consumer, lease.acquired, lease.expires,
  lease.released or '', name}
