-- wrk's script: POST one body, check the content of one answer in a thousand, report the run as a line of JSON.
-- Arguments: FILE with the body, its content type, the text that a right answer holds.
-- Where an answer takes long, the window would begin and end with work that is not counted: the report says too how much
-- came after the first answers (those within BURST_S) and how long that took.

local BURST_S = 0.01
local ffi = require("ffi")
ffi.cdef[[
  typedef struct { long seconds; long microseconds; } conv_time;
  int gettimeofday(conv_time *now, void *zone);
]]
local now = ffi.new("conv_time")

local function clock()
  ffi.C.gettimeofday(now, nil)
  return tonumber(now.seconds) + tonumber(now.microseconds) / 1e6
end

local threads = {}
function setup(thread) table.insert(threads, thread) end

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  file:close()
  wrk.headers["Content-Type"] = arguments[2]
  expected = arguments[3]
  answers, checked, wrong, refused = 0, 0, 0, 0
  began, last, burst = 0, 0, 0
end

function response(status, headers, body)
  answers = answers + 1
  last = clock()
  if answers == 1 then began = last end
  if last - began < BURST_S then burst = burst + 1 end
  if status < 200 or status > 299 then
    refused = refused + 1
  elseif answers % 1000 == 1 then
    checked = checked + 1
    if not string.find(body, expected, 1, true) then wrong = wrong + 1 end
  end
end

function done(summary, latency, requests)
  local sums = {answers = 0, checked = 0, wrong = 0, refused = 0}
  for _, thread in ipairs(threads) do
    for name, sum in pairs(sums) do sums[name] = sum + thread:get(name) end
  end
  local errors, first = summary.errors, threads[1]
  print(string.format(
    'JSON {"seconds": %.6f, "answers": %d, "checked": %d, "wrong": %d, "refused": %d, "broken": %d, ' ..
    '"p50_ms": %.4f, "p99_ms": %.4f, "flowing": %d, "flowing_s": %.6f}',
    summary.duration / 1e6, sums.answers, sums.checked, sums.wrong, sums.refused,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    first:get("answers") - first:get("burst"), first:get("last") - first:get("began")))
end
