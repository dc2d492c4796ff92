-- One lease as `held` and `expiry` have it against its record, all of which must agree. A record of
-- a lease that is not over decides. Without one the entry that is there is believed, and ends when
-- it says; a hold of what is over, void or on another proxy ends now. `settled` is called with the
-- proxy whose load was changed; where there is no such proxy, that ends what is left of it. O(log n).
local function audit_hold(pool, tail, id, lease, ms, settled, tell, repair)
  local held, expiry, member = pool .. ':held:' .. id, pool .. ':expiry', tail .. ':' .. id
  local hold, due = redis.pcall('ZSCORE', held, tail), redis.call('ZSCORE', expiry, member)
  if type(hold) == 'table' then
    return -- audit_proxy tells
  end
  local function hold_until(moment)
    if repair then
      local text = string.format('%.0f', moment)
      redis.call('ZADD', expiry, text, member)
      redis.call('ZADD', held, text, tail)
      settled(id)
    end
  end
  local function let_go()
    if repair then
      redis.call('ZREM', expiry, member)
      redis.call('ZREM', held, tail)
      settled(id)
    end
  end
  local hold_ms, due_ms = tonumber(hold or nil), tonumber(due or nil)
  if lease.state == 'active' and lease.proxy == id then
    if hold_ms == lease.expires and due_ms == lease.expires then
      return
    end
    hold_until(lease.expires)
    tell('wrong-hold', member, string.format('held until %s, due at %s, ends at %.0f',
      hold or 'never', due or 'never', lease.expires), repair)
    return
  end
  if not hold and not due then
    return
  end
  local sane = ms + 315576000000
  if lease.state == 'void' or lease.state == 'released' or lease.proxy and lease.proxy ~= id then
    let_go()
    tell('dead-hold', member, lease.state, repair)
    return
  end
  local ends = lease.state == 'over' and lease.expires or due_ms or hold_ms
  if not due_ms and hold_ms and ends > sane or ends > sane and (hold_ms or ends) > sane then
    let_go()
    tell('dead-hold', member, 'without an end', repair)
  elseif ends > sane then
    hold_until(hold_ms)
    tell('wrong-hold', member, 'without an end', repair)
  elseif hold_ms == due_ms and (lease.state ~= 'over' or due_ms == ends) then
    if lease.state == 'none' and due_ms > ms then
      tell('record-lost', tail, string.format('%.0f', due_ms), false)
    end
  elseif ends <= ms then
    let_go()
    tell('dead-hold', member, 'over', repair)
  else
    hold_until(ends)
    tell('wrong-hold', member,
      string.format('held until %s, due at %s', hold or 'never', due or 'never'), repair)
  end
end
