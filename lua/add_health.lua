-- add_health: put a health record on a proxy's history, and with a check's result its new status.
--
-- Guarantees: a record id is put there once, however often it is sent; the history is bounded;
-- the latest reachable latency outlives it. The first write is the push: it fails cleanly when
-- memory is full.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   proxy_id      the proxy
--   record_id     the record
--   document      the record's JSON, opaque here
--   latency       reachable latency in ms (an integer), "" if not reachable or unknown
--   bound         records kept, at least 1
--   status        the new status, "" to leave status and last check alone; a retired proxy keeps
--                 its own
--   checked_us    time of the check in us, "" likewise
-- RETURNS
--   {document, fields, leases} of the proxy
-- ERRORS
--   PHAROX_PROXY, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(bound + views of the proxy * log n)

--- @include "moving"
--- @include "status_known"
--- @include "read_proxy"
--- @include "leases_of"
--- @include "note_status"
--- @include "rerank"

local pool = KEYS[1]
local proxy_id = ARGV[1]
local record_id = ARGV[2]
local document = ARGV[3]
local latency = ARGV[4]
local bound = ARGV[5]
local status = ARGV[6]
local checked_us = ARGV[7]

local away = moving(pool)
if away then
  return away
end

local keep = tonumber(bound)
if not string.match(bound, '^%d+$') or keep < 1 or keep > 1000000
    or (latency ~= '' and not string.match(latency, '^%-?%d+$'))
    or (status ~= '' and not (status_known(status) and string.match(checked_us, '^%-?%d+$'))) then
  return redis.error_reply('PHAROX_ARGUMENT ' .. proxy_id)
end
local proxy = read_proxy(pool, proxy_id)
if not proxy then
  return redis.error_reply('PHAROX_PROXY ' .. proxy_id)
end
local key, history = pool .. ':proxy:' .. proxy_id, pool .. ':health:' .. proxy_id
local known = false
for _, entry in ipairs(redis.call('LRANGE', history, 0, -1)) do
  if string.sub(entry, 1, #record_id + 1) == record_id .. ' ' then
    known = true
  end
end
if not known then
  local before = status ~= '' and proxy.status or '-'
  redis.call('LPUSH', history, record_id .. ' ' .. before .. ' ' .. document)
  redis.call('LTRIM', history, 0, keep - 1)
  if latency ~= '' then
    redis.call('HSET', key, 'ms', latency)
  end
  if status ~= '' then
    if redis.call('SISMEMBER', pool .. ':retired', proxy_id) == 1 then
      status = proxy.status
    end
    redis.call('HSET', key, 'st', status, 'chk', checked_us,
      'rev', string.format('%.0f', tonumber(proxy.raw[11]) + 1))
  end
  proxy = read_proxy(pool, proxy_id)
  local load = redis.call('ZCARD', pool .. ':held:' .. proxy_id)
  note_status(pool, proxy, load)
  rerank(pool, proxy, load, load, 'furl')
end
return {redis.call('GET', pool .. ':doc:' .. proxy_id), proxy.raw, leases_of(pool, proxy)}
