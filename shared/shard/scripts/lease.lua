-- LEASE for a followed table: who may fill this entry, and from which stamp on?
--   KEYS  stamp, entry, lease
--   ARGV  token, followed table, ring, shape, now (ms since 1970), lease TTL (ms), over what:
--         "nothing" fresh, "entry": fill although the entry is fresh, "lease": likewise, out of another's hands
--   ->    {"off"}                       no stamp, or table or ring are not followed: answer from the origin, unstored
--         {"entry", bytes}              someone was faster
--         {"busy"}                      another holds the lease
--         {"lease", S0, origin, gtid}   yours; what is read from now on may be stored if it includes S0
local stamp = readStamp(KEYS[1])
local floor = stamp and floorOf(stamp, ARGV[2], ARGV[3])
if not floor then
  return {'off'}
end
local header = readHeader(KEYS[2])
if ARGV[7] == 'nothing' and header and string.sub(header, 49, 56) == ARGV[4]
    and versionOf(header) >= floor and not isInHole(stamp, versionOf(header), string.sub(header, 3, 3)) then
  local readAt = tonumber(string.sub(header, 57, 64), 36)
  local ttl = tonumber(string.sub(header, 65, 70), 36)
  if readAt and ttl and readAt + ttl * 1000 > tonumber(ARGV[5]) then
    return {'entry', redis.call('GET', KEYS[2])}
  end
end
local taken = {'lease', stamp.to, stamp.origin, stamp.gtid}
if ARGV[7] == 'lease' then
  redis.call('SET', KEYS[3], ARGV[1] .. stamp.to, 'PX', ARGV[6])
  return taken
end
if redis.call('SET', KEYS[3], ARGV[1] .. stamp.to, 'NX', 'PX', ARGV[6]) then
  return taken
end
return {'busy'}
