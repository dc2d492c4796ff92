-- pool_figures: a pool, its figures and what was counted since it was made. Reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- RETURNS
--   {pool_name, document, now_ms, {total, active, available, leased proxies, leases}, filtered
--    views, acquires granted, acquires and finds that found nothing, leases ended by sweeps};
--   nil if there is no such pool
-- ERRORS
--   TRYAGAIN
-- COMPLEXITY
--   O(log n)

--- @include "moving"
--- @include "now"
--- @include "pool_stats"

local pool = KEYS[1]

local away = moving(pool)
if away then
  return away
end

local head = redis.call('HMGET', pool, 'name', 'doc', 'got', 'miss', 'swept')
if not head[1] then
  return false
end
return {
  head[1], head[2], now(), pool_stats(pool), redis.call('ZCARD', pool .. ':used'),
  tonumber(head[3]) or 0, tonumber(head[4]) or 0, tonumber(head[5]) or 0,
}
