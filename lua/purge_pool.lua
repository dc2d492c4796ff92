-- purge_pool: the second step of a delete, called until it is done: removes a hidden pool's
-- leases and the named proxies in chunks, and, when no proxy is left, what the pool keeps besides.
--
-- Guarantees: sent twice it answers done; a pool that is not hidden is left alone; works when
-- memory is full. Leases of a deleted pool are gone with it.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   chunk_us      stop after this long
--   final         "1" to remove the pool's own key, once its name is released; else it stays,
--                 hidden
--   ids...        proxies whose directory entries are gone: those may go now
-- RETURNS
--   1 nothing but the pool's own key is left (or not that either), 0 call again
-- ERRORS
--   PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O((proxies + leases) log n); bounded by chunk_us

--- @include "moving"
--- @include "now"
--- @include "start_watch"
--- @include "elapsed"
--- @include "drop_view"
--- @include "shorten_index"

local pool = KEYS[1]
local chunk_us = ARGV[1]
local final = ARGV[2]
local ids = 3

local away = moving(pool)
if away then
  return away
end

local _, started = now()
if not string.match(chunk_us, '^%d+$') then
  return redis.error_reply('PHAROX_ARGUMENT chunk_us')
end
if redis.call('HEXISTS', pool, 'deleting') == 0 then
  return 1
end

local watch, items = start_watch(started), 0

local function time_is_up()
  items = items + 5
  return elapsed(watch, items) >= tonumber(chunk_us)
end

for _, name in ipairs(redis.call('HKEYS', pool .. ':views')) do
  drop_view(pool, name)
end
-- Leases first, records and index entries with them: nothing else knows their consumers.
repeat
  local page = redis.call('ZRANGE', pool .. ':expiry', 0, 49)
  for _, member in ipairs(page) do
    local holder = string.match(member, '^(.*):.-$')
    local key = pool .. ':lease:' .. holder
    local record = redis.call('GET', key)
    local consumer = record and string.match(record, '^%S+ (%S+) ')
    redis.call('ZREM', pool .. ':expiry', member)
    redis.call('UNLINK', key)
    if consumer then
      local index = pool .. ':leases:' .. consumer
      redis.call('ZREM', index, holder)
      shorten_index(pool, consumer)
    end
  end
  items = items + 5 * #page
  if #page == 50 and time_is_up() then
    return 0
  end
until #page < 50
for i = ids, #ARGV do
  local id = ARGV[i]
  redis.call('ZREM', pool .. ':proxies', id)
  redis.call('UNLINK', pool .. ':proxy:' .. id, pool .. ':doc:' .. id, pool .. ':health:' .. id,
    pool .. ':held:' .. id)
  redis.call('SREM', pool .. ':gone', id)
  if time_is_up() then
    return 0
  end
end
if redis.call('EXISTS', pool .. ':proxies', pool .. ':gone') > 0 then
  return 0
end
for _, name in ipairs({'views', 'used', 'expiry', 'claims', 'extra', 'idle', 'reserved', 'retired',
    'gone', 'proxies'}) do
  redis.call('UNLINK', pool .. ':' .. name)
end
if final == '1' then
  redis.call('UNLINK', pool)
end
return 1
