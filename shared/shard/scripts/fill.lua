-- FILL for a followed table: stores what was read under the leases, if it is known to include what was applied by then.
--   KEYS  stamp; for each row: entry, lease
--   ARGV  followed table, ring; for each row: token, F (the version that the read is known to include), entry bytes,
--         TTL until Redis forgets it (ms)
--   ->    for each row:
--         "lost"    the lease is gone, and what was read may be from before the change that took it
--         "off"     no stamp, or table or ring are not followed any more
--         "early"   F is below S0 or a floor
--         "older"   what is here is newer
--         "stored"
local stamp = readStamp(KEYS[1])
local floor = stamp and floorOf(stamp, ARGV[1], ARGV[2])

local function fill(entry, leaseKey, token, read, bytes, ttl)
  local lease = redis.pcall('GET', leaseKey)
  if type(lease) ~= 'string' or string.sub(lease, 1, -46) ~= token then
    return 'lost'
  end
  redis.call('DEL', leaseKey)
  if not floor then
    return 'off'
  end
  if read < string.sub(lease, -45) or read < floor or isInHole(stamp, read, string.sub(bytes, 3, 3)) then
    return 'early'
  end
  local header = readHeader(entry)
  if header and versionOf(header) > read then
    return 'older'
  end
  redis.call('SET', entry, bytes, 'PX', ttl)
  return 'stored'
end

local outcomes = {}
for row = 1, (#KEYS - 1) / 2 do
  outcomes[row] = fill(KEYS[2 * row], KEYS[2 * row + 1], unpack(ARGV, 4 * row - 1, 4 * row + 2))
end
return outcomes
