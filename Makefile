# Sluice. `make help` lists the targets; everything is built into build/.

CROSS  =
CC     = $(CROSS)gcc
B      = build
CSTD   = -std=c11 -D_GNU_SOURCE -I.
WARN   = -Wall -Wextra -Wpedantic -Wshadow -Wundef -Wconversion -Wsign-conversion
CFLAGS = -O2 -g
BASE   = $(CSTD) $(WARN) -fvisibility=hidden -fno-semantic-interposition -MMD -MP

PRELOAD = alloc/override.c alloc/operators.c
CORE  = $(filter-out $(PRELOAD),$(wildcard alloc/*.c)) $(wildcard rc/*.c rc/data/*.c runtime/*.c)
LUA_I = $(firstword $(wildcard /usr/include/lua5.4) /usr/include)
# Statically: numbers as text from number.c, what count/ counts, what objects.c shortens, files.c's files, math/; its
# loop where lua.ld has it.
WRAPPED = snprintf __snprintf_chk strcoll luaT_gettm luaT_gettmbyobj luaT_getvarargs luaD_poscall luaS_eqlngstr \
          luaO_str2num luaH_finishset luaH_set luaH_setint luaS_newlstr luaH_realasize luaX_next \
          luaF_getlocalname luaC_newobj luaM_malloc_ luaM_realloc_ luaM_free_ luaH_new luaH_free luaH_resize \
          luaH_resizearray luaH_get luaH_getstr luaD_precall luaD_pretailcall luaD_call luaD_callnoyield luaT_trybiniTM \
          luaK_concat luaK_infix luaF_findupval luaO_tostring \
          flockfile fopen fopen64 freopen freopen64 tmpfile tmpfile64 fclose
# What demo-lang/math has instead of the C library's.
WRAPPED_MATH = exp log log2 log10 pow sin cos tan asin acos atan2 sinh cosh tanh fmod
WRAPPED += $(WRAPPED_MATH)
LUA_L = -l:liblua5.4.a $(WRAPPED:%=-Wl,--wrap=%) -Wl,-T,demo-lang/lua.ld

# A variant is a directory of objects of the same sources: its flags, and how its programs are linked.
FLAGS_plain     = $(CFLAGS) -fPIE -ftls-model=local-exec
FLAGS_pic       = $(CFLAGS) -fPIC -ftls-model=initial-exec
FLAGS_debug     = $(CFLAGS) -fPIE -DMI_DEBUG=1
FLAGS_debug-pic = $(CFLAGS) -fPIC -ftls-model=initial-exec -DMI_DEBUG=1
FLAGS_secure    = $(CFLAGS) -fPIE -DMI_SECURE=1
FLAGS_secure-pic = $(CFLAGS) -fPIC -ftls-model=initial-exec -DMI_SECURE=1
FLAGS_asan      = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
FLAGS_tsan      = -O1 -g -fsanitize=thread
VARIANTS        = plain pic debug debug-pic secure secure-pic asan tsan

objects = $(patsubst %.c,$(B)/obj/$(1)/%.o,$(2))

LIBS = $(foreach l,libsluice libsluice-debug libsluice-secure,$(addprefix $(B)/$(l),.a .so -pic.a -preload.so))

all: $(LIBS) $(B)/libslua.a $(B)/slua $(B)/cfrac ## build the libraries, slua and cfrac

# ---- Objects and libraries

define variant
$(B)/obj/$(1)/%.o: %.c Makefile
	@mkdir -p $$(@D)
	$(CC) $(BASE) $$(FLAGS_$(1)) $$(EXTRA) -c $$< -o $$@
endef
$(foreach v,$(VARIANTS),$(eval $(call variant,$(v))))

define archive
	@rm -f $@
	$(CROSS)ar rcs $@ $^
endef

# What programs link has the public names only: the others could be a program's own. Tests see all.
define sealed_archive
	@rm -f $@
	$(CROSS)ld -r -o $(@:.a=.o) $^
	$(CROSS)objcopy --localize-hidden $(@:.a=.o)
	$(CROSS)ar rcs $@ $(@:.a=.o)
	@rm -f $(@:.a=.o)
endef

$(B)/libsluice.a: $(call objects,plain,$(CORE))
	$(sealed_archive)
$(B)/libsluice-debug.a: $(call objects,debug,$(CORE))
	$(sealed_archive)
$(B)/libsluice-secure.a: $(call objects,secure,$(CORE))
	$(sealed_archive)
# For plug-ins. The other archives are for programs: thread-local data lie at a fixed distance there.
$(B)/libsluice-pic.a: $(call objects,pic,$(CORE))
	$(sealed_archive)
$(B)/libsluice-debug-pic.a: $(call objects,debug-pic,$(CORE))
	$(sealed_archive)
$(B)/libsluice-secure-pic.a: $(call objects,secure-pic,$(CORE))
	$(sealed_archive)
$(B)/libsluice-plain.a: $(call objects,plain,$(CORE))
	$(archive)
$(B)/libsluice-checked.a: $(call objects,debug,$(CORE))
	$(archive)
$(B)/libsluice-hardened.a: $(call objects,secure,$(CORE))
	$(archive)
$(B)/libsluice-asan.a: $(call objects,asan,$(CORE))
	$(archive)
$(B)/libsluice-tsan.a: $(call objects,tsan,$(CORE))
	$(archive)

# nodelete: the end of a thread calls the library, whoever has closed it.
SHARED = $(CC) -shared -pthread -Wl,-Bsymbolic -Wl,-z,defs -Wl,-z,nodelete
$(B)/libsluice.so: $(call objects,pic,$(CORE))
$(B)/libsluice-debug.so: $(call objects,debug-pic,$(CORE))
$(B)/libsluice-secure.so: $(call objects,secure-pic,$(CORE))
$(B)/libsluice.so $(B)/libsluice-debug.so $(B)/libsluice-secure.so:
	$(SHARED) -Wl,-soname,$(@F) -o $@ $^

# Second names for functions that are malloc's as they stand: a jump less than a wrapper.
ALIAS = -Wl,--defsym=malloc=mi_malloc,--defsym=free=mi_free,--defsym=cfree=mi_free,--defsym=calloc=mi_calloc \
        -Wl,--defsym=malloc_usable_size=mi_usable_size,--defsym=posix_memalign=mi_posix_memalign \
        -Wl,--defsym=aligned_alloc=mi_aligned_alloc,--defsym=memalign=mi_memalign \
        -Wl,--defsym=valloc=mi_valloc,--defsym=pvalloc=mi_pvalloc
$(B)/libsluice-preload.so: $(call objects,pic,$(CORE) $(PRELOAD))
$(B)/libsluice-debug-preload.so: $(call objects,debug-pic,$(CORE) $(PRELOAD))
$(B)/libsluice-secure-preload.so: $(call objects,secure-pic,$(CORE) $(PRELOAD))
$(B)/%-preload.so:
	$(SHARED) $(ALIAS) -o $@ $^

# ---- The core as one file, for programs that take sources in

$(B)/sluice.c: runtime/amalgamate.py LICENSE $(CORE) $(wildcard alloc/*.h rc/*.h rc/data/*.h runtime/*.h) Makefile
	@mkdir -p $(@D)
	runtime/amalgamate.py $(CORE) >$@.new
	@mv $@.new $@
amalgamation: $(B)/sluice.c ## the core as one C file, build/sluice.c

# ---- Programs

LUA_MAIN = demo-lang/slua.c demo-lang/run.c demo-lang/repl.c
LUA_LIB  = $(filter-out $(LUA_MAIN),$(wildcard demo-lang/*.c demo-lang/count/*.c demo-lang/lib/*.c demo-lang/math/*.c demo-lang/rc/*.c))
$(foreach v,plain pic asan tsan,$(call objects,$(v),$(LUA_LIB) $(LUA_MAIN))): EXTRA = -I$(LUA_I)
$(B)/slua: $(call objects,plain,$(LUA_LIB) $(LUA_MAIN)) $(B)/libsluice.a
	$(CC) -pthread -o $@ $^ $(LUA_L) -lm -ldl -Wl,-E
$(B)/slua-asan: $(call objects,asan,$(LUA_LIB) $(LUA_MAIN)) $(B)/libsluice-asan.a
	$(CC) -fsanitize=address,undefined -pthread -o $@ $^ $(LUA_L) -lm -ldl -Wl,-E

# For hosts: slua.h's functions with all of Lua, whose calls of snprintf are settled here; beside either libsluice.
$(B)/libslua.a: $(call objects,pic,$(LUA_LIB)) Makefile
	@rm -f $@
	$(CC) -r -nostdlib -o $(@:.a=.o) $(filter %.o,$^) -Wl,--whole-archive $(LUA_L)
	$(CROSS)objcopy --localize-hidden $(@:.a=.o)
	$(CROSS)ar rcs $@ $(@:.a=.o)
	@rm -f $(@:.a=.o)

# The example of a host, where there is libmicrohttpd.
HOST = $(if $(wildcard /usr/include/microhttpd.h),$(B)/host)
$(B)/host: demo-lang/examples/host.c $(B)/libslua.a $(B)/libsluice.a
	$(CC) $(CSTD) $(WARN) -O2 -g -pthread -o $@ $^ -lmicrohttpd -lm -ldl

# With the checks of the other two libraries inside; and programs to compare what they print.
$(B)/slua-debug $(B)/slua-secure: $(B)/slua-%: $(call objects,plain,$(LUA_LIB) $(LUA_MAIN)) $(B)/libsluice-%.a
	$(CC) -pthread -o $@ $^ $(LUA_L) -lm -ldl -Wl,-E
DETERMINISM = $(call objects,plain,$(addprefix tests/determinism/,main.c plain.c counted.c))
$(B)/programs: $(DETERMINISM) $(B)/libsluice.a
	$(CC) -pthread -o $@ $^ -Wl,-E
$(B)/programs-debug $(B)/programs-secure: $(B)/programs-%: $(DETERMINISM) $(B)/libsluice-%.a
	$(CC) -pthread -o $@ $^ -Wl,-E
$(B)/disturb.so: tests/determinism/disturb.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CSTD) $(WARN) -O2 -fPIC -shared -pthread $< -o $@

# Reads and writes Lua's bytecode by itself: for the tests.
$(B)/bytecode: tests/charge/bytecode.c demo-lang/count/bytecode.c demo-lang/count/bytecode.h Makefile
	@mkdir -p $(@D)
	$(CC) $(CSTD) $(WARN) -I$(LUA_I) -O1 -g -fsanitize=address,undefined $(filter %.c,$^) -o $@ -l:liblua5.4.a -lm -ldl

# Where there is MPFR; one is without the first steps, which else decide all but some in 100,000 times.
NEAREST = $(if $(wildcard /usr/include/mpfr.h),$(B)/nearest $(B)/nearest-unsure)
$(B)/nearest-unsure: SURE = -DMATH_UNSURE=1
$(B)/nearest $(B)/nearest-unsure: tests/math/nearest.c $(wildcard demo-lang/math/*.[ch]) Makefile
	@mkdir -p $(@D)
	$(CC) $(CSTD) $(WARN) -O2 -g -fno-builtin $(SURE) -o $@ $(filter %.c,$^) $(WRAPPED_MATH:%=-Wl,--wrap=%) -lmpfr -lm

$(B)/cfrac: tests/real/cfrac.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CSTD) $(WARN) -O2 -g $< -o $@ -lm
$(B)/rc_pair: tests/perf/rc_pair.c $(B)/libsluice.a Makefile
	$(CC) $(CSTD) $(WARN) -I. -O2 -DNDEBUG $< $(B)/libsluice.a -pthread -o $@
$(B)/lua_strings: tests/perf/lua_strings.c $(call objects,plain,$(LUA_LIB)) $(B)/libsluice.a Makefile
	$(CC) $(CSTD) $(WARN) -I$(LUA_I) -O2 -g $(filter-out Makefile,$^) -o $@ $(LUA_L) -lm -ldl -pthread
$(B)/bench: tests/perf/bench.c Makefile
	@mkdir -p $(@D)
	$(CC) $(CSTD) $(WARN) -O2 -g -fno-builtin -pthread $< -o $@
$(B)/states: tests/perf/states.c $(call objects,plain,$(LUA_LIB)) $(B)/libsluice.a Makefile
	$(CC) $(CSTD) $(WARN) -I$(LUA_I) -O2 $< $(filter %.o,$^) $(B)/libsluice.a $(LUA_L) -lm -ldl -pthread -o $@
$(B)/pause: tests/demo/pause.c $(B)/libsluice.a
	$(CC) $(CSTD) $(WARN) -O2 -g -pthread $< $(B)/libsluice.a -o $@
$(B)/noise.so: tests/demo/noise.c
	@mkdir -p $(@D)
	$(CC) $(CSTD) $(WARN) -O2 -fPIC -shared -pthread $< -o $@

# ---- Tests: each program in the builds that can find something in it

UNIT   = $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/*.c))
STRESS = $(patsubst tests/stress/%.c,%,$(wildcard tests/stress/*.c))
THREADED = $(patsubst tests/unit/%.c,%,$(shell grep -l pthread_create tests/unit/*.c))
TEST_PROGRAMS = $(foreach t,$(UNIT),$(foreach v,plain debug secure asan,$(B)/tests/$(v)/$(t))) \
                $(THREADED:%=$(B)/tests/tsan/%) \
                $(foreach t,$(STRESS),$(foreach v,plain debug secure tsan,$(B)/tests/$(v)/$(t)))

LIB_plain = $(B)/libsluice-plain.a
LIB_debug = $(B)/libsluice-checked.a
LIB_secure = $(B)/libsluice-hardened.a
LIB_asan  = $(B)/libsluice-asan.a
LIB_tsan  = $(B)/libsluice-tsan.a
define test_variant
$(B)/tests/$(1)/%: tests/unit/%.c $$(LIB_$(1)) Makefile
	@mkdir -p $$(@D)
	$(CC) $(BASE) $$(FLAGS_$(1)) $$< -o $$@ $$(LIB_$(1)) -lcmocka -pthread
$(B)/tests/$(1)/%: tests/stress/%.c $$(LIB_$(1)) Makefile
	@mkdir -p $$(@D)
	$(CC) $(BASE) $$(FLAGS_$(1)) $$< -o $$@ $$(LIB_$(1)) -pthread
endef
$(foreach v,plain debug secure asan tsan,$(eval $(call test_variant,$(v))))

# Tests of what demo-lang offers to hosts.
LUA_UNIT = $(patsubst tests/lua/%.c,%,$(wildcard tests/lua/*_test.c))
TEST_PROGRAMS += $(foreach t,$(LUA_UNIT),$(foreach v,plain asan tsan,$(B)/tests/$(v)/$(t)))
# What calls the guest's libraries at random, or as an enemy.
LUA_RANDOM = $(patsubst tests/lua/%.c,%,$(filter-out %_test.c,$(wildcard tests/lua/*.c)))
TEST_PROGRAMS += $(foreach t,$(LUA_RANDOM),$(foreach v,plain asan,$(B)/tests/$(v)/$(t)))
define lua_test_variant
$(B)/tests/$(1)/%: tests/lua/%.c $$(call objects,$(1),$$(LUA_LIB)) $$(LIB_$(1)) Makefile
	@mkdir -p $$(@D)
	$(CC) $(BASE) -I$(LUA_I) $$(FLAGS_$(1)) $$< -o $$@ $$(filter %.o,$$^) $$(LIB_$(1)) $(LUA_L) -lcmocka -lm -ldl -pthread -Wl,-E
endef
$(foreach v,plain asan tsan,$(eval $(call lua_test_variant,$(v))))

setup:
	@tests/setup.sh
.PHONY: all amalgamation setup build-tests test test-real test-aarch64 test-musl covered coverage \
        demo determinism bench bench-checked bench-rc bench-pause bench-lua bench-states instructions \
        instructions-lua model install clean help

REPEATING = $(foreach v,slua programs,$(addprefix $(B)/$(v),-debug -secure)) $(B)/programs $(B)/disturb.so

build-tests: all amalgamation $(B)/slua-asan $(B)/bytecode $(B)/noise.so $(TEST_PROGRAMS) $(REPEATING) $(HOST) $(NEAREST)

test: setup ## set up what is missing, then run every test; ends in "N passed, N failed"
	@$(MAKE) --no-print-directory -s -j2 build-tests
	@tests/run.sh $(B)

demo: setup ## the whole idea on one screen, in under a minute
	@$(MAKE) --no-print-directory -s -j2 all $(B)/pause $(B)/noise.so
	@tests/demo/demo.sh $(B)

test-real: ## programs from Debian packages under the preload libraries, compared with themselves; some minutes
	@tests/setup.sh real || true
	@$(MAKE) --no-print-directory -s -j2 all
	@tests/real/run.sh $(B)

bench: ## allocation speed as ratios to the allocators of this system
	@tests/setup.sh bench
	@$(MAKE) --no-print-directory -s -j2 all $(B)/bench
	@tests/perf/bench.py $(B)
bench-checked: setup ## what the checks of the debug and the secure build cost, as ratios to the plain one
	@$(MAKE) --no-print-directory -s -j2 all $(B)/bench
	@tests/perf/bench.py --checked $(B)
bench-rc: ## programs of counted objects, as ratios to C++, Rust, OCaml, Nim and Go; some ten minutes
	@tests/setup.sh bench-rc || true
	@$(MAKE) --no-print-directory -s $(B)/libsluice.a
	@tests/perf/bench_rc.py --svg $(B)/bench-rc.svg $(B)
bench-pause: ## how long the program stands still while 10 million objects die, here and elsewhere; some five minutes
	@tests/setup.sh bench-rc || true
	@$(MAKE) --no-print-directory -s $(B)/libsluice.a
	@tests/perf/bench_pause.py --svg $(B)/bench-pause.svg $(B)
bench-states: setup ## many Lua states at once: what each costs; half a minute, 5 GB
	@$(MAKE) --no-print-directory -s -j2 $(B)/states
	@$(B)/states
bench-lua: setup ## Lua scripts in slua, as ratios to lua5.4; some five minutes
	@$(MAKE) --no-print-directory -s -j2 $(B)/slua
	@tests/perf/bench_lua.py --svg $(B)/bench-lua.svg --markdown $(B)/bench-lua.md $(B)
instructions: setup ## how many instructions the fast paths take
	@tests/setup.sh instructions
	@$(MAKE) --no-print-directory -s -j2 all $(B)/rc_pair
	@tests/perf/instructions.sh $(B)
instructions-lua: setup ## how many instructions uses of Lua's string library take, and with the guest's
	@tests/setup.sh instructions
	@$(MAKE) --no-print-directory -s -j2 $(B)/lua_strings
	@tests/perf/lua_strings.sh $(B)

test-aarch64 test-musl: test-%:
	@tests/setup.sh $*
	@tests/elsewhere.sh $* $(B)
test-aarch64: ## the unit and stress tests on 64-bit ARM, by emulation
test-musl: ## the same with musl as the C library

# Three builds of everything, slow and with counters.
COVERED = $(filter-out %_random,$(filter $(foreach v,plain debug secure,$(B)/tests/$(v)/%),$(TEST_PROGRAMS)))
covered: all $(COVERED)
coverage: setup ## which lines and branches the tests reach
	@$(MAKE) --no-print-directory -s -j2 B=$(B)/coverage CFLAGS='-O0 -g' \
	  CC='$(CC) --coverage -fprofile-update=atomic' covered
	@CC='$(CC) --coverage' tests/coverage.py $(B)/coverage

determinism: setup ## many programs under many conditions and in many builds: the same output, ticks and stopping points; some ten minutes
	@tests/setup.sh determinism || true
	@$(MAKE) --no-print-directory -s -j2 all $(REPEATING)
	@tests/determinism/build.sh $(B)
	@tests/determinism/run.py $(B)

model: setup ## check the protocols between threads with spin
	@tests/model/run.sh

# ---- Installation: PREFIX is where it will live, DESTDIR what is put in front of it meanwhile

PREFIX  = /usr/local
VERSION = 0.1
INCLUDE = $(DESTDIR)$(PREFIX)/include/sluice
LIBDIR  = $(DESTDIR)$(PREFIX)/lib
HEADERS = alloc/mimalloc.h alloc/mimalloc-stats.h alloc/mimalloc-new-delete.h rc/rc.h rc/data/data.h runtime/runtime.h

define PKG_CONFIG
prefix=$(PREFIX)
Name: sluice
Description: allocator, reference counting and limits for language runtimes
Version: $(VERSION)
Cflags: -I$${prefix}/include/sluice
Libs: -L$${prefix}/lib -lsluice -pthread
endef
define PKG_CONFIG_SLUA
prefix=$(PREFIX)
Name: slua
Description: Lua 5.4 with limits, for scripts that a host does not trust
Version: $(VERSION)
Requires: sluice
Libs: -L$${prefix}/lib -lslua -lm -ldl
endef
define CMAKE_PACKAGE
get_filename_component(_prefix "$${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
set(sluice_VERSION $(VERSION))
find_package(Threads REQUIRED)
foreach(_kind STATIC SHARED)
  string(TOLOWER $${_kind} _name)
  if(NOT TARGET sluice::$${_name})
    add_library(sluice::$${_name} $${_kind} IMPORTED)
    set_target_properties(sluice::$${_name} PROPERTIES
      IMPORTED_LOCATION $${_prefix}/lib/$${CMAKE_$${_kind}_LIBRARY_PREFIX}sluice$${CMAKE_$${_kind}_LIBRARY_SUFFIX}
      INTERFACE_INCLUDE_DIRECTORIES $${_prefix}/include/sluice INTERFACE_LINK_LIBRARIES Threads::Threads)
  endif()
endforeach()
if(NOT TARGET sluice::slua)
  add_library(sluice::slua STATIC IMPORTED)
  set_target_properties(sluice::slua PROPERTIES
    IMPORTED_LOCATION $${_prefix}/lib/$${CMAKE_STATIC_LIBRARY_PREFIX}slua$${CMAKE_STATIC_LIBRARY_SUFFIX}
    INTERFACE_LINK_LIBRARIES "sluice::static;m;$${CMAKE_DL_LIBS}")
endif()
endef
export PKG_CONFIG PKG_CONFIG_SLUA CMAKE_PACKAGE

install: all ## install below PREFIX (/usr/local): headers, libraries, slua, for pkg-config and CMake
	install -d $(INCLUDE)/alloc $(INCLUDE)/rc/data $(INCLUDE)/runtime $(LIBDIR)/pkgconfig $(LIBDIR)/cmake/sluice \
	  $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man7
	for h in $(HEADERS); do install -m 644 $$h $(INCLUDE)/$$h; done
	install -m 644 demo-lang/slua.h $(INCLUDE)
	install -m 644 $(LIBS) $(B)/libslua.a $(LIBDIR)
	install $(B)/slua $(DESTDIR)$(PREFIX)/bin
	install -m 644 alloc/sluice.7 $(DESTDIR)$(PREFIX)/share/man/man7
	printenv PKG_CONFIG >$(LIBDIR)/pkgconfig/sluice.pc
	printenv PKG_CONFIG_SLUA >$(LIBDIR)/pkgconfig/slua.pc
	printenv CMAKE_PACKAGE >$(LIBDIR)/cmake/sluice/sluiceConfig.cmake

clean: ## remove build/
	rm -rf $(B)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
