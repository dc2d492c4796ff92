-- stats: a pool's figures. Reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   pool_name     the name the caller knows the pool by
-- RETURNS
--   {total, active, available, leased proxies, leases}
-- ERRORS
--   PHAROX_POOL, TRYAGAIN
-- COMPLEXITY
--   O(log n)

--- @include "moving"
--- @include "pool_stats"

local pool = KEYS[1]
local pool_name = ARGV[1]

local away = moving(pool)
if away then
  return away
end

if redis.call('HGET', pool, 'name') ~= pool_name then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
return pool_stats(pool)
