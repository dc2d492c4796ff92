-- save_pool: create a pool under a name that was claimed for it, or change its model.
--
-- Guarantees: a name that another pool took over meanwhile is not used (see fence_pool); a pool
-- that is being deleted cannot be created again before it is gone; sent twice it answers the same.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   expected      "=" and the name it has now, "" if it is new
--   name          the name it shall have
--   mark          what fences of that name are called
--   document      the model's JSON
--   passed        the nonce of a fence that was met, after the name was claimed anew; "" at first
-- RETURNS
--   {"saved"}; {"fenced", nonce}: claim the name anew, then pass; {"stale"}: it has another name
--   than expected; {"deleting"}
-- ERRORS
--   TRYAGAIN
-- COMPLEXITY
--   O(1)

--- @include "moving"
--- @include "register_view"

local pool = KEYS[1]
local expected = ARGV[1]
local name = ARGV[2]
local mark = ARGV[3]
local document = ARGV[4]
local passed = ARGV[5]

local away = moving(pool)
if away then
  return away
end

local known = redis.call('HMGET', pool, 'name', 'deleting')
if known[2] then
  return {'deleting'}
end
local fence = redis.call('GET', pool .. ':fence:' .. mark)
if fence and fence ~= passed then
  return {'fenced', fence}
end
if known[1] ~= name and (known[1] and '=' .. known[1] or '') ~= expected then
  return {'stale'}
end
redis.call('HSET', pool, 'name', name, 'doc', document)
if not known[1] then
  register_view({pool = pool, selector = 'f'}, '', '')
  redis.call('HSET', pool, 'v:f:', 'f0 *')
end
if fence then
  redis.call('UNLINK', pool .. ':fence:' .. mark)
end
return {'saved'}
