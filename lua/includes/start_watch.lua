-- A stopwatch for work that must stop itself. Servers differ in what a script can tell time by:
-- TIME stands still in a script since Redis 7.2 and on Valkey; `os.clock` is there on Valkey and
-- newer Redis only. With neither, the work done is the measure (see elapsed). O(1).
local function start_watch(us)
  local has, cpu = pcall(function()
    return os.clock()
  end)
  return {us = us, cpu = has and cpu or nil}
end
