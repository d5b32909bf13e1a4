-- allocates: JSON, encoded and decoded.
local rounds = tonumber(arg[1]) or 32

local escapes = {['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t"}
local unescapes = {n = "\n", t = "\t"}

local encode

local function encode_string(s) return '"' .. s:gsub('["\\\n\t]', escapes) .. '"' end

local function encode_object(object)
  local keys, parts = {}, {}
  for key in pairs(object) do keys[#keys + 1] = key end
  table.sort(keys)
  for i, key in ipairs(keys) do parts[i] = encode_string(key) .. ":" .. encode(object[key]) end
  return "{" .. table.concat(parts, ",") .. "}"
end

local function encode_array(array)
  local parts = {}
  for i = 1, #array do parts[i] = encode(array[i]) end
  return "[" .. table.concat(parts, ",") .. "]"
end

function encode(value)
  local kind = type(value)
  if kind == "string" then return encode_string(value) end
  if kind == "table" then return (#value > 0 and encode_array or encode_object)(value) end
  return tostring(value)
end

local decode

local function skip(text, at) return text:find("%S", at) end

local function decode_string(text, at)
  local parts = {}
  while true do
    local stop = text:find('["\\]', at)
    parts[#parts + 1] = text:sub(at, stop - 1)
    if text:sub(stop, stop) == '"' then
      return #parts == 1 and parts[1] or table.concat(parts), stop + 1
    end
    local c = text:sub(stop + 1, stop + 1)
    parts[#parts + 1] = unescapes[c] or c
    at = stop + 2
  end
end

local function decode_array(text, at)
  local array = {}
  at = skip(text, at)
  if text:sub(at, at) == "]" then return array, at + 1 end
  while true do
    array[#array + 1], at = decode(text, at)
    at = skip(text, at)
    if text:sub(at, at) == "]" then return array, at + 1 end
    at = at + 1
  end
end

local function decode_object(text, at)
  local object, key = {}, nil
  at = skip(text, at)
  if text:sub(at, at) == "}" then return object, at + 1 end
  while true do
    at = skip(text, at)
    key, at = decode_string(text, at + 1)
    at = skip(text, at)
    object[key], at = decode(text, at + 1)
    at = skip(text, at)
    if text:sub(at, at) == "}" then return object, at + 1 end
    at = at + 1
  end
end

local words = {["true"] = true, ["false"] = false}

function decode(text, at)
  at = skip(text, at)
  local c = text:sub(at, at)
  if c == '"' then return decode_string(text, at + 1) end
  if c == "[" then return decode_array(text, at + 1) end
  if c == "{" then return decode_object(text, at + 1) end
  local word = text:match("^[%w+.-]+", at)
  local value = words[word]
  if value == nil then value = tonumber(word) end
  return value, at + #word
end

local records = {}
for i = 1, 400 do
  records[i] = {id = i, name = "record \"" .. i .. "\"\n", price = i * 0.25, tags = {"a", "b" .. i % 7, "c\\d"},
                open = i % 3 == 0, place = {x = i, y = -i, label = "at " .. i * 17}}
end
local text = encode(records)
for _ = 1, rounds do
  local again = encode((decode(text, 1)))
  assert(again == text)
end
local checksum = 0
for i = 1, #text do checksum = (checksum * 31 + text:byte(i)) % 1000003 end
print(#text, checksum)
