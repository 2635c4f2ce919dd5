#!/bin/bash
# Ansible moves volumes: by contrib/ansible, and by the modules that it brings along.
. "$(dirname "$0")/lib.sh"
needs ansible-playbook ansible-doc jq
pool ssd tmpfs
pool hdd tmpfs
pool small tmpfs 2M
volume ssd db1 4M dense
volume ssd db2 4M dense
start_ferryfs
CONTRIB=$HERE/../../contrib/ansible
export HOME=$WORLD ANSIBLE_LIBRARY=$CONTRIB/library ANSIBLE_NOCOLOR=1 LC_ALL=C.UTF-8
export ANSIBLE_CALLBACK_RESULT_FORMAT=json ANSIBLE_CALLBACK_FORMAT_PRETTY=false

# play TASK...: ansible-playbook takes seconds to start, so that many tasks go in one; those that fail let the next run
play() {
    printf -- '- hosts: all\n  gather_facts: false\n  ignore_errors: true\n  tasks:\n' >"$WORLD/play.yml"
    printf -- '    - %s\n' "$@" >>"$WORLD/play.yml"
    playbook "$WORLD/play.yml"
}
playbook() {
    within 60 ansible-playbook -i localhost, -c local -e ansible_python_interpreter=/usr/bin/python3 \
        -e "mount=$MNT" -v "$@" >"$WORLD/played" 2>&1
}
# ARGUMENTS [MORE]: a task of ours
ours() { printf '{ ferryfs_volume: { mount: "%s", %s }%s }' "$MNT" "$1" "${2:+, $2}"; }
# What ansible counted at the end; KEY... of what the Nth task returned, from 0 on
counted() { sed -nE "s/^localhost +:.* $1=([0-9]+).*/\1/p" "$WORLD/played"; }
returned() {
    sed -nE 's/^(ok|changed|fatal): \[localhost\].*=> (\{.*)/\2/p' "$WORLD/played" | sed -n "$(($1 + 1))p" |
        jq -r "[$(printf '.%s,' "${@:2}") empty] | map(tostring) | join(\" \")"
}
# BEFORE AFTER: what --diff shows
differs() { eq "$(grep -E '^[-+] +' "$WORLD/played" | tr -s ' ')" "- $1"$'\n'"+ $2"; }

proves "ansible-doc tells of the module"
like "$(ansible-doc ferryfs_volume)" "*FERRYFS_VOLUME*EXAMPLES:*db1 is on hdd*RETURN VALUES:*"

proves "check mode foretells the move, with the difference, and moves nothing"
holds playbook "$CONTRIB/move.yml" -e volume=db1 -e host=hdd --check --diff
eq "$(counted changed)" 1
differs '"host": "ssd"' '"host": "hdd"'
eq "$(value db1/host) $(value db1/migrate/message)" "ssd null"

proves "the playbook moves a volume, waits until it is there, and tells its numbers"
holds playbook "$CONTRIB/move.yml" -e volume=db1 -e host=hdd --diff
eq "$(counted changed) $(counted failed)" "1 0"
eq "$(value db1/host) $(value db1/migrate/status)" "hdd success"
differs '"host": "ssd"' '"host": "hdd"'
eq "$(returned 0 host status result error)" "hdd available success null"
eq "$(returned 0 message)" "$(value db1/migrate/message)"
eq "$(returned 0 stat.bytes_done stat.job)" "4194304 1"
eq "$(returned 1 msg)" "db1 is on hdd: 4194304 bytes, result success"

proves "the second time nothing has changed, and nothing moves"
holds playbook "$CONTRIB/move.yml" -e volume=db1 -e host=hdd
eq "$(counted changed) $(counted ok)" "0 2"
eq "$(number db1 job)" 1

proves "a refused move fails with the reason"
fails playbook "$CONTRIB/move.yml" -e volume=db1 -e host=small
like "$(returned 0 msg)" "cannot write small to migrate/target of db1: refused ENOSPC: small has [0-9]* bytes free, needs 4194304"
exec 7>>"$POOLS/hdd/db1"
play "$(ours 'name: db1, host: ssd')" \
    "$(ours 'name: db1, host: small' 'check_mode: true')" \
    "$(ours 'name: db1, host: nowhere' 'check_mode: true')" \
    "$(ours 'name: db3, host: ssd')" \
    "{ ferryfs_volume: { mount: $WORLD, name: db1, host: ssd } }"
exec 7>&-
like "$(returned 0 msg)" "cannot write ssd to migrate/target of db1: refused EBUSY: ?*"
proves "check mode foretells it with the reason"
like "$(returned 1 msg)" "db1 would be refused: ENOSPC: small has [0-9]* bytes free, needs 4194304"
eq "$(returned 2 msg)" "db1 would be refused: ENXIO: there is no host nowhere"
proves "no volume of that name, and no ferryfs there, are told apart"
eq "$(returned 3 msg)" "there is no volume db3 in $MNT"
eq "$(returned 4 msg)" "no ferryfs is mounted at $WORLD"
eq "$(counted ignored) $(counted changed) $(value db1/host) $(number db1 job)" "5 0 hdd 1"

copied="{ ansible.builtin.copy: { dest: $MNT/db1/migrate/target, content: \"hdd\\n\", unsafe_writes: true } }"
awaited="{ ansible.builtin.wait_for: { path: $MNT/db1/migrate/status, search_regex: ^success\$, timeout: 60 } }"
at_rest="{ ansible.builtin.wait_for: { path: $MNT/db1/status, search_regex: ^available\$, timeout: 60 } }"
play "$(ours 'name: db1, host: hdd, verify: "off"')" \
    "$(ours 'name: db1, host: hdd, verify: "off"')" \
    "$(ours 'name: db1, host: auto, verify: full')" \
    "$copied" "$awaited" "$at_rest" "$copied" "$awaited" "$at_rest" "${copied/hdd/small}"
proves "settings are written where they differ, and auto goes where it can"
eq "$(returned 0 changed) $(returned 1 changed) $(returned 2 changed host)" "true false true ssd"
eq "$(value db1/migrate/verify)" full
proves "ansible.builtin.copy moves a volume, wait_for waits for it, and a second time nothing changes"
eq "$(returned 3 changed) $(returned 4 failed) $(returned 5 failed)" "true null null"
eq "$(returned 6 changed) $(returned 7 failed) $(returned 8 failed)" "false null null"
eq "$(returned 9 failed)" null
eq "$(counted ok) $(counted ignored) $(value db1/host) $(number db1 job)" "10 1 hdd 3"

play "$(ours 'name: db1, host: ssd, speed: 50M, keep: 3600')" \
    "$(ours 'name: db1, host: ssd, speed: 50M, keep: 3600')" \
    "$(ours 'name: db1, host: ssd, speed: max, keep: 0' 'check_mode: true')" \
    "$(ours 'name: db1, host: ssd, speed: fast')" \
    "$(ours 'name: db1, host: ssd, keep: -1')"
proves "speed and keep hold for the job, and a second time nothing changes"
eq "$(returned 0 changed host) $(returned 1 changed host)" "true ssd false ssd"
eq "$(value db1/migrate/speed) $(value db1/migrate/keep)" "$((50 << 20)) 3600"
like "$(value db1/migrate/retained)" "hdd 4194304 20*"
eq "$(returned 2 changed)" true "in check mode"
proves "what they cannot be fails with the reason"
like "$(returned 3 msg)" "cannot write fast to migrate/speed of db1: refused EINVAL: speed takes ?*"
like "$(returned 4 msg)" "cannot write -1 to migrate/keep of db1: refused EINVAL: keep takes ?*"
eq "$(counted ignored) $(number db1 job)" "2 4"
put drop "$MNT/db1/migrate/retained"

stop_ferryfs
hold_copies
start_ferryfs
play "$(ours 'name: db2, host: hdd, wait: false')" \
    "$(ours 'name: db2, host: hdd, wait: false')" \
    "$(ours 'name: db2, host: hdd, timeout: 1')" \
    "$(ours 'name: db2, host: small')" \
    "$(ours 'name: db2, host: hdd, wait: false, speed: 1M')" \
    "$(ours 'name: db2, host: hdd, keep: 5')" \
    "$(ours 'name: db2, state: aborted' 'check_mode: true')" \
    "$(ours 'name: db2, state: aborted')" \
    "$(ours 'name: db2, state: aborted')" \
    "$(ours 'name: db2, host: ssd')"
proves "without wait it returns at once, and a second time it changes nothing"
eq "$(returned 0 changed host target)" "true ssd hdd"
eq "$(returned 1 changed host target)" "false ssd hdd"
proves "when the timeout is over the task fails and the job goes on"
like "$(returned 2 msg)" "db2 has not ended after 1 s: it is [a-z]*, [0-9]* %"
like "$(returned 2 result)" "@(starting|migrating)"
proves "another host meanwhile is refused with the reason"
like "$(returned 3 msg)" "*refused EALREADY: already moving to hdd*"
proves "the speed of a job changes, and what cannot change while it runs is refused with the reason"
eq "$(returned 4 changed) $(value db2/migrate/speed)" "true 1048576"
like "$(returned 5 msg)" "cannot write 5 to migrate/keep of db2: refused EBUSY: keep cannot change while a job runs"
proves "state=aborted stops the job, puts the volume back, and a second time changes nothing"
eq "$(returned 6 changed target)" "true hdd" "in check mode"
eq "$(returned 7 changed result host status)" "true aborted ssd available"
eq "$(returned 8 changed)" false
eq "$(returned 9 changed host)" "false ssd" "it is where it should be, though its last job was aborted"
eq "$(counted ignored)" 3

stop_ferryfs
fault "call=pwrite,program=copy-worker,from,do=EIO"
start_ferryfs
play "$(ours 'name: db2, host: hdd')"
proves "a job that fails meanwhile fails the task, with what went wrong"
like "$(returned 0 msg)" "db2 is on ssd, not on hdd: error: EIO copying *"
eq "$(returned 0 error)" "$(value db2/migrate/error)"
finish
