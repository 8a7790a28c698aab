-- LEASE for a table without sync: who may fill this entry?
--   KEYS  entry, lease
--   ARGV  token, shape, now (ms since 1970), lease TTL (ms), refresh ("1": fill although the entry is fresh)
--   ->    {"entry", bytes}  someone was faster
--         {"busy"}          another holds the lease
--         {"lease"}         yours
-- pcall: a value of another type under the key counts as absent; the fill replaces it.
local entry = redis.pcall('GET', KEYS[1])
if ARGV[5] ~= '1' and type(entry) == 'string' and string.sub(entry, 1, 1) == '1'
    and string.sub(entry, 49, 56) == ARGV[2] then
  local readAt = tonumber(string.sub(entry, 57, 64), 36)
  local ttl = tonumber(string.sub(entry, 65, 70), 36)
  if readAt and ttl and readAt + ttl * 1000 > tonumber(ARGV[3]) then
    return {'entry', entry}
  end
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[4]) then
  return {'lease'}
end
return {'busy'}
