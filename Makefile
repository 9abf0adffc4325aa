# npm scripts do the work; make calls them. `make help` lists all.
.DEFAULT_GOAL := build
.PHONY: build binary image help install generate format check test test-fast test-servers trials bench demo \
        clients install-systemd clean

NPM := npm run --silent

build: node_modules/.package-lock.json ## build the program and the library into dist/
	$(NPM) build

node_modules/.package-lock.json: package.json package-lock.json
	node tools/install.js

install: node_modules/.package-lock.json ## install what the build needs

binary: install ## build the program with its Node into one file for linux x64: build/stormlock-linux-x64
	$(NPM) binary

image: install ## build the container image, by buildah: build/stormlock-image-linux-x64.tar
	$(NPM) image

generate: install ## generate src/gen from proto/
	$(NPM) generate

format: install ## format all sources
	$(NPM) format

check: install ## formats, lint, types, import directions, unused code, API rules, generated code
	$(NPM) check

test: install ## run all tests, on real servers; installs these where it may
	npm test

test-servers: install ## run the tests of the stores that need a server alone
	$(NPM) test:servers

clients: install ## build the client libraries and run all their tests, on real daemons
	node tools/install-for-tests.js
	npx --no-install vitest run --project clients

test-fast: install ## run the rules' tests alone, in fewer random worlds; within a minute
	$(NPM) test:fast

trials: install ## run wrappers against each other under every failure, half an hour; more: npm run trials -- --help
	$(NPM) trials

bench: install ## measure how fast it is on this machine, in ratios; about twelve minutes
	$(NPM) bench

demo: install ## show a lock being taken, refused, released, and held by commands
	$(NPM) demo

# Where units look for programs, and systemd for units that no distribution brings.
PREFIX := /usr/local
UNITS := $(DESTDIR)$(PREFIX)/lib/systemd/system

install-systemd: ## install the units of docs/systemd.md, not the program; PREFIX=/usr/local, DESTDIR=
	install -d -m 0755 $(UNITS) $(DESTDIR)/etc/stormlock/hold $(DESTDIR)/etc/stormlock/nightly
	install -m 0644 deploy/systemd/*.service deploy/systemd/*.timer $(UNITS)
	install -D -m 0644 deploy/systemd/sysusers.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/stormlock.conf
	install -D -m 0755 deploy/systemd/stormlock-once $(DESTDIR)$(PREFIX)/bin/stormlock-once
	test -e $(DESTDIR)/etc/stormlock/stormlock.toml || \
	  install -m 0644 deploy/systemd/stormlock.toml $(DESTDIR)/etc/stormlock/stormlock.toml

clean: ## remove what was built
	rm -rf dist

help: ## list all targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' | expand -t 17
