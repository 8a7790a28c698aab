-- LEASE for a table without sync: who may fill these entries?
--   KEYS  for each row: entry, lease
--   ARGV  shape, now (ms since 1970), lease TTL and the longest that any has (ms), over what:
--         "nothing" fresh, "entry": fill although the entry is fresh, "lease": likewise, out of another's hands;
--         for each row: token
--   ->    for each row:
--         {"entry", bytes}  someone was faster
--         {"busy"}          another holds the lease
--         {"lease"}         yours
--         {"forged"}        likewise, in the place of what no gateway can have put there
local shape, now, leaseTtl, longest, over = unpack(ARGV, 1, 5)

local function take(entryKey, lease, token)
  -- pcall: a value of another type under the key counts as absent; the fill replaces it.
  local entry = redis.pcall('GET', entryKey)
  if over == 'nothing' and type(entry) == 'string' and string.sub(entry, 1, 1) == '1'
      and string.sub(entry, 49, 56) == shape then
    local readAt = tonumber(string.sub(entry, 57, 64), 36)
    local ttl = tonumber(string.sub(entry, 65, 70), 36)
    if readAt and ttl and readAt + ttl * 1000 > tonumber(now) then
      return {'entry', entry}
    end
  end
  if over == 'lease' then
    redis.call('SET', lease, token, 'PX', leaseTtl)
    return {'lease'}
  end
  if redis.call('SET', lease, token, 'NX', 'PX', leaseTtl) then
    return {'lease'}
  end
  -- Every lease runs out. What does not would keep the row from being stored for as long as it lies here.
  local left = redis.call('PTTL', lease)
  if left == -1 or left > tonumber(longest) then
    redis.call('SET', lease, token, 'PX', leaseTtl)
    return {'forged'}
  end
  return {'busy'}
end

local outcomes = {}
for row = 1, #KEYS / 2 do
  outcomes[row] = take(KEYS[2 * row - 1], KEYS[2 * row], ARGV[5 + row])
end
return outcomes
