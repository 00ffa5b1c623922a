#!/usr/bin/env bash
# Prepares a machine (Debian 12, Ubuntu 24.04) for install-release.sh, as root: account, folders, units. Node 24 and, for
# a database on the same machine, PostgreSQL are installed already. Run again, it brings the units and scripts up to date
# and leaves settings and secrets alone. DESTDIR: a folder to put everything into instead, without an account.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
to=${DESTDIR:-}

owner=(-o root -g root)
group=(-o root -g root)
if [ -z "$to" ]; then
  id ruffinweb > /dev/null 2>&1 || useradd --system --home-dir /var/lib/ruffinweb --shell /usr/sbin/nologin ruffinweb
  group=(-o root -g ruffinweb)
else
  owner=()
  group=()
fi

install -d -m 755 "${owner[@]}" "$to/opt/ruffinweb/releases" "$to/usr/local/bin" "$to/etc/systemd/system"
install -d -m 750 "${group[@]}" "$to/etc/ruffinweb"
install -d -m 700 "${owner[@]}" "$to/etc/ruffinweb/credentials" "$to/etc/ruffinweb/migrate"
install -m 755 "${owner[@]}" "$here"/bin/ruffinweb "$here"/bin/ruffinweb-backup "$to/usr/local/bin/"
install -m 755 "${owner[@]}" "$here/install-release.sh" "$to/usr/local/bin/install-release"
install -m 644 "${owner[@]}" "$here"/systemd/*.{service,timer} "$to/etc/systemd/system/"
if [ ! -e "$to/etc/ruffinweb/.env" ]; then
  install -m 640 "${group[@]}" "$here/ruffinweb.env" "$to/etc/ruffinweb/.env"
fi
cd "$to/etc/ruffinweb/credentials"
umask 077
# Made once and never again: a lost key is lost data.
[ -e ENCRYPTION_KEYS ] || echo "k$(date -u +%Y%m%d-%H%M%S):$(head -c 32 /dev/urandom | base64 -w 0)" > ENCRYPTION_KEYS
[ -e DATABASE_URL ] || echo 'postgresql://ruffinweb:password@127.0.0.1/ruffinweb' > DATABASE_URL
[ -e SMTP_PASSWORD ] || echo 'password' > SMTP_PASSWORD
if [ -z "$to" ]; then
  systemctl daemon-reload
  systemctl enable ruffinweb
fi

cat << END
Next:
  edit $to/etc/ruffinweb/.env
  write the secrets into $to/etc/ruffinweb/credentials/, one a file: DATABASE_URL, SMTP_PASSWORD
  keep a copy of $to/etc/ruffinweb/credentials/ENCRYPTION_KEYS apart from the backups: a lost key is lost data
  let that database account verify backups, wherever the database runs: alter role ruffinweb createdb
  install-release ruffinweb-backend-<version>.tgz
END
