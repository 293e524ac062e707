#!/bin/sh
# The program as it is shipped: hardened, and linked with nothing but what docs/libraries.md lists.
set -u
here=${srcdir:-.}
program=${1:-./fieldgate}
failed=0
command -v readelf >/dev/null || { echo "skipped: no readelf"; exit 77; }
[ "${SANITIZERS:-no}" = no ] || { echo "skipped: sanitizers and hardening do not go together"; exit 77; }

wrong() {
	echo "$program: $*"
	failed=1
}

header=$(LC_ALL=C readelf -hW "$program")
dynamic=$(LC_ALL=C readelf -dW "$program")
segments=$(LC_ALL=C readelf -lW "$program")
symbols=$(LC_ALL=C readelf --dyn-syms -W "$program")

has() { # TEXT PATTERN WHAT
	echo "$1" | grep -qE "$2" || wrong "$3"
}

has "$header" 'Type: +DYN' "is not position independent (-fPIE -pie)"
has "$segments" 'GNU_RELRO' "has no read-only relocations (-z relro)"
has "$dynamic" 'BIND_NOW|FLAGS.*NOW' "binds lazily (-z now)"
has "$segments" 'GNU_STACK.* RW ' "has an executable stack"
has "$symbols" '__stack_chk_fail' "has no stack protector"
has "$symbols" '__[a-z]*printf_chk|__memcpy_chk|__read_chk' "has no fortified calls (-D_FORTIFY_SOURCE)"
if echo "$dynamic" | grep -qE 'RPATH|RUNPATH|TEXTREL'; then
	wrong "has an RPATH, RUNPATH or TEXTREL"
fi

# With 64 bits of time on a 32-bit machine these have other names: the plain one takes another struct than we give it.
if echo "$header" | grep -q 'Class: *ELF32'; then
	if echo "$symbols" | grep -E ' (ppoll|p?select|nanosleep|clock_[a-z]+|gettimeofday|time|sem_timedwait|pthread_cond_timedwait)@'; then
		wrong "calls functions of 32-bit time"
	fi
fi

for library in $(echo "$dynamic" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
	case $library in
	ld-linux*) continue ;;
	esac
	grep -q "^|.*${library}[ ,]" "$here/docs/libraries.md" || wrong "needs $library, which docs/libraries.md does not list"
done
exit $failed
