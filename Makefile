# Everything by one word. `make help` lists the words.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO ?= cargo
SPINA := target/release/spina

.PHONY: help install dev demo lint format test test-integration bench soak coverage build clean

help: ## Lists what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: ## Installs missing system packages (sudo when not root)
	dev/install

build: install ## Builds all binaries, optimised
	$(CARGO) build --release --locked --workspace --bins

dev: build ## Starts servers and services, and leaves them running
	$(SPINA) up

demo: build ## Starts everything, imports a year of flights, shows what came of it
	$(SPINA) demo

format: ## Formats the code
	$(CARGO) fmt --all

lint: install ## Formatting, clippy, licences and bans, layering
	dev/lint

test: install lint ## All tests, on servers of their own; leaves nothing running
	$(CARGO) test --locked --workspace --exclude spina-tests
	$(CARGO) test --locked -p event-store --lib --features planted-bugs decide::simulation::planted
	@cat $${CARGO_TARGET_DIR:-target}/planted-bugs.md
	$(MAKE) test-integration

test-integration: install ## The system tests alone
	$(CARGO) build --locked --workspace --bins --features event-store/failpoints
	dev/prometheus true
	dev/with-servers $${CARGO_TARGET_DIR:-target}/debug/loadtest --smoke
	dev/with-servers $${CARGO_TARGET_DIR:-target}/debug/gate --seconds 60 --liveness-s 60
	dev/with-servers $(CARGO) test --locked -p spina-tests -- --test-threads=1

bench: build ## Append throughput and latency beside the raw floor of the same client
	SPINA=$(SPINA) dev/with-servers $(CARGO) run --release --locked -p loadtest --

soak: install ## Faults of every kind under load, for MINUTES=10; reports in target/gate
	dev/soak $(or $(MINUTES),10) $(SEED)

coverage: install ## Line coverage of the pure crates
	dev/coverage

clean: ## Stops what was started here and removes what was built
	-[ -x $(SPINA) ] && $(SPINA) down --purge
	$(CARGO) clean
