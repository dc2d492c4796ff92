-- A lease's record: its state (none, void, unreadable, released, over, active) with what it says.
-- Told are what no script can read, and a record that would stay for ever; that gets an end: as
-- long after the lease's as the caller keeps records. O(1).
local function audit_record(pool, tail, ms, retention, tell, repair)
  local key = pool .. ':lease:' .. tail
  local record = redis.pcall('GET', key)
  if not record then
    return {state = 'none'}
  end
  local lease, keep = {state = 'unreadable'}, ms + math.max(retention, 60000)
  if type(record) == 'table' then
    record = ''
  elseif record == 'void' then
    lease.state = 'void'
  end
  local proxy, consumer, acquired, expires, released =
    string.match(record, '^(%S+) (%S+) (%d+) (%d+) ?(%d*)$')
  expires = tonumber(expires)
  if proxy and expires <= ms + 315576000000 then
    lease = {proxy = proxy, consumer = consumer, expires = expires, state = 'active'}
    if released ~= '' then
      lease.state = 'released'
    elseif expires <= ms then
      lease.state = 'over'
    end
    keep = math.max(ms + 1, (tonumber(released) or expires) + retention)
  end
  if lease.state == 'unreadable' then
    tell('record-unreadable', tail, '', false)
  end
  lease.until_ms = redis.call('PEXPIRETIME', key)
  if lease.until_ms == -1 or lease.state == 'active' and lease.until_ms < expires then
    if repair then
      lease.until_ms = keep
      redis.call('PEXPIREAT', key, string.format('%.0f', keep))
    end
    tell('record-end', tail, '', repair)
  end
  return lease
end
