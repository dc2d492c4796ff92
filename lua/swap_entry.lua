-- swap_entry: change or remove a directory entry if it still says what the caller read.
--
-- Guarantees: compare and set in one step; sent twice it answers the same.
--
-- KEYS
--   directory     a hash: pool names or proxy ids to pool ids
-- ARGV
--   field         the entry
--   expected      what it must say, "" for absent
--   wanted        what it shall say, "" to remove it
-- RETURNS
--   what it says afterwards, "" if absent
-- ERRORS
--   none
-- COMPLEXITY
--   O(1)

local directory = KEYS[1]
local field = ARGV[1]
local expected = ARGV[2]
local wanted = ARGV[3]

local found = redis.call('HGET', directory, field) or ''
if found ~= expected then
  return found
end
if wanted == '' then
  redis.call('HDEL', directory, field)
else
  redis.call('HSET', directory, field, wanted)
end
return wanted
