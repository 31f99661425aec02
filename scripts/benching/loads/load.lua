-- What wrk (one thread) sends and counts. In: key=value arguments after the URL. Out: one JSON object in the file `out`.
--   mode=orders|purchase|scans|get  tokens=FILE (user id, tab, token a line)  types=FILE (a ticket type id a line;
--   of scans: a code a line, each used once)  at=TIME of scans, quantity=scans of a call
--   path=/api/orders  quantity=1  limit=N requests  seconds=S  rate=R a second  retry=MS after a 429  keys=1
-- Must stay true: bounded by limit and seconds; every request that was sent is waited for; wrk ends when the last answer
-- is there. One thread: the one that setup() sees and done() asks.

local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long s; long ns; } eventhub_time;
  int clock_gettime(int clock, eventhub_time *time);
  int getpid(void);
  int kill(int pid, int signal);
]])
local CLOCK_MONOTONIC, SIGINT, PARKED_MS = 1, 2, 3600 * 1000
local clock = ffi.new("eventhub_time")

local option = {mode = "orders", path = "/api/orders", quantity = "1", wait = "10"}
local tokens, owners, types = {}, {}, {}
local steps, first_step, last_step = {}, 1, 0
local limit, seconds, rate, retry
local turn, backoffs, slot, verified = 0, 0, nil, false
local worker
-- Global and flat, because done() runs in a Lua state of its own and gets them by name (wrk crashes on nested tables).
tally, counts, samples = {issued = 0, answered = 0}, {}, {}
local tally, counts, samples = tally, counts, samples

local function now()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, clock)
  return tonumber(clock.s) + tonumber(clock.ns) / 1e9
end

local function lines(path)
  local found = {}
  if path then
    for line in io.lines(path) do found[#found + 1] = line end
  end
  return found
end

local function post(path, token, body)
  local key = ""
  if option.keys == "1" then key = "Idempotency-Key: " .. option.run .. "-" .. turn .. "\r\n" end
  return "POST " .. path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port
    .. "\r\nAuthorization: Bearer " .. token .. "\r\nContent-Type: application/json\r\nPrefer: wait="
    .. option.wait .. "\r\n" .. key .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
end

local function order()
  turn = turn + 1
  local token = tokens[turn % #tokens + 1]
  local body = '{"items":[{"ticketTypeId":' .. types[turn % #types + 1] .. ',"quantity":' .. option.quantity .. "}]}"
  return post(option.path, token, body)
end

local function uuid()
  local part = function() return string.format("%04x", math.random(0, 65535)) end
  return part() .. part() .. "-" .. part() .. "-" .. part() .. "-" .. part() .. "-" .. part() .. part() .. part()
end

local function scans()
  local some = {}
  for number = 1, tonumber(option.quantity) do
    turn = turn + 1
    some[number] = '{"id":"' .. uuid() .. '","code":"' .. types[turn % #types + 1] .. '","scannedAt":"' .. option.at .. '"}'
  end
  return post(option.path, tokens[turn % #tokens + 1], '{"scans":[' .. table.concat(some, ",") .. "]}")
end

local function get()
  return "GET " .. option.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port .. "\r\n\r\n"
end

local function push(step)
  last_step = last_step + 1
  steps[last_step] = step
end

-- The next call of a purchase, made from the answer to the one before.
local function go_on(status, body)
  if status == 201 and body:find('"details"', 1, true) then
    local id, user = body:match('"id":(%d+)'), body:match('"userId":(%d+)')
    owners[id] = tokens[user]
    push(post("/api/public/payment/create-quote", owners[id], '{"orderId":' .. id .. ',"asset":"BTC"}'))
  elseif status == 201 or (status == 200 and body:find('"PENDING"', 1, true)) then
    local id, of = body:match('"id":(%d+)'), body:match('"orderId":(%d+)')
    local hash = {}
    for part = 1, 8 do hash[part] = string.format("%08x", math.random(0, 2147483647)) end
    push(post("/api/public/payment/confirm-payment/" .. id, owners[of], '{"txHash":"0x' .. table.concat(hash) .. '"}'))
    owners[of] = nil
  end
end

function setup(thread) worker = thread end

function init(arguments)
  for _, word in ipairs(arguments) do
    local name, value = word:match("^(%w+)=(.*)$")
    option[name] = value
  end
  tally.out = option.out
  math.randomseed(tonumber(option.seed or "1"))
  limit, seconds = tonumber(option.limit), tonumber(option.seconds)
  rate, retry = tonumber(option.rate or "0"), tonumber(option.retry or "0")
  types = lines(option.types)
  for number, line in ipairs(lines(option.tokens)) do
    local user, token = line:match("^(%d+)\t(.+)$")
    tokens[number] = token
    if option.mode == "purchase" then tokens[user] = token end
  end
end

function request()
  if not verified then -- wrk asks once before it starts, and sends nothing
    verified = true
    return get()
  end
  if option.mode == "get" then return get() end
  if first_step <= last_step then
    local step = steps[first_step]
    steps[first_step] = nil
    first_step = first_step + 1
    return step
  end
  if option.mode == "scans" then return scans() end
  return order()
end

-- Called before each request of each connection: the place to wait, or to stop.
function delay()
  local time = now()
  tally.started = tally.started or time
  local follows = first_step <= last_step
  if not follows and (tally.issued >= limit or time - tally.started >= seconds) then return PARKED_MS end
  tally.issued = tally.issued + 1
  if backoffs > 0 then
    backoffs = backoffs - 1
    return retry * (0.5 + math.random())
  end
  if rate == 0 then return 0 end
  slot = math.max(slot or time, time - 0.1) + 1 / rate
  return math.max(0, (slot - time) * 1000)
end

function response(status, headers, body)
  tally.answered = tally.answered + 1
  tally.last = now()
  local key = tostring(status)
  if status >= 400 then key = key .. " " .. (body:match('"code": ?"([A-Z_]+)"') or "?") end
  counts[key] = (counts[key] or 0) + 1
  samples[key] = samples[key] or body
  if status == 429 and retry > 0 then
    backoffs = backoffs + 1
    limit = limit + 1
  end
  if option.mode == "purchase" then
    if last_step > first_step + 100000 then limit = 0 end
    go_on(status, body)
  end
  local over = tally.issued >= limit or tally.last - tally.started >= seconds
  if over and tally.answered >= tally.issued and first_step > last_step then ffi.C.kill(ffi.C.getpid(), SIGINT) end
end

local function quoted(text)
  return '"' .. text:gsub('[%c\\"]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

function done(summary, latency)
  local told, bodies, numbers, examples = worker:get("tally"), worker:get("samples"), {}, {}
  for key, count in pairs(worker:get("counts")) do
    numbers[#numbers + 1] = quoted(key) .. ":" .. count
    examples[#examples + 1] = quoted(key) .. ":" .. quoted(bodies[key]:sub(1, 2000))
  end
  local errors = summary.errors
  local file = assert(io.open(told.out, "w"))
  file:write(string.format(
    '{"issued":%d,"answered":%d,"seconds":%.6f,"connectErrors":%d,"readErrors":%d,"writeErrors":%d,"timeouts":%d,'
    .. '"p50":%.3f,"p90":%.3f,"p99":%.3f,"max":%.3f,"counts":{%s},"samples":{%s}}\n',
    told.issued, told.answered, (told.last or 0) - (told.started or 0), errors.connect, errors.read, errors.write, errors.timeout,
    latency:percentile(50) / 1000, latency:percentile(90) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    table.concat(numbers, ","), table.concat(examples, ",")))
  file:close()
end
