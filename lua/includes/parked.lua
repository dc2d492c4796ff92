-- Whether a proxy that carries `load` leases and claims cannot be leased now.
local function parked(proxy, load)
  return proxy.status ~= 'active' or (proxy.max ~= nil and load >= proxy.max)
end
