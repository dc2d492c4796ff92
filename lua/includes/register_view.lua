--- @include "trim_views"
-- Register the view of ask.selector and `digest`: a name, its definition, its filling state, and a
-- sentinel at +inf, so that a view that nothing matches exists. Unfiltered views (digest "") have
-- number 0 and no bound. Returns the name, or nil when the pool has all the views it may and each
-- is in use. The first write fails cleanly when memory is full. O(views).
local function register_view(ask, digest, program)
  local pool, name = ask.pool, ask.selector .. '0'
  if digest ~= '' then
    local oldest = redis.call('ZRANGE', pool .. ':used', 0, 0, 'WITHSCORES')
    if ask.view_bound == 0 or (redis.call('ZCARD', pool .. ':used') >= ask.view_bound
        and tonumber(oldest[2]) > ask.ms - ask.view_idle_ms) then
      return nil
    end
    local number = 1
    while redis.call('HEXISTS', pool .. ':views', ask.selector .. number) == 1 do
      number = number + 1
    end
    name = ask.selector .. number
  end
  redis.call('HSET', pool, 'v:' .. ask.selector .. ':' .. digest, name .. ' 0')
  redis.call('HSET', pool .. ':views', name, digest .. ' ' .. program)
  redis.call('ZADD', pool .. ':view:' .. name, '+inf', '~')
  if digest ~= '' then
    trim_views(pool, ask.ms, ask.view_bound - 1, ask.view_idle_ms)
    redis.call('ZADD', pool .. ':used', ask.ms, name)
  end
  return name
end
