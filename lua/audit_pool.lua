-- audit_pool: hold what a pool has once (its own key, its registry of views) together, and make it
-- right; and tell of keys that a scan found whether the pool has any business with them.
--
-- Guarantees: judged, and mended, in one atomic step. What only derives from other keys (views,
-- sets of figures) is dropped where it is damaged, to be made again; nothing else is. Keys are
-- removed only if they are a view that no registry names, or where neither the pool nor a list of
-- its proxies exists. Sent twice it says that all is well. Without "1" for repair it reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   repair        "1" to mend what can be recomputed
--   names...      keys that were found, without the pool's part: "view:f3"; 200 at most
-- RETURNS
--   {"live" | "broken" (a key of another type: no other audit can be made) | "deleting" | "lost"
--    (proxies without a pool) | "absent", {{kind, subject, detail, 1 if it was mended else 0}...}}
-- ERRORS
--   PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(views + names)

--- @include "moving"
--- @include "now"
--- @include "audit_head"
--- @include "audit_registry"

local pool = KEYS[1]
local repair = ARGV[1]
local names = 2

local away = moving(pool)
if away then
  return away
end

local ms = now()
if #ARGV > names + 199 then
  return redis.error_reply('PHAROX_ARGUMENT names')
end
local mending, findings = repair == '1', {}

local function tell(kind, subject, detail, mended)
  findings[#findings + 1] = {kind, subject, tostring(detail or ''), mended and 1 or 0}
end

local kind = redis.call('TYPE', pool)
kind = type(kind) == 'table' and kind.ok or kind
if kind ~= 'hash' and kind ~= 'none' then
  tell('wrong-type', 'the pool', kind, false)
  return {'broken', findings}
end
local known = redis.call('HMGET', pool, 'name', 'deleting')
if not known[1] and known[2] then
  return {'deleting', findings}
end
if not known[1] then
  if kind == 'hash' or redis.call('EXISTS', pool .. ':proxies') == 1 then
    tell('pool-lost', '', '', false)
    return {'lost', findings}
  end
  for at = names, #ARGV do
    local name = ARGV[at]
    local ends = redis.call('PEXPIRETIME', pool .. ':' .. name)
    if ends == -1 then
      if mending then
        redis.call('UNLINK', pool .. ':' .. name)
      end
      tell('left-of-a-pool', name, '', mending)
    end
  end
  return {'absent', findings}
end
if known[2] then
  if mending then
    redis.call('HDEL', pool, 'deleting')
  end
  tell('two-states', '', known[2], mending)
end
local well = audit_head(pool, ms, tell, mending)
if not well then
  return {'broken', findings}
end
local registry = audit_registry(pool, ms, tell, mending)
for at = names, #ARGV do
  local name = ARGV[at]
  local view = string.match(name, '^view:(.*)$')
  if view and not registry[view] and redis.call('EXISTS', pool .. ':' .. name) == 1 then
    if mending then
      redis.call('UNLINK', pool .. ':' .. name)
    end
    tell('strange-view', view, '', mending)
  end
end
return {'live', findings}
