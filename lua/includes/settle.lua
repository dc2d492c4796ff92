--- @include "rerank"
-- Draw the consequences of a load that went from `before` to `after` (held is already changed):
-- the set of leases that are not their proxy's first, that of proxies that only claims keep parked,
-- and the views.
local function settle(pool, proxy, before, after, moved)
  local extra = pool .. ':extra'
  if proxy.claim then
    --- @include "note_reserved"
    local leases = note_reserved(pool, proxy, after)
    if leases > 1 then
      redis.call('SADD', extra, proxy.id .. ':' .. leases)
    end
    if leases > 0 then
      redis.call('SREM', extra, proxy.id .. ':' .. leases + 1)
    end
  elseif after > before and after > 1 then
    redis.call('SADD', extra, proxy.id .. ':' .. after)
  elseif after < before and before > 1 then
    redis.call('SREM', extra, proxy.id .. ':' .. before)
  end
  rerank(pool, proxy, before, after, moved)
end
