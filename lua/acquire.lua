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
--   lease_id      made by the caller: what follows the pool's prefix in the lease's id
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
--   {"lease", acquired_ms, expires_ms, released_ms | "", consumer, proxy_id, document, fields (the
--    first ten of read_proxy's), leases of the proxy, figures | false}
--   {"none", figures | false}      nothing free matches
--   {"again", wait_us, from}       not known yet
--   {"taken"}                      the wanted proxy is not free or was saved meanwhile
-- ERRORS
--   PHAROX_POOL, PHAROX_LEASE_CONFLICT, PHAROX_CORRUPT, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(log n) with a complete view and nothing due; else bounded by chunk_us

--- @include "grant_lease"

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

-- As `moving` does, in one call with the first look at the lease.
local found = redis.pcall('MGET', pool .. ':lease:' .. lease_id, pool .. ':never')
if found.err then
  --- @include "refusal"
  return refusal(pool, found)
end

local record, time = found[1], redis.call('TIME')
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local duration = string.find(duration_ms, '^%d+$') and tonumber(duration_ms) or 0
local retention = string.find(retention_ms, '^%d+$') and tonumber(retention_ms) or -1
if duration < 1 or retention < 0 or duration > 315576000000 or retention > 315576000000
    or not string.find(consumer, '^[%x-]+$')
    or #lease_id ~= 22 or not string.find(lease_id, '^%x+%-%x+%-%x+$') then
  return redis.error_reply('PHAROX_ARGUMENT ' .. lease_id)
end
local state = redis.call('HMGET', pool, 'name', 'v:' .. selector .. ':' .. digest)
if state[1] ~= pool_name then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end

local lease = {
  id = lease_id, consumer = consumer,
  acquired = ms, expires = ms + duration, retention = retention,
}
want_stats = want_stats == '1'
local proxy, load

-- The usual case, in as few calls and functions as it takes: nothing is due, and the head of the
-- view can be trusted (see free_head). Whatever else is met, nothing was written yet.
if state[2] and not record and token == '' and wanted == ''
    and not string.find(hints, 't', 1, true) then
  local view, cursor = string.match(state[2], '^(%S+) (%S+)$')
  local due = redis.call('ZRANGE', pool .. ':expiry', 0, 0, 'WITHSCORES')
  local head = redis.call('ZRANGE', pool .. ':view:' .. view, 0, 0, 'WITHSCORES')
  local id, rank = head[1], head[2]
  if not id or due[1] and tonumber(due[2]) <= ms then
    id = nil
  elseif cursor == '*' then
    if rank == 'inf' and not want_stats then
      --- @include "note_miss"
      note_miss(pool)
      return {'none', false}
    end
  elseif selector ~= 'f' or tonumber(rank) > tonumber(cursor) then
    id = nil
  end
  if id and rank ~= 'inf' then
    -- What ranks a proxy that was just leased, and what the reply needs (see read_proxy).
    local raw = redis.call('HMGET', pool .. ':proxy:' .. id,
      'so', 'co', 'ci', 'is', 'as', 'la', 'lo', 'st', 'max', 'chk', 'views', 'claim', 'gone')
    if not raw[12] and not raw[13] then
      local max = tonumber(raw[9])
      load = redis.call('ZCARD', pool .. ':held:' .. id)
      if raw[8] == 'active' and (not max or load < max) then
        proxy = {
          id = id, raw = raw,
          status = 'active', max = max, checked_us = raw[10], views = raw[11] or '',
        }
      end
    end
  end
end
if not proxy then
  --- @include "acquire_anyhow"
  local reply
  reply, proxy, load = acquire_anyhow(pool, ms, time[1] * 1000000 + time[2], state, record, lease, {
    selector = selector, digest = digest, program = program, hints = hints, limits = limits,
    from = from, wanted = wanted, token = token, want_stats = want_stats,
  })
  if reply then
    return reply
  end
end

grant_lease(pool, proxy, load, lease, selector == 'r' and 'r' or '')
local figures = false
if want_stats then
  --- @include "pool_stats"
  figures = pool_stats(pool)
end
return {
  'lease', ms, lease.expires, '', consumer, proxy.id,
  redis.call('GET', pool .. ':doc:' .. proxy.id), {unpack(proxy.raw, 1, 10)}, load + 1, figures,
}
