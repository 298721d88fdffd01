# Bare `make` prints the targets.

.DEFAULT_GOAL := help
.PHONY: help test check lint fuzz bench cover cluster run

BENCH ?= ./bench
COUNT ?= 6
FUZZTIME ?= 1m

help: ## print this
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

test: ## run every test with the race detector (./test.sh ./exec/... for some)
	./test.sh

check: ## run all that CI runs: lint, tests, fuzzing
	.ci/run

lint: ## run gofmt, go vet and staticcheck
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	go vet ./...
	go tool staticcheck ./...

fuzz: ## fuzz every target for FUZZTIME (1m)
	.ci/fuzz $(FUZZTIME)

bench: ## run the benchmarks of BENCH (./bench) COUNT (6) times, print medians
	go test -run '^$$' -bench . -count $(COUNT) -timeout 60m $(BENCH) | go run ./internal/benchmedian

cover: ## write cover.out and print what the tests cover
	go test -coverpkg=./... -coverprofile=cover.out ./...
	go tool cover -func=cover.out

cluster: ## start a real Kubernetes node until Ctrl-C, print its kubeconfig
	go run ./internal/kubetest/cmd/cluster

run: ## start rdev for the current folder on 127.0.0.1:8080
	go run ./cmd/rdev serve
