--- @include "read_live"
-- End one lease or claim ("!" and the caller's token) on a proxy; false if it is over already.
-- Its entry in `expiry` is what makes a hold live, and removing it is the first write: that works
-- when memory is full and lets the later writes through. With `later` the views of a proxy that is
-- free again are put off (see put_off). O(log n) in each view of the proxy.
local function end_hold(pool, holder, id, later)
  if redis.call('ZREM', pool .. ':expiry', holder .. ':' .. id) == 0 then
    return false
  end
  local held = pool .. ':held:' .. id
  redis.call('ZREM', held, holder)
  if string.sub(holder, 1, 1) == '!' then
    local token = string.sub(holder, 2)
    redis.call('ZREM', pool .. ':claims', 'p' .. id .. ':' .. token, 't' .. token .. ':' .. id)
  end
  local proxy = read_live(pool, id)
  if not proxy then
    -- It is being deleted: in no view and no figure any more, but for the leases it still has.
    --- @include "leases_of"
    local leases = leases_of(pool, {id = id, claim = true})
    redis.call('SREM', pool .. ':extra', id .. ':' .. leases + 1)
    return true
  end
  local load = redis.call('ZCARD', held)
  if proxy.claim or load > 0 or proxy.status ~= 'active' or proxy.max ~= 1 then
    --- @include "settle"
    settle(pool, proxy, load + 1, load, 'u')
    return true
  end
  -- The usual case of settle, without its functions: the proxy's only lease is over, it is free.
  for name in string.gmatch(proxy.views, '%S+') do
    local rank, selector = proxy.seq, string.sub(name, 1, 1)
    if selector ~= 'f' then
      --- @include "score"
      rank = score(selector, proxy, 0)
    end
    local view = pool .. ':view:' .. name
    if later then
      --- @include "put_off"
      put_off(later, 'XX', view, rank, id)
    else
      redis.call('ZADD', view, 'XX', rank, id)
    end
  end
  return true
end
