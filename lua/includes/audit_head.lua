-- The keys that a pool has once, and its running numbers: of the right type, without an end, the
-- numbers readable, the last insertion number not behind the list. Told is also how many leases and
-- claims have been over for a minute. What can be made again by
-- audit_pool or audit_proxies is dropped where it is of another type. Whether the rest of the
-- pool can be looked at. O(log n).
local function audit_head(pool, ms, tell, repair)
  local well = true
  if redis.call('PEXPIRETIME', pool) >= 0 then
    tell('has-an-end', 'the pool', '', repair and redis.call('PERSIST', pool))
  end
  for name, wanted in pairs({
    proxies = 'zset', expiry = 'zset', used = 'zset', claims = 'zset', views = 'hash',
    extra = 'set', idle = 'set', reserved = 'set', retired = 'set', gone = 'set',
  }) do
    local kind = redis.call('TYPE', pool .. ':' .. name)
    kind = type(kind) == 'table' and kind.ok or kind
    if kind ~= wanted and kind ~= 'none' then
      local derived = name ~= 'proxies' and name ~= 'expiry' and name ~= 'gone'
        and name ~= 'retired'
      if repair and derived then
        redis.call('UNLINK', pool .. ':' .. name)
      else
        well = false
      end
      tell('wrong-type', name, kind, repair and derived)
    elseif redis.call('PEXPIRETIME', pool .. ':' .. name) >= 0 then
      tell('has-an-end', name, '', repair and redis.call('PERSIST', pool .. ':' .. name))
    end
  end
  if not redis.call('HGET', pool, 'doc') then
    tell('pool-document-lost', '', '', false)
  end
  for _, name in ipairs({'seq', 'rr', 'got', 'miss', 'swept'}) do
    local number = redis.call('HGET', pool, name)
    if number and not string.find(number, '^%d+$') then
      if repair then
        redis.call('HDEL', pool, name)
      end
      tell('wrong-counter', name, number, repair)
    end
  end
  if well then
    local overdue = redis.call('ZCOUNT', pool .. ':expiry', '-inf', ms - 60000)
    if overdue > 0 then
      tell('unswept', '', overdue, false)
    end
    local seq = tonumber(redis.call('HGET', pool, 'seq') or 0) or 0
    local last = redis.call('ZRANGE', pool .. ':proxies', '9007199254740991', '0', 'BYSCORE', 'REV',
      'LIMIT', 0, 1, 'WITHSCORES')
    if last[2] and tonumber(last[2]) > seq then
      if repair then
        redis.call('HSET', pool, 'seq', string.format('%.0f', math.floor(tonumber(last[2]))))
      end
      tell('wrong-counter', 'seq', string.format('%.0f, a proxy has %s', seq, last[2]), repair)
    end
  end
  return well
end
