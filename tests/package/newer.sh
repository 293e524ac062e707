#!/bin/bash
# Makes a package of a higher version out of one, with another installed configuration: something to upgrade to.
#   tests/package/newer.sh PACKAGE NEWER
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
dpkg-deb -R "$1" "$folder/all"
version=$(dpkg-deb -f "$1" Version)
sed -i "s/^Version: .*/Version: $version+newer/" "$folder/all/DEBIAN/control"
sed -i '1i # This is what the newer version brings.' "$folder/all/etc/fieldgate/gateway.conf"
dpkg-deb --root-owner-group -b "$folder/all" "$2" >/dev/null
