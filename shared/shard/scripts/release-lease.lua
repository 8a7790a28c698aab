-- Gives a lease back unfilled, so that nobody waits for it.
--   KEYS  entry, lease
--   ARGV  token, drop ("1": what was read cannot be stored, and the entry is not what the origin says any more)
--   ->    "released"
-- Only under the lease: once it has run out, the entry may be a newer fill's.
-- A followed table's lease is its token and S0, of 45 digits.
local lease = redis.pcall('GET', KEYS[2])
if type(lease) == 'string' and (lease == ARGV[1] or string.sub(lease, 1, -46) == ARGV[1]) then
  redis.call('DEL', KEYS[2])
  if ARGV[2] == '1' then
    redis.call('DEL', KEYS[1])
  end
end
return 'released'
