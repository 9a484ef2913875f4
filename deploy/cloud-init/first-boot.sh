#!/bin/sh
# hipd on the first boot of a cloud machine: package, firewall, identity, peers. Run by cloud-init as root (user-data.yaml); it may be
# run again, and does then what is left to do. Settings: /etc/hipd/first-boot.conf, explained in README.md beside this file.
set -eu

PACKAGE=
PACKAGE_SHA256=
NAME=
INVENTORY=
PORT=10500
WAIT_FOR=
TIMEOUT=60s
settings=${1:-/etc/hipd/first-boot.conf}
if [ -e "$settings" ]; then
  # shellcheck disable=SC1090
  . "$settings"
fi

case "$PACKAGE $PACKAGE_SHA256 $NAME $INVENTORY $WAIT_FOR" in
  *@[A-Z]*@*)
    echo "hipd-first-boot: $settings still has an @WORD@ that was to be replaced" >&2
    exit 1
    ;;
esac

say() { echo "hipd-first-boot: $*"; }
die() {
  say "$*" >&2
  exit 1
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# apt reads packages as a user of its own.
chmod 755 "$work"

# fetch SOURCE FILE: a URL or a path of this machine.
fetch() {
  case $1 in
    http://* | https://*)
      if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --retry 8 --retry-connrefused --max-time 300 --output "$2" "$1"
      else
        wget --quiet --tries 8 --retry-connrefused --timeout 60 --output-document "$2" "$1"
      fi || die "$1 cannot be fetched"
      ;;
    /*) cp -- "$1" "$2" || die "$1 cannot be read" ;;
    *) die "\"$1\" is neither a URL nor an absolute path" ;;
  esac
}

install_package() {
  if [ -z "$PACKAGE" ]; then
    command -v hipd >/dev/null || die "hipd is not installed, and $settings names no PACKAGE"
    return 0
  fi
  fetch "$PACKAGE" "$work/hipd.deb"
  if [ -n "$PACKAGE_SHA256" ]; then
    echo "$PACKAGE_SHA256  $work/hipd.deb" | sha256sum --check --status || die "$PACKAGE has another SHA-256 than PACKAGE_SHA256"
  else
    case $PACKAGE in http*) die "a package from the network needs PACKAGE_SHA256" ;; esac
  fi
  wanted=$(dpkg-deb --field "$work/hipd.deb" Version)
  if [ "$(dpkg-query --show --showformat '${Version}' hipd 2>/dev/null)" = "$wanted" ]; then
    say "hipd $wanted is installed"
    return 0
  fi
  # Files of /etc/hipd that cloud-init wrote before stay as they are.
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --option Dpkg::Use-Pty=0 --option Dpkg::Options::=--force-confold \
    --option DPkg::Lock::Timeout=300 "$work/hipd.deb" </dev/null || die "$PACKAGE cannot be installed"
  say "installed hipd $wanted"
}

# Only in firewalls that have a language for it; other people's rules are theirs.
open_port() {
  if command -v ufw >/dev/null && ufw status 2>/dev/null | grep -q '^Status: active'; then
    ufw allow "$PORT/udp" >/dev/null && say "ufw lets UDP port $PORT in"
  elif command -v firewall-cmd >/dev/null && firewall-cmd --state >/dev/null 2>&1; then
    firewall-cmd --quiet --permanent --add-port="$PORT/udp" && firewall-cmd --quiet --add-port="$PORT/udp" &&
      say "firewalld lets UDP port $PORT in"
  elif command -v nft >/dev/null && nft list ruleset 2>/dev/null | grep -q 'hook input.*policy drop'; then
    say "nftables drops what comes in: let UDP port $PORT in, there and for every boot" >&2
  fi
}

# The daemon makes the identity when it starts and there is none; an image has none (hipctl image clean).
start() {
  systemctl enable --quiet hipd-guard.service hipd.service
  systemctl start hipd-guard.service hipd.service
  hipctl wait --ready --timeout "$TIMEOUT" || die "hipd is not ready after $TIMEOUT; see: journalctl --unit hipd"
  # On the console, so that whoever may read it through the cloud's own interface knows which identity is this machine's.
  say "this machine: $(hipctl identity export)"
}

import_inventories() {
  for source in $INVENTORY; do
    fetch "$source" "$work/inventory.json"
    hipctl inventory import "$work/inventory.json" || die "$source was not imported"
  done
}

install_package
open_port
start
import_inventories
# What an operator signs for the others; no secret.
hipctl inventory export ${NAME:+--name "$NAME"} --output /etc/hipd/self.json
for peer in $WAIT_FOR; do
  hipctl wait --peer "$peer" --timeout "$TIMEOUT" || die "$peer cannot be reached; see: hipctl why $peer"
done
say "done"
