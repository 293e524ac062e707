#!/bin/bash
# Installs, upgrades, removes and purges the package in a fresh root: what is there, whose it is, what is left, and what the service
# manager would be told. Needs mmdebstrap.
#   tests/package/install.sh SUITE PACKAGE
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=$1 package=$(realpath "$2")
command -v mmdebstrap >/dev/null || { echo "skipped: mmdebstrap is not installed"; exit 77; }

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$package" "$folder/old.deb"
cp "$here/inside.sh" "$folder"
"$here/newer.sh" "$package" "$folder/new.deb"
# shellcheck disable=SC2016 # $1 is mmdebstrap's
mmdebstrap --quiet --variant=apt --include=init-system-helpers,file,man-db \
	--customize-hook='mkdir "$1/packages"' --customize-hook="sync-in '$folder' /packages" \
	--customize-hook='chroot "$1" bash /packages/inside.sh' \
	"$suite" /dev/null ${MIRROR:+"$MIRROR"}
