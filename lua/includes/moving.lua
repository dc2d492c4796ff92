-- The refusal of a script while the pool's slot is being moved to another node key by key, or nil.
-- Some of the pool's keys are then here and some there, and a script that went on would take those
-- it does not see for absent, or fail between two writes. A server answers for two keys that never
-- exist only where the slot is whole: the node it leaves, and the one it comes to, have an error
-- instead. O(1).
local function moving(pool)
  local answer = redis.pcall('EXISTS', pool .. ':never', pool .. ':nor')
  if type(answer) == 'table' then
    --- @include "refusal"
    return refusal(pool, answer)
  end
  return nil
end
