-- sweep: end what is over in a pool, and tidy: idle views, deletes that were broken off.
--
-- Guarantees: decides and removes in one step, so that a lease that was renewed is never ended;
-- works when memory is full (its first write is a ZREM or an UNLINK).
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   limits        "chunk_us view_bound view_idle_ms"
-- RETURNS
--   {leases ended (claims do not count), 1 if more is due else 0, retired proxies that nobody holds
--    any more (a few of them; see retire_proxy)...}
-- ERRORS
--   PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(log n) for each lease that is over; bounded by chunk_us

--- @include "moving"
--- @include "now"
--- @include "start_watch"
--- @include "elapsed"
--- @include "sweep_due"
--- @include "trim_views"
--- @include "purge_proxy"

local pool = KEYS[1]
local limits = ARGV[1]

local away = moving(pool)
if away then
  return away
end

local ms, us = now()
local chunk_us, bound, idle_ms = string.match(limits, '^(%d+) (%d+) (%d+)$')
if not chunk_us then
  return redis.error_reply('PHAROX_ARGUMENT limits')
end
local watch, ended, items, more = start_watch(us), 0, 0, nil
local reply = {0, 0}
repeat
  local leases
  leases, more = sweep_due(pool, ms, 50)
  ended, items = ended + leases, items + 250
until not more or elapsed(watch, items) >= tonumber(chunk_us)
if not more then
  trim_views(pool, ms, tonumber(bound), tonumber(idle_ms))
  local gone = redis.call('SRANDMEMBER', pool .. ':gone')
  if gone then
    purge_proxy(pool, gone, ms, 50)
  end
  for _, id in ipairs(redis.call('SRANDMEMBER', pool .. ':retired', 10)) do
    if redis.call('EXISTS', pool .. ':held:' .. id) == 0 then
      reply[#reply + 1] = id
    end
  end
end
reply[1], reply[2] = ended, more and 1 or 0
return reply
