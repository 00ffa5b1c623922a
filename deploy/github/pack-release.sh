#!/usr/bin/env bash
# Packs the clone this script lies in: pack-release.sh <folder>. Prints the path of the file.
set -euo pipefail
folder=$(mkdir -p "$1" && cd "$1" && pwd)
cd "$(dirname "$0")/../.."
npm ci --no-audit --no-fund >&2
npm run check >&2
npm pack --pack-destination "$folder" >&2
ls "$folder"/ruffinweb-backend-*.tgz
