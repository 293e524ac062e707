#!/bin/bash
# The cross-built program at work: started by qemu's user-mode emulation, on the libraries of its architecture, it reads simulated
# Modbus units and publishes to the bench, which are this machine's. Nothing of the package is run but the program.
# Needs mmdebstrap and qemu-user-static; BUILD is the folder that the bench and the simulator were built in.
#
#   tests/package/emulated.sh ARCH SUITE PACKAGE [TEST...]     (tests/system/100-telemetry, 110-rtu and 300-rpc)
set -euo pipefail
source=$(cd "$(dirname "$0")/../.." && pwd)
build=${BUILD:-$PWD}
arch=$1 suite=$2 package=$(realpath "$3")
shift 3
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(tests/system/100-telemetry tests/system/110-rtu tests/system/300-rpc)
case $arch in
arm64) emulator=qemu-aarch64-static ;;
armhf) emulator=qemu-arm-static ;;
*) echo "emulated: no emulator for $arch" >&2 && exit 2 ;;
esac
for tool in mmdebstrap "$emulator"; do
	command -v "$tool" >/dev/null || { echo "skipped: $tool is not installed"; exit 77; }
done

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# The libraries that the package depends on, unpacked; the first of alternatives, but nothing that serves its installation only.
depends=$(dpkg-deb -f "$package" Depends | tr ',' '\n' | sed 's/^ *//; s/[ (|].*//' | grep '^lib' | paste -sd ,)
mmdebstrap --quiet --variant=extract --architectures="$arch" --include="$depends" "$suite" "$root/root" ${MIRROR:+"$MIRROR"}
dpkg-deb -x "$package" "$root/root"
file "$root/root/usr/bin/fieldgate"

# What base-files would have done, where the package of libc relies on it.
[ -e "$root/root/lib" ] || ln -s usr/lib "$root/root/lib"
# qemu 7.2 does not look below its prefix for statx(), by which armhf's loader asks for folders: it gets their true names.
libraries=$(printf '%s:' "$root"/root/lib/*-linux-* "$root"/root/usr/lib/*-linux-*)
printf '#!/bin/sh\nexec %s -L %s -E LD_LIBRARY_PATH=%s %s/usr/bin/fieldgate "$@"\n' \
	"$(command -v "$emulator")" "$root/root" "$libraries" "$root/root" >"$root/fieldgate"
chmod +x "$root/fieldgate"
srcdir=$source SANITIZERS=no "$source/tests/package/program.sh" "$root/root/usr/bin/fieldgate"
"$root/fieldgate" --version
"$root/fieldgate" check -c "$root/root/etc/fieldgate/gateway.conf"
cd "$build"
for test in "${tests[@]}"; do
	echo "== $test under $emulator"
	srcdir=$source BUILD=$build FIELDGATE=$root/fieldgate PATIENCE=${PATIENCE:-60} PYTHONDONTWRITEBYTECODE=1 "$source/$test"
done
