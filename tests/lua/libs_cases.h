/* libs_cases.h: what libs_random.c calls: functions, and what they are called with.
**
** Kinds: i an index, I any integer, d any float, n a numeral, s text, u UTF-8 with mistakes in it,
** m a mode, z nil, b a boolean, t an array, T what may stand for one, k a table with metamethods,
** f a function, h a message handler, c an order function, r a reader, S source, F a file's name,
** o a coroutine, g an option of the collector, v anything. What follows | need not be there. */
#ifndef LIBS_CASES_H
#define LIBS_CASES_H

static const struct function {
  const char *name, *shape;
} functions[] = {
    {"assert", "v|vv"},
    {"collectgarbage", "|giii"},
    {"dofile", "F"},
    {"error", "v|i"},
    {"getmetatable", "v"},
    {"ipairs", "T"},
    {"load", "S|smt"},
    {"load", "r|smt"},
    {"loadfile", "F|mt"},
    {"next", "t|i"},
    {"pairs", "T"},
    {"pcall", "f|vvvv"},
    {"print", "|vvvv"},
    {"rawequal", "vv"},
    {"rawget", "tv"},
    {"rawlen", "T"},
    {"rawset", "tvv"},
    {"select", "i|vvvvvv"},
    {"setmetatable", "tk"},
    {"tonumber", "n|i"},
    {"tonumber", "v"},
    {"tostring", "v"},
    {"type", "|v"},
    {"warn", "s|sss"},
    {"xpcall", "fh|vvv"},
    {"table.concat", "T|sii"},
    {"table.insert", "T|iv"},
    {"table.move", "Tiii|T"},
    {"table.pack", "|vvvvvv"},
    {"table.remove", "T|i"},
    {"table.sort", "T|c"},
    {"table.unpack", "T|ii"},
    {"utf8.char", "|IIii"},
    {"utf8.codepoint", "u|iib"},
    {"utf8.codes", "u|b"},
    {"utf8.len", "u|iib"},
    {"utf8.offset", "ui|i"},
    {"utf8.step", "uib"},
    {"coroutine.close", "o"},
    {"coroutine.create", "f"},
    {"coroutine.isyieldable", "|o"},
    {"coroutine.resume", "o|vvv"},
    {"coroutine.running", "|o"},
    {"coroutine.status", "o"},
    {"coroutine.wrap", "f"},
    {"coroutine.yield", "|vv"},
    {"coroutine.life", "oiiiiiii"},
};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

/* What the kinds are made from, in both states. */
static const char objects[] =
    "local tostring = tostring\n"
    "local function text(v) return tonumber(v) and tostring(v) or type(v) end\n"
    "local calls, left = 0, 0\n"
    "local function endless()\n"
    "  left = left - 1 if left < 0 then error('enough') end\n"
    "end\n"
    "made = {}\n"
    "made.reset = function() calls, left = 0, 3000 end\n"
    "made.f = {function(...) return ... end, function() end, function() error('in f') end,\n"
    "  function(a) error(a, 0) end, function(a, b) return a + b end, print, pcall, error,\n"
    "  function(m) endless() return tostring(m) .. '!' end, function() local t = nil; t() end,\n"
    "  function(a) local x = coroutine.yield(a, 1) return x end, type, select, tostring, rawlen,\n"
    "  function(...) endless() return select('#', ...), debug.getinfo(1, 'n').name end,\n"
    "  function() error() end, function() error({}) end, function() error(setmetatable({},\n"
    "    {__tostring = function() return 'object' end})) end, function(f) return pcall(f, 1) end}\n"
    "made.h = {function(m) return m end, function(m) return tostring(m) .. '!' end, type,\n"
    "  function() end, function(m) if type(m) == 'string' then error({}) end return m, 1 end,\n"
    "  function(m) return debug.getinfo(2, 'n').name end}\n"
    "made.c = {function(a, b) return a < b end, function(a, b) return a > b end,\n"
    "  function(a, b) return text(a) < text(b) end, function() return true end,\n"
    "  function() return false end, function() end, function(a, b) return a <= b end,\n"
    "  function() error('in order') end, function(a, b) return (a // 3) < (b // 3) end}\n"
    "made.c[#made.c + 1] = function(a) calls = calls + 1 return calls % 7 < 3 end\n"
    "made.k = {{}, {__index = {}}, {__metatable = 'locked'}, {__metatable = false},\n"
    "  {__name = 'Named'}, {__name = 5}, {__tostring = function() return 'shown' end},\n"
    "  {__tostring = function() return 5 end}, {__tostring = function() error('hidden') end},\n"
    "  {__eq = function() return true end}, {__len = function() return 3 end},\n"
    "  {__index = function(_, k) return k end}, {__call = function(...) return ... end},\n"
    "  {__pairs = function(t) return next, {7}, nil end}, {__len = function() return 'x' end},\n"
    "  {__newindex = function() error('no writing') end}, {__index = function(_, k)\n"
    "    if type(k) == 'number' and k > 0 and k < 4 then return k * 2 end end}}\n"
    "made.endless = endless\n";

static const char makers[] =
    "local endless = made.endless\n"
    "local function reads(t) return function(_, k)\n"
    "  endless()\n"
    "  return t[k]\n"
    "end end\n"
    "local function writes(t) return function(_, k, v)\n"
    "  endless()\n"
    "  t[k] = v\n"
    "end end\n"
    "local function nines() return setmetatable({}, {__index = function(_, k)\n"
    "  if k == 5 then error('no 5') end return 9 end}) end\n"
    "local function proxy(t, n)\n"
    "  return setmetatable({}, {__index = reads(t), __newindex = writes(t), __len = n})\n"
    "end\n"
    "made.T = {function(t) return proxy(t, function() return #t end) end,\n"
    "  function(t) return setmetatable(t, {__index = reads(nines())}) end,\n"
    "  function(t) return setmetatable({}, {__index = t}) end,\n"
    "  function(t) return setmetatable(t, {__len = function() return 4 end}) end,\n"
    "  function(t) return proxy(t, function() return 1e3 end) end,\n"
    "  function(t) return proxy(t, function() return {} end) end,\n"
    "  function(t) return proxy(t, function() return math.maxinteger end) end}\n"
    "made.r = function(n)\n"
    "  local pieces = ({{'return ', '1', '+2'}, {'x', ' ='}, {}, {''}, {'return ...'}, {5}, {{}},\n"
    "    {'return 1', '', '+1'}, {' return', ' {}'}, {true}, {'local a <const> = 1 a = 2'}})[n]\n"
    "  local i = 0\n"
    "  return function() i = i + 1 if n == 9 and i == 2 then error('reader') end\n"
    "    return pieces[i] end\n"
    "end\n"
    "made.o = function(n)\n"
    "  local bodies = {function(...) return ... end, function(a) return coroutine.yield(a) end,\n"
    "    function(...) while true do coroutine.yield(...) end end, function() error('inside') "
    "end,\n"
    "    function(a) coroutine.yield(a) error({}) end, function() return coroutine.running() end,\n"
    "    function() local x <close> = setmetatable({}, {__close = function(_, e) "
    "coroutine.yield(e)\n"
    "      end}) coroutine.yield(1) end, function() local x <close> = setmetatable({}, {__close =\n"
    "      function() error('closing') end}) coroutine.yield(2) end, function(a) return pcall(\n"
    "      function() coroutine.yield(a) error('caught', 0) end) end, function(...) return\n"
    "      coroutine.isyieldable(), coroutine.resume(coroutine.running()) end,\n"
    "    function() return table.unpack({1, 2, 3}) end, print, error, pcall}\n"
    "  local co = coroutine.create(bodies[n % #bodies + 1])\n"
    "  for _ = 1, n // #bodies do coroutine.resume(co, 'first') end\n"
    "  return co\n"
    "end\n";

/* The calls, in three forms: as it is; in a function of Lua, where `results` keeps it from being a
** tail call; and so that what it gives is used. */
static const char calls[] =
    "local function results(...) return ... end\n"
    "local step = utf8.codes('')\n"
    "local lax = utf8.codes('', true)\n"
    "utf8.step = function(s, i, x) return (x and lax or step)(s, i) end\n"
    "coroutine.life = function(co, ...)\n"
    "  local seen = {}\n"
    "  local function see(...) for i = 1, select('#', ...) do seen[#seen + 1] = (select(i, ...)) "
    "or\n"
    "    'none' end end\n"
    "  local way = {function(i) see(coroutine.resume(co, i)) end,\n"
    "    function() see(coroutine.status(co)) end, function() see(coroutine.close(co)) end,\n"
    "    function() see(coroutine.isyieldable(co)) end,\n"
    "    function() see(pcall(coroutine.wrap(function() return coroutine.status(co),\n"
    "      coroutine.resume(co) end))) end,\n"
    "    function() local w = coroutine.wrap(function(a) local b = coroutine.yield(a)\n"
    "      error('in wrap ' .. tostring(b)) end) see(w(1)) see(pcall(w, 2)) see(pcall(w, 3)) end}\n"
    "  for i = 1, select('#', ...) do\n"
    "    local k = select(i, ...)\n"
    "    if math.type(k) == 'integer' then way[k % #way + 1](i) end\n"
    "  end\n"
    "  return seen\n"
    "end\n"
    "local function iterated(f)\n"
    "  return function(...)\n"
    "    local seen, n, g, s, x = {}, 0, f(...)\n"
    "    while n < 40 do\n"
    "      n = n + 1\n"
    "      local k, v = g(s, x)\n"
    "      if k == nil then break end\n"
    "      seen[k], x = v, k\n"
    "    end\n"
    "    return seen, n\n"
    "  end\n"
    "end\n"
    "local function loading(f) return function(...)\n"
    "  local g, m = f(...)\n"
    "  if g then return results(pcall(g, 1, 2)) end\n"
    "  return g, m\n"
    "end end\n"
    "local special = {['utf8.codes'] = iterated(utf8.codes), pairs = iterated(pairs),\n"
    "  ipairs = iterated(ipairs), load = loading(load), loadfile = loading(loadfile)}\n"
    "call = {}\n"
    "for name in names:gmatch('%S+') do\n"
    "  local f = load('local results = ... return function(...) return results(' .. name ..\n"
    "    '(...)) end', '=calls')(results)\n"
    "  call[name] = {load('return ' .. name)(), f, special[name] or f}\n"
    "end\n";

#endif
