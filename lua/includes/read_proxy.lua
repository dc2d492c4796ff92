-- One proxy's hash: what ranks it, by name, and in `raw` every field a reply needs, in the order
-- that codec.py knows: 1-7 what filters look at, 8-11 status, limit, last check, revision. nil when there is no such proxy or it is being
-- deleted: from `gone` on a proxy does not exist for anybody. O(1).
local function read_proxy(pool, id)
  local raw = redis.call('HMGET', pool .. ':proxy:' .. id,
    'so', 'co', 'ci', 'is', 'as', 'la', 'lo', 'st', 'max', 'chk', 'rev',
    'seq', 'rr', 'ms', 'views', 'claim', 'gone')
  if not raw[8] or raw[17] then
    return nil
  end
  return {
    id = id, raw = raw,
    status = raw[8], max = tonumber(raw[9]), checked_us = raw[10], seq = raw[12],
    round = raw[13], latency = raw[14], views = raw[15] or '', claim = raw[16],
  }
end
