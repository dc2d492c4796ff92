-- Whether this is one of pharox's proxy statuses.
local function status_known(status)
  return status == 'active' or status == 'inactive' or status == 'slow' or status == 'banned'
end
