-- find: the best free proxy, held for the caller for a moment (a claim), so that callers who look
-- at the same time see different proxies and each one's create_lease succeeds.
--
-- Guarantees: a claim counts in the proxy's load and lapses by itself; the caller's earlier claim
-- in this pool is dropped first, so that asking twice gives the same answer; a find by
-- round_robin is a selection.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   pool_name     the name the caller knows the pool by
--   token         names the caller (a thread or task); no colon in it
--   claim_ms      how long the claim lasts, 0 for none
--   selector      f, u, r or l
--   digest        names the filter, "" for none
--   program       the compiled filter, JSON
--   hints         s, t
--   limits        "chunk_us view_bound view_idle_ms"
--   from          where a walk goes on, "" at first
--   wanted        "" or "proxy_id revision": that proxy or none
-- RETURNS
--   {"proxy", proxy_id, document, fields, leases}
--   {"none"}, {"again", wait_us, from}, {"taken"}    as in acquire
-- ERRORS
--   PHAROX_POOL, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   as acquire

--- @include "moving"
--- @include "now"
--- @include "valid_span"
--- @include "make_ask"
--- @include "count_claims"
--- @include "drop_claim"
--- @include "pick"
--- @include "select_round"
--- @include "settle"
--- @include "note_use"

local pool = KEYS[1]
local pool_name = ARGV[1]
local token = ARGV[2]
local claim_ms = ARGV[3]
local selector = ARGV[4]
local digest = ARGV[5]
local program = ARGV[6]
local hints = ARGV[7]
local limits = ARGV[8]
local from = ARGV[9]
local wanted = ARGV[10]

local away = moving(pool)
if away then
  return away
end

local ms, us = now()
local claim = valid_span(claim_ms, 0)
local ask = make_ask(pool, ms, us, selector, digest, program, hints, limits, from, wanted)
if not claim or not ask or token == '' or string.find(token, '[:%s]') then
  return redis.error_reply('PHAROX_ARGUMENT ' .. token)
end
local state = redis.call('HMGET', pool, 'name', 'v:' .. selector .. ':' .. digest)
if state[1] ~= pool_name then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
if not state[2] and digest ~= '' then
  --- @include "read_program"
  if read_program(ask) == false then
    return redis.error_reply('PHAROX_ARGUMENT ' .. token)
  end
end
drop_claim(pool, token)

local proxy, load, wait = pick(ask, state[2])
if not proxy then
  local outcome = load
  if outcome == 'again' then
    return {'again', math.ceil(wait), ask.from}
  end
  if outcome == 'malformed' then
    return redis.error_reply('PHAROX_ARGUMENT ' .. token)
  end
  note_use(ask)
  if outcome == 'none' then
    --- @include "note_miss"
    note_miss(pool)
  end
  return {outcome}
end
local id, moved = proxy.id, selector == 'r' and 'r' or ''
local before = load
if claim > 0 then
  redis.call('ZADD', pool .. ':held:' .. id, ms + claim, '!' .. token)
  redis.call('ZADD', pool .. ':expiry', ms + claim, '!' .. token .. ':' .. id)
  redis.call('ZADD', pool .. ':claims', 0, 'p' .. id .. ':' .. token, 0, 't' .. token .. ':' .. id)
  redis.call('HSET', pool .. ':proxy:' .. id, 'claim', '1')
  proxy.claim = '1'
  load = load + 1
  moved = 'u' .. moved
end
if selector == 'r' then
  select_round(pool, proxy)
end
local leases = load - count_claims(pool, proxy)
settle(pool, proxy, before, load, moved)
note_use(ask)
return {'proxy', id, redis.call('GET', pool .. ':doc:' .. id), proxy.raw, leases}
