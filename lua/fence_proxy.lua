-- fence_proxy: make sure that a proxy does not come to be in this pool, before its directory entry
-- is given to another one.
--
-- Guarantees: after "fenced" the proxy is not here, and a save that claimed its entry before finds
-- it "gone" and looks at the directory again. The pool's sweeps clear the fence away.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   proxy_id      the proxy
-- RETURNS
--   "here", "fenced" (also where the pool does not exist: nobody can save into it)
-- ERRORS
--   TRYAGAIN
-- COMPLEXITY
--   O(1)

--- @include "moving"

local pool = KEYS[1]
local proxy_id = ARGV[1]

local away = moving(pool)
if away then
  return away
end

local key = pool .. ':proxy:' .. proxy_id
if redis.call('HEXISTS', pool, 'name') == 0 then
  return 'fenced'
end
local known = redis.call('HMGET', key, 'rev', 'gone')
if known[1] and not known[2] then
  return 'here'
end
redis.call('HSET', key, 'gone', '1')
redis.call('SADD', pool .. ':gone', proxy_id)
return 'fenced'
