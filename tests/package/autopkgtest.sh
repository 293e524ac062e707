#!/bin/bash
# The package's own tests (debian/tests), by the program that Debian runs them with, in a fresh root that holds nothing but Debian.
# Needs autopkgtest, mmdebstrap and root.
#   tests/package/autopkgtest.sh SUITE PACKAGE TREE
set -euo pipefail
suite=$1 package=$(realpath "$2") tree=$(realpath "$3")
for tool in autopkgtest mmdebstrap; do
	command -v $tool >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done

folder=$(mktemp -d)
root=$folder/root
finish() {
	umount "$root/dev/pts" "$root/proc" 2>/dev/null || true
	rm -rf --one-file-system "$folder"
}
trap finish EXIT
mmdebstrap --quiet --variant=apt --include=apt-utils,dpkg-dev --skip=cleanup/apt/lists "$suite" "$root" ${MIRROR:+"$MIRROR"}
mount -t proc proc "$root/proc"
# The simulated serial lines are pseudo-terminals.
mkdir -p "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
ln -sf pts/ptmx "$root/dev/ptmx"
autopkgtest --no-built-binaries "$package" "$tree" -- chroot "$root"
