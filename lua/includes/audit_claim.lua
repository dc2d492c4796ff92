-- One claim: its entries in `held`, `expiry` and, twice, in `claims` must all be there, or none. One
-- that is not over is completed from its hold, what is left of others is cleared away. `settled` is
-- called with the proxy whose load was changed. O(log n).
local function audit_claim(pool, token, id, ms, settled, tell, repair)
  local held, expiry, claims = pool .. ':held:' .. id, pool .. ':expiry', pool .. ':claims'
  local holder, member = '!' .. token, '!' .. token .. ':' .. id
  local of_proxy, of_token = 'p' .. id .. ':' .. token, 't' .. token .. ':' .. id
  local hold, due = redis.pcall('ZSCORE', held, holder), redis.call('ZSCORE', expiry, member)
  if type(hold) == 'table' then
    return -- audit_proxy tells
  end
  local first = redis.call('ZSCORE', claims, of_proxy)
  local second = redis.call('ZSCORE', claims, of_token)
  if hold and hold == due and tonumber(first or nil) == 0 and tonumber(second or nil) == 0
      and tonumber(due) <= ms + 315576000000 then
    return
  end
  if not hold and not due and not first and not second then
    return
  end
  local ends = tonumber(due or hold or nil)
  if repair then
    if ends and ends > ms and ends <= ms + 315576000000
        and redis.call('EXISTS', pool .. ':proxy:' .. id) == 1 then
      local text = string.format('%.0f', ends)
      redis.call('ZADD', expiry, text, member)
      redis.call('ZADD', held, text, holder)
      redis.call('ZADD', claims, 0, of_proxy, 0, of_token)
      if redis.call('HEXISTS', pool .. ':proxy:' .. id, 'st') == 1 then
        redis.call('HSET', pool .. ':proxy:' .. id, 'claim', '1')
      end
    else
      redis.call('ZREM', expiry, member)
      redis.call('ZREM', held, holder)
      redis.call('ZREM', claims, of_proxy, of_token)
    end
    settled(id)
  end
  tell('wrong-claim', member, '', repair)
end
