-- fence_pool: make sure that a pool does not come to have a name, before that name is given away.
--
-- Guarantees: after "fenced" the pool does not have the name, and a save_pool that claimed it
-- before is refused once, so that it claims again. The fence goes with that, or after an hour.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   name          the name
--   mark          what fences of that name are called
--   nonce         what tells this fence from others
-- RETURNS
--   "here": the pool has this name; "deleting": it is being deleted; "fenced"
-- ERRORS
--   TRYAGAIN
-- COMPLEXITY
--   O(1)

--- @include "moving"

local pool = KEYS[1]
local name = ARGV[1]
local mark = ARGV[2]
local nonce = ARGV[3]

local away = moving(pool)
if away then
  return away
end

local known = redis.call('HMGET', pool, 'name', 'deleting')
if known[1] == name then
  return 'here'
end
if known[2] then
  return 'deleting'
end
redis.call('SET', pool .. ':fence:' .. mark, nonce, 'PX', 3600000)
return 'fenced'
