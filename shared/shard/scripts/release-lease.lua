-- Gives a lease back unfilled, so that nobody waits for it.
--   KEYS  lease
--   ARGV  token
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return 'released'
