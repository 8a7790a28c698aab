-- LEASE for a table without sync: who may fill this entry?
--   KEYS  entry, lease
--   ARGV  token, shape, now (ms since 1970), lease TTL (ms), over what:
--         "nothing" fresh, "entry": fill although the entry is fresh, "lease": likewise, out of another's hands
--   ->    {"entry", bytes}  someone was faster
--         {"busy"}          another holds the lease
--         {"lease"}         yours
-- pcall: a value of another type under the key counts as absent; the fill replaces it.
local entry = redis.pcall('GET', KEYS[1])
if ARGV[5] == 'nothing' and type(entry) == 'string' and string.sub(entry, 1, 1) == '1'
    and string.sub(entry, 49, 56) == ARGV[2] then
  local readAt = tonumber(string.sub(entry, 57, 64), 36)
  local ttl = tonumber(string.sub(entry, 65, 70), 36)
  if readAt and ttl and readAt + ttl * 1000 > tonumber(ARGV[3]) then
    return {'entry', entry}
  end
end
if ARGV[5] == 'lease' then
  redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[4])
  return {'lease'}
end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[4]) then
  return {'lease'}
end
return {'busy'}
