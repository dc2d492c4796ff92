-- The reply that carries a lease: its times, its consumer, the proxy with its document and how
-- many leases it has (absent when the proxy is gone), and the pool's figures when wanted.
local function lease_reply(pool, lease, proxy, leases, want_stats)
  local figures = false
  if want_stats then
    --- @include "pool_stats"
    figures = pool_stats(pool)
  end
  return {
    'lease', lease.acquired, lease.expires, lease.released or '', lease.consumer, lease.proxy_id,
    proxy and redis.call('GET', pool .. ':doc:' .. proxy.id) or false,
    proxy and {unpack(proxy.raw, 1, 10)} or false,
    leases or 0, figures,
  }
end
