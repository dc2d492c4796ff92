-- Note that round_robin selected this proxy: it goes behind all others of its pool. O(1).
local function select_round(pool, proxy)
  proxy.round = redis.call('HINCRBY', pool, 'rr', 1)
  redis.call('HSET', pool .. ':proxy:' .. proxy.id, 'rr', proxy.round)
end
