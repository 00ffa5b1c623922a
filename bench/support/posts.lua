-- What wrk posts. Each post has another address and another text, so that none is a repeat.
-- Arguments: a word that no other run uses, and the number of addresses (0: each post has a new one).

local words = {}
for word in ([[
  garden window letter morning harbour bridge silver winter market travel question answer picture yellow
  village mountain kitchen station library concert lantern orchard journey compass ribbon meadow thunder
  blanket candle feather island jacket ladder magnet needle ocean pencil quarter river saddle temple uncle
  valley whistle basket copper dinner engine forest gentle hammer insect jungle kettle lemon mirror nation
]]):gmatch("%a+") do words[#words + 1] = word end

local run, addresses, count = "", 0, 0

function init(args)
  run, addresses = args[1], tonumber(args[2] or "0")
  math.randomseed(os.time() + os.clock() * 1000000)
end

function request()
  count = count + 1
  local text = {}
  for i = 1, 30 do text[i] = words[math.random(#words)] end
  local person = addresses == 0 and count or math.random(addresses)
  local body = string.format(
    '{"name":"Ada Lovelace","email":"%s%d@example.test","subject":"A question","message":"%s"}',
    addresses == 0 and run or "visitor", person, table.concat(text, " "))
  return wrk.format("POST", nil, { ["Content-Type"] = "application/json" }, body)
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nJSON{"seconds":%f,"answered":%d,"refused":%d,"failed":%d,"p50":%f,"p99":%f}\n',
    summary.duration / 1000000, summary.requests, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
