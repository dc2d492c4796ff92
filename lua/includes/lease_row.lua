-- What a reply tells of a lease: its id, its times, its consumer, and the proxy with its document,
-- the first ten of its fields and how many leases it has (absent when the proxy is gone). O(1).
local function lease_row(pool, lease, proxy, leases)
  return {
    lease.id, lease.acquired, lease.expires, lease.released or '', lease.consumer, lease.proxy_id,
    proxy and redis.call('GET', pool .. ':doc:' .. proxy.id) or false,
    proxy and {unpack(proxy.raw, 1, 10)} or false,
    leases or 0,
  }
end
