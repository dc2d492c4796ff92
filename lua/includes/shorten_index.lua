-- Let a consumer's index live no longer than its longest record, after one of them was cut short.
local function shorten_index(pool, consumer)
  local index = pool .. ':leases:' .. consumer
  local last = redis.call('ZRANGE', index, -1, -1, 'WITHSCORES')
  if last[2] then
    redis.call('PEXPIREAT', index, last[2])
  end
end
