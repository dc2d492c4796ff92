--- @include "score"
-- Put a proxy into a view, and the view's name on the proxy's list. The list stays under 64 bytes
-- where it can (a longer field turns the compact hash into a table): names of views the proxy is
-- not in leave when it would grow past that. O(log n).
local function enter_view(pool, name, proxy)
  local load = redis.call('ZCARD', pool .. ':held:' .. proxy.id)
  redis.call('ZADD', pool .. ':view:' .. name, score(string.sub(name, 1, 1), proxy, load), proxy.id)
  if string.find(' ' .. proxy.views .. ' ', ' ' .. name .. ' ', 1, true) then
    return
  end
  local views = proxy.views
  if #views + #name >= 60 then
    local kept = {}
    for known in string.gmatch(views, '%S+') do
      if redis.call('ZSCORE', pool .. ':view:' .. known, proxy.id) then
        kept[#kept + 1] = known
      end
    end
    views = table.concat(kept, ' ')
  end
  proxy.views = views == '' and name or views .. ' ' .. name
  redis.call('HSET', pool .. ':proxy:' .. proxy.id, 'views', proxy.views)
end
