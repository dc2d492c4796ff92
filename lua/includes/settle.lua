--- @include "rerank"
-- Draw the consequences of a load that went from `before` to `after` (held is already changed):
-- the set of leased proxies, the set of those that only claims keep parked, and the views.
local function settle(pool, proxy, before, after, moved)
  if proxy.claim then
    --- @include "note_reserved"
    local leases = note_reserved(pool, proxy, after)
    redis.call(leases > 0 and 'SADD' or 'SREM', pool .. ':leased', proxy.id)
  elseif after == 0 then
    redis.call('SREM', pool .. ':leased', proxy.id)
  elseif before == 0 then
    redis.call('SADD', pool .. ':leased', proxy.id)
  end
  rerank(pool, proxy, before, after, moved)
end
