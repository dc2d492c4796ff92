--- @include "read_live"
--- @include "settle"
-- End one lease or claim ("!" and the caller's token) on a proxy; false if it is over already.
-- Its entry in `expiry` is what makes a hold live, and removing it is the first write: that works
-- when memory is full and lets the later writes through. O(log n).
local function end_hold(pool, holder, id)
  if redis.call('ZREM', pool .. ':expiry', holder .. ':' .. id) == 0 then
    return false
  end
  redis.call('ZREM', pool .. ':held:' .. id, holder)
  if string.sub(holder, 1, 1) == '!' then
    local token = string.sub(holder, 2)
    redis.call('ZREM', pool .. ':claims', 'p' .. id .. ':' .. token, 't' .. token .. ':' .. id)
  end
  local proxy = read_live(pool, id)
  if proxy then
    local load = redis.call('ZCARD', pool .. ':held:' .. id)
    settle(pool, proxy, load + 1, load, 'u')
  end
  return true
end
