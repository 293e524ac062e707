#!/bin/sh
# The units: systemd takes them, and finds little that they expose. 2.0 of 10 is what we promise.
set -u
limit=20
failed=0
command -v systemd-analyze >/dev/null || { echo "skipped: no systemd-analyze"; exit 77; }
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT

for unit in fieldgate.service fieldgate@.service; do
	if grep -nE '@[A-Za-z]+@' "systemd/$unit" | grep -v '@system-service\|@privileged'; then
		echo "$unit: not filled in"
		failed=1
	fi
	# systemd looks for the program where the unit says; here it is somewhere else
	sed -E "s#^(ExecStart|ExecReload)=[^ ]*#\1=$PWD/fieldgate#" "systemd/$unit" >"$folder/$unit"
done
cp "$folder/fieldgate@.service" "$folder/fieldgate@two.service"
for unit in fieldgate.service fieldgate@two.service; do
	if ! systemd-analyze verify --man=no "$folder/$unit" >"$folder/out" 2>&1 || grep -q fieldgate "$folder/out"; then
		cat "$folder/out"
		failed=1
	fi
	systemd-analyze security --offline=true --threshold=$limit --no-pager "$folder/$unit" >"$folder/out" 2>&1 || {
		cat "$folder/out"
		failed=1
	}
	grep 'Overall exposure' "$folder/out" || { cat "$folder/out"; failed=1; }
done

# The drop-in that is installed to be copied.
mkdir "$folder/fieldgate.service.d"
cp "${srcdir:-.}/systemd/credentials.conf" "$folder/fieldgate.service.d"
if ! systemd-analyze verify --man=no "$folder/fieldgate.service" >"$folder/out" 2>&1 || grep -q fieldgate "$folder/out"; then
	cat "$folder/out"
	failed=1
fi

# What an instance shares with the plain service is all but its names.
diff systemd/fieldgate.service systemd/fieldgate@.service | grep '^>' | grep -v '%i' && { echo "not by name alone"; failed=1; }
exit $failed
