# Each target installs what it needs and says so. README.md tells what they do.
.PHONY: run test bench lint fuzz verifier vm-test

run:
	tests/scripts/setup build
	tests/scripts/run

test:
	tests/scripts/setup build test
	tests/scripts/run-all

bench:
	tests/scripts/setup build test
	cargo bench --locked --no-fail-fast --bench '*'

lint:
	tests/scripts/setup build lint
	tests/scripts/lint

fuzz:
	tests/scripts/setup build
	tests/scripts/fuzz

verifier:
	tests/scripts/setup build verifier
	tests/scripts/verifier

vm-test:
	tests/scripts/setup build vm
	tests/scripts/vm-test
