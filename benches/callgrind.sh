#!/usr/bin/env bash
# Counts instructions with callgrind and writes the report anew; times stay those of the last `cargo bench`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
command -v valgrind >/dev/null || { echo "valgrind is not installed" >&2; exit 1; }
exec cargo bench -p benches --bench ratios -- instructions
