-- Note a ZADD for when a batch is through: those of one key are made in one call then (catch_up).
-- `how` is the option they have, XX or CH (which changes nothing but what ZADD returns). O(1).
local function put_off(later, how, key, score, member)
  local put = later[key]
  if not put then
    put = {how}
    later[key], later[#later + 1] = put, key
  end
  put[#put + 1] = score
  put[#put + 1] = member
end
