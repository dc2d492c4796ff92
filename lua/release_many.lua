-- release_many: end leases before their time, up to a hundred of one pool.
--
-- Guarantees: each as by release. One whose record cannot be read is left alone, and told of.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   retention_ms  how long the records stay readable from now
--   chunk_us      stop after this long
--   items...      per lease 2: its id as in release, the proxy the caller believes it is on
-- RETURNS
--   {per lease 1 if this call ended it, 0 if it was over or unknown, -1 if it cannot be read}; if
--   these are fewer than the leases, the rest is for another call
-- ERRORS
--   PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(leases * log n); bounded by chunk_us

--- @include "moving"
--- @include "now"
--- @include "valid_span"
--- @include "start_watch"
--- @include "elapsed"
--- @include "end_lease"
--- @include "catch_up"
--- @include "shorten_index"

local pool = KEYS[1]
local retention_ms = ARGV[1]
local chunk_us = ARGV[2]
local items = 3

local away = moving(pool)
if away then
  return away
end

local ms, us = now()
local retention = valid_span(retention_ms, 0)
if not retention or not string.match(chunk_us, '^%d+$') or #ARGV % 2 == 1 or #ARGV > 202 then
  return redis.error_reply('PHAROX_ARGUMENT ' .. pool)
end
local told, watch, later = {}, start_watch(us), {long = {}}
for at = items, #ARGV, 2 do
  if #told > 0 and #told % 8 == 0 and elapsed(watch, 20 * #told) >= tonumber(chunk_us) then
    break
  end
  local record = redis.call('GET', pool .. ':lease:' .. ARGV[at])
  local ended = end_lease(pool, record, ARGV[at], ARGV[at + 1], ms, retention, later)
  told[#told + 1] = ended == nil and -1 or ended and 1 or 0
end
catch_up(later)
for consumer, long in pairs(later.long) do
  if long then
    shorten_index(pool, consumer)
  end
end
return told
