-- retire_proxy: take a proxy that nobody wants any more out of use, without ending a lease.
--
-- Guarantees: decided in one step. A proxy that nobody holds is hidden, as by hide_proxy; one that
-- has a lease (or a claim) becomes inactive, so that no other is granted, and is remembered in
-- `retired`: sweeps name it when it is free. Sent twice it says the same again.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   proxy_id      the proxy
-- RETURNS
--   "hidden" (now or before), "retired", or "" if there is no such proxy
-- ERRORS
--   TRYAGAIN
-- COMPLEXITY
--   O(its holds that are over, at most 50, + views of the proxy * log n)

--- @include "moving"
--- @include "now"
--- @include "end_hold"
--- @include "hide_proxy"
--- @include "change_status"

local pool = KEYS[1]
local proxy_id = ARGV[1]

local away = moving(pool)
if away then
  return away
end

local ms = now()
local proxy = read_proxy(pool, proxy_id)
if not proxy then
  return redis.call('HEXISTS', pool .. ':proxy:' .. proxy_id, 'gone') == 1 and 'hidden' or ''
end
local held = pool .. ':held:' .. proxy_id
local swept = 0
for _, holder in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', ms, 'LIMIT', 0, 50)) do
  if end_hold(pool, holder, proxy_id) and string.sub(holder, 1, 1) ~= '!' then
    swept = swept + 1
  end
end
if swept > 0 then
  redis.call('HINCRBY', pool, 'swept', swept)
end
if redis.call('EXISTS', held) == 0 then
  hide_proxy(pool, proxy_id)
  return 'hidden'
end
if proxy.status == 'active' then
  change_status(pool, read_proxy(pool, proxy_id), 'inactive')
end
redis.call('SADD', pool .. ':retired', proxy_id)
return 'retired'
