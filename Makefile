# Parallelism Lab. `make help` lists what there is.
#
# One file, not recursive. From "Objects and programs" on it is the map of the
# lab: which objects make which program, in the order of the stages.

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all
.PHONY: FORCE

# One short line a command; VERBOSE=1 shows them whole.
ifeq ($(VERBOSE),)
say = @printf '  %-7s %s\n' $(1) $(2);
endif

# What `grading/setup.sh --user` unpacked below the home directory, if it did.
DATA_HOME := $(if $(XDG_DATA_HOME),$(XDG_DATA_HOME),$(HOME)/.local/share)
-include $(DATA_HOME)/parallelism-lab/env.mk

VERSION := 0.1.0

# The parts of the course, and the one with which the work in this tree begins.
PARTS  := $(shell awk -F '\t' '$$1 == "stage" { print $$2 }' grading/points.tsv)
BEGINS := $(firstword $(shell cat grading/begins 2>/dev/null) $(PARTS))
# The stage of a part: 2 of 2A.
stage_of = $(patsubst %A,%,$(patsubst %B,%,$(patsubst %C,%,$(1))))

# ---- What can be chosen ---------------------------------------------------

VARIANTS := rel dbg asan tsan
POOLS     = shared naive serial $(if $(GLIB),glib) steal
V        ?= rel
POOL     ?=
STORES   := kvs lmdb mem
STORE    ?=

choice = $(if $(filter 1,$(words $($(1))))$(filter-out $($(1)),$(2)),\
	$(if $(filter $($(1)),$(2)),,$(error $(1)=$($(1)): choose one of: $(2))))
PKG_CONFIG ?= pkg-config

# Optional libraries, and the line that says which part is not built then.
GLIB    := $(shell $(PKG_CONFIG) --exists glib-2.0 && echo yes)
NO_GLIB := pool glib: not built, libglib2.0-dev is not installed

$(call choice,V,$(VARIANTS))
ifeq ($(POOL)$(GLIB),glib)
$(error $(NO_GLIB))
endif
$(if $(POOL),$(call choice,POOL,$(POOLS)))
$(if $(STORE),$(call choice,STORE,$(STORES)))

ifeq ($(origin CC),default)
CC := gcc
endif

# ---- Flags -----------------------------------------------------------------

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wwrite-strings -Wconversion -Wno-sign-conversion
# Warnings stop the reference's build; a submission's cost points instead.
STUDENT := $(wildcard grading/yours.txt)
WERROR  ?= $(if $(STUDENT),,-Werror)

BASE := -std=c11 -D_GNU_SOURCE -pthread -I. -g -gdwarf-4 \
	-fno-omit-frame-pointer -fdebug-prefix-map=$(CURDIR)/=
OPT_rel  := -O2 -DNVALGRIND
OPT_dbg  := -Og
OPT_asan := -Og -DNVALGRIND -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined
OPT_tsan := -Og -DNVALGRIND -fsanitize=thread

ALL_CFLAGS = $(BASE) $(OPT_$(V)) $(WARN) $(WERROR) $(CFLAGS)
# Bound at start: the dynamic linker, saving registers on a stack in the middle
# of a call, looks like a race to helgrind.
ALL_LDFLAGS = -pthread -Wl,-z,now $(filter -fsanitize=%,$(OPT_$(V))) $(LDFLAGS)

B := build/$(V)

# ---- Objects and programs --------------------------------------------------

obj = $(patsubst %.c,$(B)/%.o,$(1))
comma := ,
# Of the solution that REF names; without it, of this tree.
from_ref = $(addprefix $(if $(REF),$(REF)/),$(1))

# common: knows nothing of what follows.
COMMON := $(call obj,$(wildcard common/*.c))

# Files of the student's own: an archive, so that each program takes what its
# modules call and no more.
MINE_OBJECTS := $(call obj,$(sort $(wildcard stage*/my_*.c)))
MINE := $(if $(MINE_OBJECTS),$(B)/libmine.a)

# Stages 1 and 3: several pools, one header. To add one: its name to POOLS,
# where its source is, what else it needs. POOL_x are the objects of a program
# that has just that one, POOL_any of one that has all and picks by name: each
# compiled with names of its own (stage3-abstract/pool_map.h), and pool_any.c.
CHANNEL     := $(B)/stage1-pool/channel.o
POOL_EXTRA  := $(B)/stage1-pool/pool_options.o $(MINE)
SRC_shared  := stage1-pool/pool
SRC_naive   := stage1-pool/pool_naive
SRC_serial  := stage1-pool/pool_serial
SRC_glib    := stage3-abstract/pool_glib
SRC_steal   := stage3-abstract/pool_steal
MORE_shared := $(CHANNEL)
LIBS_glib   = $(shell $(PKG_CONFIG) --libs glib-2.0)
$(foreach p,$(POOLS),$(eval POOL_$(p) := $(B)/$(SRC_$(p)).o $(MORE_$(p)) \
	$(POOL_EXTRA)))
plus      = $(subst $() ,+,$(strip $(1)))
pool_names = $(B)/stage1-pool/pool_names-$(call plus,$(1)).o
POOL_any := $(B)/stage3-abstract/pool_any-$(call plus,$(POOLS)).o \
	$(foreach p,$(POOLS),$(B)/stage3-abstract/pool_ops-$(p).o \
	$(B)/$(SRC_$(p))-as.o $(MORE_$(p))) $(POOL_EXTRA)
LIBS_any  = $(if $(GLIB),$(LIBS_glib))
# What the programs of the whole course have.
POOL_full := $(POOL_$(or $(POOL),any)) $(call pool_names,$(or $(POOL),$(POOLS)))
LIBS_full = $(LIBS_$(or $(POOL),any))

# Stage 2. 2A: a table in slab memory, and imkv, which is one.
stage2 = $(addprefix $(B)/stage2-server/,$(addsuffix .o,$(1)))
SLAB  := $(call stage2,slab)
TABLE := $(call stage2,table)
IMKV  := $(call stage2,imkv)
# 2B: a log of records, and a store, which has a log and a table.
RECORD := $(call stage2,record)
LOG    := $(call stage2,log) $(RECORD)
STORE_kvs := $(call stage2,store dir) $(LOG) $(TABLE) $(SLAB)
# 2C: frames, connections, the server, and the client.
PROTO  := $(call stage2,proto proto_resp $(addprefix proto_resp_,commands replies scan))
DECODE := $(call stage2,decode)
CLIENT := $(call stage2,client) $(PROTO)
REACTOR := $(call stage2,reactor reactor_conn reactor_door conn) $(PROTO)
SERVER := $(call stage2,server server_stats) $(REACTOR) $(DECODE)

# A look into a store's files, for kvs.
FILES  := $(call stage2,kvs_files kvs_repair kvs_source)

PROGRAMS := kvs kvs-client kvs-server
STAGE2   := $(addprefix $(B)/stage2/,$(PROGRAMS))
$(B)/stage2/kvs: $(call stage2,kvs) $(FILES) $(STORE_kvs) $(MINE) $(COMMON)
$(B)/stage2/kvs-client: $(call stage2,kvs_client) $(CLIENT) $(MINE) $(COMMON)
$(B)/stage2/kvs-server: $(call stage2,kvs_server) $(SERVER) $(STORE_kvs) \
	$(POOL_$(or $(POOL),shared)) $(call pool_names,$(or $(POOL),shared)) \
	$(B)/pool-is $(COMMON)
$(B)/stage2/kvs-server: private EXTRA = $(LIBS_$(or $(POOL),shared))

# Stage 3's stores: one by itself (STORE=name), or all, each compiled once more
# under names of its own, behind a dispatcher that is a store itself.
stage3 = $(addprefix $(B)/stage3-abstract/,$(addsuffix .o,$(1)))
HAVE_LMDB  := $(shell $(PKG_CONFIG) --exists lmdb 2>/dev/null && echo yes)
STORE_mem  := $(call stage3,store_mem) $(call stage2,dir) $(TABLE) $(SLAB)
STORE_lmdb := $(call stage3,store_lmdb ticker) $(call stage2,dir)
LIBS_lmdb   = $(shell $(PKG_CONFIG) --libs lmdb)
STORES_HERE := $(if $(HAVE_LMDB),$(STORES),$(filter-out lmdb,$(STORES)))
NO_LMDB := store lmdb: not built, liblmdb-dev is not installed
ifeq ($(STORE)$(HAVE_LMDB),lmdb)
$(error $(NO_LMDB))
endif
SRC_OF_kvs  := stage2-server/store
SRC_OF_mem  := stage3-abstract/store_mem
SRC_OF_lmdb := stage3-abstract/store_lmdb
STORES_ALL := $(call stage3,store_named store_open_named store_list-$(call plus,$(STORES_HERE))) \
	$(foreach s,$(STORES_HERE),$(B)/$(SRC_OF_$(s))-as.o \
	$(B)/stage3-abstract/store_ops-$(s).o \
	$(filter-out $(B)/$(SRC_OF_$(s)).o,$(STORE_$(s))))
# Until task 3.6 is done, the programs have stage 2's store as ever.
NAMED := $(if $(STUDENT),$(shell grep -q not_written \
	stage3-abstract/store_open_named.c || echo yes),yes)
STORES_IN    := $(or $(STORE),$(if $(NAMED),$(STORES_HERE),kvs))
STORE_LINKED := $(sort $(if $(word 2,$(STORES_IN)),$(STORES_ALL),$(STORE_$(STORES_IN))))
STORE_LIBS    = $(if $(filter lmdb,$(STORES_IN)),$(LIBS_lmdb))
$(B)/stage3-abstract/store_list-%.o: stage3-abstract/store_list.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) -DSTORE_LIST='$(foreach s,$(subst +, ,$*),X($(s)))' \
	 -MD -MP -c -o $@ $<
# Stage 5A: epochs, and a table whose readers take no lock: the same table.h.
# Until task 5.3 is done, the programs have stage 2's table as ever.
stage5 = $(addprefix $(B)/stage5-compaction/,$(addsuffix .o,$(1)))
EPOCH      := $(call stage5,epoch epoch_here)
TABLE_lf   := $(call stage5,table_lf) $(EPOCH)
TABLE_full := $(if $(STUDENT),$(if $(shell grep -ls not_written \
	stage5-compaction/epoch.c stage5-compaction/table_lf.c),$(TABLE),$(TABLE_lf)),$(TABLE_lf))
# 5B: a store of many logs, which is stage 2's `kvs` grown up; in the programs
# of the whole course it takes its place, once it is written.
SRC_OF_many := stage5-compaction/store
# Until task 5.8 is done, its tests have one that commits for one at a time.
COMMIT      := $(if $(if $(STUDENT),$(shell grep -ls not_written stage5-compaction/commit.c)),\
	$(B)/tests/commit_one.o,$(call stage5,commit))
MANY_PARTS  := $(call stage5,store_help store_files batch load hint segment segments compact \
	compact_due copies background) $(COMMIT) $(EPOCH)
MANY_BASE    = $(call stage2,dir) $(LOG) $(TABLE_full) $(SLAB)
STORE_many   = $(B)/$(SRC_OF_many).o $(MANY_PARTS) $(MANY_BASE)
MANY := $(if $(STUDENT),$(if $(shell grep -ls not_written stage5-compaction/*.c),,yes),yes)
full_store = $(sort $(patsubst $(TABLE),$(TABLE_full),$(if $(and $(MANY),$(filter kvs,$(STORES_IN))),\
	$(patsubst $(B)/$(SRC_OF_kvs)%,$(B)/$(SRC_OF_many)%,$(1)) $(MANY_PARTS) $(MANY_BASE),$(1))))
STORE_LINKED := $(call full_store,$(STORE_LINKED))
FILES_many := $(call stage5,kvs_files kvs_repair kvs_logs kvs_hints segment hint) $(call stage2,kvs_source)
FILES_full := $(if $(MANY),$(FILES_many),$(FILES))

# The programs of the whole course.
$(B)/kvs: $(call stage2,kvs) $(MINE) $(COMMON) \
	$(sort $(FILES_full) $(STORE_LINKED) $(LOG) $(TABLE_full) $(SLAB) $(call stage2,dir))
$(B)/kvs-client: $(call stage2,kvs_client) $(CLIENT) $(MINE) $(COMMON)
$(B)/kvs-server: $(call stage2,kvs_server) $(SERVER) $(STORE_LINKED) \
	$(POOL_full) $(B)/pool-is $(COMMON)
$(B)/kvs: private EXTRA = $(STORE_LIBS)
$(B)/kvs-server: private EXTRA = $(LIBS_full) $(STORE_LIBS)
$(B)/kvs $(B)/kvs-server $(B)/libkvs.a $(B)/libkvs.pc: $(B)/store-is

# Stage 4: a histogram, a load engine, the programs that measure with them.
stage4 = $(addprefix $(B)/stage4-bench/,$(addsuffix .o,$(1)))
HIST      := $(call stage4,hist)
LOAD_BASE := $(call stage4,workload ledger wire links) $(PROTO)
LOAD      := $(call stage4,load) $(LOAD_BASE)
REPORT    := $(call stage4,report)
$(B)/kvs-bench: $(call stage4,kvs_bench bench_options crew) $(LOAD) $(HIST) $(REPORT) \
	$(MINE) $(COMMON)
# What stage 4 measures in one process: each pool, the table, the stores.
METER := $(call stage4,meter bench_common report) $(COMMON)
define bench_pool
$(B)/bench-pool-$(1): $(call stage4,bench_pool trace) $(HIST) $(POOL_$(1)) $(METER)
$(B)/bench-pool-$(1): private EXTRA = -lm $(LIBS_$(1))
endef
$(foreach p,$(POOLS),$(eval $(call bench_pool,$(p))))
$(B)/bench-table: $(call stage4,bench_table workload) $(TABLE) $(SLAB) $(MINE) $(METER)
# The same with the table of stage 5.
$(B)/bench-table-lf: $(call stage4,bench_table workload) $(TABLE_lf) $(SLAB) $(MINE) $(METER)
$(B)/bench-store: $(call stage4,bench_store workload hist) \
	$(STORE_LINKED) $(MINE) $(METER)
$(B)/bench-store: private EXTRA = -lm $(STORE_LIBS)
$(B)/kvs-bench $(B)/bench-table $(B)/bench-table-lf: private EXTRA := -lm
PROGRAMS4 := $(addprefix $(B)/,kvs-bench bench-table bench-table-lf bench-store \
	$(addprefix bench-pool-,$(POOLS)))

# The same with stores of others in the place of ours, for `make peers`.
HAVE_leveldb := $(if $(wildcard /usr/include/leveldb/c.h),yes)
HAVE_sqlite  := $(shell $(PKG_CONFIG) --exists sqlite3 && echo yes)
LIBS_leveldb := -lleveldb
LIBS_sqlite  := -lsqlite3
PEER_STORES  := $(foreach p,leveldb sqlite,$(if $(HAVE_$(p)),$(p)))
define peer_store
$(B)/bench-store-$(1): $(call stage4,bench_store workload hist) $(B)/tests/peer_$(1).o $(MINE) $(METER)
$(B)/bench-store-$(1): private EXTRA = -lm $(LIBS_$(1))
endef
$(foreach p,$(PEER_STORES),$(eval $(call peer_store,$(p))))
PEERS_STORES := $(patsubst %,$(B)/bench-store-%,$(PEER_STORES))
peer-stores: $(PEERS_STORES)

# The library: what a C program needs, with the pool chosen by POOL.
LIBRARY := $(sort $(COMMON) $(MINE_OBJECTS) $(POOL_full) $(CHANNEL) \
	$(B)/imkv-whole.o $(STORE_LINKED) $(CLIENT))
# imkv.h promises that nothing is allocated after ht_init. The table of stage 5
# does not: so here it has its own, whose names are nobody else's.
$(B)/imkv-whole.o: $(IMKV) $(TABLE) $(SLAB)
	$(call say,LINK,$@)ld -r -o $@ $^ && objcopy -w -G 'ht_*' $@

# Tests: a driver, a module's cases, the module.
DRIVER := $(B)/tests/driver.o
TESTS1 := $(addprefix $(B)/tests/,channel_test \
	$(addprefix pool_test-,shared naive serial))
BENCH1 := $(addprefix $(B)/tests/pool_bench-,shared glib)

# A test of given code, and a test of a student's: NAME, its objects, and the
# modules of earlier tasks below it. With REF (a tree with a correct solution,
# built) there is a second program with those from there, so that a mistake in
# an earlier module costs its own points only.
define test_program
$(B)/tests/$(1): $(addprefix $(B)/tests/,$(addsuffix .o,$(2))) $(DRIVER) \
	$(3) $(4) $(MINE) $(COMMON)
$(B)/tests/$(1).ref: $(addprefix $(B)/tests/,$(addsuffix .o,$(2))) $(DRIVER) \
	$(3) $(addprefix $(REF)/,$(4)) $(MINE) $(COMMON)
endef
test = $(eval $(call test_program,$(1),$(2),$(3),$(4)))

HISTORY := history $(addprefix history_,moves tried search window table draw)

GIVEN_TESTS := common_test history_test record_test proto_test resp_test reactor_test \
	reactor_hard_test crash_self_test bench_given_test
$(call test,common_test,common_test)
$(call test,history_test,history_test $(HISTORY))
$(call test,record_test,record_test scratch,$(RECORD) $(call stage2,dir))
$(call test,proto_test,proto_test,$(PROTO))
$(call test,resp_test,resp_test,$(PROTO))
$(call test,reactor_test,reactor_test peer,$(REACTOR) $(DECODE))
$(call test,reactor_hard_test,reactor_hard_test peer,$(REACTOR) $(DECODE))

# Programs whose system calls are recorded, and made to fail (tests/crash.h).
CRASH := crash crash_disk crash_record crash_calls crash_names scratch
comma := ,
wrapped := $(addprefix -Wl$(comma)--wrap=,open open64 __open_2 __open64_2 \
	openat openat64 __openat_2 creat creat64 write pwrite pwrite64 writev \
	pwritev pwritev64 pwritev2 pwritev64v2 copy_file_range ftruncate \
	ftruncate64 truncate truncate64 fallocate fallocate64 posix_fallocate \
	posix_fallocate64 fsync fdatasync sync syncfs rename renameat renameat2 \
	link linkat unlink unlinkat rmdir remove mkdir mkdirat mkstemp \
	mkostemp fopen fopen64 fdopen fileno)
$(addprefix $(B)/tests/,crash_self_test crash_log_test crash_test \
	crash_test.ref log_test): EXTRA := $(wrapped)
$(call test,crash_self_test,crash_self_test $(CRASH))

$(call test,channel_test,channel_test,$(CHANNEL))

$(call test,slab_test,slab_test,$(SLAB))
$(call test,table_test,table_test table_hard_test,$(TABLE),$(SLAB))
$(call test,imkv_test,imkv_test,$(IMKV),$(TABLE) $(SLAB))
TESTS2A := $(addprefix $(B)/tests/,slab_test table_test imkv_test)
BENCH2A := $(addprefix $(B)/tests/imkv_bench-,ours glib)
REFS2A  := table_test imkv_test

$(call test,log_test,log_test $(CRASH),$(LOG))
$(call test,store_test,store_test store_hard_test store_history_test \
	history_crew $(HISTORY) scratch,$(call stage2,store dir) \
	$(RECORD),$(call stage2,log) $(TABLE) $(SLAB))
# Who wants a lock comes by the test first (tests/history_crew.h).
noisy := $(addprefix -Wl$(comma)--wrap=,pthread_mutex_lock \
	pthread_rwlock_rdlock pthread_rwlock_wrlock sem_wait)
$(B)/tests/store_test $(B)/tests/store_test.ref: private EXTRA := $(noisy)
$(call test,crash_log_test,crash_log_test $(CRASH),$(LOG))
$(call test,crash_test,crash_test crash_fault_test crash_store $(CRASH),\
	$(call stage2,store dir) $(RECORD),$(call stage2,log) $(TABLE) $(SLAB))
TESTS2B := $(addprefix $(B)/tests/,log_test store_test \
	crash_log_test crash_test)
REFS2B  := store_test crash_test

EARLIER := $(call stage2,log) $(TABLE) $(SLAB) $(call stage2,store)
$(call test,decode_test,decode_test,$(DECODE) $(PROTO))
$(call test,server_test,server_test server_hard_test server_crowd_test \
	server_end_test server_rig server_history_test history_crew $(HISTORY) \
	peer scratch,\
	$(filter-out $(DECODE),$(SERVER)) $(CLIENT) $(call stage2,dir) \
	$(RECORD) $(B)/stage1-pool/pool_options.o,\
	$(EARLIER) $(DECODE) $(B)/stage1-pool/pool.o $(CHANNEL))
# What the server asks of its store comes by the test first.
$(B)/tests/server_test $(B)/tests/server_test.ref: private EXTRA := \
	$(addprefix -Wl$(comma)--wrap=store_,apply get set remove sync) $(noisy)
# Some of its cases start the program itself (which is linked without that).
$(B)/tests/server_test: | $(B)/stage2/kvs-server
$(B)/tests/server_test.ref: | $(B)/stage2/kvs-server.ref
$(B)/stage2/kvs-server.ref: $(call stage2,kvs_server dir) $(RECORD) \
	$(call pool_names,shared) $(filter-out $(DECODE),$(SERVER)) $(B)/stage1-pool/pool_options.o \
	$(addprefix $(REF)/,$(EARLIER) $(DECODE) $(B)/stage1-pool/pool.o \
	$(CHANNEL)) $(MINE) $(COMMON)
TESTS2C := $(addprefix $(B)/tests/,decode_test server_test)
BENCH2C := $(addprefix $(B)/tests/server_bench-,ours echo)
REFS2C  := server_test
$(B)/tests/server_bench-ours: $(addprefix $(B)/tests/,server_bench.o \
	server_bench_ours.o) $(SERVER) $(call from_ref,$(filter-out $(MINE),$(POOL_shared))) \
	$(MINE) $(COMMON)
$(B)/tests/server_bench-echo: $(addprefix $(B)/tests/,server_bench.o \
	server_bench_echo.o) $(REACTOR) $(COMMON)
PEERS   := $(B)/tests/peers_bench
$(PEERS): $(B)/tests/peers_bench.o $(PROTO) $(COMMON)

$(call test,bench_given_test,bench_given_test,$(LOAD_BASE) $(REPORT))
$(B)/tests/bench_given_test: private EXTRA := -lm
$(call test,hist_test,hist_test,$(HIST))
$(call test,load_test,load_test load_open_test load_rig,$(call stage4,load) \
	$(LOAD_BASE),$(HIST))
$(B)/tests/load_test $(B)/tests/load_test.ref: private EXTRA := -lm
RIG := $(B)/tests/rig_server
$(RIG): $(addprefix $(B)/tests/,rig_server.o load_rig.o driver.o) \
	$(LOAD) $(HIST) $(MINE) $(COMMON)
$(RIG): private EXTRA := -lm
TESTS4 := $(addprefix $(B)/tests/,hist_test load_test)
REFS4  := load_test
stage4: $(PROGRAMS4) $(B)/liblockcount.so

# Fuzz targets with a driver of their own; `make fuzz` builds them for libFuzzer.
FUZZERS     := decode replay files many resp
FUZZ        := $(addprefix $(B)/tests/fuzz_,$(FUZZERS))
FUZZ_decode := $(DECODE) $(PROTO)
FUZZ_resp   := $(PROTO)
FUZZ_replay := $(B)/tests/fuzz/image.o $(LOG)
FUZZ_files  := $(addprefix $(B)/tests/fuzz/,image.o place.o) $(FILES) $(STORE_kvs)
FUZZ_many   := $(B)/tests/fuzz/place.o $(sort $(FILES_many) $(STORE_many))
define fuzz_program
$(B)/tests/fuzz_$(1): $(B)/tests/fuzz/main.o $(B)/tests/fuzz/$(1)_fuzz.o \
	$(FUZZ_$(1)) $(MINE) $(COMMON)
fuzz-objects-$(1):
	@echo $$(filter %.o,$(B)/tests/fuzz/main.o $(B)/tests/fuzz/$(1)_fuzz.o $(FUZZ_$(1)) $(COMMON))
endef
$(foreach f,$(FUZZERS),$(eval $(call fuzz_program,$(f))))

# Stage 3: the pools that it adds, and a table of what pools do.
as_ops = $(foreach p,$(1),$(B)/stage3-abstract/pool_ops-$(p).o)
CONTRACT := serial naive shared
$(call test,contract_test,contract_test contract_glib,$(call as_ops,$(CONTRACT)) \
	$(B)/stage1-pool/pool_options.o $(B)/$(SRC_serial)-as.o,\
	$(B)/$(SRC_naive)-as.o $(B)/$(SRC_shared)-as.o $(CHANNEL))
$(B)/tests/contract_test $(B)/tests/contract_test.ref: EXTRA = $(LIBS_glib)
$(B)/tests/contract_glib.o: EXTRA_C = $(shell $(PKG_CONFIG) --cflags glib-2.0)
TESTS3 := $(addprefix $(B)/tests/pool_test-,$(if $(GLIB),glib) steal) \
	$(if $(GLIB),$(B)/tests/contract_test)
REFS3  := $(if $(GLIB),contract_test)
BENCH3 := $(addprefix $(B)/tests/pool_bench-,steal $(if $(GLIB),adapter))
ALSO3  := $(B)/kvs-server

# The cases of the store once for each of stage 3's, and kvs behind the
# dispatcher. With REF the table comes from there.
STORE_CASES := store_test store_hard_test store_history_test
store_tests  = $(patsubst %,$(B)/tests/%-$(1).o,$(STORE_CASES) store_$(1)_test) \
	$(patsubst %,$(B)/tests/%.o,history_crew $(HISTORY) scratch) $(DRIVER)
define store_test
$(B)/tests/store_test-$(1): $(call store_tests,$(1)) $(STORE_$(1)) $(MINE) $(COMMON)
$(B)/tests/store_test-$(1).ref: $(call store_tests,$(1)) $(MINE) $(COMMON) \
	$(patsubst $(B)/stage2-server/%,$(REF)/$(B)/stage2-server/%,$(STORE_$(1)))
$(B)/tests/store_test-$(1) $(B)/tests/store_test-$(1).ref: private EXTRA := \
	$(noisy) $(if $(filter lmdb,$(1)),$(LIBS_lmdb))
$(B)/tests/%-$(1).o: tests/%.c Makefile
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)$$(CC) $$(ALL_CFLAGS) -DSTORE_NAME='"$(1)"' -DSTORE_IS_$(1) -MD -MP -c -o $$@ $$<
endef
$(foreach s,$(filter-out kvs,$(STORES_HERE)),$(eval $(call store_test,$(s))))
# (REF has the stores of earlier tasks, too, under their other names.)
STORES_REF := $(sort $(call stage2,log) $(TABLE) $(SLAB) \
	$(foreach s,$(STORES_HERE),$(B)/$(SRC_OF_$(s))-as.o))
STORES_MINE := $(filter-out $(STORES_REF),$(sort $(STORES_ALL) $(RECORD)))
$(call test,store_test-named,$(STORE_CASES) history_crew $(HISTORY) scratch,\
	$(STORES_MINE),$(STORES_REF))
$(call test,stores_test,stores_test scratch,$(STORES_MINE),$(STORES_REF))
TESTS3 += $(addprefix $(B)/tests/,$(patsubst %,store_test-%,\
	$(filter-out kvs,$(STORES_HERE)) named) stores_test)
REFS3  += $(patsubst %,store_test-%,$(filter-out kvs,$(STORES_HERE)) named) \
	stores_test
$(foreach t,store_test-named stores_test,$(eval $(B)/tests/$(t) $(B)/tests/$(t).ref: \
	private EXTRA := $(if $(filter store%named,$(t)),$(noisy)) $(if $(HAVE_LMDB),$(LIBS_lmdb))))

# Stage 5A: epochs; and the table's cases once more, and some of its own.
counted := $(addprefix -Wl$(comma)--wrap=,malloc calloc realloc aligned_alloc \
	posix_memalign sem_wait sem_trywait sem_timedwait $(addprefix pthread_,\
	$(addprefix mutex_,lock trylock timedlock) cond_wait cond_timedwait \
	$(addprefix rwlock_,rdlock wrlock tryrdlock trywrlock) spin_lock spin_trylock))
$(call test,epoch_test,epoch_test wraps,$(EPOCH))
$(call test,table_test-lf,table_test table_hard_test,$(call stage5,table_lf epoch_here),\
	$(call stage5,epoch) $(SLAB))
$(call test,table_lf_test,table_lf_test wraps,$(call stage5,table_lf epoch_here),\
	$(call stage5,epoch) $(SLAB))
$(addprefix $(B)/tests/,epoch_test table_lf_test table_lf_test.ref): private EXTRA := $(counted)
TESTS5A := $(addprefix $(B)/tests/,epoch_test table_test-lf table_lf_test)
REFS5A  := table_test-lf table_lf_test

# Stage 5B: the store's cases once more, with the store of many logs.
many_tests = $(patsubst %,$(B)/tests/%-many.o,$(1)) $(patsubst %,$(B)/tests/%.o,$(2)) $(DRIVER)
$(B)/tests/%-many.o: tests/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) -DSTORE_IS_many -MD -MP -c -o $@ $<
# A test of that store: NAME, its objects, how they are linked, and, for a
# second program, which modules come from REF: those of earlier tasks. So cases
# of 5.6 and 5.7 are in programs of their own, though the objects are the same.
MANY_EARLIER := $(call stage2,log table slab) $(call stage5,epoch table_lf)
MANY_STORE   := $(B)/$(SRC_OF_many).o $(MANY_EARLIER) $(call stage5,commit)
define many_program
$(B)/tests/$(1): $(2) $(STORE_many) $(MINE) $(COMMON)
$(B)/tests/$(1).ref: $(2) $(filter-out $(4),$(STORE_many)) $(MINE) \
	$(addprefix $(REF)/,$(filter $(4),$(STORE_many))) $(COMMON)
$(B)/tests/$(1) $(B)/tests/$(1).ref: private EXTRA := $(3)
endef
many_program_of = $(eval $(call many_program,$(1),$(2),$(3),$(4)))
many_store := $(call many_tests,$(STORE_CASES),history_crew $(HISTORY) scratch)
many_crash := $(call many_tests,crash_test crash_fault_test crash_store,$(CRASH))
$(call many_program_of,store_test-many,$(many_store),$(noisy),$(MANY_EARLIER) $(COMMIT))
$(call many_program_of,compact_test-many,$(many_store),$(noisy),$(MANY_STORE) $(COMMIT))
$(call many_program_of,crash_test-many,$(many_crash),$(wrapped),$(MANY_EARLIER) $(COMMIT))
$(call many_program_of,crash_compact_test-many,$(many_crash),$(wrapped),$(MANY_STORE) $(COMMIT))
$(call test,commit_test,commit_test scratch,$(filter-out $(COMMIT) $(MANY_STORE) \
	$(call stage5,compact),$(STORE_many)) $(call stage5,commit),$(filter-out \
	$(call stage5,commit),$(filter $(MANY_STORE) $(call stage5,compact),$(STORE_many))))
$(B)/tests/commit_test $(B)/tests/commit_test.ref: private EXTRA := \
	$(addprefix -Wl$(comma)--wrap=,fsync fdatasync)
# What a case steps into, by the test first (tests/many_rig.h).
hooked := $(addprefix -Wl$(comma)--wrap=,segment_append segment_create \
	table_update table_insert table_lookup table_lookup_many log_read dir_sync \
	store_sync_names fstatvfs)
many_cases := $(call many_tests,crash_store,many_test many_damage_test \
	many_compact_test many_hard_test many_tomb_test many_crash_test many_rig history_crew \
	$(HISTORY) $(CRASH))
# What 5.5 must do beside compactions: those of REF, too, so that a mistake in
# one task costs the other nothing.
$(call many_program_of,many_test,$(many_cases),$(wrapped) $(noisy) $(hooked),\
	$(MANY_EARLIER) $(COMMIT) $(call stage5,compact))
$(call many_program_of,many_compact_test,$(many_cases),$(wrapped) $(noisy) \
	$(hooked),$(MANY_STORE) $(COMMIT))
REFS5B  := store_test-many compact_test-many crash_test-many \
	crash_compact_test-many many_test many_compact_test commit_test
TESTS5B := $(addprefix $(B)/tests/,$(REFS5B))
BENCH5B := $(addprefix $(B)/tests/,table_bench-lf table_bench-striped \
	get_bench-compacting get_bench-quiet)
$(B)/tests/table_bench-lf: $(B)/tests/table_bench.o $(TABLE_lf) $(SLAB) $(MINE) $(COMMON)
# What is compared with comes from REF: nobody slows it down, or has it slow.
$(B)/tests/table_bench-striped: $(B)/tests/table_bench.o $(call from_ref,$(TABLE) $(SLAB)) \
	$(MINE) $(COMMON)
GET_BENCH := $(B)/tests/scratch.o $(DRIVER)
$(B)/tests/get_bench-compacting: $(B)/tests/get_bench-compacting.o $(GET_BENCH) \
	$(STORE_many) $(MINE) $(COMMON)
$(B)/tests/get_bench-quiet: $(B)/tests/get_bench-quiet.o $(GET_BENCH) \
	$(call from_ref,$(STORE_many)) $(MINE) $(COMMON)
$(B)/tests/get_bench-%.o: tests/get_bench.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) $(if $(filter compacting,$*),-DCOMPACTING) \
	 -MD -MP -c -o $@ $<

# Long runs against the real server: `make torture`, `make soak`.
LONG := $(addprefix $(B)/tests/,torture soak_crew)
$(B)/tests/torture: $(B)/tests/torture.o $(CLIENT) $(MINE) $(COMMON)
$(B)/tests/soak_crew: $(patsubst %,$(B)/tests/%.o,soak_crew history_crew $(HISTORY)) \
	$(DRIVER) $(CLIENT) $(MINE) $(COMMON)
$(B)/tests/soak_crew: private EXTRA := $(noisy)
long-programs: $(LONG) $(addprefix $(B)/,kvs kvs-server kvs-client kvs-bench)

# Every part P may have TESTSP, REFSP (tests that are also run with REF's earlier
# modules), BENCHP (programs measured) and ALSOP (what else its tests need).
REFS1  := pool_test-shared
ALSO2C  = $(STAGE2)
TESTS  := $(addprefix $(B)/tests/,$(GIVEN_TESTS) pool_test-any) \
	$(foreach p,$(PARTS),$(TESTS$(p)))
BENCHES := $(foreach p,$(PARTS),$(BENCH$(p)))

# What the pool gives to GLib comes by the test first.
WRAPS_glib := -Wl,--wrap=g_thread_pool_push

# The same cases once for each pool; and, with REF, once with the module of an
# earlier task from there, so that a mistake in it costs its own points only.
define pool_test
$(B)/tests/pool_test-$(1): $(B)/tests/pool_test-$(1).o \
	$(B)/tests/pool_hard_test-$(1).o $(DRIVER) $(POOL_$(1)) $(COMMON)
$(B)/tests/pool_test-$(1): EXTRA = -Wl,--wrap=pthread_create $(WRAPS_$(1)) $(LIBS_$(1))
$(B)/tests/%-$(1).o: tests/%.c Makefile
	@mkdir -p $$(@D)
	$$(call say,CC,$$@)$$(CC) $$(ALL_CFLAGS) -DPOOL_NAME='$$(or $$(POOL_QUOTED),"$(1)")' -MD -MP -c -o $$@ $$<
endef
$(foreach p,$(POOLS) any,$(eval $(call pool_test,$(p))))
$(B)/tests/pool_test-glib: $(B)/tests/pool_glib_test-glib.o
# Which pool is POOL_NAME's there: asked when it runs.
$(B)/tests/pool_test-any.o $(B)/tests/pool_hard_test-any.o: POOL_QUOTED = \
	getenv("POOL_NAME")

$(B)/tests/pool_test-shared.ref: $(subst $(CHANNEL),$(REF)/$(CHANNEL),\
	$(B)/tests/pool_test-shared.o $(B)/tests/pool_hard_test-shared.o \
	$(DRIVER) $(POOL_shared) $(COMMON))
$(B)/tests/pool_test-shared.ref: EXTRA := -Wl,--wrap=pthread_create
refs = $(if $(REF),$(addprefix $(B)/tests/,$(addsuffix .ref,$(1))))
REFTESTS := $(call refs,$(foreach p,$(PARTS),$(REFS$(p))))

$(B)/tests/pool_bench-shared: $(B)/tests/pool_bench-shared.o $(POOL_shared) \
	$(COMMON)
$(B)/tests/pool_bench-glib: $(B)/tests/pool_bench_glib.o $(COMMON)
$(B)/tests/pool_bench-glib: EXTRA = $(shell $(PKG_CONFIG) --libs glib-2.0)
$(B)/tests/pool_bench_glib.o: EXTRA_C = $(shell $(PKG_CONFIG) --cflags glib-2.0)

# The same load on the pools of stage 3; the adapter is the pool `glib`.
$(B)/tests/pool_bench-steal: $(B)/tests/pool_bench-steal.o $(POOL_steal) \
	$(COMMON)
$(B)/tests/pool_bench-adapter: $(B)/tests/pool_bench-glib.o $(POOL_glib) \
	$(COMMON)
$(B)/tests/pool_bench-adapter: EXTRA = $(LIBS_glib)

$(B)/tests/imkv_bench-ours: $(B)/tests/imkv_bench.o $(IMKV) $(TABLE) $(SLAB) \
	$(MINE) $(COMMON)
$(B)/tests/imkv_bench-glib: $(B)/tests/imkv_bench_glib.o $(COMMON)
$(B)/tests/imkv_bench-glib: EXTRA = $(shell $(PKG_CONFIG) --libs glib-2.0)
$(B)/tests/imkv_bench_glib.o: EXTRA_C = $(shell $(PKG_CONFIG) --cflags glib-2.0)

# The grader's own programs, always built the same way.
TOOLS := $(addprefix build/tools/,runner clock canary canary-tsan explore \
	libexplore.so history)


# ---- Rules -----------------------------------------------------------------

all: $(B)/libkvs.a $(B)/libkvs.pc stage1 stage2 stage3 $(PROGRAMS4) $(addprefix $(B)/,$(PROGRAMS)) ## build everything (V=rel|dbg|asan|tsan, POOL=)

define part
stage$(call stage_of,$(1)): $(TESTS$(1)) $(ALSO$(1))
graded$(1): $(TESTS$(1)) $(call refs,$(REFS$(1))) $(ALSO$(1))
bench$(1): $(BENCH$(1))
endef
$(foreach p,$(PARTS),$(eval $(call part,$(p))))
STAGES := $(sort $(foreach p,$(PARTS),$(call stage_of,$(p))))

stage1: ## build stage 1 (the same for stage2 .. stage5)
stage3: $(B)/kvs $(B)/kvs-server
tests: $(TESTS)
given-tests: $(addprefix $(B)/tests/,$(GIVEN_TESTS))
fuzzers: $(FUZZ)
given-list:
	@echo $(GIVEN_TESTS)
# Objects with names of their own (-as.o), without the .o.
named-list:
	@printf '%s-as\n' $(foreach p,$(POOLS),$(SRC_$(p))) $(foreach s,$(STORES_HERE),$(SRC_OF_$(s)))
# Programs of cases that cannot be built here, and why: their points are pending.
missing-list:
	@$(if $(GLIB),,printf '%s\t$(NO_GLIB)\n' pool_test-glib contract_test)
	@$(if $(HAVE_LMDB),,printf '%s\t$(NO_LMDB)\n' store_test-lmdb)
tools: $(TOOLS)
stage3:
	$(if $(GLIB),,@echo '$(NO_GLIB)')
$(addprefix stage,$(filter-out $(STAGES),1 2 3 4 5)):
	@echo "$@: nothing to build yet"

# With objects from an earlier part instead of its source (PRIOR=objects).
$(B)/%.o: prior/$(V)/%.o
	@mkdir -p $(@D)
	cp $< $@

$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) $(EXTRA_C) -MD -MP -c -o $@ $<

# A pool's or store's functions under names of its own. (Warnings: with its own object.)
as = -DPOOL_AS=$(1) -include stage3-abstract/pool_map.h
as_store = -DSTORE_AS=$(1) -include stage3-abstract/store_map.h
$(foreach p,$(POOLS),$(eval $(B)/$(SRC_$(p))-as.o: AS := $(call as,$(p))))
$(foreach s,$(STORES_HERE),$(eval $(B)/$(SRC_OF_$(s))-as.o: AS := $(call as_store,$(s))))
$(B)/$(SRC_OF_many)-as.o: AS := $(call as_store,kvs)
$(B)/%-as.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) $(EXTRA_C) -w $(AS) -MD -MP -c -o $@ $<
$(B)/stage3-abstract/pool_ops-%.o: stage3-abstract/pool_ops.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) $(call as,$*) -MD -MP -c -o $@ $<
$(B)/stage3-abstract/store_ops-%.o: stage3-abstract/store_ops.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) $(call as_store,$*) -MD -MP -c -o $@ $<
each = '-DPOOL_EACH=$(foreach p,$(subst +, ,$(1)),EACH($(p)))'
$(B)/stage3-abstract/pool_any-%.o: stage3-abstract/pool_any.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) $(call each,$*) -MD -MP -c -o $@ $<
$(B)/stage1-pool/pool_names-%.o: stage1-pool/pool_names.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(ALL_CFLAGS) $(call each,$*) -MD -MP -c -o $@ $<
$(B)/stage3-abstract/pool_glib.o $(B)/stage3-abstract/pool_glib-as.o: \
	EXTRA_C = $(shell $(PKG_CONFIG) --cflags glib-2.0)

$(addprefix $(B)/,$(PROGRAMS)) $(TESTS) $(REFTESTS) $(BENCHES) $(PEERS) \
  $(PROGRAMS4) $(PEERS_STORES) $(RIG) \
  $(STAGE2) $(FUZZ) $(LONG) $(B)/stage2/kvs-server.ref:
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(ALL_LDFLAGS) $(EXTRA) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) \
	 -Wl,--end-group $(EXTRA)

$(B)/liblockcount.so: stage4-bench/lockcount.c Makefile
	@mkdir -p $(@D)
	$(call say,LINK,$@)$(CC) $(filter-out -fsanitize=%,$(ALL_CFLAGS)) -fPIC -shared -o $@ $< -ldl

$(B)/libmine.a: $(MINE_OBJECTS)
	@rm -f $@
	$(call say,AR,$@)ar rcs $@ $^

# Rebuilt when another POOL is asked for.
$(B)/pool-is: FORCE
	@mkdir -p $(@D)
	@echo $(POOL) | cmp -s - $@ || echo $(POOL) >$@

# The same for STORE, and for what is installed.
$(B)/store-is: FORCE
	@mkdir -p $(@D)
	@echo $(STORES_IN) | cmp -s - $@ || echo $(STORES_IN) >$@
	@[ -n '$(HAVE_LMDB)' ] || \
	 echo '$(NO_LMDB)'

$(B)/libkvs.a: $(LIBRARY) $(B)/pool-is
	@rm -f $@
	$(call say,AR,$@)ar qcs $@ $(filter %.o,$^)

$(B)/libkvs.pc: Makefile $(B)/pool-is
	@mkdir -p $(@D)
	@printf '%s\n' 'Name: kvs' 'Version: $(VERSION)' \
	 'Description: thread pools, concurrent tables and a key/value store' \
	 'Cflags: -I$(CURDIR)' 'Libs: $(CURDIR)/$(B)/libkvs.a' \
	 'Libs.private: -pthread $(LIBS_full) $(STORE_LIBS) $(filter -fsanitize=%,$(OPT_$(V)))' >$@

TOOL_CFLAGS := $(filter-out -fdebug-prefix-map=%,$(BASE)) -O2 $(WARN)
EXPLORE_BIN := $(wildcard $(addprefix grading/explore/,\
	main.c run.c shrink.c columns.c places.c words.c))
EXPLORE_LIB := $(filter-out $(EXPLORE_BIN),$(wildcard grading/explore/*.c))

build/tools/runner: grading/runner.c tests/answer.h Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(TOOL_CFLAGS) -o $@ $<
build/tools/clock build/tools/canary: build/tools/%: grading/%.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(TOOL_CFLAGS) -o $@ $<
build/tools/canary-tsan: grading/canary.c Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(TOOL_CFLAGS) -fsanitize=thread -o $@ $<
build/tools/history: grading/history.c $(HISTORY:%=tests/%.c) \
  common/args.c common/errors.c common/log.c common/clock.c tests/history.h tests/history_parts.h Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(TOOL_CFLAGS) -o $@ $(filter %.c,$^)
build/tools/libexplore.so: $(EXPLORE_LIB) $(wildcard grading/explore/*.h) Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(TOOL_CFLAGS) -fPIC -shared -o $@ $(EXPLORE_LIB) -ldl
build/tools/explore: $(EXPLORE_BIN) $(wildcard grading/explore/*.h) tests/answer.h \
  Makefile
	@mkdir -p $(@D)
	$(call say,CC,$@)$(CC) $(TOOL_CFLAGS) -o $@ $(EXPLORE_BIN)

-include $(wildcard $(B)/*/*.d $(B)/*/*/*.d)

# ---- The student's loop ----------------------------------------------------

CASE ?=
TOOL ?= bare
SEED ?=
TASK ?=
STAGE ?=

$(PARTS:%=test%):
	@grading/grade.sh --quick --stage $(@:test%=%)

next: ## what to do now: the first task that is not done
	@grading/next.sh

one: ## one case: CASE=channel/order [TOOL=memcheck|helgrind|tsan|explore]
	@grading/one.sh '$(CASE)' '$(TOOL)' '$(SEED)'

hint: ## a hint for TASK=1.3; one more each time
	@grading/hint.sh '$(TASK)'

watch: ## run a part's cases whenever one of its files changes: STAGE=1
	@grading/watch.sh '$(STAGE)'

explore: ## schedules of STAGE=1's cases, 200 seeds each (or CASE=)
	@grading/explore.sh '$(STAGE)' '$(CASE)'

replay: ## one schedule, shrunk and drawn: CASE=channel/small_crowd SEED=17
	@grading/one.sh '$(CASE)' replay '$(SEED)'

grade: ## build, test, check leaks and races, time, score [STAGE=1] [LIGHT=1]
	@grading/grade.sh $(if $(STAGE),--stage $(STAGE)) $(if $(LIGHT),--light) \
	 $(if $(SUBMISSION),--submission '$(SUBMISSION)') $(if $(REF),--ref '$(REF)')

peers: ## measure beside redis, LMDB, LevelDB and others [PART=server|stores]
	@$(if $(filter stores,$(PART)),,grading/peers.sh)
	@$(if $(filter server,$(PART)),,grading/peers_stores.sh)

bench: ## measure and draw build/bench/index.html [SUITE=course] [BENCH=long]
	@echo 'building what measures'
	@$(MAKE) -s --no-print-directory V=rel say= bench-programs
	@SUITE='$(SUITE)' BENCH='$(BENCH)' stage4-bench/bench.sh
bench-programs: $(PROGRAMS4) $(B)/liblockcount.so $(B)/kvs-server

fuzz: ## libFuzzer on decoder, replay and files of a store [SECONDS=3600]
	@$(foreach f,$(FUZZERS),FUZZ_$(f)='$(patsubst $(B)/%.o,%.c,$(FUZZ_$(f)))') \
	 grading/fuzz.sh '$(SECONDS)' $(FUZZERS)
fuzz: SECONDS = 3600

soak: ## ten minutes of load while compactions run, all checked [SECONDS=600]
	@grading/soak.sh '$(SECONDS)'
soak: SECONDS = 600

torture: ## kill a server again and again [ROUNDS=40] [SEED=] [DURABILITY=none]
	@grading/torture.sh '$(or $(ROUNDS),40)' '$(SEED)' '$(DURABILITY)'
DURABILITY = none

test: ## all tests
	@grading/test.sh

doctor: ## are the tools, limits and CPUs there that the lab needs?
	@bash grading/doctor.sh

ifneq ($(STUDENT),)
update: ## take over a newer handout's given files: FROM=new-handout.tar.gz
	@grading/update.sh '$(FROM)'
else
handout: ## the students' tree: OUT=dir [FROM=1|2A|..] [PRIOR=objects]
	@grading/handout.sh '$(OUT)' '$(FROM)' '$(PRIOR)'

mutants: ## prove the grader: every planted bug is caught [ONLY=..] [QUICK=1]
	@grading/mutants.sh $(if $(QUICK),--quick) $(ONLY)

install: all ## PREFIX=/usr/local DESTDIR=
	install -d $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 $(B)/libkvs.a $(DESTDIR)$(PREFIX)/lib/
	for d in $(patsubst %/,%,$(sort $(dir $(wildcard common/*.h stage*/*.h)))); do \
	 install -d $(DESTDIR)$(PREFIX)/include/kvs/$$d && \
	 install -m 644 $$d/*.h $(DESTDIR)$(PREFIX)/include/kvs/$$d/ || exit; done
	sed -e 's|^Cflags:.*|Cflags: -I$(PREFIX)/include/kvs|' \
	 -e 's|^Libs:.*|Libs: -L$(PREFIX)/lib -lkvs|' $(B)/libkvs.pc \
	 >$(DESTDIR)$(PREFIX)/lib/pkgconfig/libkvs.pc
PREFIX ?= /usr/local
.PHONY: handout mutants install
endif

clean: ## remove build/
	rm -rf build

# In the student's tree only what a student types.
HELP_ALL := $(if $(STUDENT),next|one|hint|watch|explore|replay|grade|bench|doctor|update,[a-z0-9]*)
help: ## this list
	@printf '  make %-9s %s\n' test$(BEGINS) \
	 "the cases of part $(BEGINS), bare and quick (parts: $(PARTS))"
	@awk -F ':.*## ' '/^($(HELP_ALL)):.*## / { gsub(/STAGE=1/, "STAGE=$(BEGINS)"); \
	 sub(/:.*/, "", $$1); printf "  make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: peer-stores all stage1 stage2 stage3 stage4 stage5 tests tools given-tests \
	given-list named-list missing-list next one hint watch explore replay grade \
	test peers bench bench-programs fuzz fuzzers soak torture long-programs doctor clean help \
	$(PARTS:%=test%) $(PARTS:%=graded%) \
	$(PARTS:%=bench%)
