#!/bin/sh
# The walls of the house: a room includes only the rooms below it, and a library's header only where the library lives.
#   room: rooms whose headers it may include
set -u
cd "${srcdir:-.}/src" || exit 99
failed=0

allowed() {
	case $1 in
	base) echo base ;;
	model) echo base model ;;
	line) echo base model line ;;
	conf) echo base model line conf ;;
	field) echo base model line field ;;
	flow) echo base model flow ;;
	cloud) echo base model flow cloud ;;
	control) echo base model control ;;
	cli) echo base model line conf field flow cloud control cli ;;
	*) echo ;;
	esac
}

# FILE:LINE of includes of ours that leave the rooms that $room may see
for room in */; do
	room=${room%/}
	[ -n "$(allowed "$room")" ] || { echo "src/$room: a room that tests/check-layers.sh does not know"; failed=1; }
	pattern=$(allowed "$room" | tr ' ' '|')
	if grep -nE '^#include "' "$room"/*.[ch] | grep -vE "\"($pattern)/[a-z0-9_]+\\.h\""; then
		echo "src/$room may include only: $(allowed "$room")"
		failed=1
	fi
done

# library header: the room that owns it, or the rooms
while read -r header room; do
	if grep -rnE "^#include <$header" --include='*.[ch]' . | grep -vE "^\\./($room)/"; then
		echo "<$header> belongs to src/$room"
		failed=1
	fi
done <<'LIBRARIES'
libconfig conf
modbus field
libserialport field
mosquitto cloud
openssl cloud
json-c cloud|line|control
pcre2 line
sqlite3 flow
LIBRARIES

# every header compiles alone
for header in */*.h; do
	echo "#include \"$header\"" | ${CC:-cc} -std=gnu11 -D_GNU_SOURCE -I. -xc -fsyntax-only - ||
		{ echo "src/$header does not compile alone"; failed=1; }
done
exit $failed
