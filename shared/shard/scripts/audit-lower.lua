-- AUDIT: mirrored rows whose version lies beyond the binlog's end, which no change would ever replace, get the lowest
-- version that counts, each only if it is still what was judged. They answer as before; from now on every change is newer.
--   KEYS  stamp, then entries
--   ARGV  followed table, ring, then for each "row " and the field :row that was judged
--   ->    "off"      no stamp, or table or ring are not followed
--         "lowered"
local stamp = readStamp(KEYS[1])
local floor = stamp and floorOf(stamp, ARGV[1], ARGV[2])
if not floor then
  return 'off'
end
for index = 2, #KEYS do
  local field = redis.pcall('HGET', KEYS[index], MIRROR_FIELD)
  if type(field) == 'string' and 'row ' .. field == ARGV[index + 1] then
    redis.call('HSET', KEYS[index], MIRROR_FIELD, string.sub(field, 1, 1) .. floor .. string.sub(field, 47))
  end
end
return 'lowered'
