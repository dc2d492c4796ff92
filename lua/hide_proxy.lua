-- hide_proxy: the first step of a delete. From here on the proxy does not exist for anybody.
--
-- Guarantees: sent twice, or after a delete that was broken off, it says "hidden" again; only
-- purge_proxy removes what is left. Its first write is a ZREM: it works when memory is full.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   proxy_id      the proxy
-- RETURNS
--   1 hidden (now or before), 0 unknown
-- ERRORS
--   TRYAGAIN
-- COMPLEXITY
--   O(views of the proxy * log n)

--- @include "moving"
--- @include "hide_proxy"

local pool = KEYS[1]
local proxy_id = ARGV[1]

local away = moving(pool)
if away then
  return away
end

if hide_proxy(pool, proxy_id) then
  return 1
end
return redis.call('HEXISTS', pool .. ':proxy:' .. proxy_id, 'gone')
