-- get_pool: a pool's model. Reads only.
--
-- KEYS
--   pool          the pool's hash
-- RETURNS
--   {name, document} of a pool that exists; {"", name it had} of one being deleted; {} else
-- ERRORS
--   none
-- COMPLEXITY
--   O(1)

local pool = KEYS[1]

local known = redis.call('HMGET', pool, 'name', 'doc', 'deleting')
if known[1] then
  return {known[1], known[2]}
end
return known[3] and {'', known[3]} or {}
