-- list_proxies: a page of a pool's proxies in insertion order. Reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   after         insertion number of the last proxy seen, "0" at first
--   limit         1 to 500
-- RETURNS
--   {insertion number to go on from, "" at the end; {proxy_id, document, fields, leases,
--    latency in ms | "", 1 if it is retired else 0}...}
-- ERRORS
--   PHAROX_POOL, PHAROX_ARGUMENT, TRYAGAIN
-- COMPLEXITY
--   O(log n + limit)

--- @include "moving"
--- @include "read_proxy"
--- @include "leases_of"

local pool = KEYS[1]
local after = ARGV[1]
local limit = ARGV[2]

local away = moving(pool)
if away then
  return away
end

local count = tonumber(limit)
if not string.match(limit, '^%d+$') or count < 1 or count > 500
    or not string.match(after, '^%d+$') then
  return redis.error_reply('PHAROX_ARGUMENT limit')
end
if redis.call('HEXISTS', pool, 'name') == 0 then
  return redis.error_reply('PHAROX_POOL ' .. pool)
end
local page = redis.call('ZRANGEBYSCORE', pool .. ':proxies', '(' .. after, '+inf', 'WITHSCORES',
  'LIMIT', 0, count)
local reply = {#page == 2 * count and page[#page] or ''}
local any_retired = redis.call('EXISTS', pool .. ':retired') == 1
for i = 1, #page, 2 do
  local proxy = read_proxy(pool, page[i])
  if proxy then
    reply[#reply + 1] = {page[i], redis.call('GET', pool .. ':doc:' .. page[i]), proxy.raw,
      leases_of(pool, proxy), proxy.latency or '',
      any_retired and redis.call('SISMEMBER', pool .. ':retired', page[i]) or 0}
  end
end
return reply
