--- @include "note_reserved"
-- Draw the consequences of a status and a limit for the pool's sets: the proxies that are not
-- active, and those that only claims keep parked. O(log n).
local function note_status(pool, proxy, load)
  redis.call(proxy.status == 'active' and 'SREM' or 'SADD', pool .. ':idle', proxy.id)
  if proxy.claim then
    note_reserved(pool, proxy, load)
  end
end
