#!/bin/bash
# --progress on a terminal is one line that is drawn again and again; elsewhere it is lines.
# shellcheck source=tests/copy/lib.sh
. "$(dirname "$0")/lib.sh"

volume source 8M dense 1

# The lines as they stood on the terminal, in order, each drawing one
frames() { tr '\r' '\n' <drawn | sed $'s/\e\\[K//g' | grep .; }
widest() { frames | awk '{ if (length > n) n = length } END { print n }'; }

proves "a bar grows, with bytes, rate and time to go"
on_terminal 100 "$FERRYCOPY" --progress --speed=4M source copy
eq $? 0
holds grep -qE '^ *[0-9.]+% \[#+ +\]  [0-9.]+ MiB of 8\.0 MiB (copied|verified)  [0-9.]+ [KM]iB/s  ETA [0-9]+:[0-9]{2}$' <(frames)
eq "$(frames | grep -oE '^ *[0-9.]+%' | sort -n | uniq)" "$(frames | grep -oE '^ *[0-9.]+%' | uniq)" "it went back"
under 100 "$(widest)"
proves "at the end a summary stands there alone"
like "$(frames | tail -n 1)" "8.0 MiB in [0-9].[0-9] s, [0-9.]* MiB/s: 8.0 MiB written, verified"

proves "a narrow terminal is not overrun"
on_terminal 40 "$FERRYCOPY" --progress --speed=8M --force source copy
eq $? 0
under 40 "$(frames | grep -v ' in ' | awk '{ if (length > n) n = length } END { print n }')"
fails grep -q '\[#' <(frames)

proves "a message has a line of its own"
on_terminal 80 "$FERRYCOPY" --progress source copy
eq $? 3
eq "$(frames | tail -n 1)" "ferrycopy: copy exists and holds 8.0 MiB; --force overwrites it"

proves "without --progress nothing is drawn"
on_terminal 80 "$FERRYCOPY" --force source copy
eq $? 0
eq "$(<drawn)" ''

proves "a pipe has no end to be measured against, and is shown too"
cat >piped <<END
cat source | "$FERRYCOPY" --progress --speed=8M --force - copy
END
on_terminal 80 sh piped
eq $? 0
holds grep -qE 'copied  [0-9.]+ [KM]iB/s$' <(frames)

proves "no terminal: no bar, a summary at the end"
rm copy
exits 0 --progress source copy
eq "$OUT" ''
like "$ERR" "8.0 MiB in [0-9].[0-9] s, *: 8.0 MiB written, verified"
exits 0 --progress --compare source copy
like "$ERR" "8.0 MiB in [0-9].[0-9] s, *iB/s"
finish
