# Everything that is done here has a target; `make help` lists them.
SHELL   := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
BUILD   := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
FUZZTIME ?= 60s
FAULTSECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help run build test quick check lint deps e2e browser screenshots fault guess fuzz bench bench-scale feed-scale client client-soak test-examples update clean

help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-11s %s\n", $$1, $$2}'

run: build ## build, start on SQLite in ./bitjang-data, and say what to try
	@exec bin/bitjang serve

build: ## build bin/bitjang, one static binary
	@scripts/need-go
	@mkdir -p bin
	$(BUILD) -o bin/bitjang ./cmd/bitjang

test: deps lint ## install what is missing and run every test
	go test -race -timeout 20m ./... # ten minutes are short where two processors do everything
	go test -run TestGuessingRun . # what is skipped with the race detector
	cd e2e && go vet . && go test -race -count=1 -timeout 15m . # -count: the cache does not see the binary change
	@scripts/browser
	@scripts/client
	@$(MAKE) --no-print-directory test-examples

quick: ## the inner loop: everything in memory and on SQLite, no race detector
	go test -short . ./verify ./internal/... ./server ./store/... ./cmd/...

check: test ## all of test, and every fuzz target for FUZZTIME
	$(MAKE) fuzz

lint: ## gofmt, vet, staticcheck
	@scripts/need-go
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "hint: gofmt -w ."; exit 1; }
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

deps: ## install what the tests need from Debian's packages
	@scripts/deps

e2e: deps ## the real binary behind nginx and Caddy, killed and robbed
	cd e2e && go test -race -count=1 -v -timeout 15m .

browser: deps ## the pages in Chromium, with a real mail server
	@scripts/browser

client: deps ## build client/ and test it in Chromium
	@scripts/client

SOAKSECONDS ?= 600
client-soak: deps ## SOAKSECONDS (600) of four tabs, a bad network and a server that is killed
	@SOAKSECONDS=$(SOAKSECONDS) scripts/client soak

test-examples: ## the examples in Go, each a module of its own
	cd examples/go-frameworks && go vet ./... && go test -race ./...
	cd examples/grpc && go vet ./... && go test -race ./...

screenshots: deps ## take docs/screenshots anew
	@SCREENSHOTS=1 scripts/browser screenshots

fault: deps ## FAULTSECONDS (60) per store: killed, stopped, cut off, slowed, failed over
	cd e2e && go vet -tags fault . && go test -tags fault -run Fault -count=1 -v -timeout 60m -fault.seconds=$(FAULTSECONDS) .

guess: ## attacks on passwords on made-up time, a day each: what is let through
	go test -run TestGuessingRun -count=1 -v -timeout 30m . -guess.hours=24 | grep --line-buffered '|\|^ok\|FAIL'

fuzz: ## every fuzz target for FUZZTIME (60s)
	@scripts/fuzz $(FUZZTIME)

bench: ## refreshes per second beside the limits of this machine; writes bench/results
	go run ./bench

SESSIONS ?= 1000000
bench-scale: ## SESSIONS (1000000) sessions in each store against few; writes bench/results
	go run ./bench scale -sessions $(SESSIONS)

VERIFIERS ?= 1000
feed-scale: ## VERIFIERS (1000) follow one node while 10,000 sessions end; prints the figures
	go run ./bench/feed -verifiers $(VERIFIERS)

update: ## rewrite api.txt, deps.txt and golden files after a meant change
	go test -run 'TestAPI|TestDependencies' . -update
	go test -run TestConfigurationPage ./cmd/bitjang -update

clean: ## remove what was built; never the data
	rm -rf bin
