# Completion of fieldgate's command line in bash. What there is to complete the program is asked for itself, so that nothing
# here has to be kept in step with it.

_fieldgate() {
	local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} program=${COMP_WORDS[0]} words
	COMPREPLY=()

	case $previous in
	-c | --config | -s | --socket)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	--log-level | log-level)
		words="error warning notice info debug"
		[ "$previous" = --log-level ] || words="$words --socket --help"
		;;
	*)
		if [ "$COMP_CWORD" -eq 1 ]; then
			# commands stand alone at the beginning of a line, two blanks in
			words="$("$program" --help 2>/dev/null | sed -n 's/^  \([a-z][a-z-]*\) .*/\1/p') --help --version"
		else
			words=$("$program" "${COMP_WORDS[1]}" --help 2>/dev/null | sed -n 's/^ .*\(--[a-z][a-z-]*\).*/\1/p')
		fi
		;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _fieldgate fieldgate
