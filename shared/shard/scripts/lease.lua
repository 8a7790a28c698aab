-- LEASE for a followed table: who may fill these entries, and from which stamp on?
--   KEYS  stamp; for each row: entry, lease
--   ARGV  followed table, ring, shape, now (ms since 1970), lease TTL and the longest that any has (ms), over what:
--         "nothing" fresh, "entry": fill although the entry is fresh, "lease": likewise, out of another's hands;
--         for each row: token
--   ->    for each row:
--         {"off"}                       no stamp, or table or ring are not followed: answer from the origin, unstored
--         {"entry", bytes}              someone was faster
--         {"busy"}                      another holds the lease
--         {"lease", S0, origin, gtid}   yours; what is read from now on may be stored if it includes S0
--         {"forged", S0, origin, gtid}  likewise, in the place of what no gateway can have put there
local followed, ring, shape, now, leaseTtl, longest, over = unpack(ARGV, 1, 7)
local stamp = readStamp(KEYS[1])
local floor = stamp and floorOf(stamp, followed, ring)

local function take(entry, lease, token)
  if not floor then
    return {'off'}
  end
  local header = readHeader(entry)
  if over == 'nothing' and header and string.sub(header, 49, 56) == shape
      and versionOf(header) >= floor and not isInHole(stamp, versionOf(header), string.sub(header, 3, 3)) then
    local readAt = tonumber(string.sub(header, 57, 64), 36)
    local ttl = tonumber(string.sub(header, 65, 70), 36)
    if readAt and ttl and readAt + ttl * 1000 > tonumber(now) then
      return {'entry', redis.call('GET', entry)}
    end
  end
  local taken = {'lease', stamp.to, stamp.origin, stamp.gtid}
  if over == 'lease' then
    redis.call('SET', lease, token .. stamp.to, 'PX', leaseTtl)
    return taken
  end
  if redis.call('SET', lease, token .. stamp.to, 'NX', 'PX', leaseTtl) then
    return taken
  end
  -- Every lease runs out. What does not would keep the row from being stored for as long as it lies here.
  local left = redis.call('PTTL', lease)
  if left == -1 or left > tonumber(longest) then
    redis.call('SET', lease, token .. stamp.to, 'PX', leaseTtl)
    taken[1] = 'forged'
    return taken
  end
  return {'busy'}
end

local outcomes = {}
for row = 1, (#KEYS - 1) / 2 do
  outcomes[row] = take(KEYS[2 * row], KEYS[2 * row + 1], ARGV[7 + row])
end
return outcomes
