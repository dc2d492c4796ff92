-- Look at the keys of one proxy: which of them hold something of another type (that is told, and
-- nothing can be done about it here), and which have an end that they must not have. Returns
-- whether all can be read, whether the hash and the document are there, and the load. O(1).
local function audit_types(pool, id, tell, repair)
  local key, doc = pool .. ':proxy:' .. id, pool .. ':doc:' .. id
  local held, health = pool .. ':held:' .. id, pool .. ':health:' .. id
  local load, well = redis.pcall('ZCARD', held), true
  local found = {
    {'proxy', redis.pcall('HLEN', key)}, {'doc', redis.pcall('STRLEN', doc)}, {'held', load},
    {'health', redis.pcall('LLEN', health)},
  }
  for _, each in ipairs(found) do
    if type(each[2]) == 'table' then
      if not string.find(each[2].err, 'WRONGTYPE', 1, true) then
        -- The caller may not look: that is for the caller to hear.
        redis.call('HLEN', key)
        redis.call('STRLEN', doc)
        redis.call('LLEN', health)
        redis.call('ZCARD', held)
      end
      tell('wrong-type', each[1] .. ':' .. id, each[2].err, false)
      well = false
    end
  end
  if redis.call('PEXPIRETIME', key) >= 0 then
    tell('has-an-end', 'proxy:' .. id, '', repair and redis.call('PERSIST', key))
  end
  local ends = redis.call('PEXPIRETIME', doc)
  if ends >= 0 then
    tell('has-an-end', 'doc:' .. id, '', repair and redis.call('PERSIST', doc))
  end
  if redis.call('PEXPIRETIME', held) >= 0 then
    tell('has-an-end', 'held:' .. id, '', repair and redis.call('PERSIST', held))
  end
  if redis.call('PEXPIRETIME', health) >= 0 then
    tell('has-an-end', 'health:' .. id, '', repair and redis.call('PERSIST', health))
  end
  return well, found[1][2] ~= 0, ends ~= -2, load
end
