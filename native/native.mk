# The C++ data plane: the addon, its tests, sanitizers and fuzzers. Included by the top Makefile; works alone too:
# make -f native/native.mk native
#
# Objects live in native/build/<variant>/ with dependency files, so a second run compiles nothing. A dependency file is put in
# place only when its object is there: an interrupted build loses nothing.

NATIVE_DIR   := native
NATIVE_BUILD := $(NATIVE_DIR)/build
NODE_HEADERS := node_modules/node-api-headers/include
# The OpenSSL inside Node: its headers come with the pinned Node package, its symbols from the node binary itself.
NODE_DEV     := $(firstword $(wildcard node_modules/node/node_modules/node-*/include/node))

CXX       ?= g++
CLANGXX   ?= clang++
CLANG_FMT ?= clang-format

NATIVE_FLAGS  := -std=c++20 -fno-exceptions -fno-rtti -Wall -Wextra -Wconversion -Wshadow -Werror -pthread -g
NATIVE_RELEASE := -O2 -fPIC -fvisibility=hidden -fstack-protector-strong -D_FORTIFY_SOURCE=2
NATIVE_ASAN   := -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
NATIVE_TSAN   := -O1 -fsanitize=thread -fno-omit-frame-pointer
NATIVE_FUZZ   := -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all

NATIVE_LIB   := $(filter-out $(NATIVE_DIR)/addon.cc,$(wildcard $(NATIVE_DIR)/*.cc))
NATIVE_TESTS := $(wildcard $(NATIVE_DIR)/test/*_test.cc)
NATIVE_FUZZERS := $(wildcard $(NATIVE_DIR)/fuzz/*_fuzz.cc)
NATIVE_BENCHES := $(wildcard $(NATIVE_DIR)/bench/*_bench.cc)

ADDON := $(NATIVE_BUILD)/hipd_native.node

.PHONY: native native-test native-asan native-tsan native-replay native-sanitize native-fuzz native-bench native-arm64 native-format native-clean

native: $(ADDON)

# $(call objects,variant,sources)
objects = $(patsubst $(NATIVE_DIR)/%.cc,$(NATIVE_BUILD)/$(1)/%.o,$(2))

# --- the addon: OpenSSL symbols are left to the node binary ---
$(NATIVE_BUILD)/addon/%.o: $(NATIVE_DIR)/%.cc $(NATIVE_DIR)/native.mk
	@mkdir -p $(@D)
	@echo "  CXX $<"
	@$(CXX) $(NATIVE_FLAGS) $(NATIVE_RELEASE) -DNAPI_VERSION=8 -I$(NATIVE_DIR) -isystem $(NODE_HEADERS) -isystem $(NODE_DEV) -MMD -MP -MF $(@:.o=.d.tmp) -c $< -o $@
	@mv $(@:.o=.d.tmp) $(@:.o=.d)

$(ADDON): $(call objects,addon,$(NATIVE_LIB) $(NATIVE_DIR)/addon.cc)
	@echo "  LD  $@"
	@$(CXX) -shared -pthread -Wl,-z,relro,-z,now -o $@.tmp $^ -ldl
	@mv $@.tmp $@

# --- plain programs: one set of rules for each variant; they link the system's libcrypto ---
# $(call variant,name,compiler,flags)
define variant
$(NATIVE_BUILD)/$(1)/%.o: $(NATIVE_DIR)/%.cc $(NATIVE_DIR)/native.mk
	@mkdir -p $$(@D)
	@echo "  CXX $$< ($(1))"
	@$(2) $(NATIVE_FLAGS) $(3) -I$(NATIVE_DIR) -MMD -MP -MF $$(@:.o=.d.tmp) -c $$< -o $$@
	@mv $$(@:.o=.d.tmp) $$(@:.o=.d)

$(NATIVE_BUILD)/$(1)/%: $(NATIVE_BUILD)/$(1)/%.o $(call objects,$(1),$(NATIVE_LIB))
	@echo "  LD  $$@"
	@$(2) $(NATIVE_FLAGS) $(3) -o $$@ $$^ -lcrypto -ldl
endef
$(eval $(call variant,plain,$(CXX),-O2))
$(eval $(call variant,asan,$(CXX),$(NATIVE_ASAN)))
$(eval $(call variant,tsan,$(CXX),$(NATIVE_TSAN)))
$(eval $(call variant,fuzz,$(CLANGXX),$(NATIVE_FUZZ)))

# arm64: cross-compiled, and run by qemu-user. Debian has all of it: g++-aarch64-linux-gnu, qemu-user-static and
# libssl-dev:arm64, or its files unpacked in a folder: native-arm64 ARM64_ROOT=folder.
ARM64_CXX  ?= aarch64-linux-gnu-g++
ARM64_ROOT ?=
ARM64_USR  := $(ARM64_ROOT)/usr
ARM64_SSL  := $(if $(ARM64_ROOT),-isystem $(ARM64_USR)/include/aarch64-linux-gnu -isystem $(ARM64_USR)/include -L$(ARM64_USR)/lib/aarch64-linux-gnu)
ARM64_RUN  := qemu-aarch64-static -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=$(ARM64_USR)/lib/aarch64-linux-gnu
# qemu-user does not pass on all that these ask of the kernel: they are compiled only.
ARM64_ONLY_COMPILED := %/plane_test %/super_test %/flight_test %/favourite_test %/late_test %/udp_test %/netlink_test %/service_test %/handoff_test %/resume_test
$(eval $(call variant,arm64,$(ARM64_CXX),-O2 $(ARM64_SSL)))

# $(call programs,variant,sources)
programs = $(patsubst $(NATIVE_DIR)/%.cc,$(NATIVE_BUILD)/$(1)/%,$(2))

# A program that passed leaves a stamp beside it and does not run again until it changes.
$(NATIVE_BUILD)/%.passed: $(NATIVE_BUILD)/%
	@echo "native $*"
	@$<
	@touch $@

native-test: $(addsuffix .passed,$(call programs,plain,$(NATIVE_TESTS)))
# Fuzz targets that replay their corpora, without libFuzzer.
$(call programs,asan,$(NATIVE_FUZZERS)): $(NATIVE_BUILD)/asan/fuzz/replay.o
$(NATIVE_BUILD)/asan/fuzz/%.replayed: $(NATIVE_BUILD)/asan/fuzz/% $(NATIVE_DIR)/fuzz/corpus
	@echo "replay $*"
	@$< $(wildcard $(NATIVE_DIR)/fuzz/corpus/$(patsubst %_fuzz,%,$*))
	@touch $@

native-replay: $(addsuffix .replayed,$(call programs,asan,$(NATIVE_FUZZERS)))

native-asan: $(addsuffix .passed,$(call programs,asan,$(NATIVE_TESTS)))
native-tsan: $(addsuffix .passed,$(call programs,tsan,$(NATIVE_TESTS)))
native-sanitize: native-asan native-tsan native-replay

# Replays each corpus and then fuzzes for FUZZ_SECONDS.
FUZZ_SECONDS ?= 10
native-fuzz: $(call programs,fuzz,$(NATIVE_FUZZERS))
	@set -e; for program in $^; do \
	  name=$$(basename $$program _fuzz); corpus=$(NATIVE_DIR)/fuzz/corpus/$$name; work=$(NATIVE_BUILD)/corpus/$$name; \
	  mkdir -p $$corpus $$work; echo "fuzz $$name"; \
	  $$program -runs=0 $$corpus 2>/dev/null >/dev/null || $$program -runs=0 $$corpus; \
	  $$program -max_total_time=$(FUZZ_SECONDS) -print_final_stats=0 -verbosity=0 $$work $$corpus; \
	done

native-arm64: $(call programs,arm64,$(NATIVE_TESTS))
	@set -e; for program in $(filter-out $(ARM64_ONLY_COMPILED),$^); do echo "arm64 $$(basename $$program)"; $(ARM64_RUN) $$program; done
	@echo "compiled only: $(notdir $(filter $(ARM64_ONLY_COMPILED),$^))"

native-bench: $(call programs,plain,$(NATIVE_BENCHES))
	@set -e; for program in $^; do $$program; done

native-format:
	$(CLANG_FMT) -i $(NATIVE_DIR)/*.h $(NATIVE_DIR)/*.cc $(wildcard $(NATIVE_DIR)/*/*.cc $(NATIVE_DIR)/*/*.h)

native-clean:
	rm -rf $(NATIVE_BUILD)

.SECONDARY:
.DELETE_ON_ERROR:
-include $(shell find $(NATIVE_BUILD) -name '*.d' 2>/dev/null)
