-- audit_proxies: hold what derives from proxies against their hashes and holds, and make it right.
--
-- Guarantees: each proxy is judged, and mended, in one atomic step, so that leases may go on: what
-- it tells was wrong at that moment. It never ends a lease of a proxy that exists, and never makes
-- a proxy look freer than its leases allow. Sent twice it says that all is well. Without "1" for
-- repair it reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   chunk_us      stop after this long, and after one at least
--   repair        "1" to mend what can be recomputed
--   items...      "=id", proxies that are there or not; "n=id", one of which `extra` is to be
--                 looked at from the n-th lease on; "+id:n", a member of `extra`; "!id:revision",
--                 one that cannot be read as it is in this revision: it is to be taken out of use;
--                 200 at most
-- RETURNS
--   {number of items done, {items to be asked besides...},
--    {{kind, subject, detail, 1 if it was mended else 0}...},
--    {{id, document, fields (the first eleven of read_proxy's)}...} of the proxies that are there}
-- ERRORS
--   PHAROX_POOL, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(proxies * views * log n + leases); bounded by chunk_us

--- @include "moving"
--- @include "now"
--- @include "start_watch"
--- @include "elapsed"
--- @include "audit_views"
--- @include "leases_of"
--- @include "audit_proxy"

local pool = KEYS[1]
local chunk_us = ARGV[1]
local repair = ARGV[2]
local items = 3

local away = moving(pool)
if away then
  return away
end

local ms, started = now()
if not string.match(chunk_us, '^%d+$') or #ARGV > items + 199 then
  return redis.error_reply('PHAROX_ARGUMENT items')
end
if redis.call('HEXISTS', pool, 'name') == 0 then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
local mending, besides, findings, read = repair == '1', {}, {}, {}
local views, watch, work, done = audit_views(pool), start_watch(started), 0, 0

local function tell(kind, subject, detail, mended)
  findings[#findings + 1] = {kind, subject, tostring(detail or ''), mended and 1 or 0}
end

for at = items, #ARGV do
  local from, id = string.match(ARGV[at], '^(%d*)=(.*)$')
  local unread, revision = string.match(ARGV[at], '^!(.*):(%d+)$')
  local item = string.match(ARGV[at], '^%+(.*)$')
  if item then
    local owner, n = string.match(item, '^(.*):(.-)$')
    owner = owner or ''
    local number, kind = tonumber(n or nil), redis.call('TYPE', pool .. ':held:' .. owner)
    kind = type(kind) == 'table' and kind.ok or kind
    if (kind == 'zset' or kind == 'none') and redis.call('SISMEMBER', pool .. ':extra', item) == 1
        and (not number or not string.find(n, '^[1-9]%d*$') or number < 2
          or number > leases_of(pool, {id = owner, claim = true})) then
      if mending then
        redis.call('SREM', pool .. ':extra', item)
      end
      tell('wrong-extra', item, 'too many', mending)
    end
  elseif unread then
    -- Saved, deleted or taken out of use since it was read: then there is nothing to do.
    local proxy = read_proxy(pool, unread)
    if mending and proxy and proxy.status == 'active' and proxy.raw[11] == revision then
      change_status(pool, proxy, 'inactive')
      tell('proxy-unreadable', unread, 'it is out of use now', false)
    end
  elseif id then
    local raw, more = audit_proxy(pool, id, tonumber(from) or 2, ms, views, tell, mending)
    if raw and from == '' then
      local document = redis.call('GET', pool .. ':doc:' .. id)
      read[#read + 1] = {id, document, {unpack(raw, 1, 11)}}
    end
    if more then
      besides[#besides + 1] = string.format('%d=%s', more, id)
    end
  end
  done, work = done + 1, work + 20 + 2 * #views
  if elapsed(watch, math.floor(work / 6)) >= tonumber(chunk_us) then
    break
  end
end
return {done, besides, findings, read}
