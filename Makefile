SHELL       := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# The version in the binary: from git where there is one, else said by whoever builds (VERSION=v1.2.3 make build).
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.version=$(VERSION)
PKG      ?= ./...
FUZZTIME ?= 10s
ROUNDS   ?= 20
SEED     ?= 0
ENGINE   ?= docker
TAG      ?= millrace:$(VERSION)
LINT     := go tool -modfile=tools/go.mod golangci-lint

.PHONY: build run demo test chaos e2e lab-up lab-down image lint fmt bench fuzz generate verify ci help

build: ## build bin/millrace
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/millrace ./cmd/millrace

run: build ## start the daemon (ARGS="-c millrace.yaml")
	bin/millrace serve $(ARGS)

demo: ## one push through the whole house, each step with its time; needs go and git only
	go run ./test/demo

test: ## every test, with race detector, shuffled, on real servers (PKG=./queue/... ARGS="-run Lease")
	test/setup.sh
	test/try.sh '$(PKG)' -race -shuffle=on -timeout 20m $(ARGS)

chaos: ## rounds of pushes while agents and Redis are killed at random (ROUNDS=100 SEED=42)
	test/setup.sh
	go test -tags chaos -count=1 -parallel 4 -timeout 12h -json ./test/chaos -rounds $(ROUNDS) -seed $(SEED) | go run ./test/tally -show TestChaos

e2e: ## every test that needs a Kubernetes, on the lab (PKG=./runners/kube ARGS="-run Cancel")
	test/setup.sh
	PKG='$(filter-out ./...,$(PKG))' ARGS='$(ARGS)' test/lab/e2e.sh

lab-up: ## a real Kubernetes on this machine, and its KUBECONFIG; needs root
	test/lab/lab.sh up

lab-down: ## end it, and leave nothing behind
	test/lab/lab.sh down

image: ## build the image with docker or podman (ENGINE=podman TAG=registry.example.com/millrace:dev)
	$(ENGINE) build --build-arg VERSION='$(VERSION)' --tag '$(TAG)' .

lint: ## what .golangci.yml means by clean
	$(LINT) run

fmt: ## format the source
	$(LINT) fmt

bench: ## every package's benchmarks (PKG=./queue/redisq), and a list of those beside the peers: cd test/bench && go run . burn
	go test -run '^$$' -bench . -benchmem $(PKG)
	@cd test/bench && go doc -cmd .

fuzz: ## every fuzz target for FUZZTIME
	test/fuzz.sh $(FUZZTIME)

generate: ## rewrite golden files, stories and the diagrams drawn from code
	test/generate.sh

verify: ## formatted, go.mod files tidy, vetted
	$(LINT) fmt --diff
	go mod tidy -diff && go -C tools mod tidy -diff && go -C test/bench mod tidy -diff
	go vet -tags lab,chaos ./... && go -C test/bench vet ./...

ci: ## all that a change must pass
	.ci/run

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
