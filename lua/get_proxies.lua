-- get_proxies: proxies by id. Reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   ids...        proxy ids, 500 at most
-- RETURNS
--   per id {document, fields, leases}, or "" (unknown), or "gone" (being deleted)
-- ERRORS
--   PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(ids)

--- @include "moving"
--- @include "read_proxy"
--- @include "leases_of"

local pool = KEYS[1]
local ids = 1

local away = moving(pool)
if away then
  return away
end

if #ARGV > 500 then
  return redis.error_reply('PHAROX_ARGUMENT ids')
end
local reply = {}
local exists = redis.call('HEXISTS', pool, 'name') == 1
for i = ids, #ARGV do
  local id = ARGV[i]
  local proxy = exists and read_proxy(pool, id)
  if proxy then
    reply[i] = {redis.call('GET', pool .. ':doc:' .. id), proxy.raw, leases_of(pool, proxy)}
  else
    reply[i] = redis.call('HEXISTS', pool .. ':proxy:' .. id, 'gone') == 1 and 'gone' or ''
  end
end
return reply
