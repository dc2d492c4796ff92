-- Whether a compiled filter (filters.py writes it, pharox's ProxyFilters.matches is the oracle)
-- accepts a proxy's fields (the first seven of read_proxy's `raw`). A node is {op, ...}:
--   =  index, text           the field at this place of `raw` has this text
--   ~  lat, lon              both coordinates are close (isclose: rel 1e-9, abs 1e-6)
--   @  lat, lon, radius      within radius km, great circle on a sphere of 6371 km (haversine)
--   &  nodes   |  nodes   !  node
-- A missing field fails every clause on it. O(size of the filter).
local function matches(node, raw)
  if type(node) ~= 'table' then
    return false
  end
  local op = node[1]
  if op == '=' then
    return raw[node[2]] == node[3]
  end
  if op == '&' then
    for i = 2, #node do
      if not matches(node[i], raw) then
        return false
      end
    end
    return true
  end
  if op == '|' then
    for i = 2, #node do
      if matches(node[i], raw) then
        return true
      end
    end
    return false
  end
  if op == '!' then
    return not matches(node[2], raw)
  end
  local lat, lon = tonumber(raw[6]), tonumber(raw[7])
  if not lat or not lon then
    return false
  end
  if op == '~' then
    for i, value in ipairs({lat, lon}) do
      local wanted = tonumber(node[i + 1])
      local apart = wanted and math.abs(value - wanted)
      if not wanted or (apart > math.abs(1e-9 * value) and apart > math.abs(1e-9 * wanted)
          and apart > 1e-6) then
        return false
      end
    end
    return true
  end
  local radius = tonumber(node[4])
  if op ~= '@' or not radius or not tonumber(node[2]) or not tonumber(node[3]) then
    return false
  end
  local lat1, lon1 = math.rad(tonumber(node[2])), math.rad(tonumber(node[3]))
  local lat2, lon2 = math.rad(lat), math.rad(lon)
  local a = math.sin((lat2 - lat1) / 2) ^ 2
    + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ^ 2
  return 6371.0 * (2 * math.asin(math.sqrt(a))) <= radius
end
