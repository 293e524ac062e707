#!/bin/sh
# The version stands in configure.ac; the first entries of debian/changelog and NEWS are of it.
set -u
here=${srcdir:-.}
failed=0
version=$(sed -n 's/^AC_INIT(\[fieldgate\], \[\([^]]*\)\].*/\1/p' "$here/configure.ac")
[ -n "$version" ] || { echo "no version in configure.ac"; exit 99; }

same() { # WHERE WHAT
	[ "$2" = "$version" ] || { echo "$1 is of '$2', configure.ac of '$version'"; failed=1; }
}

same debian/changelog "$(sed -n '1s/^fieldgate (\([^)]*\)).*/\1/p' "$here/debian/changelog")"
same NEWS "$(sed -n '1s/^Fieldgate \(.*\)$/\1/p' "$here/NEWS")"
same "fieldgate --version" "$(./fieldgate --version | sed -n 's/^fieldgate //p')"
exit $failed
