-- hide_pool: the first step of a delete. From here on the pool does not exist for anybody.
--
-- Guarantees: sent twice, or after a delete that was broken off, it says so again. Its first write
-- is an HDEL: it works when memory is full.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- RETURNS
--   {the name it had}, {} if the pool is unknown
-- ERRORS
--   none
-- COMPLEXITY
--   O(1)

local pool = KEYS[1]

local known = redis.call('HMGET', pool, 'name', 'deleting')
if known[1] then
  redis.call('HDEL', pool, 'name')
  redis.call('HSET', pool, 'deleting', known[1])
  return {known[1]}
end
return known[2] and {known[2]} or {}
