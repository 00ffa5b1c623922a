#!/usr/bin/env bash
# Puts a packed release beside those that are there, switches to it, and goes back where it does not come up.
#
#   install-release.sh ruffinweb-backend-0.4.0.tgz
#   install-release.sh --back      to the release before this one
#
# From the environment:
#   ROOT           where releases lie                     /opt/ruffinweb
#   RUFFINWEB      runs a command of $RUFFINWEB_RELEASE   /usr/local/bin/ruffinweb
#   RESTART        restarts the service                   systemctl restart ruffinweb (and the worker, if it runs)
#   READY_URL      answers 200 when it can take posts     http://127.0.0.1:3000/readyz
#   READY_SECONDS  how long it may take                   60
#   KEEP           how many releases are kept             3
#
# Migrations only expand, so the release before runs on the schema of the new one: going back leaves the schema alone.
# If the release holds a forms.yaml, it is checked first, and applied when the new release answers.
# It may be killed at any moment and run again. Exits 1 where the old release answers again, 3 where nothing answers,
# 4 where the new one answers, but forms.yaml was not applied.
set -euo pipefail

root=${ROOT:-/opt/ruffinweb}
restart=${RESTART:-systemctl restart ruffinweb && systemctl try-restart ruffinweb-worker}
ready_url=${READY_URL:-http://127.0.0.1:3000/readyz}
ready_seconds=${READY_SECONDS:-60}
keep=${KEEP:-3}
export RUFFINWEB_RELEASE

say() { echo "install-release: $*" >&2; }
current() { readlink -e "$root/current" 2>/dev/null || true; }
previous() { readlink -e "$root/previous" 2>/dev/null || true; }
# The last release that answered, while another one is tried. Outlives a kill: then `current` is one that nobody saw answer.
from() { readlink -e "$root/from" 2>/dev/null || true; }

# In one step, so that a service that starts at this moment gets one release or the other.
point() {
  ln -sfn "releases/$(basename "$2")" "$root/.$1-$$"
  mv -T "$root/.$1-$$" "$root/$1"
}

is_ready() {
  local deadline=$((SECONDS + ready_seconds))
  while ((SECONDS < deadline)); do
    if [ "$(curl -s -o /dev/null -m 5 -w '%{http_code}' "$ready_url" || true)" = 200 ]; then return 0; fi
    sleep 0.2
  done
  return 1
}

start() { # a release
  point current "$1"
  if ! bash -c "$restart" 9>&-; then
    say "the service does not start: $restart"
    return 1
  fi
  is_ready || { say "$ready_url did not answer 200 within $ready_seconds s"; return 1; }
}

switch_to() { # a release
  local old
  old=$(from)
  old=${old:-$(current)}
  if [ -n "$old" ]; then point from "$old"; fi
  # A lost connection or a Ctrl-C must not leave it half way; what is started gets these signals as ever.
  trap : INT TERM HUP
  if start "$1"; then
    # In one step, so that a kill leaves the one name or the other.
    if [ -n "$old" ] && [ "$old" != "$1" ]; then mv -T "$root/from" "$root/previous"; fi
    rm -f "$root/from"
    say "$(basename "$1") answers"
    return 0
  fi
  if [ -z "$old" ] || [ "$old" = "$1" ]; then
    say "there is no release to go back to"
    exit 3
  fi
  say "going back to $(basename "$old")"
  start "$old" || { say "that one does not answer either: look at its log"; exit 3; }
  rm -f "$root/from"
  say "$(basename "$old") answers again; $(basename "$1") was not taken"
  exit 1
}

unpack() { # a file; sets RUFFINWEB_RELEASE
  local version sum
  version=$(tar -xOzf "$1" package/package.json | sed -n 's/^ *"version": *"\([0-9A-Za-z.+-]*\)".*/\1/p' | head -n 1)
  [ -n "$version" ] || { say "$1 is no packed release"; exit 2; }
  sum=$(sha256sum "$1" | cut -c 1-12)
  RUFFINWEB_RELEASE="$root/releases/$version-$sum"
  rm -rf "$root"/releases/.new-*
  if [ ! -d "$RUFFINWEB_RELEASE" ]; then
    local draft="$root/releases/.new-$$"
    # Until every mode is ours nobody else may look in: of what is unpacked as root, a program could run as root.
    mkdir -m 700 "$draft"
    tar -xzf "$1" -C "$draft" --strip-components=1 --no-same-owner --no-same-permissions
    # Through a link the modes of other files would be changed; npm packs none.
    if [ -n "$(find "$draft" ! -type f ! -type d -print -quit)" ]; then
      rm -rf "$draft"
      say "$1 holds what is neither file nor folder, and is no packed release"
      exit 2
    fi
    chmod -R u=rwX,go=rX "$draft"
    chmod 755 "$draft/bin/ruffinweb.js"
    mv "$draft" "$RUFFINWEB_RELEASE"
  fi
}

# Not the one that runs, nor the one to go back to.
tidy() {
  local release left=$keep
  while IFS= read -r release; do
    if [ "$release" = "$(current)" ] || [ "$release" = "$(previous)" ]; then left=$((left - 1)); fi
  done < <(find "$root/releases" -mindepth 1 -maxdepth 1 -type d)
  while IFS= read -r release; do
    if [ "$release" = "$(current)" ] || [ "$release" = "$(previous)" ]; then continue; fi
    left=$((left - 1))
    if ((left < 0)); then rm -rf "$release"; fi
  done < <(find "$root/releases" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | cut -d ' ' -f 2-)
}

[ $# -eq 1 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
mkdir -p "$root/releases"
root=$(readlink -f "$root")
exec 9>"$root/.lock"
flock -n 9 || { say "another one is at work"; exit 1; }

if [ "$1" = --back ]; then
  RUFFINWEB_RELEASE=$(previous)
  # Where a new release was being tried when it was killed, the one before is the one that it came from.
  if [ -n "$(from)" ] && [ "$(from)" != "$(current)" ] && [ "$(current)" != "$RUFFINWEB_RELEASE" ]; then
    RUFFINWEB_RELEASE=$(from)
  fi
  [ -d "$RUFFINWEB_RELEASE" ] || { say "there is no release before this one"; exit 1; }
  switch_to "$RUFFINWEB_RELEASE"
  exit 0
fi

unpack "$1"
ruffinweb=${RUFFINWEB:-/usr/local/bin/ruffinweb}
"$ruffinweb" config check >&2 || { say "the settings do not suit $(basename "$RUFFINWEB_RELEASE"); nothing was changed"; exit 1; }
forms="$RUFFINWEB_RELEASE/forms.yaml"
if [ -f "$forms" ]; then
  "$ruffinweb" forms validate "$forms" >&2 || { say "forms.yaml cannot be used; nothing was changed"; exit 1; }
fi
"$ruffinweb" migrate up >&2 || { say "the migrations failed, and each of them was taken back; the release that runs goes on"; exit 1; }
"$ruffinweb" migrate check >&2 || { say "the schema does not fit; the release that runs goes on"; exit 1; }
touch "$RUFFINWEB_RELEASE"
switch_to "$RUFFINWEB_RELEASE"
tidy
# No older server may run by then: it would not know every setting.
if [ -f "$forms" ]; then
  "$ruffinweb" forms apply "$forms" --yes >&2 || { say "forms.yaml was not applied: run ruffinweb forms apply $forms"; exit 4; }
fi
