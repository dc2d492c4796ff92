-- list_leases: a page of a pool's active leases, or of one consumer's leases (the ended ones too
-- while their records live). Reads only.
--
-- KEYS
--   pool          the pool's hash; every other key is under its tag
-- ARGV
--   consumer      consumer id, "" for all active leases
--   from          "score member" of the last entry seen, "" at first
--   limit         entries to look at, 1 to 500
-- RETURNS
--   {next from, "" at the end; pool_name | ""; leases as in get_lease without the name...}
-- ERRORS
--   PHAROX_ARGUMENT, PHAROX_CORRUPT, TRYAGAIN
-- COMPLEXITY
--   O(log^2 n + limit)

--- @include "moving"
--- @include "now"
--- @include "rank_after"
--- @include "read_lease"

local pool = KEYS[1]
local consumer = ARGV[1]
local from = ARGV[2]
local limit = ARGV[3]

local away = moving(pool)
if away then
  return away
end

local ms = now()
local count = tonumber(limit)
if not string.match(limit, '^%d+$') or count < 1 or count > 500 then
  return redis.error_reply('PHAROX_ARGUMENT limit')
end
local name = redis.call('HGET', pool, 'name')
if not name then
  return {'', ''}
end
local key = consumer == '' and pool .. ':expiry' or pool .. ':leases:' .. consumer
local rank = 0
if from ~= '' then
  local score, member = string.match(from, '^(%d+) (%S+)$')
  if not score then
    return redis.error_reply('PHAROX_ARGUMENT from')
  end
  rank = rank_after(key, score, member)
end
local page = redis.call('ZRANGE', key, rank, rank + count - 1, 'WITHSCORES')
local reply = {#page == 2 * count and page[#page] .. ' ' .. page[#page - 1] or '', name}
for i = 1, #page, 2 do
  local id = string.match(page[i], '^[^:]+')
  local record = string.sub(id, 1, 1) ~= '!' and redis.call('GET', pool .. ':lease:' .. id)
  local lease = read_lease(record, id, ms)
  if lease and lease.corrupt then
    return redis.error_reply('PHAROX_CORRUPT lease:' .. id)
  end
  if lease and (consumer ~= '' or not lease.released) then
    reply[#reply + 1] = {id, lease.proxy_id, lease.consumer, lease.acquired, lease.expires,
      lease.released or ''}
  end
end
return reply
