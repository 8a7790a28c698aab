-- FILL for a followed table: stores what was read under the lease, if it is known to include what was applied by then.
--   KEYS  stamp, entry, lease
--   ARGV  token, followed table, ring, F (the version that the read is known to include), entry bytes,
--         TTL until Redis forgets it (ms)
--   ->    "lost"    the lease is gone, and what was read may be from before the change that took it
--         "off"     no stamp, or table or ring are not followed any more
--         "early"   F is below S0 or a floor
--         "older"   what is here is newer
--         "stored"
local lease = redis.pcall('GET', KEYS[3])
if type(lease) ~= 'string' or string.sub(lease, 1, -46) ~= ARGV[1] then
  return 'lost'
end
redis.call('DEL', KEYS[3])
local stamp = readStamp(KEYS[1])
local floor = stamp and floorOf(stamp, ARGV[2], ARGV[3])
if not floor then
  return 'off'
end
local read = ARGV[4]
if read < string.sub(lease, -45) or read < floor or isInHole(stamp, read, string.sub(ARGV[5], 3, 3)) then
  return 'early'
end
local header = readHeader(KEYS[2])
if header and versionOf(header) > read then
  return 'older'
end
redis.call('SET', KEYS[2], ARGV[5], 'PX', ARGV[6])
return 'stored'
