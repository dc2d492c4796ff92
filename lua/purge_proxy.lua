-- purge_proxy: the second step of a delete, called until it is done: ends the hidden proxy's
-- leases in chunks, then removes its keys.
--
-- Guarantees: sent twice it answers done; a proxy that is not hidden is left alone; works when
-- memory is full.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   proxy_id      the proxy
-- RETURNS
--   1 done, 0 call again
-- ERRORS
--   TRYAGAIN
-- COMPLEXITY
--   O(log n) for each lease, 100 at most

--- @include "moving"
--- @include "now"
--- @include "purge_proxy"

local pool = KEYS[1]
local proxy_id = ARGV[1]

local away = moving(pool)
if away then
  return away
end

local ms = now()
return purge_proxy(pool, proxy_id, ms, 100) and 1 or 0
