-- save_proxies: insert or overwrite proxies, as many of those given as fit in a chunk.
--
-- Guarantees: live state (leases, claims, latency, rounds, insertion number) of a known proxy is
-- never touched; every registered view is right afterwards; one that was retired is not any more;
-- all proxies are checked before the first write, and a proxy is written whole.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   chunk_us      stop after this long, every few proxies
--   items...      per proxy 13: id, revision it was read at ("" = it must be new), source,
--                 country, city, isp, asn, latitude, longitude ("" = none), status (after a "+":
--                 of a new one, and of one that retiring made inactive; others keep theirs),
--                 max_concurrency ("" = unlimited), last check in us, document
-- RETURNS
--   {number done, {{place (from 0) not done, "stale" | "gone"}...} for those to be read again}
-- ERRORS
--   PHAROX_POOL, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(proxies * views * log n); bounded by chunk_us

--- @include "moving"
--- @include "now"
--- @include "start_watch"
--- @include "elapsed"
--- @include "status_known"
--- @include "read_proxy"
--- @include "live_views"
--- @include "matches"
--- @include "score"
--- @include "note_status"

local pool = KEYS[1]
local chunk_us = ARGV[1]
local items = 2

local away = moving(pool)
if away then
  return away
end

local _, started = now()
local width, last = 13, #ARGV
if not redis.call('HGET', pool, 'name') then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
if not string.match(chunk_us, '^%d+$') or (last - 1) % width ~= 0 then
  return redis.error_reply('PHAROX_ARGUMENT items')
end
for at = items, last, width do
  if not status_known((string.gsub(ARGV[at + 9], '^%+', '')))
      or not string.match(ARGV[at + 10], '^%d*$')
      or not string.match(ARGV[at + 11], '^%-?%d+$') then
    return redis.error_reply('PHAROX_ARGUMENT ' .. ARGV[at])
  end
end

local any_retired = redis.call('EXISTS', pool .. ':retired') == 1

local function status_of(at, stored)
  local given, kept = string.gsub(ARGV[at + 9], '^%+', '')
  if kept == 0 or not stored or (stored == 'inactive' and any_retired
      and redis.call('SISMEMBER', pool .. ':retired', ARGV[at]) == 1) then
    return given
  end
  return stored
end

local function save(at, views)
  local id, expected = ARGV[at], ARGV[at + 1]
  local key = pool .. ':proxy:' .. id
  local known = redis.call('HMGET', key, 'rev', 'seq', 'gone', 'st')
  if known[3] then
    return 'gone'
  end
  if (known[1] or '') ~= expected then
    return 'stale'
  end
  local fresh = not known[1]
  local seq = known[2]
  if fresh then
    seq = redis.call('HINCRBY', pool, 'seq', 1)
  end
  local set = {'rev', string.format('%.0f', (tonumber(known[1]) or 0) + 1), 'seq', seq,
    'chk', ARGV[at + 11]}
  local unset = {}
  for i, name in ipairs({'so', 'co', 'ci', 'is', 'as', 'la', 'lo', 'st', 'max'}) do
    local value = name == 'st' and status_of(at, known[4]) or ARGV[at + 1 + i]
    if value == '' then
      unset[#unset + 1] = name
    else
      set[#set + 1] = name
      set[#set + 1] = value
    end
  end
  redis.call('HSET', key, unpack(set))
  if not fresh and #unset > 0 then
    redis.call('HDEL', key, unpack(unset))
  end
  redis.call('SET', pool .. ':doc:' .. id, ARGV[at + 12])
  if fresh then
    redis.call('ZADD', pool .. ':proxies', seq, id)
  end
  local proxy = read_proxy(pool, id)
  local before = proxy.views
  proxy.views = ''
  local load = redis.call('ZCARD', pool .. ':held:' .. id)
  local names = {}
  for _, view in ipairs(views) do
    if not view.program or matches(view.program, proxy.raw) then
      redis.call('ZADD', pool .. ':view:' .. view.name,
        score(string.sub(view.name, 1, 1), proxy, load), id)
      names[#names + 1] = view.name
    end
  end
  proxy.views = table.concat(names, ' ')
  for name in string.gmatch(before, '%S+') do
    if not string.find(' ' .. proxy.views .. ' ', ' ' .. name .. ' ', 1, true) then
      redis.call('ZREM', pool .. ':view:' .. name, id)
    end
  end
  if proxy.views ~= before then
    redis.call('HSET', key, 'views', proxy.views)
  end
  note_status(pool, proxy, load)
  if any_retired then
    redis.call('SREM', pool .. ':retired', id)
  end
  return nil
end

local watch, views, done, unsaved = start_watch(started), live_views(pool), 0, {}
for at = items, last, width do
  local why = save(at, views)
  if why then
    unsaved[#unsaved + 1] = {done, why}
  end
  done = done + 1
  if elapsed(watch, done * (5 + #views)) >= tonumber(chunk_us) then
    break
  end
end
return {done, unsaved}
