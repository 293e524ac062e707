#!/bin/bash
# What a tab completes: commands, options and files, as the program has them.
set -u
here=${srcdir:-.}
failed=0
# shellcheck disable=SC1091 # it is ours, below the source folder
. "$here/completion/fieldgate.bash"

# completes WANTED WORD...: the last word is what stands before the cursor
completes() {
	local wanted=$1
	shift
	COMP_WORDS=("$@")
	COMP_CWORD=$(($# - 1))
	_fieldgate
	if [[ " ${COMPREPLY[*]} " != *" $wanted "* ]]; then
		echo "$*: no '$wanted' among: ${COMPREPLY[*]}"
		failed=1
	fi
}

for command in $(./fieldgate --help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p'); do
	completes "$command" ./fieldgate "${command:0:2}"
	completes --help ./fieldgate "$command" --h
done
completes --version ./fieldgate --
completes --config ./fieldgate run --c
completes --log-level ./fieldgate run --
completes warning ./fieldgate run --log-level w
completes warning ./fieldgate log-level w
completes "$here/conf/demo.conf" ./fieldgate status -s "$here/conf/dem"
completes "$here/conf/demo.conf" ./fieldgate check -c "$here/conf/dem"
[ $failed -ne 0 ] || echo "as the program has them"
exit $failed
