-- The server's clock: milliseconds since the epoch (what leases are dated in) and
-- microseconds (what work is paced in). A script decides by one reading, taken at its top.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000), time[1] * 1000000 + time[2]
end
