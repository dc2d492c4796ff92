--- @include "audit_types"
--- @include "audit_rest"
--- @include "audit_number"
--- @include "audit_sets"
--- @include "audit_ranks"
--- @include "change_status"
-- Hold everything that derives from one proxy against its hash and its holds, whether or not there
-- is such a proxy, and with `repair` make it right. Tells what is wrong by tell(kind, subject,
-- detail, mended). `from` is the lease from which on `extra` is looked at, 2 at first. Returns the
-- fields and the document of a proxy that can be read, and from where to go on if `extra` is not
-- looked at whole. O(views * log n + leases), up to a thousand leases.
local function audit_proxy(pool, id, from, ms, views, tell, repair)
  if id == '~' then
    views = {} -- no proxy: there it is the sentinel
  end
  local well, there, document, load = audit_types(pool, id, tell, repair)
  if not well then
    return nil
  end
  local key = pool .. ':proxy:' .. id
  local raw = redis.call('HMGET', key,
    'so', 'co', 'ci', 'is', 'as', 'la', 'lo', 'st', 'max', 'chk', 'rev',
    'seq', 'rr', 'ms', 'views', 'claim', 'gone')
  local listed = redis.call('ZSCORE', pool .. ':proxies', id)
  local status, revision, hidden = raw[8], raw[11], raw[17]
  local function mend(command, name, member)
    if repair then
      redis.call(command == 'add' and 'SADD' or 'SREM', pool .. ':' .. name, member)
    end
    tell('wrong-gone', id, name, repair)
  end

  if hidden then
    -- Its delete is under way: it is in no list, and sweeps carry on.
    if redis.call('SISMEMBER', pool .. ':gone', id) == 0 then
      mend('add', 'gone', id)
    end
    for _, name in ipairs({'idle', 'reserved', 'retired'}) do
      if redis.call('SISMEMBER', pool .. ':' .. name, id) == 1 then
        mend('remove', name, id)
      end
    end
    if listed then
      if repair then
        redis.call('ZREM', pool .. ':proxies', id)
      end
      tell('wrong-gone', id, 'proxies', repair)
    end
    for _, view in ipairs(views) do
      if redis.call('ZSCORE', pool .. ':view:' .. view.name, id) then
        if repair then
          redis.call('ZREM', pool .. ':view:' .. view.name, id)
        end
        tell('strange-in-view', id, view.name, repair)
      end
    end
    return nil, audit_sets(pool, {id = id, hidden = true}, load, from, tell, repair)
  end

  if not status then
    -- Of one that is in the list and nowhere else nothing could be saved.
    if not revision and (not listed or not (there or document or load > 0)) then
      local traces = {listed and 'proxies' or nil}
      if there then
        traces[1] = 'proxy'
      end
      if document then
        traces[#traces + 1] = 'doc'
      end
      if load > 0 then
        traces[#traces + 1] = 'held'
      end
      if redis.call('LLEN', pool .. ':health:' .. id) > 0 then
        traces[#traces + 1] = 'health'
      end
      audit_rest(pool, id, ms, traces, views, tell, repair)
      return nil
    end
    -- What it was cannot be known: nobody leases it, and it can be saved anew or deleted.
    if repair then
      redis.call('HDEL', key, 'rev')
      for _, view in ipairs(views) do
        redis.call('ZREM', pool .. ':view:' .. view.name, id)
      end
      if not listed then
        audit_number(pool, id, raw[12], tell, repair)
      end
    end
    tell('proxy-lost', id, '', false)
    return nil, audit_sets(pool, {id = id, hidden = true}, load, from, tell, repair)
  end

  if redis.call('SISMEMBER', pool .. ':gone', id) == 1 then
    mend('remove', 'gone', id)
  end
  if status == 'active' and redis.call('SISMEMBER', pool .. ':retired', id) == 1 then
    if repair then
      redis.call('SREM', pool .. ':retired', id)
    end
    tell('wrong-retired', id, '', repair)
  end
  if not revision or not string.find(revision, '^%d+$') then
    if repair then
      raw[11] = string.format('%.0f', ms)
      redis.call('HSET', key, 'rev', raw[11])
    end
    tell('wrong-revision', id, revision or 'none', repair)
  end
  local round = tonumber(raw[13] or 0)
  if not round or round > (tonumber(redis.call('HGET', pool, 'rr') or 0) or 0) then
    if repair and round then
      redis.call('HSET', pool, 'rr', string.format('%.0f', round))
    elseif repair then
      redis.call('HDEL', key, 'rr')
    end
    tell('wrong-round', id, raw[13], repair)
  end
  if raw[14] and not string.find(raw[14], '^%-?%d+$') then
    if repair then
      redis.call('HDEL', key, 'ms')
    end
    tell('wrong-latency', id, raw[14], repair)
    raw[14] = nil
  end
  local proxy = {
    id = id, raw = raw,
    status = status, max = tonumber(raw[9] or nil), checked_us = raw[10],
    seq = audit_number(pool, id, raw[12] or nil, tell, repair),
    round = round or 0, latency = raw[14], views = raw[15] or '', claim = raw[16],
  }
  local more = audit_sets(pool, proxy, load, from, tell, repair)
  audit_ranks(pool, proxy, load, views, tell, repair)
  if not document then
    -- Whoever is given it can do nothing with it: no acquire picks it any more, its leases go on.
    if repair and status == 'active' then
      change_status(pool, read_proxy(pool, id), 'inactive')
      tell('document-lost', id, 'it is out of use now', false)
    else
      tell('document-lost', id, status == 'active' and '' or 'it is out of use', false)
    end
  end
  return raw, more
end
