/* lua_strings.c: what the string library is used for, with Lua's own or with the guest's; for
** lua_strings.sh, which counts the instructions of `run`.
**
**     lua_strings lua|slua | names */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "demo-lang/guest.h"

static const struct use {
  const char *name, *code;
} uses[] = {
    {"find plain short",
     "local s='the quick brown fox jumps' for i=1,20000 do s:find('fox',1,true) end"},
    {"find plain none special",
     "local s='the quick brown fox jumps' for i=1,20000 do s:find('fox') end"},
    {"find plain long",
     "local s=('the quick brown fox jumps over '):rep(1000)..'needle' for i=1,20 do "
     "s:find('needle',1,true) end"},
    {"find pattern",
     "local s='the quick brown fox jumps 2024-11-26' for i=1,10000 do s:find('%d+%-%d+') end"},
    {"find anchored", "local s='  local x = 1' for i=1,20000 do s:find('^%s*(%a+)') end"},
    {"match kv",
     "local s='content-length: 1234' for i=1,20000 do s:match('^([%w-]+):%s*(.-)%s*$') end"},
    {"match date", "local s='2024-11-26' for i=1,20000 do s:match('(%d+)-(%d+)-(%d+)') end"},
    {"match trim",
     "local s='   some text with blanks   ' for i=1,20000 do s:match('^%s*(.-)%s*$') end"},
    {"match set", "local s='foo_bar123 = value' for i=1,20000 do s:match('[%a_][%w_]*') end"},
    {"match tiny", "local s='abc' for i=1,30000 do s:match('b') end"},
    {"gmatch words",
     "local s=('lorem ipsum dolor sit amet '):rep(100) for i=1,20 do for w in s:gmatch('%a+') do "
     "end end"},
    {"gmatch kv",
     "local s=('key=val, '):rep(100) for i=1,20 do for k,v in s:gmatch('(%w+)=(%w+)') do end end"},
    {"gsub spaces",
     "local s=('lorem ipsum dolor sit amet '):rep(100) for i=1,20 do s:gsub(' ','_') end"},
    {"gsub string caps",
     "local s=('lorem ipsum dolor sit amet '):rep(100) for i=1,20 do s:gsub('(%a+)','<%1>') end"},
    {"gsub function",
     "local s=('lorem ipsum dolor sit amet '):rep(100) local f=function(w) return w end for i=1,20 "
     "do s:gsub('%a+',f) end"},
    {"gsub table",
     "local s=('lorem ipsum dolor sit amet '):rep(100) local t={lorem='x'} for i=1,20 do "
     "s:gsub('%a+',t) end"},
    {"gsub dot",
     "local s=('lorem ipsum dolor sit amet '):rep(100) for i=1,20 do s:gsub('.','%0%0') end"},
    {"gsub nomatch",
     "local s=('lorem ipsum dolor sit amet '):rep(100) for i=1,20 do s:gsub('%d','x') end"},
    {"gsub escape html",
     "local s=('a < b & c > d \"q\" text text '):rep(100) local "
     "t={['<']='&lt;',['>']='&gt;',['&']='&amp;'} for i=1,20 do s:gsub('[<>&]',t) end"},
    {"gsub empty", "local s=('lorem ipsum dolor'):rep(10) for i=1,100 do s:gsub('','-') end"},
    {"format %d", "for i=1,20000 do (('%d')):format(i) end"},
    {"format %d %s", "local s='name' for i=1,20000 do (('%s=%d;')):format(s,i) end"},
    {"format %5.2f", "for i=1,10000 do (('%5.2f')):format(i/3) end"},
    {"format %g", "for i=1,10000 do (('%g')):format(i/3) end"},
    {"format %x", "for i=1,10000 do (('%08x')):format(i) end"},
    {"format %q",
     "local s=('some \"text\" \\n here '):rep(10) for i=1,1000 do (('%q')):format(s) end"},
    {"format %-10s", "local s='name' for i=1,20000 do (('%-10s')):format(s) end"},
    {"format %s int", "for i=1,20000 do (('%s')):format(i) end"},
    {"format %s float", "for i=1,10000 do (('%s')):format(i+.5) end"},
    {"format literal",
     "local s='name' for i=1,20000 do (('the quick brown fox %s jumps over the lazy "
     "dog')):format(s) end"},
    {"rep short", "for i=1,20000 do ('ab'):rep(10) end"},
    {"rep 1 long", "for i=1,500 do ('x'):rep(10000) end"},
    {"rep sep", "for i=1,2000 do ('ab'):rep(100,',') end"},
    {"sub", "local s='the quick brown fox' for i=1,30000 do s:sub(5,9) end"},
    {"sub 1", "local s='the quick brown fox' for i=1,30000 do s:sub(i%19+1,i%19+1) end"},
    {"byte", "local s='the quick brown fox' for i=1,30000 do s:byte(5) end"},
    {"byte many", "local s='the quick brown fox' for i=1,10000 do s:byte(1,-1) end"},
    {"char", "for i=1,20000 do string.char(104,101,108,108,111) end"},
    {"len", "local s='the quick brown fox' for i=1,30000 do s:len() end"},
    {"upper short", "local s='the quick brown fox' for i=1,20000 do s:upper() end"},
    {"upper long", "local s=('the quick brown fox'):rep(100) for i=1,1000 do s:upper() end"},
    {"reverse", "local s=('the quick brown fox'):rep(10) for i=1,5000 do s:reverse() end"},
    {"pack ints", "for i=1,20000 do (('<i4i4d')):pack(i,i,i) end"},
    {"unpack ints", "local d=(('<i4i4d')):pack(1,2,3) for i=1,20000 do (('<i4i4d')):unpack(d) end"},
    {"pack s", "local s='text' for i=1,20000 do (('s4z')):pack(s,s) end"},
    {"arith", "local s='10' for i=1,20000 do local x = s+1 end"},
    {"balance", "local s='f(a(b)c)d' for i=1,20000 do s:match('%b()') end"},
    {"frontier", "local s='THE (quick) fox' for i=1,10000 do s:find('%f[%a]%a+%f[%A]') end"},
    {"csv lazy", "local s='a,b,c,d,e,f,g,h' for i=1,5000 do s:match('^(.-),(.-),(.-),(.-),') end"},
    {"greedy back",
     "local s='/usr/local/share/file.txt' for i=1,20000 do s:match('.*/(.*)%.') end"},
};
enum { USES = sizeof uses / sizeof uses[0] };

/* As many allocations and collections in both: the memory is a guest's. */
__attribute__((noinline)) static void run(lua_State* L) {
  if (lua_pcall(L, 0, 0, 0) == LUA_OK) return;
  fprintf(stderr, "%s\n", lua_tostring(L, -1));
  exit(1);
}

int main(int argc, char** argv) {
  static guest g;
  const slua_config unlimited = {0};
  if (argc == 2 && strcmp(argv[1], "names") == 0) {
    for (size_t i = 0; i < USES; i++) printf("%s\n", uses[i].name);
    return 0;
  }
  if (argc != 2 || !guest_open(&g, &unlimited)) return 1;
  guest_open_libraries(g.L);
  if (strcmp(argv[1], "lua") == 0) {
    luaopen_string(g.L);
    lua_setglobal(g.L, LUA_STRLIBNAME);
  }
  for (size_t i = 0; i < USES; i++) {
    if (luaL_loadstring(g.L, uses[i].code) != LUA_OK) return 1;
    lua_gc(g.L, LUA_GCCOLLECT);
    run(g.L);
  }
  guest_end(&g);
  return 0;
}
