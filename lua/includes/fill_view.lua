--- @include "read_proxy"
--- @include "matches"
--- @include "enter_view"
--- @include "now"
-- Fill a view by one chunk: the pool's proxies in insertion order from behind `cursor` (an
-- insertion number), until chunk_us have passed. Returns the new cursor ("*" = complete) and how
-- long the pool's next chunk must wait: as long as this one took, so that however many callers
-- push, other clients get every second moment. O(proxies looked at * log n).
local function fill_view(ask, name, digest, program, cursor)
  local pool, us, _ = ask.pool, ask.us, nil
  repeat
    local page = redis.call('ZRANGEBYSCORE', pool .. ':proxies', '(' .. cursor, '+inf',
      'WITHSCORES', 'LIMIT', 0, 50)
    for i = 1, #page, 2 do
      local proxy = read_proxy(pool, page[i])
      if proxy and (not program or matches(program, proxy.raw)) then
        enter_view(pool, name, proxy)
      end
      cursor = page[i + 1]
    end
    if #page < 100 then
      cursor = '*'
    end
    _, us = now()
  until cursor == '*' or us - ask.us >= ask.chunk_us
  redis.call('HSET', pool, 'v:' .. ask.selector .. ':' .. digest, name .. ' ' .. cursor,
    'fill_at', string.format('%.0f', us + (us - ask.us)))
  return cursor, us - ask.us
end
