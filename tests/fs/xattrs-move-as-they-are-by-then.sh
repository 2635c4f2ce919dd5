#!/bin/bash
# The xattrs of a volume are copied before its copy gets its name, while there is a way back; what became of them until
# the old copy goes is not lost either.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd ext4 64M
volume ssd db1 1M dense
S=$POOLS/ssd/db1 D=$POOLS/hdd/db1 V=$MNT/db1
CAPABILITY=0x0100000200200000000000000000000000000000 # cap_net_raw+ep
setfattr -n user.gone -v x "$S"
setfattr -n security.capability -v $CAPABILITY "$S"
xattrs() { getfattr -d -m '^user\.|^security\.capability$' -e hex --absolute-names "$1" | sed '/^#/d' | sort; }
record_world

# CALL,at=N VALUE: the job waits in that call of the agent, and the xattrs become others
changed_during() {
    fault "call=$1,program=pool-agent,from,do=hold,under=$POOLS/hdd"
    start_ferryfs
    says ok op write "$V/migrate/target" hdd
    held
    setfattr -n user.note -v "$2" "$S"
    setfattr -n user.new -v "$2" "$S"
    setfattr -x user.gone "$S"
    wanted=$(xattrs "$S")
}

arrived() {
    eq "$(result db1)" success
    eq "$(xattrs "$D")" "$wanted"
    like "$wanted" "*security.capability=$CAPABILITY*"
    record_world
}

proves "what is set, changed and removed while the copy gets its name is so at the destination; file capabilities too"
changed_during renameat2 "while it is published"
ctl release
arrived
migrate db1 ssd
stop_ferryfs

proves "and where that job was killed, after the copy has got its name"
setfattr -n user.gone -v x "$S"
changed_during fsync,at=4 "before a kill" # two are of the reservation, then the copy's, then its name's
holds test -e "$D"
kill_ferryfs
no_fault
start_ferryfs
arrived
migrate db1 ssd
stop_ferryfs

proves "what the destination does not take then keeps the old copy there, and is told, until it is taken away"
setfattr -n user.gone -v x "$S"
changed_during renameat2 "small"
setfattr -n user.much -v "$(printf '%20000s' x)" "$S"
ctl release
told() { [[ $(<"$MNT/.control/health") == *db1*user.much* ]]; }
holds until_true told
eq "$(<"$V/host")" hdd
holds test -e "$S"
setfattr -x user.much "$S"
arrived
fails told
finish
