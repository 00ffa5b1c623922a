#!/usr/bin/env bash
# Brings a packed release to the machine and has install-release take it; or has it go back.
#
#   push-release.sh ruffinweb-backend-0.4.0.tgz
#   push-release.sh --back
#
# From the environment: DEPLOY_TO (user@host), DEPLOY_KEY (the private key), DEPLOY_KNOWN_HOSTS (what ssh-keyscan says of
# the host, looked at by a person once). The exit code is that of install-release.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
for name in DEPLOY_TO DEPLOY_KEY DEPLOY_KNOWN_HOSTS; do
  [ -n "${!name:-}" ] || { echo "push-release: $name is not set" >&2; exit 2; }
done

umask 077
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
printf '%s\n' "$DEPLOY_KEY" > "$folder/key"
printf '%s\n' "$DEPLOY_KNOWN_HOSTS" > "$folder/known_hosts"
options=(-i "$folder/key" -o IdentitiesOnly=yes -o "UserKnownHostsFile=$folder/known_hosts" -o StrictHostKeyChecking=yes
  -o BatchMode=yes -o ServerAliveInterval=15)

if [ "$1" = --back ]; then
  ssh "${options[@]}" "$DEPLOY_TO" 'sudo -n install-release --back'
else
  # shellcheck disable=SC2016 # the other machine fills these in
  ssh "${options[@]}" "$DEPLOY_TO" \
    'file=$(mktemp --suffix=.tgz) && cat > "$file" && sudo -n install-release "$file"; code=$?; rm -f "$file"; exit $code' < "$1"
fi
