-- For wrk: random rows of a table, from requests that are made beforehand, so that choosing one costs next to nothing.
-- Arguments: path, first id, count of ids, ids in a request, seed.
local REQUESTS = 10000
local requests = {}
local random = math.random

function init(args)
  local path, first, count = args[1], tonumber(args[2]), tonumber(args[3])
  local batch, seed = tonumber(args[4]), tonumber(args[5])
  math.randomseed(seed)
  for index = 1, REQUESTS do
    local target
    if batch == 1 then
      target = path .. "/" .. first + random(count) - 1
    else
      local ids = {}
      for place = 1, batch do ids[place] = first + random(count) - 1 end
      target = path .. "?ids=" .. table.concat(ids, ",")
    end
    requests[index] = wrk.format("GET", target)
  end
end

function request()
  return requests[random(REQUESTS)]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('\n{"requests": %d, "micros": %d, "failed": %d, "statuses": %d, "p99Micros": %d}\n', summary.requests,
    summary.duration, errors.connect + errors.read + errors.write + errors.timeout, errors.status, latency:percentile(99)))
end
