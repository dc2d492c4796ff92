-- acquire: lease the best free proxy of a pool under a selector and a filter, in one call.
--
-- Guarantees: no proxy is leased over its limit (its load is the size of `held`, looked at here);
-- a lease id that is known returns that lease, so that a command sent twice leases once; every
-- refusal comes before the first write.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   pool_name     the name the caller knows the pool by
--   lease_id      UUID text made by the caller, its first 48 bits those of the pool
--   consumer      consumer id
--   duration_ms   1 to ten years
--   retention_ms  how long the record stays readable after the lease's end, 0 to ten years
--   selector      f, u, r or l (see includes/score.lua)
--   digest        names the filter, "" for none
--   program       the compiled filter, JSON (see includes/matches.lua)
--   hints         s, t (see includes/make_ask.lua)
--   limits        "chunk_us view_bound view_idle_ms"
--   from          where a walk goes on, "" at first
--   wanted        "" or "proxy_id revision": that proxy or none
--   want_stats    "1" to have the pool's figures in the reply
--   token         the caller, if an earlier find of its may still hold a proxy: that is let go;
--                 or ""
-- RETURNS
--   {"lease", acquired_ms, expires_ms, released_ms | "", consumer, proxy_id, document, fields,
--    leases of the proxy, figures | false}
--   {"none", figures | false}      nothing free matches
--   {"again", wait_us, from}       not known yet
--   {"taken"}                      the wanted proxy is not free or was saved meanwhile
-- ERRORS
--   PHAROX_POOL, PHAROX_LEASE_ID, PHAROX_LEASE_CONFLICT, PHAROX_CORRUPT, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(log n) with a complete view and nothing due; else bounded by chunk_us

--- @include "moving"
--- @include "now"
--- @include "valid_span"
--- @include "make_ask"
--- @include "read_lease"
--- @include "read_proxy"
--- @include "pick"
--- @include "grant_lease"
--- @include "lease_reply"
--- @include "note_use"

local pool = KEYS[1]
local pool_name = ARGV[1]
local lease_id = ARGV[2]
local consumer = ARGV[3]
local duration_ms = ARGV[4]
local retention_ms = ARGV[5]
local selector = ARGV[6]
local digest = ARGV[7]
local program = ARGV[8]
local hints = ARGV[9]
local limits = ARGV[10]
local from = ARGV[11]
local wanted = ARGV[12]
local want_stats = ARGV[13]
local token = ARGV[14]

if moving(pool) then
  return redis.error_reply('TRYAGAIN ' .. pool)
end

local ms, us = now()
local duration, retention = valid_span(duration_ms, 1), valid_span(retention_ms, 0)
local ask = make_ask(pool, ms, us, selector, digest, program, hints, limits, from, wanted)
if not duration or not retention or not ask or not string.match(consumer, '^[%x-]+$')
    or string.find(token, '[:%s]') then
  return redis.error_reply('PHAROX_ARGUMENT ' .. lease_id)
end
local state = redis.call('HMGET', pool, 'name', 'prefix', 'v:' .. selector .. ':' .. digest)
if state[1] ~= pool_name then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
if string.sub(lease_id, 1, 13) ~= state[2] then
  return redis.error_reply('PHAROX_LEASE_ID ' .. lease_id)
end

if not state[3] and digest ~= '' then
  --- @include "read_program"
  if read_program(ask) == false then
    return redis.error_reply('PHAROX_ARGUMENT ' .. lease_id)
  end
end

local known, void = read_lease(pool, lease_id, ms)
if void then
  return redis.error_reply('PHAROX_LEASE_CONFLICT ' .. lease_id)
end
if known then
  if known.corrupt then
    return redis.error_reply('PHAROX_CORRUPT lease:' .. lease_id)
  end
  if known.consumer ~= consumer then
    return redis.error_reply('PHAROX_LEASE_CONFLICT ' .. lease_id)
  end
  local proxy = read_proxy(pool, known.proxy_id)
  local load = proxy and redis.call('ZCARD', pool .. ':held:' .. proxy.id) or 0
  return lease_reply(pool, known, proxy, load, want_stats == '1')
end

if token ~= '' then
  --- @include "drop_claim"
  drop_claim(pool, token)
end
local proxy, load, wait = pick(ask, state[3])
if not proxy then
  local outcome = load
  if outcome == 'none' then
    note_use(ask)
    local figures = false
    if want_stats == '1' then
      --- @include "pool_stats"
      figures = pool_stats(pool)
    end
    return {'none', figures}
  end
  if outcome == 'again' then
    return {'again', math.ceil(wait), ask.from}
  end
  if outcome == 'malformed' then
    return redis.error_reply('PHAROX_ARGUMENT ' .. lease_id)
  end
  return {outcome}
end
local lease = {
  id = lease_id, proxy_id = proxy.id, consumer = consumer,
  acquired = ms, expires = ms + duration, retention = retention,
}
grant_lease(pool, proxy, load, lease, selector == 'r' and 'r' or '')
note_use(ask)
return lease_reply(pool, lease, proxy, load + 1, want_stats == '1')
