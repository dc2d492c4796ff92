-- create_lease: lease one named proxy, whatever its status, if its limit allows.
--
-- Guarantees: as acquire. The caller's own claim on the proxy becomes the lease: the lease is
-- written first, so that nothing is lost when memory is full. Leases of the proxy that are over
-- make room: they do not count against its limit.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   proxy_id      the proxy
--   lease_id      made by the caller: what follows the pool's prefix in the lease's id
--   consumer      consumer id
--   duration_ms   1 to ten years
--   retention_ms  0 to ten years
--   token         names the caller whose claim may be used
-- RETURNS
--   {acquired_ms, expires_ms, released_ms | "", consumer, proxy_id, pool_name}
-- ERRORS
--   PHAROX_POOL, PHAROX_PROXY, PHAROX_UNAVAILABLE, PHAROX_LEASE_CONFLICT,
--   PHAROX_CORRUPT, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(log n), and O(log n) for each lease that is over and has to make room (1,000 at most)

--- @include "now"
--- @include "valid_span"
--- @include "read_lease"
--- @include "read_live"
--- @include "end_hold"
--- @include "grant_lease"

local pool = KEYS[1]
local proxy_id = ARGV[1]
local lease_id = ARGV[2]
local consumer = ARGV[3]
local duration_ms = ARGV[4]
local retention_ms = ARGV[5]
local token = ARGV[6]

-- As `moving` does, in one call with the first look at the lease.
local found = redis.pcall('MGET', pool .. ':lease:' .. lease_id, pool .. ':never')
if found.err then
  --- @include "refusal"
  return refusal(pool, found)
end

local ms = now()
local duration, retention = valid_span(duration_ms, 1), valid_span(retention_ms, 0)
if not duration or not retention or not string.match(consumer, '^[%x-]+$')
    or #lease_id ~= 22 or not string.find(lease_id, '^%x+%-%x+%-%x+$') then
  return redis.error_reply('PHAROX_ARGUMENT ' .. lease_id)
end
local name = redis.call('HGET', pool, 'name')
if not name then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
local known, void = read_lease(found[1], lease_id, ms)
if void then
  return redis.error_reply('PHAROX_LEASE_CONFLICT ' .. lease_id)
end
if known then
  if known.corrupt then
    return redis.error_reply('PHAROX_CORRUPT lease:' .. lease_id)
  end
  if known.consumer ~= consumer or known.proxy_id ~= proxy_id then
    return redis.error_reply('PHAROX_LEASE_CONFLICT ' .. lease_id)
  end
  return {known.acquired, known.expires, known.released or '', consumer, proxy_id, name}
end
local held = pool .. ':held:' .. proxy_id
local proxy = read_live(pool, proxy_id)
if not proxy then
  return redis.error_reply('PHAROX_PROXY ' .. proxy_id)
end
local load = redis.call('ZCARD', held)
-- A claim that is over is nobody's any more: it makes room like a lease that is over.
local claim_ends = redis.call('ZSCORE', held, '!' .. token)
local claimed = claim_ends and tonumber(claim_ends) > ms
local excess = proxy.max and load + (claimed and 0 or 1) - proxy.max or 0
if excess > 0 then
  local due = redis.call('ZRANGEBYSCORE', held, '-inf', ms, 'LIMIT', 0, math.min(excess, 1000))
  if #due < excess then
    return redis.error_reply('PHAROX_UNAVAILABLE ' .. proxy_id)
  end
  local swept = 0
  for _, holder in ipairs(due) do
    end_hold(pool, holder, proxy_id)
    if string.sub(holder, 1, 1) ~= '!' then
      swept = swept + 1
    end
  end
  if swept > 0 then
    redis.call('HINCRBY', pool, 'swept', swept)
  end
  load = load - #due
  proxy = read_live(pool, proxy_id)
end
local lease = {
  id = lease_id, proxy_id = proxy_id, consumer = consumer,
  acquired = ms, expires = ms + duration, retention = retention,
}
grant_lease(pool, proxy, load, lease, '')
if claimed then
  end_hold(pool, '!' .. token, proxy_id)
end
return {ms, ms + duration, '', consumer, proxy_id, name}
