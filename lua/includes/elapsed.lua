-- Microseconds that the call has taken, by the best clock there is; where every clock stands still,
-- 6 for each of the `items` worked on, which is more than one takes. O(1).
local function elapsed(watch, items)
  local time = redis.call('TIME')
  local us = time[1] * 1000000 + time[2] - watch.us
  if watch.cpu then
    us = math.max(us, math.floor((os.clock() - watch.cpu) * 1000000))
  elseif us <= 0 then
    us = 6 * items
  end
  return us
end
