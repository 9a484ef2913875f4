# hipd. `make help` lists what there is to make. Everything runs on the pinned Node.js of node_modules.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc)
NATIVE := $(MAKE) -f native/native.mk -j$(JOBS)

.DEFAULT_GOAL := help
.PHONY: help demo test check check-deploy sim e2e e2e-systemd test-browser bench bench-quick bench-peers fuzz native build deb reference compile clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: ## two virtual machines, a hipd in each, and an application that talks between them (needs root)
	@tools/bootstrap net
	@$(MAKE) compile
	@node tools/demo.ts

test: ## every test there is; the last line counts them
	@tools/bootstrap net fuzz observe systemd browser clouds
	@$(MAKE) compile
	@node tools/test.ts

check: ## formatting, lint, types, layers, file sizes
	@tools/bootstrap
	@node tools/check.ts

check-deploy: ## deploy/: cloud-init on a machine, ansible and its linter, what clouds are given (needs root)
	@tools/bootstrap net clouds ansible
	@$(MAKE) compile
	@node tools/test.ts unit deploy-clouds
	@HIPD_DEPLOY=1 node tools/test.ts netns cloud-init
	@HIPD_DEPLOY=1 node tools/test.ts netns ansible

sim: ## simulated networks of whole daemons [RUNS=1000] [SEED=first]
	@tools/bootstrap
	@node test/sim/main.ts

e2e: ## the namespace suite: real daemons, real kernels (needs root) [ONLY=name]
	@tools/bootstrap net observe
	@$(MAKE) compile
	@node tools/test.ts netns $(ONLY)

test-browser: ## the page of hipctl report in Debian's Chromium, which this installs (needs root)
	@tools/bootstrap browser
	@node tools/test.ts unit report-browser

e2e-systemd: ## the package on two booted machines: install, restart, upgrade, purge (needs root) [ONLY=name]
	@tools/bootstrap net systemd
	@$(MAKE) compile
	@node tools/test.ts systemd $(ONLY)

bench: ## everything that is measured, beside TLS and the bare path, in 5 minutes (needs root) [SUITE=all] [PEERS=...] [ROUNDS=3] [SECONDS=1]
	@tools/bootstrap net bench
	@$(MAKE) compile
	@node benchmarks/main.ts

bench-quick: ## the main ratios in 90 seconds; JSON on the last line, and failure below the floors (needs root)
	@tools/bootstrap net bench
	@$(MAKE) compile
	@node benchmarks/quick.ts

bench-peers: ## installs the tunnels that `make bench PEERS=all` compares with (Debian, needs root)
	@tools/bootstrap
	@node benchmarks/peers.ts

fuzz: ## fuzzes packet parsing, ESP and inner headers [FUZZ_SECONDS=60 for each target]
	@tools/bootstrap fuzz
	@node test/fuzz/parse.ts $(or $(FUZZ_SECONDS),60)
	@$(NATIVE) native-fuzz FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60)

native: ## the C++ data plane
	@tools/bootstrap
	@$(NATIVE) native

build: ## everything that the daemon needs
	@tools/bootstrap
	@$(MAKE) compile

deb: ## the Debian package, in build/deb [ARCH=amd64|arm64] [VERSION=...]
	@tools/bootstrap $(if $(filter arm64,$(ARCH)),arm64)
	@$(MAKE) compile
	@node tools/deb/main.ts $(if $(ARCH),--arch $(ARCH)) $(if $(VERSION),--version $(VERSION))

reference: ## docs/REFERENCE.md and the dashboards of deploy/grafana, from the program itself
	@tools/bootstrap
	@node tools/reference.ts
	@node tools/dashboards.ts

compile:
	@tsc -b src/cli
	@node tools/bundle.ts
	@$(NATIVE) -s native

clean: ## removes what was built (node_modules stays)
	rm -rf dist build .cache .compile-cache native/build
