--- @include "end_hold"
-- End a lease before its time: whether that was done (not if it is over or unknown), nil when its
-- record cannot be read; then nothing was written. The record, if there is one, decides on which
-- proxy it is; it stays readable for `retention` ms. With `later` what views and indexes are told
-- is put off (see put_off), and later.long has the consumers whose index is to be shortened then.
-- O(log n) in each view of the proxy.
local function end_lease(pool, record, lease_id, proxy_id, ms, retention, later)
  if not record or record == 'void' then
    return end_hold(pool, lease_id, proxy_id, later)
  end
  local of, consumer, expires, released =
    string.match(record, '^(%S+) (%S+) %d+ (%d+) ?(%d*)$')
  if not of then
    return nil
  end
  if not end_hold(pool, lease_id, of, later) then
    return false
  end
  expires = tonumber(expires)
  if released ~= '' or expires <= ms then
    return true
  end
  local key, index = pool .. ':lease:' .. lease_id, pool .. ':leases:' .. consumer
  if retention == 0 then
    redis.call('UNLINK', key)
    redis.call('ZREM', index, lease_id)
    return true
  end
  redis.call('SET', key, record .. string.format(' %.0f', ms), 'PXAT', ms + retention)
  if later then
    --- @include "put_off"
    put_off(later, 'XX', index, ms + retention, lease_id)
    later.long[consumer] = later.long[consumer] or expires - ms > 3600000
    return true
  end
  redis.call('ZADD', index, 'XX', ms + retention, lease_id)
  -- Worth two calls only where the index would outlive its content by far.
  if expires - ms > 3600000 then
    --- @include "shorten_index"
    shorten_index(pool, consumer)
  end
  return true
end
