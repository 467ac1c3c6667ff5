-- Hands wrk's raw figures to the harness as one line: no rounding, no reformatting.
-- CPU time of the whole machine (both cores, kernel threads and agents included) is read here
-- and not by the harness, so that wrk's own start-up does not count.

local busy_at_start

local function busy_ticks()
  local stat = io.open("/proc/stat")
  local user, nice, system, _, _, irq, softirq =
    stat:read("*l"):match("^cpu +(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)")
  stat:close()
  return user + nice + system + irq + softirq
end

function setup(_)
  busy_at_start = busy_ticks()
end

function done(summary, latency, _)
  local ticks = busy_ticks() - busy_at_start
  local errors = summary.errors
  local histogram = {}
  for i = 1, #latency do
    local value, count = latency(i)
    histogram[i] = string.format("[%d,%d]", value, count)
  end
  print(string.format(
    '{"wrk":1,"duration_us":%d,"requests":%d,"busy_ticks":%d,"errors":%d,"histogram":[%s]}',
    summary.duration, summary.requests, ticks,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    table.concat(histogram, ",")))
end
