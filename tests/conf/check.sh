#!/bin/sh
# fieldgate check: what it prints where, and how it ends.
set -u
here=${srcdir:-.}
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
failed=0

# expect STATUS ARGUMENTS...: runs, and leaves $folder/out and $folder/err
expect() {
	wanted=$1
	shift
	./fieldgate check "$@" >"$folder/out" 2>"$folder/err"
	status=$?
	if [ "$status" -ne "$wanted" ]; then
		echo "check $*: exit status $status, not $wanted"
		cat "$folder/out" "$folder/err"
		failed=1
	fi
}

# prints out|err TEXT: one line is exactly that
prints() {
	if ! grep -qxF -- "$2" "$folder/$1"; then
		echo "no line in std$1: $2"
		cat "$folder/$1"
		failed=1
	fi
}

silent() {
	if [ -s "$folder/$1" ]; then
		echo "std$1 is not empty:"
		cat "$folder/$1"
		failed=1
	fi
}

cp "$here/conf/demo.conf" "$folder/demo.conf"
chmod 640 "$folder/demo.conf"
expect 0 -c "$folder/demo.conf"
prints out "OK: 2 buses, 4 devices, 16 points, 9.0 requests/s"
silent err

chmod 644 "$folder/demo.conf"
expect 0 --config="$folder/demo.conf"
prints err "warning: $folder/demo.conf: readable by everybody, and it holds tokens: chmod 640"

sed 's/table = "holding"; addr = 10;/table = "holding"; addr = 40011;/' "$here/conf/demo.conf" >"$folder/manual.conf"
chmod 640 "$folder/manual.conf"
expect 0 -c "$folder/manual.conf"
prints out "$(grep -n 40011 "$folder/manual.conf" | sed "s|^\([0-9]*\):.*|$folder/manual.conf:\1: note: addr counts from 0 in each table: if 40011 is the number in a manual, write addr = 10|")"

sed 's/port = 18830/port = 0/' "$here/conf/demo.conf" >"$folder/bad.conf"
expect 1 -c "$folder/bad.conf"
prints err "$folder/bad.conf:5: server.port: 0 is out of range, allowed are 1..65535"
silent out

expect 1 -c "$folder/none.conf"
prints err "$folder/none.conf: No such file or directory"

expect 0 --help
silent err
expect 2 --no-such-option
expect 2 "$folder/demo.conf"
expect 2 -c

exit $failed
