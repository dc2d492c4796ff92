--- @include "matches"
--- @include "elapsed"
--- @include "rank_after"
-- Look at the free proxies of a view in order, from behind `from` ("score id", "" = the head), and
-- return the ids of the first `wanted` that a filter accepts (nil: any), with where to go on:
-- "" when the free ones are exhausted. Those in `skip` are passed over. Looks at 100 proxies, then
-- on while the call has taken less than `until_us`; it looks at the watch every 50. Third, how long
-- it took. O(proxies looked at).
local function walk(pool, name, program, from, wanted, watch, until_us, skip)
  local key = pool .. ':view:' .. name
  local rank, found, looked = 0, {}, 0
  if from ~= '' then
    local score, id = string.match(from, '^(%S+) (%S+)$')
    rank = rank_after(key, score, id)
  end
  while true do
    local page = redis.call('ZRANGE', key, rank, rank + 49, 'WITHSCORES')
    for i = 1, #page, 2 do
      local id, score = page[i], page[i + 1]
      if score == 'inf' then
        return found, '', 0
      end
      from = score .. ' ' .. id
      if not (skip and skip[id]) and (not program
          or matches(program, redis.call('HMGET', pool .. ':proxy:' .. id,
            'so', 'co', 'ci', 'is', 'as', 'la', 'lo'))) then
        found[#found + 1] = id
        if #found == wanted then
          return found, from, 0
        end
      end
    end
    if #page < 100 then
      return found, '', 0
    end
    rank, looked = rank + 50, looked + 50
    if looked >= 100 then
      local us = elapsed(watch, looked)
      if us >= until_us then
        return found, from, us
      end
    end
  end
end
