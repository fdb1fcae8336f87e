# SPDX-License-Identifier: BSD-2-Clause
# Completion of umbractl's command line, for bash.
_umbractl() {
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local commands="check log report stat status top try" all="--json --help" i command="" options

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-*) ;;
		*)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done
	case $command in
	"") options="$commands $all --version" ;;
	log) options="$all --follow" ;;
	report) options="$all --time --delay" ;;
	stat) options="$all --output" ;;
	top) options="$all --count --delay" ;;
	try) options="$all --cancel --confirm" ;;
	*) options=$all ;;
	esac
	COMPREPLY=()
	case $command$before in
	*--time | *--delay | *--count | report-[td] | top-[nd]) return ;;
	stat--output | stat-o) ;;
	*) mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word") ;;
	esac
	# A file to write, or a command to run.
	case $command in
	report) [[ $word == -* ]] || mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	stat)
		case $before in
		--output | -o) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
		*) [[ $word == -* ]] || mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
		esac
		;;
	esac
}
complete -F _umbractl umbractl
