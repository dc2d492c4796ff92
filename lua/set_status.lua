-- set_status: give a proxy another status and leave all else as it is.
--
-- Guarantees: every registered view is right afterwards; its leases go on. A proxy that was retired
-- is wanted again once it is active. The first write is an HSET: it fails cleanly when memory is
-- full.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   proxy_id      the proxy
--   status        the new status
-- RETURNS
--   {document, fields, leases} of the proxy
-- ERRORS
--   PHAROX_PROXY, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(views of the proxy * log n)

--- @include "moving"
--- @include "status_known"
--- @include "change_status"
--- @include "leases_of"

local pool = KEYS[1]
local proxy_id = ARGV[1]
local status = ARGV[2]

local away = moving(pool)
if away then
  return away
end

if not status_known(status) then
  return redis.error_reply('PHAROX_ARGUMENT ' .. proxy_id)
end
local proxy = read_proxy(pool, proxy_id)
if not proxy then
  return redis.error_reply('PHAROX_PROXY ' .. proxy_id)
end
proxy = change_status(pool, proxy, status)
if status == 'active' then
  redis.call('SREM', pool .. ':retired', proxy_id)
end
return {redis.call('GET', pool .. ':doc:' .. proxy_id), proxy.raw, leases_of(pool, proxy)}
