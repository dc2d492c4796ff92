-- Microseconds until the pool's next piece of heavy work may start (see fill_view), 0 if now. More
-- than a second is a clock that was set back: nobody paused for that long.
local function turn_wait(fill_at, us)
  local wait = (tonumber(fill_at) or 0) - us
  return wait > 0 and wait <= 1000000 and wait or 0
end
