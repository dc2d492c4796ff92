-- release: end a lease before its time.
--
-- Guarantees: releasing twice, or what is over, changes nothing. The first write is a ZREM, so it
-- works when memory is full. A proxy that is gone is not brought back. A call that gave up waiting
-- for its lease can void the id: an acquire of it that is still on its way is refused then.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   lease_id      the lease
--   proxy_id      the proxy the caller believes it is on; if wrong, the record decides
--   retention_ms  how long the record stays readable from now
--   want_stats    "1" to have the pool's figures in the reply
--   void          "1" to void the id if there is no such lease, for retention_ms; or ""
-- RETURNS
--   {1 if this call ended it else 0, figures | false}
-- ERRORS
--   PHAROX_ARGUMENT, PHAROX_CORRUPT, TRYAGAIN
-- COMPLEXITY
--   O(log n)

--- @include "moving"
--- @include "now"
--- @include "valid_span"
--- @include "read_lease"
--- @include "end_hold"

local pool = KEYS[1]
local lease_id = ARGV[1]
local proxy_id = ARGV[2]
local retention_ms = ARGV[3]
local want_stats = ARGV[4]
local void = ARGV[5]

if moving(pool) then
  return redis.error_reply('TRYAGAIN ' .. pool)
end

local ms = now()
local retention = valid_span(retention_ms, 0)
if not retention then
  return redis.error_reply('PHAROX_ARGUMENT ' .. lease_id)
end
local lease, voided = read_lease(pool, lease_id, ms)
if lease and lease.corrupt then
  return redis.error_reply('PHAROX_CORRUPT lease:' .. lease_id)
end
local ended = end_hold(pool, lease_id, lease and lease.proxy_id or proxy_id)
if ended and lease and not lease.released then
  local key, index = pool .. ':lease:' .. lease_id, pool .. ':leases:' .. lease.consumer
  if retention == 0 then
    redis.call('UNLINK', key)
    redis.call('ZREM', index, lease_id)
  else
    redis.call('SET', key, string.format('%s %s %.0f %.0f %.0f', lease.proxy_id, lease.consumer,
      lease.acquired, lease.expires, ms), 'PXAT', string.format('%.0f', ms + retention))
    redis.call('ZADD', index, 'XX', ms + retention, lease_id)
    -- Worth two calls only where the index would outlive its content by far.
    if lease.expires - ms > 3600000 then
      --- @include "shorten_index"
      shorten_index(pool, lease.consumer)
    end
  end
end
if void == '1' and not lease and not voided and retention > 0
    and redis.call('HGET', pool, 'prefix') == string.sub(lease_id, 1, 13) then
  redis.call('SET', pool .. ':lease:' .. lease_id, 'void', 'PXAT',
    string.format('%.0f', ms + retention))
end
local figures = false
if want_stats == '1' and redis.call('HEXISTS', pool, 'name') == 1 then
  --- @include "pool_stats"
  figures = pool_stats(pool)
end
return {ended and 1 or 0, figures}
