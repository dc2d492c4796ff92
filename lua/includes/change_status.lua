--- @include "read_proxy"
--- @include "note_status"
--- @include "rerank"
-- Give a proxy a status; the proxy as it is then. Its revision rises, so that a save of what was
-- read before is refused. O(log n) in each view of the proxy.
local function change_status(pool, proxy, status)
  redis.call('HSET', pool .. ':proxy:' .. proxy.id, 'st', status,
    'rev', string.format('%.0f', tonumber(proxy.raw[11]) + 1))
  local changed = read_proxy(pool, proxy.id)
  local load = redis.call('ZCARD', pool .. ':held:' .. proxy.id)
  note_status(pool, changed, load)
  rerank(pool, changed, load, load, 'furl')
  return changed
end
