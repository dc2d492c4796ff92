--- @include "read_proxy"
--- @include "matches"
--- @include "enter_view"
--- @include "elapsed"
--- @include "note_turn"
-- Fill a view by one chunk: the pool's proxies in insertion order from behind `cursor` (an
-- insertion number), until the call has taken chunk_us. Returns the new cursor ("*" = complete)
-- and how long the pool's next chunk must wait. O(proxies looked at * log n).
local function fill_view(ask, watch, name, digest, program, cursor)
  local pool, us, items = ask.pool, 0, 0
  repeat
    local page = redis.call('ZRANGEBYSCORE', pool .. ':proxies', '(' .. cursor, '+inf',
      'WITHSCORES', 'LIMIT', 0, 50)
    for i = 1, #page, 2 do
      -- Most match nothing: what a filter looks at first, and the rest of those that it accepts.
      local proxy = (not program or matches(program, redis.call('HMGET',
        pool .. ':proxy:' .. page[i], 'so', 'co', 'ci', 'is', 'as', 'la', 'lo')))
        and read_proxy(pool, page[i])
      if proxy then
        enter_view(pool, name, proxy)
      end
      cursor = page[i + 1]
    end
    if #page < 100 then
      cursor = '*'
    end
    items = items + 50
    us = elapsed(watch, items)
  until cursor == '*' or us >= ask.chunk_us
  redis.call('HSET', pool, 'v:' .. ask.selector .. ':' .. digest, name .. ' ' .. cursor)
  note_turn(pool, ask.us, us)
  return cursor, us
end
