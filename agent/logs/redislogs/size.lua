-- size adds up what logs hold here.
--
-- KEYS  streams  the logs
--
-- Returns how many bytes, without what was cut.
local size = 0
for _, key in ipairs(KEYS) do
  local from, to = held(key)
  size = size + to - from
end
return size
