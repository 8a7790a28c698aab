-- INVALIDATE: takes the entry out, and holds its lease, so that nothing older comes back meanwhile.
--   KEYS  entry, lease
--   ARGV  token, lease TTL (ms)
--   ->    1 if something lay there, else 0
-- A fill whose read began before has lost its lease by this; nobody takes another but for a read that begins now.
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return redis.call('DEL', KEYS[1])
