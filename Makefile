# tarn: `make help` lists what can be made.
# SAN=address,undefined or SAN=thread builds beside the plain build.
.DEFAULT_GOAL := all
VERSION := 0.1.0
PREFIX  ?= /usr/local
MANDIR  ?= $(PREFIX)/share/man
# mount(8) looks for mount.tarn nowhere else.
HELPERDIR ?= /sbin
BUILD   ?= build/$(if $(SAN),$(subst $(comma),-,$(SAN)),plain)
comma   := ,
Q       := $(if $(V),,@)

pkgs    := fuse3 libcurl libcares libcrypto libxxhash jansson expat libmicrohttpd gnutls ncursesw
ifeq ($(filter clean help,$(MAKECMDGOALS)),)
ifneq ($(shell pkg-config --exists $(pkgs) && echo yes),yes)
$(error missing libraries: run ./scripts/deps build (as root), it installs $(pkgs))
endif
endif

cppflags := -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DFUSE_USE_VERSION=314 \
	-DTARN_VERSION='"$(VERSION)"' -iquote . \
	-U_FORTIFY_SOURCE $(if $(SAN),-DLOCK_DEBUG,-D_FORTIFY_SOURCE=2) \
	$(shell pkg-config --cflags $(pkgs) 2>/dev/null)
cflags   := -std=c11 -pthread -O2 -g -fno-omit-frame-pointer \
	-fstack-protector-strong -fPIE -Wall -Wextra -Wshadow -Wvla -Wundef \
	-Wformat=2 -Wpointer-arith -Wwrite-strings -Wstrict-prototypes \
	-Wmissing-prototypes $(if $(WERROR),-Werror) \
	$(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all)
ldflags  := -pthread -pie -Wl,-z,relro,-z,now \
	$(if $(SAN),-fsanitize=$(SAN))
libs     := $(shell pkg-config --libs $(pkgs) 2>/dev/null)
check_libs := $(shell pkg-config --libs check 2>/dev/null)

# A folder is a library; it may use only those after it.
folders := fuse ring cache ufs base
objs     = $(patsubst %.c,$(BUILD)/%.o,$(filter-out fuse/main.c,$(wildcard $(1)/*.c)))
archives := $(patsubst %,$(BUILD)/%.a,$(folders))
tests   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/unit/*.c))
tools   := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/tools/*.c))
shims   := $(patsubst %.c,$(BUILD)/%.so,$(wildcard tests/shims/*.c))
fuzzers := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/fuzz/*.c))

all: $(BUILD)/tarn $(BUILD)/mount.tarn ## the tarn command

tools: $(tools) $(shims) ## objsim and the other helpers of the tests

$(BUILD)/tarn: $(BUILD)/fuse/main.o $(archives)
	$(Q)$(CC) $(ldflags) $(LDFLAGS) -o $@ $^ $(libs)
$(BUILD)/mount.tarn: $(BUILD)/tarn
	$(Q)ln -sf tarn $@

define folder_rule
$(BUILD)/$(1).a: $$(call objs,$(1))
	$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach f,$(folders),$(eval $(call folder_rule,$(f))))

# The page at /-/ goes into the program.
page := fuse/page/page.html fuse/page/page.css fuse/page/page.js
$(BUILD)/fuse.a: $(BUILD)/fuse/page_data.o
$(BUILD)/fuse/page_data.c: $(page) scripts/embed
	@mkdir -p $(@D)
	$(Q)./scripts/embed fuse/page_data.h $(page) >$@.tmp && mv $@.tmp $@

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(cppflags) $(CPPFLAGS) $(cflags) $(CFLAGS) -MMD -MP \
		-c -o $@ $<

$(BUILD)/%.o: $(BUILD)/%.c
	$(Q)$(CC) $(cppflags) $(CPPFLAGS) $(cflags) $(CFLAGS) -MMD -MP \
		-c -o $@ $<

# tests/unit/FOLDER_*.c is linked with that folder and those below it.
below = $(patsubst %,$(BUILD)/%.a,$(shell echo '$(folders)' | \
	sed 's/.*\<\($(firstword $(subst _, ,$(notdir $(1))))\)\>/\1/'))
.SECONDEXPANSION:
$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $$(call below,$$*)
	$(Q)$(CC) $(ldflags) $(LDFLAGS) -o $@ $^ $(check_libs) $(libs)
# tests/fuzz/FOLDER_*.c as well; see the target fuzz for how it is compiled.
$(BUILD)/tests/fuzz/%: $(BUILD)/tests/fuzz/%.o $$(call below,$$*)
	$(Q)$(CC) $(ldflags) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(libs)
# tests/tools/NAME.c is a program, with its parts in tests/tools/NAME-parts/.
parts_of = $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/tools/$(1)-parts/*.c))
$(BUILD)/tests/tools/%: $(BUILD)/tests/tools/%.o $$(call parts_of,$$*)
	$(Q)$(CC) $(ldflags) $(LDFLAGS) -o $@ $^ $(libs)
# The reference model drives the cache itself; its clock is its own.
$(BUILD)/tests/tools/refmodel: $(addprefix $(BUILD)/,cache.a ufs.a base.a)
$(BUILD)/tests/shims/%.so: tests/shims/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(cppflags) -std=c11 -O2 -g -fPIC -shared -Wall -Wextra \
		-o $@ $< -ldl -pthread

unit-tests: $(tests) ## the unit tests' programs, not run

refmodel := $(BUILD)/tests/tools/refmodel

check: $(tests) $(refmodel) ## unit tests (SAN= for sanitized ones)
	$(Q)./scripts/unit $(tests) $(refmodel)

SECONDS ?= 60
refmodel: $(refmodel) ## random operations against a model, SECONDS=60
	$(Q)$(refmodel) --seconds $(SECONDS)

check-all: ## unit tests plain, then ASan+UBSan, then TSan
	$(MAKE) check
	$(MAKE) check SAN=address,undefined
	$(MAKE) check SAN=thread

check-mount: all tools ## tests on real mounts (needs /dev/fuse)
	$(Q)./scripts/mount-tests

fuzzers: $(fuzzers)
fuzz-objects: $(fuzzers:=.o) # what any compiler may look at

# Every source is looked at, and nothing is made of it.
sources := $(wildcard $(addsuffix /*.c,$(folders) tests/unit tests/fuzz tests/tools \
	tests/tools/*-parts tests/shims))
$(BUILD)/%.syntax: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(cppflags) $(CPPFLAGS) $(cflags) $(CFLAGS) -MMD -MP -MT $@ \
		-MF $(@:.syntax=.d) -fsyntax-only $< && touch $@
syntax: $(patsubst %.c,$(BUILD)/%.syntax,$(sources))

fuzz: ## the fuzzers, FUZZ_SECONDS=60 each (needs clang)
	$(MAKE) --no-print-directory CC=clang BUILD=build/fuzz \
		SAN=fuzzer-no-link,address,undefined fuzzers
	$(Q)./scripts/fuzz

lint: ## clang-format, gcc and clang -Werror, -Wthread-safety, shellcheck, cppcheck, mandoc
	$(Q)./scripts/lint

compile_commands.json: ## for editors and clang tools
	bear -- $(MAKE) -B all

install: all ## into DESTDIR, PREFIX and (what mount(8) looks for) HELPERDIR
	install -D -m 755 $(BUILD)/tarn $(DESTDIR)$(PREFIX)/bin/tarn
	install -d $(DESTDIR)$(HELPERDIR)
	ln -sf $(PREFIX)/bin/tarn $(DESTDIR)$(HELPERDIR)/mount.tarn
	for m in man/*.[1-8]; do install -D -m 644 $$m \
		$(DESTDIR)$(MANDIR)/man$${m##*.}/$${m##*/} || exit 1; done

uninstall: ## what install put there
	rm -f $(DESTDIR)$(PREFIX)/bin/tarn $(DESTDIR)$(HELPERDIR)/mount.tarn
	for m in man/*.[1-8]; do \
		rm -f $(DESTDIR)$(MANDIR)/man$${m##*.}/$${m##*/}; done

clean: ## remove build/
	rm -rf build

help: ## this list
	@sed -n 's/^\([a-z_.-]*\):.*## /\1\t/p' Makefile | expand -t 24

.PHONY: all tools unit-tests check refmodel check-all check-mount fuzzers fuzz-objects syntax \
	fuzz lint install uninstall clean help
.SECONDARY:
-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
