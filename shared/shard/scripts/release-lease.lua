-- Gives a lease back unfilled, so that nobody waits for it.
--   KEYS  entry, lease
--   ARGV  token, drop ("1": what was read cannot be stored, and the entry is not what the origin says any more)
--   ->    "released"
-- Only under the lease: once it has run out, the entry may be a newer fill's.
if redis.call('GET', KEYS[2]) == ARGV[1] then
  redis.call('DEL', KEYS[2])
  if ARGV[2] == '1' then
    redis.call('DEL', KEYS[1])
  end
end
return 'released'
