-- The pool's figures, all from sizes: total, active, available, leased proxies, leases.
-- A proxy that only claims keep parked counts as available: a claim is in no figure. Proxies with a
-- lease are as many as there are leases that are their proxy's first. O(log n).
local function pool_stats(pool)
  local total = redis.call('ZCARD', pool .. ':proxies')
  local leases = redis.call('ZCARD', pool .. ':expiry') - redis.call('ZCARD', pool .. ':claims') / 2
  return {
    total,
    total - redis.call('SCARD', pool .. ':idle'),
    redis.call('ZCOUNT', pool .. ':view:f0', '-inf', '(+inf')
      + redis.call('SCARD', pool .. ':reserved'),
    leases - redis.call('SCARD', pool .. ':extra'),
    leases,
  }
end
