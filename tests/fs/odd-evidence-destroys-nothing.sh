#!/bin/bash
# What fits no record, or cannot be seen for a moment, costs no byte, no uuid and nobody's turn.
# shellcheck disable=SC2034 # CRASH is used by lib.sh
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
pool third tmpfs
volume ssd db1 4M dense
volume ssd db2 1M dense
chmod 0640 "$POOLS/ssd/db1"
chown 1234:1235 "$POOLS/ssd/db1"
record_world
V=$MNT/db1
uuid() { cat "$MNT/$1/uuid"; }

# Begin a migration that the daemon does not survive
killed_at() {
    CRASH=$1
    start_ferryfs
    op write "$V/migrate/target" hdd >"$WORLD/said" 2>&1
    holds until_true gone
    wait "$DAEMON"
    DAEMON='' CRASH=''
    until_true no_family || kill_family
}

proves "an old copy that cannot be opened for a moment is adopted before it goes: owner and mode are kept"
if [[ -n $("$FERRYFS" --list-crash-points 2>/dev/null) ]]; then
    killed_at entered-cleaning
    fault "call=openat,at=1,do=EIO,program=pool-agent,under=$POOLS/ssd/db1"
    start_ferryfs
    eq "$(result db1)" success
    eq "$(stat -c '%a %u %g' "$POOLS/hdd/db1")" "640 1234 1235"
    migrate db1 ssd
    stop_ferryfs
    no_fault

    proves "an old copy that is replaced before it was adopted: the volume moves, and its owner is told what is lost"
    cp -p "$POOLS/ssd/db1" "$WORLD/db1"
    killed_at entered-cleaning
    echo "a human's" >"$WORLD/other" && mv "$WORLD/other" "$POOLS/ssd/db1"
    start_ferryfs
    eq "$(result db1)" success
    like "$(<"$MNT/.control/health")" "*db1*owner, mode and xattrs*set them on hdd*"
    eq "$(<"$POOLS/ssd/db1")" "a human's"
    holds cmp "$WORLD/db1" "$POOLS/hdd/db1"
    rm "$POOLS/ssd/db1"
    cp -p --attributes-only "$WORLD/db1" "$POOLS/hdd/db1"
    setfattr -x user.ferryfs.copy "$POOLS/hdd/db1"
    put 1 "$MNT/.control/rescan"
    holds until_true is .control/health ok
    migrate db1 ssd
    stop_ferryfs

    proves "nothing is told of a volume that was adopted before its old copy went"
    killed_at finishing-cleaning
    start_ferryfs
    eq "$(result db1)" success
    holds until_true is .control/health ok
    migrate db1 ssd
    stop_ferryfs
else
    SENTENCE=''
fi

proves "a second hard link hides a volume, which keeps its uuid"
start_ferryfs
first=$(uuid db1)
ln "$POOLS/ssd/db1" "$POOLS/ssd/second"
put 1 "$MNT/.control/rescan"
unlisted() { ! lists db1; }
holds until_true unlisted
rm "$POOLS/ssd/second"
put 1 "$MNT/.control/rescan"
holds until_true lists db1
eq "$(uuid db1)" "$first"
stop_ferryfs

proves "a queued volume that is deleted ends its job, and others get their turn"
printf gone >"$POOLS/ssd/short"
hold_copies
start_ferryfs
holds until_true lists short
says ok op write "$MNT/.control/max_jobs" 1
says ok op write "$V/migrate/target" hdd
held
says ok op write "$MNT/short/migrate/target" hdd
says ok op write "$MNT/db2/migrate/target" hdd
rm "$POOLS/ssd/short"
ctl release
eq "$(result db1)" success
eq "$(result db2)" success
holds until_true is .control/jobs null
holds until_true test ! -e "$MNT/short"
stop_ferryfs
no_fault
start_ferryfs
migrate db1 ssd
migrate db2 ssd
stop_ferryfs

proves "a volume that is replaced while it moves: the job waits for a human, whose abort ends it and keeps both bodies"
printf 'the first of them' >"$POOLS/ssd/doc"
hold_copies
start_ferryfs
holds until_true lists doc
says ok op write "$MNT/doc/migrate/target" hdd
held
printf 'the second' >"$WORLD/doc" && cp "$WORLD/doc" "$POOLS/ssd/.doc" && mv "$POOLS/ssd/.doc" "$POOLS/ssd/doc"
ctl release
in_error() { is doc/status error; }
holds until_true in_error
like "$(<"$MNT/.control/health")" "*doc*ESTALE*"
migrate db2 hdd
migrate db2 ssd
says ok op write "$MNT/doc/migrate/abort" 1
holds until_true is .control/jobs null
eq "$(<"$POOLS/ssd/doc")" "the second"
like "$(<"$MNT/.control/hidden")" "* destination doc hdd 17 *"
eq "$(cat "$POOLS"/hdd/.ferryfs-*.copy)" "the first of them"
holds until_true lists doc
stop_ferryfs
rm "$POOLS/ssd/doc" "$POOLS"/hdd/.ferryfs-*.copy
rm -rf "$STATE"
no_fault

proves "a job whose host is not configured waits, beside a stranger of that name elsewhere"
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
kill_ferryfs
no_fault
echo stranger >"$POOLS/third/db1"
ALL_HOSTS=("${HOST_ARGS[@]}")
HOST_ARGS=(--host "ssd=$POOLS/ssd" --host "third=$POOLS/third")
begin_ferryfs
holds until_true answers
like "$(<"$MNT/.control/health")" "*db1*hdd, which is not configured*"
eq "$(<"$V/host")" ssd
stop_ferryfs
rm "$POOLS/third/db1"
HOST_ARGS=("${ALL_HOSTS[@]}")
start_ferryfs
eq "$(result db1)" success
migrate db1 ssd
stop_ferryfs

proves "an old copy that still has its name is never taken for a volume"
fault "call=renameat2,program=pool-agent,armed,from,do=EIO,under=$POOLS/ssd"
start_ferryfs
first=$(uuid db1)
ctl arm
says ok op write "$V/migrate/target" hdd
eq "$(result db1)" success
like "$(<"$MNT/.control/hidden")" "* delete-pending db1 ssd *"
ctl disarm
stop_ferryfs
HOST_ARGS=(--host "ssd=$POOLS/ssd")
begin_ferryfs
holds until_true answers
put 1 "$MNT/.control/rescan"
eq "$(<"$V/host")" hdd
eq "$(uuid db1)" "$first"
stop_ferryfs
no_fault
HOST_ARGS=("${ALL_HOSTS[@]}")
start_ferryfs
eq "$(uuid db1)" "$first"
holds until_true is .control/hidden null
migrate db1 ssd

proves "no worker runs on a host that is lost"
stop_ferryfs
rm -rf "$STATE"
hold_copies
start_ferryfs
says ok op write "$V/migrate/target" hdd
held
marker=$POOLS/hdd/.ferryfs-pool
mv "$marker" "$WORLD/marker"
holds until_true is .control/hosts/hdd/state down
ctl release
no_worker() { ! pgrep -f copy-worker >"$WORLD/workers"; }
holds until_true no_worker
eq "$(<"$V/status")" migrating
mv "$WORLD/marker" "$marker"
eq "$(result db1)" success
migrate db1 ssd
finish
