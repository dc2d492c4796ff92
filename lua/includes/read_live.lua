-- What ranks a proxy, and nothing else: the short form of read_proxy for calls that send no
-- proxy back. nil when there is no such proxy or it is being deleted. O(1).
local function read_live(pool, id)
  local raw = redis.call('HMGET', pool .. ':proxy:' .. id,
    'st', 'max', 'chk', 'seq', 'rr', 'ms', 'views', 'claim', 'gone')
  if not raw[1] or raw[9] then
    return nil
  end
  return {
    id = id,
    status = raw[1], max = tonumber(raw[2]), checked_us = raw[3], seq = raw[4],
    round = raw[5], latency = raw[6], views = raw[7] or '', claim = raw[8],
  }
end
