-- list_hidden: some proxies of a pool that is being deleted. Reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   limit         1 to 500
-- RETURNS
--   proxy ids; {} when none is left, or when the pool is not being deleted
-- ERRORS
--   PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(limit)

--- @include "moving"

local pool = KEYS[1]
local limit = ARGV[1]

local away = moving(pool)
if away then
  return away
end

local count = tonumber(limit)
if not string.match(limit, '^%d+$') or count < 1 or count > 500 then
  return redis.error_reply('PHAROX_ARGUMENT limit')
end
if redis.call('HEXISTS', pool, 'deleting') == 0 then
  return {}
end
local listed = redis.call('ZRANGE', pool .. ':proxies', 0, count - 1)
if listed[1] then
  return listed
end
return redis.call('SRANDMEMBER', pool .. ':gone', count)
