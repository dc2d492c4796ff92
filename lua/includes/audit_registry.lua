-- The registry of views against their filling states, their keys and the list of those in use. A
-- view whose entry is damaged is dropped: it is made again when somebody needs it. An unfiltered
-- one, and one whose sentinel is gone, is filled again from the start. O(views).
local function audit_registry(pool, ms, tell, repair)
  local raw, states = redis.call('HGETALL', pool), {}
  local registry, entries = {}, redis.call('HGETALL', pool .. ':views')
  for i = 1, #entries, 2 do
    registry[entries[i]] = entries[i + 1]
  end
  for i = 1, #raw, 2 do
    local field, value = raw[i], raw[i + 1]
    if string.sub(field, 1, 2) == 'v:' then
      local selector, digest = string.match(field, '^v:([furl]):(%S*)$')
      local name, cursor = string.match(value, '^([furl]%d+) (%S+)$')
      local known = name and registry[name]
      if known and not states[name] and string.sub(name, 1, 1) == selector
          and (cursor == '*' or string.find(cursor, '^%d+$'))
          and string.match(known, '^(%S*) ') == digest then
        states[name] = field
      else
        if repair then
          redis.call('HDEL', pool, field)
        end
        tell('wrong-view', field, value, repair)
      end
    end
  end
  registry.f0 = registry.f0 or ''
  for name, entry in pairs(registry) do
    local digest, program = string.match(entry, '^(%S*) (.*)$')
    local selector, number = string.match(name, '^([furl])(%d+)$')
    local read, node = pcall(cjson.decode, program or '')
    local key = pool .. ':view:' .. name
    local kind = redis.call('TYPE', key)
    kind = type(kind) == 'table' and kind.ok or kind
    if kind ~= 'zset' and kind ~= 'none' then
      if repair then
        redis.call('UNLINK', key)
      end
      tell('wrong-type', 'view:' .. name, kind, repair)
    elseif redis.call('PEXPIRETIME', key) >= 0 then
      tell('has-an-end', 'view:' .. name, '', repair and redis.call('PERSIST', key))
    end
    local plain = number == '0'
    local filtered = selector and not plain and digest and digest ~= '' and read
      and type(node) == 'table'
    if not plain and not (filtered and states[name]) or not selector then
      if repair then
        redis.call('HDEL', pool .. ':views', name)
        redis.call('ZREM', pool .. ':used', name)
        redis.call('UNLINK', key)
        if states[name] then
          redis.call('HDEL', pool, states[name])
        end
      end
      tell('wrong-view', name, entry, repair)
    else
      local sentinel = kind == 'zset' and redis.call('ZSCORE', key, '~')
      local broken = plain and (entry ~= ' ' or not states[name])
      if broken or sentinel ~= 'inf' then
        if repair then
          redis.call('ZADD', key, '+inf', '~')
          redis.call('HSET', pool, 'v:' .. selector .. ':' .. (plain and '' or digest), name .. ' 0')
          if plain then
            redis.call('HSET', pool .. ':views', name, ' ')
          end
        end
        tell(broken and 'wrong-view' or 'view-lost', name, entry, repair)
      end
      if filtered and not redis.call('ZSCORE', pool .. ':used', name) then
        if repair then
          redis.call('ZADD', pool .. ':used', ms, name)
        end
        tell('wrong-used', name, 'missing', repair)
      end
    end
  end
  for _, name in ipairs(redis.call('ZRANGE', pool .. ':used', 0, -1)) do
    if not registry[name] or string.sub(name, 2) == '0' then
      if repair then
        redis.call('ZREM', pool .. ':used', name)
      end
      tell('wrong-used', name, '', repair)
    end
  end
  return registry
end
