#!/bin/sh
# Every description in conf/instruments.d reads what its instrument says: NAME.capture is bytes as the format's document has them, with
# faults among them, NAME.conf the lines that a user writes, NAME.expected what `fieldgate try` prints.
set -u
here=${srcdir:-.}
output=$(mktemp) || exit 99
trap 'rm -f "$output"' EXIT
failed=0

for description in "$here"/conf/instruments.d/*.device; do
	name=$(basename "$description" .device)
	test="$here/tests/instruments/$name"
	[ -e "${description%.device}.bus" ] || { echo "$name: there is no $name.bus"; failed=1; }
	grep -q '^# Format: ' "$description" || { echo "$name: its format has no source"; failed=1; }
	./fieldgate try -c "$test.conf" it <"$test.capture" >"$output" 2>&1
	if ! diff -u "$test.expected" "$output"; then
		echo "$name: not as expected"
		failed=1
	fi
done
exit $failed
