-- release: end a lease before its time.
--
-- Guarantees: releasing twice, or what is over, changes nothing. The first write is a ZREM, so it
-- works when memory is full. A proxy that is gone is not brought back. A call that gave up waiting
-- for its lease can void the id: an acquire of it that is still on its way is refused then.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   lease_id      the lease: what follows the pool's prefix in its id
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

--- @include "end_lease"

local pool = KEYS[1]
local lease_id = ARGV[1]
local proxy_id = ARGV[2]
local retention_ms = ARGV[3]
local want_stats = ARGV[4]
local void = ARGV[5]

-- As `moving` does, in one call with the first look at the lease.
local found = redis.pcall('MGET', pool .. ':lease:' .. lease_id, pool .. ':never')
if found.err then
  --- @include "refusal"
  return refusal(pool, found)
end

local time = redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local retention = string.find(retention_ms, '^%d+$') and tonumber(retention_ms) or -1
if retention < 0 or retention > 315576000000 then
  return redis.error_reply('PHAROX_ARGUMENT ' .. lease_id)
end
local record = found[1]
local ended = end_lease(pool, record, lease_id, proxy_id, ms, retention)
if ended == nil then
  return redis.error_reply('PHAROX_CORRUPT lease:' .. lease_id)
end
if void == '1' and not record and retention > 0
    and #lease_id == 22 and string.find(lease_id, '^%x+%-%x+%-%x+$')
    and redis.call('HEXISTS', pool, 'name') == 1 then
  redis.call('SET', pool .. ':lease:' .. lease_id, 'void', 'PXAT', ms + retention)
end
local figures = false
if want_stats == '1' and redis.call('HEXISTS', pool, 'name') == 1 then
  --- @include "pool_stats"
  figures = pool_stats(pool)
end
return {ended and 1 or 0, figures}
