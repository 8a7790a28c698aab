-- FILL for a table without sync: stores what was read under the lease.
--   KEYS  entry, lease
--   ARGV  token, entry bytes, TTL until Redis forgets it (ms)
--   ->    "lost"    the lease is gone or another's: whatever was read may be older than what is here
--         "stored"
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 'lost'
end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
redis.call('DEL', KEYS[2])
return 'stored'
