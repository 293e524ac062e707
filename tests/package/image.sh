#!/bin/bash
# Makes the disk of a machine that boots Debian with the libraries that the package depends on, its kernel and initrd: OUT.img,
# OUT.kernel, OUT.initrd. Needs mmdebstrap, mke2fs and root, so that the
# files have their owners. The disk has a shell on a virtio port, guest.sh.
# Does nothing if it is there, of the same libraries and by the same script.
#   tests/package/image.sh SUITE PACKAGE OUT
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
suite=$1 package=$2
mkdir -p "$(dirname "$3")"
out=$(cd "$(dirname "$3")" && pwd)/$(basename "$3")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
depends=$(dpkg-deb -f "$package" Depends | tr ',' '\n' | sed 's/^ *//; s/[ (|].*//' | grep '^lib' | paste -sd ,)

made_of=$(printf '%s\n' "$depends" "$(cat "$0" "$here/guest.sh" | sha256sum)")
[ ! -e "$out.img" ] || [ "$(cat "$out.made-of" 2>/dev/null)" != "$made_of" ] || exit 0

# shellcheck disable=SC2016 # $1 is mmdebstrap's
mmdebstrap --quiet --variant=apt \
	--include="linux-image-$(dpkg --print-architecture | sed 's/armhf/armmp/'),systemd-sysv,udev,dbus,initramfs-tools,init-system-helpers,procps,e2fsprogs,$depends" \
	--customize-hook="copy-in '$here/guest.sh' /usr/local/sbin" \
	--customize-hook='printf "[Unit]\nDescription=Shell for tests\n[Service]\nExecStart=/bin/bash /usr/local/sbin/guest.sh\nRestart=always\n[Install]\nWantedBy=multi-user.target\n" >"$1/etc/systemd/system/guest.service"' \
	--customize-hook='printf "[Match]\nType=ether\n[Network]\nDHCP=ipv4\n" >"$1/etc/systemd/network/all.network"' \
	--customize-hook='chroot "$1" systemctl enable guest.service systemd-networkd.service' \
	--customize-hook='echo gateway >"$1/etc/hostname"; echo "/dev/vda / ext4 defaults 0 1" >"$1/etc/fstab"' \
	--customize-hook='rm -f "$1/usr/sbin/policy-rc.d"' \
	"$suite" "$folder/root" ${MIRROR:+"$MIRROR"}
cp -L "$folder"/root/boot/vmlinuz-* "$folder/kernel"
cp -L "$folder"/root/boot/initrd.img-* "$folder/initrd"
truncate -s 2G "$folder/img"
mke2fs -q -t ext4 -d "$folder/root" "$folder/img"
for part in kernel initrd img; do mv "$folder/$part" "$out.$part"; done
echo "$made_of" >"$out.made-of"
