-- candidates: free proxies in selector order, for a filter that only Python can decide. Leases
-- nothing: the caller tests them and asks acquire or find for the first that passes, by id and
-- revision.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   pool_name     the name the caller knows the pool by
--   selector      f, u, r or l
--   digest        names the compiled part of the filter, "" for none
--   program       the compiled part, JSON
--   limits        "chunk_us view_bound view_idle_ms"
--   from          "score id" of the last candidate seen, "" at first
--   wanted        how many at most, 1 to 500
--   token         the caller, whose earlier claim does not hide a proxy from it
-- RETURNS
--   {"page", next from ("" at the end), {proxy_id, document, fields, leases}...}
--   {"again", wait_us, from}
-- ERRORS
--   PHAROX_POOL, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(proxies looked at * log n); bounded by chunk_us and 100 proxies

--- @include "moving"
--- @include "now"
--- @include "start_watch"
--- @include "make_ask"
--- @include "drop_claim"
--- @include "sweep_more"
--- @include "fill_view"
--- @include "turn_wait"
--- @include "register_view"
--- @include "walk"
--- @include "read_program"
--- @include "read_proxy"
--- @include "leases_of"

local pool = KEYS[1]
local pool_name = ARGV[1]
local selector = ARGV[2]
local digest = ARGV[3]
local program = ARGV[4]
local limits = ARGV[5]
local from = ARGV[6]
local wanted = ARGV[7]
local token = ARGV[8]

local away = moving(pool)
if away then
  return away
end

local ms, us = now()
local ask = make_ask(pool, ms, us, selector, digest, program, '', limits, from, '')
local count = tonumber(wanted)
if not ask or not string.match(wanted, '^%d+$') or count < 1 or count > 500
    or string.find(token, '[:%s]') then
  return redis.error_reply('PHAROX_ARGUMENT candidates')
end
local state = redis.call('HMGET', pool, 'name', 'v:' .. selector .. ':',
  'v:' .. selector .. ':' .. digest, 'fill_at')
if state[1] ~= pool_name then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
local filter = read_program(ask)
if filter == false then
  return redis.error_reply('PHAROX_ARGUMENT candidates')
end
if token ~= '' then
  drop_claim(pool, token)
end
if from == '' then
  local more = true
  while more do
    more = sweep_more(ask)
  end
  if more == nil then
    return {'again', 0, ''}
  end
end

local function complete(entry)
  local name = entry and string.match(entry, '^(%S+) %*$')
  return name and redis.call('EXISTS', pool .. ':view:' .. name) == 1 and name
end

local view = complete(state[3])
if view then
  filter = nil
else
  view = complete(state[2])
end
if not view then
  local wait = turn_wait(state[4], us)
  if wait == 0 then
    local cursor = '0'
    if not state[2] then
      register_view(ask, '', '')
    elseif redis.call('EXISTS', pool .. ':view:' .. selector .. '0') == 0 then
      redis.call('ZADD', pool .. ':view:' .. selector .. '0', '+inf', '~')
    else
      cursor = string.match(state[2], '%S+$')
    end
    cursor, wait = fill_view(ask, start_watch(us), selector .. '0', '', nil, cursor)
    if cursor == '*' then
      wait = 0
    end
  end
  return {'again', math.ceil(wait), from}
end

local ids
ids, from = walk(pool, view, filter, from, count, start_watch(us), ask.chunk_us)
local reply = {'page', from}
for _, id in ipairs(ids) do
  local proxy = read_proxy(pool, id)
  reply[#reply + 1] = {id, redis.call('GET', pool .. ':doc:' .. id), proxy.raw,
    leases_of(pool, proxy)}
end
return reply
