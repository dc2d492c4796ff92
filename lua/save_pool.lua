-- save_pool: create a pool under a name that was claimed for it, or change its model.
--
-- Guarantees: a pool that is being deleted cannot be created again before it is gone; sent twice
-- it changes nothing more.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   name          the pool's name
--   document      the model's JSON
--   prefix        the first 13 characters of the pool's lease ids
-- RETURNS
--   the name it had before, "" if it is new
-- ERRORS
--   PHAROX_DELETING
-- COMPLEXITY
--   O(1)

--- @include "register_view"

local pool = KEYS[1]
local name = ARGV[1]
local document = ARGV[2]
local prefix = ARGV[3]

local known = redis.call('HMGET', pool, 'name', 'deleting')
if known[2] then
  return redis.error_reply('PHAROX_DELETING ' .. pool)
end
redis.call('HSET', pool, 'name', name, 'doc', document, 'prefix', prefix)
if not known[1] then
  register_view({pool = pool, selector = 'f'}, '', '')
  redis.call('HSET', pool, 'v:f:', 'f0 *')
end
return known[1] or ''
