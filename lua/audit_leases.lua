-- audit_leases: hold leases and claims, their records, holds and indexes against one another, and
-- make them agree.
--
-- Guarantees: each is judged, and mended, in one atomic step, so that leases may go on: what it
-- tells was wrong at that moment. No lease that is live by its record is ended as long as its
-- proxy exists, and one whose record is lost keeps its hold until that is over. Sent twice it says
-- that all is well. Without "1" for repair it reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   chunk_us      stop after this long, and after one at least
--   retention_ms  what a record without an end is kept for after its lease's
--   repair        "1" to mend what can be recomputed
--   items...      "=tail", the record of a lease; "@holder:proxy", a member of `expiry`, or what
--                 would be one; "?member", one of `claims`; ">consumer tail", an entry of a
--                 consumer's index; ">consumer ", that index itself; 200 at most
-- RETURNS
--   {number of items done, {{kind, subject, detail, 1 if it was mended else 0}...}}
-- ERRORS
--   PHAROX_POOL, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(items * log n), and O(views) for each proxy whose load is mended; bounded by chunk_us

--- @include "moving"
--- @include "now"
--- @include "valid_span"
--- @include "start_watch"
--- @include "elapsed"
--- @include "audit_views"
--- @include "leases_of"
--- @include "audit_proxy"
--- @include "audit_record"
--- @include "audit_hold"
--- @include "audit_claim"

local pool = KEYS[1]
local chunk_us = ARGV[1]
local retention_ms = ARGV[2]
local repair = ARGV[3]
local items = 4

local away = moving(pool)
if away then
  return away
end

local ms, started = now()
local retention = valid_span(retention_ms, 0)
if not retention or not string.match(chunk_us, '^%d+$') or #ARGV > items + 199 then
  return redis.error_reply('PHAROX_ARGUMENT items')
end
if redis.call('HEXISTS', pool, 'name') == 0 then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
local mending, findings, views = repair == '1', {}, nil

local function tell(kind, subject, detail, mended)
  findings[#findings + 1] = {kind, subject, tostring(detail or ''), mended and 1 or 0}
end

-- What follows from a load that was mended: `extra` right around the number of leases that it is
-- now, and all else by what audits the proxy. What only follows is not told.
local function settled(id)
  local function tell_more(kind, subject, detail, mended)
    if kind ~= 'wrong-rank' and kind ~= 'wrong-extra' and kind ~= 'wrong-reserved' then
      tell(kind, subject, detail, mended)
    end
  end
  local leases = leases_of(pool, {id = id, claim = true})
  if leases > 1 then
    redis.call('SADD', pool .. ':extra', id .. ':' .. leases)
  end
  redis.call('SREM', pool .. ':extra', id .. ':' .. leases + 1)
  views = views or audit_views(pool)
  audit_proxy(pool, id, math.max(2, leases - 1), ms, views, tell_more, true)
end

-- A consumer's index that is something else is made anew, entry by entry.
local function readable(consumer)
  local index = pool .. ':leases:' .. consumer
  local size = redis.pcall('ZCARD', index)
  if type(size) ~= 'table' then
    return true
  end
  if mending then
    redis.call('UNLINK', index)
  end
  tell('wrong-type', 'leases:' .. consumer, size.err, mending)
  return mending
end

local function audit_index(consumer, tail)
  if not consumer then
    return
  end
  local index = pool .. ':leases:' .. consumer
  if not readable(consumer) then
    return
  end
  if tail == '' then
    local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
    if last[2] and redis.call('PEXPIRETIME', index) == -1 then
      if mending then
        redis.call('PEXPIREAT', index,
          string.format('%.0f', math.max(ms + 1, math.min(tonumber(last[2]), ms + 631152000000))))
      end
      tell('index-end', consumer, '', mending)
    end
    return
  end
  local record = redis.pcall('GET', pool .. ':lease:' .. tail)
  local of = type(record) == 'string' and string.match(record, '^%S+ (%S+) %d+ %d+ ?%d*$')
  if (record == 'void' or of and of ~= consumer) and redis.call('ZSCORE', index, tail) then
    if mending then
      redis.call('ZREM', index, tail)
    end
    tell('wrong-index', tail, consumer, mending)
  end
end

local function audit_lease(tail)
  local lease = audit_record(pool, tail, ms, retention, tell, mending)
  if lease.state ~= 'active' then
    return
  end
  audit_hold(pool, tail, lease.proxy, lease, ms, settled, tell, mending)
  local index = pool .. ':leases:' .. lease.consumer
  if not readable(lease.consumer) then
    return
  end
  local listed = redis.call('ZSCORE', index, tail)
  local until_ms = math.max(lease.until_ms, lease.expires)
  local missing = not listed or tonumber(listed) < lease.expires
  local ends = redis.call('PEXPIRETIME', index)
  if missing or ends >= 0 and ends < lease.expires then
    if mending then
      redis.call('ZADD', index, missing and string.format('%.0f', until_ms) or listed, tail)
      if ends < until_ms then
        redis.call('PEXPIREAT', index, string.format('%.0f', until_ms))
      end
    end
    tell('wrong-index', tail, lease.consumer, mending)
  end
end

local function audit_member(item)
  local holder, id = string.match(item, '^(.*):(.-)$')
  if not holder or holder == '' or id == '' then
    if redis.call('ZSCORE', pool .. ':expiry', item) then
      if mending then
        redis.call('ZREM', pool .. ':expiry', item)
      end
      tell('strange-member', item, 'expiry', mending)
    end
  elseif string.sub(holder, 1, 1) == '!' then
    audit_claim(pool, string.sub(holder, 2), id, ms, settled, tell, mending)
  else
    -- What is wrong with the record itself is told where that is asked for.
    local lease = audit_record(pool, holder, ms, retention, function() end, false)
    audit_hold(pool, holder, id, lease, ms, settled, tell, mending)
  end
end

local function audit_entry(member)
  local id, token = string.match(member, '^p(.-):(.*)$')
  if not id then
    token, id = string.match(member, '^t(.*):(.-)$')
  end
  if token and token ~= '' and id ~= '' and not string.find(token, ':', 1, true) then
    audit_claim(pool, token, id, ms, settled, tell, mending)
  elseif redis.call('ZSCORE', pool .. ':claims', member) then
    if mending then
      redis.call('ZREM', pool .. ':claims', member)
    end
    tell('strange-member', member, 'claims', mending)
  end
end

local watch, done = start_watch(started), 0
for at = items, #ARGV do
  local mark, item = string.sub(ARGV[at], 1, 1), string.sub(ARGV[at], 2)
  if mark == '=' then
    audit_lease(item)
  elseif mark == '>' then
    audit_index(string.match(item, '^(.-) (.*)$'))
  elseif mark == '?' then
    audit_entry(item)
  elseif mark == '@' then
    audit_member(item)
  end
  done = done + 1
  if elapsed(watch, 2 * done + 20 * #findings) >= tonumber(chunk_us) then
    break
  end
end
return {done, findings}
