-- FILL for a table without sync: stores what was read under the leases.
--   KEYS  for each row: entry, lease
--   ARGV  for each row: token, entry bytes, TTL until Redis forgets it (ms)
--   ->    for each row:
--         "lost"    the lease is gone or another's: whatever was read may be older than what is here
--         "stored"
local function fill(entry, lease, token, bytes, ttl)
  -- pcall: a value of another type is nobody's lease; it must not fail the other rows.
  if redis.pcall('GET', lease) ~= token then
    return 'lost'
  end
  redis.call('SET', entry, bytes, 'PX', ttl)
  redis.call('DEL', lease)
  return 'stored'
end

local outcomes = {}
for row = 1, #KEYS / 2 do
  outcomes[row] = fill(KEYS[2 * row - 1], KEYS[2 * row], unpack(ARGV, 3 * row - 2, 3 * row))
end
return outcomes
