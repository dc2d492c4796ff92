-- A proxy's insertion number must be the same in its hash and in the list, and no other's; the
-- hash is believed first, then the list, and where neither helps it gets a new number. Returns
-- what it is, or would be after a repair. O(log n).
local function audit_number(pool, id, number, tell, repair)
  local list = pool .. ':proxies'
  local function usable(value)
    return value and value == math.floor(value) and value > 0 and value < 9007199254740992
  end
  local seq, listed = tonumber(number), tonumber(redis.call('ZSCORE', list, id) or nil)
  local alone = listed and redis.call('ZCOUNT', list, listed, listed) == 1
  if usable(seq) and seq == listed and alone then
    return seq
  end
  local right
  if usable(seq) and redis.call('ZCOUNT', list, seq, seq) == (seq == listed and 1 or 0) then
    right = seq
  elseif usable(listed) and alone then
    right = listed
  else
    local last = redis.call('ZRANGE', list, '9007199254740990', '0', 'BYSCORE', 'REV', 'LIMIT', 0, 1,
      'WITHSCORES')
    right = math.max(tonumber(redis.call('HGET', pool, 'seq') or 0) or 0,
      math.floor(tonumber(last[2] or 0))) + 1
  end
  if repair then
    local text = string.format('%.0f', right)
    redis.call('ZADD', list, text, id)
    redis.call('HSET', pool .. ':proxy:' .. id, 'seq', text)
    if (tonumber(redis.call('HGET', pool, 'seq') or 0) or 0) < right then
      redis.call('HSET', pool, 'seq', text)
    end
  end
  if not listed then
    tell('not-listed', id, '', repair)
  else
    tell('wrong-number', id, string.format('%s, listed as %s', number or 'none', listed), repair)
  end
  return right
end
