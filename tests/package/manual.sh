#!/bin/sh
# fieldgate(8) has every command of the program and every option of each, and no others.
set -u
here=${srcdir:-.}
page=$here/man/fieldgate.8
failed=0
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT

commands=$(./fieldgate --help | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p')
for command in $commands; do
	# Its part of the synopsis, and what is said of it.
	awk -v command="$command" '/^\.Sh DESCRIPTION/ {exit} /^\.Nm/ {mine = 0} /^\.Cm / {mine = $2 == command} mine' "$page" >"$folder/synopsis"
	awk -v command="$command" '/^\.(It Cm|Ss|Sh) / {mine = $2 == "Cm" && $3 == command} mine' "$page" >"$folder/about"
	for part in synopsis about; do
		[ -s "$folder/$part" ] || { echo "fieldgate(8): no $part of $command"; failed=1; }
	done
	./fieldgate "$command" --help | sed -nE 's/^ .*--([a-z][a-z-]*).*/\1/p' | grep -vx help >"$folder/options"
	while read -r option; do
		grep -qE -- "-${option}( |\$)" "$folder/about" "$folder/synopsis" || [ "$option" = socket ] || [ "$option" = config ] ||
			{ echo "fieldgate(8): $command has no --$option"; failed=1; }
	done <"$folder/options"
	grep -hoE '(Fl|\|) -[a-z][a-z-]+' "$folder/synopsis" | sed 's/.* -//' | while read -r option; do
		grep -qx -- "$option" "$folder/options" || echo "fieldgate(8): $command --$option is not known to the program"
	done >"$folder/unknown"
	[ ! -s "$folder/unknown" ] || { cat "$folder/unknown"; failed=1; }
done
awk '/^\.Sh SYNOPSIS/ {on = 1} /^\.Sh DESCRIPTION/ {exit} on && /^\.Cm / {print $2}' "$page" | while read -r command; do
	echo "$commands" | grep -qx -- "$command" || echo "fieldgate(8): there is no command $command"
done >"$folder/unknown"
[ ! -s "$folder/unknown" ] || { cat "$folder/unknown"; failed=1; }
[ $failed -ne 0 ] || echo "as the program has them"
exit $failed
