--- @include "count_claims"
--- @include "parked"
-- Keep the set of proxies that only claims keep parked right, for a proxy that may have claims.
-- Returns how many of its `load` holds are leases. Call it after the script's first write. O(log n).
local function note_reserved(pool, proxy, load)
  local leases = load - count_claims(pool, proxy)
  local reserved = parked(proxy, load) and not parked(proxy, leases)
  redis.call(reserved and 'SADD' or 'SREM', pool .. ':reserved', proxy.id)
  return leases
end
