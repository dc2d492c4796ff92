--- @include "drop_view"
-- Drop up to four filtered views that nobody used for `idle_ms`, or that are over the bound:
-- the least recently used first. O(log views).
local function trim_views(pool, ms, bound, idle_ms)
  local excess = redis.call('ZCARD', pool .. ':used') - bound
  local oldest = redis.call('ZRANGE', pool .. ':used', 0, 3, 'WITHSCORES')
  for i = 1, #oldest, 2 do
    if excess <= 0 and tonumber(oldest[i + 1]) > ms - idle_ms then
      return
    end
    drop_view(pool, oldest[i])
    excess = excess - 1
  end
end
