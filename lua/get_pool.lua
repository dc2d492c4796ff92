-- get_pool: a pool's model. Reads only.
--
-- KEYS
--   pool          the pool's hash
-- RETURNS
--   {"pool", name, document}; {"deleting", name it had}; {} if unknown
-- ERRORS
--   none
-- COMPLEXITY
--   O(1)

local pool = KEYS[1]

local known = redis.call('HMGET', pool, 'name', 'doc', 'deleting')
if known[1] then
  return {'pool', known[1], known[2]}
end
return known[3] and {'deleting', known[3]} or {}
