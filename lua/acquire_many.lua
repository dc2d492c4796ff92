-- acquire_many: lease the best free proxies of a pool under a selector and a filter, one for each
-- of up to a hundred lease ids.
--
-- Guarantees: each lease is as acquire grants it. Ids that are known are told of, and then no
-- others are granted: a command sent twice leases once. Every refusal comes before the first write.
-- When memory is full no more is leased than is swept.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   pool_name     the name the caller knows the pool by
--   consumer      consumer id
--   duration_ms   1 to ten years
--   retention_ms  how long the records stay readable after the leases' end, 0 to ten years
--   selector      f, u, r or l (see includes/score.lua)
--   digest        names the filter, "" for none
--   program       the compiled filter, JSON (see includes/matches.lua)
--   hints         s, t (see includes/make_ask.lua)
--   limits        "chunk_us view_bound view_idle_ms"
--   from          where a walk goes on, "" at first
--   taken         proxies not to lease, with spaces between; or ""
--   distinct      "1" to lease no proxy twice; "" for what as many acquires would lease
--   token         as in acquire
--   ids...        made by the caller: what follows the pool's prefix in the leases' ids
-- RETURNS
--   {wait_us, from, leases...}, per lease {id, acquired_ms, expires_ms, released_ms | "", consumer,
--   proxy_id, document, fields, leases of the proxy} (as in acquire). There may be fewer leases
--   than ids: with wait_us -1 nothing more that matches is free, else the caller goes on after
--   that long with the ids that are left.
-- ERRORS
--   PHAROX_POOL, PHAROX_LEASE_CONFLICT, PHAROX_CORRUPT, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(leases * log n) with a complete view; bounded by chunk_us

--- @include "moving"
--- @include "now"
--- @include "valid_span"
--- @include "make_ask"
--- @include "read_lease"
--- @include "read_proxy"
--- @include "read_program"
--- @include "drop_claim"
--- @include "pick"
--- @include "grant_lease"
--- @include "catch_up"
--- @include "lease_row"
--- @include "sweep_more"
--- @include "start_watch"
--- @include "elapsed"
--- @include "note_use"

local pool = KEYS[1]
local pool_name = ARGV[1]
local consumer = ARGV[2]
local duration_ms = ARGV[3]
local retention_ms = ARGV[4]
local selector = ARGV[5]
local digest = ARGV[6]
local program = ARGV[7]
local hints = ARGV[8]
local limits = ARGV[9]
local from = ARGV[10]
local taken = ARGV[11]
local distinct = ARGV[12]
local token = ARGV[13]
local ids = 14

local away = moving(pool)
if away then
  return away
end

local ms, us = now()
local duration, retention = valid_span(duration_ms, 1), valid_span(retention_ms, 0)
local ask = make_ask(pool, ms, us, selector, digest, program, hints, limits, from, '')
if not duration or not retention or not ask or not string.match(consumer, '^[%x-]+$')
    or string.find(token, '[:%s]') or #ARGV < ids or #ARGV >= ids + 100 then
  return redis.error_reply('PHAROX_ARGUMENT ' .. pool)
end
local state = redis.call('HMGET', pool, 'name', 'v:' .. selector .. ':' .. digest)
if state[1] ~= pool_name then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
local complete = state[2] and string.sub(state[2], -1) == '*'
if digest ~= '' and not complete and read_program(ask) == false then
  return redis.error_reply('PHAROX_ARGUMENT ' .. pool)
end

local reply, asked = {-1, ''}, {}
for at = ids, #ARGV do
  local id = ARGV[at]
  if #id ~= 22 or not string.find(id, '^%x+%-%x+%-%x+$') then
    return redis.error_reply('PHAROX_ARGUMENT ' .. id)
  end
  if asked[id] then
    return redis.error_reply('PHAROX_ARGUMENT ' .. pool)
  end
  asked[id] = true
  local known, void = read_lease(redis.call('GET', pool .. ':lease:' .. id), id, ms)
  if void or known and known.consumer and known.consumer ~= consumer then
    return redis.error_reply('PHAROX_LEASE_CONFLICT ' .. id)
  end
  if known and known.corrupt then
    return redis.error_reply('PHAROX_CORRUPT lease:' .. id)
  end
  if known then
    local proxy = read_proxy(pool, known.proxy_id)
    local load = proxy and redis.call('ZCARD', pool .. ':held:' .. proxy.id) or 0
    reply[#reply + 1] = lease_row(pool, known, proxy, load)
  end
end
if #reply > 2 then
  reply[1] = 0
  return reply
end

if token ~= '' then
  drop_claim(pool, token)
end
-- Those that this batch has parked stand where they were in the views until it catches up.
ask.skip = {}
if distinct == '1' then
  for id in string.gmatch(taken, '%S+') do
    ask.skip[id] = true
  end
end
ask.watch = start_watch(us)
local room = #ARGV - ids + 1
local due = redis.call('ZRANGE', pool .. ':expiry', 0, 0, 'WITHSCORES')
if due[1] and tonumber(due[2]) <= ms then
  --- @include "memory_full"
  local full, before = memory_full(pool), redis.call('ZCARD', pool .. ':expiry')
  local more = true
  while more do
    more = sweep_more(ask)
  end
  if more == nil then
    return {0, from}
  end
  if full then
    -- No more than was given back: the sweep has opened the way for every later write.
    room = math.min(room, before - redis.call('ZCARD', pool .. ':expiry'))
  end
end
ask.clean, ask.began = true, from
local work, later = 5 * (ask.swept or 0), {}
for at = ids, #ARGV do
  local granted = at - ids
  if granted > 0 then
    if granted >= room or (granted % 8 == 0 or not complete)
        and elapsed(ask.watch, work) >= ask.chunk_us then
      reply[1] = 0
      break
    end
    if distinct ~= '1' then
      -- The one that was leased last may still be the best. If each comes once, all up to there
      -- were looked at.
      ask.from = ''
    end
    if ask.searched then
      -- It may have been registered or filled for the lease before.
      ask.searched = nil
      state[2] = redis.call('HGET', pool, 'v:' .. selector .. ':' .. digest)
      complete = state[2] and string.sub(state[2], -1) == '*'
    end
  end
  local proxy, load, wait = pick(ask, state[2])
  if not proxy then
    if load == 'malformed' then
      return redis.error_reply('PHAROX_ARGUMENT ' .. pool)
    end
    if load == 'again' then
      reply[1], reply[2] = math.ceil(wait), granted == 0 and ask.from or ''
    end
    break
  end
  local lease = {
    id = ARGV[at], proxy_id = proxy.id, consumer = consumer,
    acquired = ms, expires = ms + duration, retention = retention,
  }
  local parked = grant_lease(pool, proxy, load, lease, selector == 'r' and 'r' or '',
    granted > 0 and later or nil)
  reply[#reply + 1] = lease_row(pool, lease, proxy, load + 1)
  if parked or distinct == '1' then
    ask.skip[proxy.id] = true
  end
  if not parked and (selector == 'u' or selector == 'r' or proxy.max and load + 1 >= proxy.max) then
    -- It has another place in the view now.
    ask.page = nil
  end
  -- A view's name is some three letters, and a write.
  work = work + 12 + math.floor(#proxy.views / 3) + (complete and 0 or 100)
end
catch_up(later)
note_use(ask)
if #reply > 3 then
  -- The first was counted when it was granted.
  redis.call('HINCRBY', pool, 'got', #reply - 3)
elseif #reply == 2 and reply[1] == -1 then
  --- @include "note_miss"
  note_miss(pool)
end
return reply
