--- @include "read_lease"
--- @include "read_proxy"
--- @include "make_ask"
--- @include "read_program"
--- @include "drop_claim"
--- @include "pick"
--- @include "note_use"
--- @include "lease_reply"
-- All of acquire that the usual case does without: a known lease, leases that are due, a claim to
-- let go, a view that is being filled, a filter without one, a wanted proxy. Returns a reply, or
-- the proxy to lease and its load. Bounded by chunk_us.
local function acquire_anyhow(pool, ms, us, state, record, lease, asked)
  local ask = make_ask(pool, ms, us, asked.selector, asked.digest, asked.program, asked.hints,
    asked.limits, asked.from, asked.wanted)
  if not ask or string.find(asked.token, '[:%s]') then
    return redis.error_reply('PHAROX_ARGUMENT ' .. lease.id)
  end
  if not state[2] and ask.digest ~= '' and read_program(ask) == false then
    return redis.error_reply('PHAROX_ARGUMENT ' .. lease.id)
  end
  local known, void = read_lease(record, lease.id, ms)
  if void or known and known.consumer and known.consumer ~= lease.consumer then
    return redis.error_reply('PHAROX_LEASE_CONFLICT ' .. lease.id)
  end
  if known and known.corrupt then
    return redis.error_reply('PHAROX_CORRUPT lease:' .. lease.id)
  end
  if known then
    local proxy = read_proxy(pool, known.proxy_id)
    local load = proxy and redis.call('ZCARD', pool .. ':held:' .. proxy.id) or 0
    return lease_reply(pool, known, proxy, load, asked.want_stats)
  end
  if asked.token ~= '' then
    drop_claim(pool, asked.token)
  end
  local proxy, load, wait = pick(ask, state[2])
  if proxy then
    note_use(ask)
    return nil, proxy, load
  end
  local outcome = load
  if outcome == 'none' then
    note_use(ask)
    --- @include "note_miss"
    note_miss(pool)
    local figures = false
    if asked.want_stats then
      --- @include "pool_stats"
      figures = pool_stats(pool)
    end
    return {'none', figures}
  end
  if outcome == 'again' then
    return {'again', math.ceil(wait), ask.from}
  end
  if outcome == 'malformed' then
    return redis.error_reply('PHAROX_ARGUMENT ' .. lease.id)
  end
  return {outcome}
end
