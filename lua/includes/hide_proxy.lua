--- @include "read_live"
-- Make a proxy not exist for anybody: out of the views, the list and the figures, and marked, so
-- that its purge can be taken up by whoever comes next. False if it does not exist. O(log n).
local function hide_proxy(pool, id)
  local proxy = read_live(pool, id)
  if not proxy then
    -- One whose hash was lost is still listed: it can be deleted all the same.
    if not redis.call('ZSCORE', pool .. ':proxies', id)
        or redis.call('HEXISTS', pool .. ':proxy:' .. id, 'gone') == 1 then
      return false
    end
    proxy = {views = table.concat(redis.call('HKEYS', pool .. ':views'), ' ')}
  end
  redis.call('ZREM', pool .. ':proxies', id)
  for name in string.gmatch(proxy.views, '%S+') do
    redis.call('ZREM', pool .. ':view:' .. name, id)
  end
  redis.call('SREM', pool .. ':idle', id)
  redis.call('SREM', pool .. ':reserved', id)
  redis.call('SREM', pool .. ':retired', id)
  redis.call('HSET', pool .. ':proxy:' .. id, 'gone', '1')
  redis.call('SADD', pool .. ':gone', id)
  return true
end
