--- @include "score"
-- Re-score a proxy in the views it is in, after its load went from `before` to `after`.
-- `moved` names the selectors whose rank changed besides; parking and unparking concerns all.
-- A stale view name costs a ZADD XX that does nothing. O(views of the proxy * log n).
local function rerank(pool, proxy, before, after, moved)
  local is = parked(proxy, after)
  local flipped = is ~= parked(proxy, before)
  for name in string.gmatch(proxy.views, '%S+') do
    local selector = string.sub(name, 1, 1)
    if flipped or string.find(moved, selector, 1, true) then
      redis.call('ZADD', pool .. ':view:' .. name, 'XX',
        is and '+inf' or score(selector, proxy, after), proxy.id)
    end
  end
end
