-- The pool's figures, all from sizes: total, active, available, leased proxies, leases.
-- A proxy that only claims keep parked counts as available: a claim is in no figure. O(log n).
local function pool_stats(pool)
  local total = redis.call('ZCARD', pool .. ':proxies')
  return {
    total,
    total - redis.call('SCARD', pool .. ':idle'),
    redis.call('ZCOUNT', pool .. ':view:f0', '-inf', '(+inf')
      + redis.call('SCARD', pool .. ':reserved'),
    redis.call('SCARD', pool .. ':leased'),
    redis.call('ZCARD', pool .. ':expiry') - redis.call('ZCARD', pool .. ':claims') / 2,
  }
end
