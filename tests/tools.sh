# tools.sh: what the scripts of the tests have in common. To be sourced, in any folder.
# shellcheck shell=bash
dir=$(mktemp -d) # for what a script writes
trap 'rm -rf "$dir"' EXIT
shown='' # the file that a verdict shows if it is given none
passed=0 failed=0

verdict() { # STATUS NAME FILE...: passes if STATUS is 0; or else shows how the files begin and end
  if [ "$1" = 0 ]; then
    passed=$((passed + 1))
    return
  fi
  failed=$((failed + 1))
  echo "FAILED: $2"
  shift 2
  [ $# != 0 ] || set -- ${shown:+"$shown"}
  [ $# = 0 ] || awk '{ line[NR] = $0 } END { for (i = 1; i <= NR; i++) if (i <= 10 || i > NR - 10) print line[i] }' "$@" |
    head -c 3000
}

silent() { # NAME: passes if nothing is in the file that would be shown
  [ ! -s "$shown" ]
  verdict $? "$1"
}

# A page of documentation: its blocks of a language up to those in text are a program, which prints the first of these.
example() { # LANGUAGE PAGE
  awk -v tag="\`\`\`$1" '/^```/ {if (seen && $0 == "```text") exit; on = $0 == tag; seen = seen || on; next} on' "$2"
}
example_output() { # LANGUAGE PAGE
  awk -v tag="\`\`\`$1" '/^```/ {if (on) exit; seen = seen || $0 == tag; on = seen && $0 == "```text"; next} on' "$2"
}

finish() { # the last command of a script
  echo "$passed passed, $failed failed"
  [ $failed = 0 ]
}
