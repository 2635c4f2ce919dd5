#!/bin/bash
# tests/invariants tells of every way in which a world can be broken, and of none in a sound one.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
serve_checker
volume ssd db1 2M sparse
volume ssd db2 1M dense
ln -s /etc/shadow "$POOLS/hdd/link"
echo foreign >"$POOLS/hdd/.foreign"
mkdir "$POOLS/hdd/folder"
echo inner >"$POOLS/hdd/folder/inner"
echo marker >"$POOLS/hdd/.ferryfs-pool"
record_world
cp -a "$POOLS" "$WORLD/sound"

says_check() { invariants check "$MANIFEST" "${POOL_ARGS[@]}" "$@"; }

# SENTENCE PATTERN COMMAND [OPTION...]: after the command, run in the pools, the checker says such a line
finds() {
    local sentence=$1 pattern=$2 command=$3 said
    shift 3
    proves "$sentence"
    (cd "$POOLS" && eval "$command") || wrong "cannot break the world"
    said=$(says_check "$@")
    eq "$?" 1 "exit status"
    # shellcheck disable=SC2053
    [[ $said == $pattern ]] || wrong "it says \"$said\""
    for host in ssd hdd; do
        rm -rf "${POOLS:?}/$host"/{*,.[!.]*}
        cp -a "$WORLD/sound/$host/." "$POOLS/$host"
    done
    says "" says_check
}

proves "a sound world is sound, and still when a volume has moved with all that it has"
says "" says_check
cp -a --sparse=always "$POOLS/ssd/db1" "$POOLS/hdd/db1"
rm "$POOLS/ssd/db1"
says "" says_check
mv "$POOLS/hdd/db1" "$WORLD/db1"
cp -a "$WORLD/db1" "$POOLS/ssd/db1"

finds "a volume that is gone" "I1 db1: found on \[\]*" 'rm ssd/db1'
finds "a volume that is at two places" "I1 db1: found on \['ssd', 'hdd'\]*" 'cp -a ssd/db1 hdd/db1'
finds "one bit that differs" "I7 db1 on ssd: sum is *" \
    'printf "\001" | dd of=ssd/db1 bs=1 seek=1999999 conv=notrunc status=none; touch -r hdd/../../sound/ssd/db1 ssd/db1'
finds "a volume that is shorter" "*I5 db1 on ssd: size is 1048576*" 'truncate -s 1M ssd/db1'
finds "another mode" "I5 db1 on ssd: mode is *" 'chmod 0644 ssd/db1'
finds "another owner" "I5 db1 on ssd: *uid is 1*" 'chown 1 ssd/db1'
finds "another time" "I5 db1 on ssd: mtime_ns is *" 'touch ssd/db1'
finds "an xattr too many" "I5 db1 on ssd: xattrs is *" 'setfattr -n user.ferryfs.copy -v x ssd/db1'
finds "a hidden copy that is left over" "I4 hdd: '.ferryfs-1.copy' is left over" 'touch hdd/.ferryfs-1.copy'
finds "a file that nobody knows" "I4 hdd: 'core' was not there before" 'touch hdd/core'
finds "a foreign file that is gone" "I4 hdd: the foreign file '.foreign' is gone" 'rm hdd/.foreign'
finds "a foreign file with other bytes" "I4 hdd: the foreign file '.foreign' was touched: *" 'echo other >hdd/.foreign'
finds "a symlink that leads elsewhere" "I4 hdd: the foreign file 'link' was touched: target *" 'ln -sf /etc/passwd hdd/link'
finds "a file in a foreign folder" "I4 hdd: the foreign file 'folder' was touched: holds *" 'rm hdd/folder/inner'
finds "dead: a volume of which no pool has all bytes" "I1 db1: no pool has all of its bytes*" \
    'cp ssd/db1 hdd/.ferryfs-1.copy; truncate -s 1M ssd/db1' --dead

proves "dead: copies beside the one that is whole are allowed"
cp -a "$POOLS/ssd/db1" "$POOLS/hdd/db1"
truncate -s 1M "$POOLS/hdd/db1"
touch "$POOLS/hdd/.ferryfs-1.copy"
says "" says_check --dead
rm "$POOLS/hdd/db1" "$POOLS/hdd/.ferryfs-1.copy"

# A mount as plain files would show it: sizes are true there
tree() {
    local name=$1 host=$2 V=$MNT/$1
    mkdir -p "$V/migrate"
    python3 -c 'import uuid; print(uuid.uuid4())' >"$V/uuid"
    stat -c %s "$POOLS/$host/$name" >"$V/size"
    echo 4096 >"$V/allocated"
    echo "$host" >"$V/host"
    echo "$POOLS/$host/$name" >"$V/path"
    echo available >"$V/status"
    echo null >"$V/previous_status"
    echo "$host" >"$V/migrate/target"
    for file in status progress eta rate message error; do echo null >"$V/migrate/$file"; done
    echo idle >"$V/migrate/phase"
    echo 0 >"$V/migrate/abort"
    echo "job 1" >"$V/migrate/stat"
}
service() {
    local host=$1
    mkdir -p "$MNT/.control/hosts/$host"
    echo ok >"$MNT/.control/health"
    for file in jobs history hidden; do echo null >"$MNT/.control/$file"; done
    echo up >"$MNT/.control/hosts/$host/state"
    echo "$2" >"$MNT/.control/hosts/$host/volumes"
    for file in reserved jobs; do echo 0 >"$MNT/.control/hosts/$host/$file"; done
}
build() {
    rm -rf "${MNT:?}"/{*,.[!.]*}
    tree db1 ssd
    tree db2 ssd
    service ssd 2
    service hdd 0
    python3 -c '
import json, sys
with open(sys.argv[1], "r+") as f:
    manifest = json.load(f)
    manifest["uuids"] = {}
    f.seek(0); f.truncate()
    json.dump(manifest, f)' "$MANIFEST"
}
# The world is no FUSE mount: its blocks are the one thing that is never right
shows() {
    local sentence=$1 pattern=$2 command=$3 said
    proves "$sentence"
    build
    eq "$(says_check --mount "$MNT" | grep -v 'df would show')" "" "before"
    (cd "$MNT" && eval "$command") || wrong "cannot break the tree"
    said=$(says_check --mount "$MNT" | grep -v 'df would show')
    # shellcheck disable=SC2053
    [[ $said == $pattern ]] || wrong "it says \"$said\""
}
shows "a volume that is not listed" "I2 db1 is not listed*" 'rm -r db1'
shows "something listed that is no volume" "I2 'x' is listed*" 'mkdir x'
shows "a host that is not where the file is" "I1 db1: host is 'hdd'*" 'echo hdd >db1/host'
shows "a hidden copy that is listed, or found" "*I2 *db2/migrate: .ferryfs-1.copy can be found there*" \
    'touch "$POOLS/hdd/.ferryfs-1.copy"; echo null >db2/migrate/.ferryfs-1.copy'
rm "$POOLS/hdd/.ferryfs-1.copy"
shows "another uuid" "I5 db1: its uuid is*" 'cp db2/uuid db1/uuid'
shows "a status that is no word" "tree db1/status: 'fine' is none of*" 'echo fine >db1/status'
shows "a volume that migrates without a job" "I7 db1/status: 'migrating'*" 'echo migrating >db1/status'
shows "a former status at rest" "I7 db1/previous_status: *" 'echo available >db1/previous_status'
shows "a target that differs at rest" "I7 db1/migrate/target: 'hdd'*" 'echo hdd >db1/migrate/target'
shows "a hidden copy without a job" "I4 hidden copies although*" 'echo "a b c d 1 e" >.control/hidden'
shows "progress of 100 without success" "tree db1/migrate/progress: 100*" 'echo 100 >db1/migrate/progress'
shows "an empty file" "tree db1/status: does not hold a value*" ': >db1/migrate/error; mv db1/migrate/error db1/status; echo null >db1/migrate/error'
shows "a value without a newline" "tree db1/migrate/eta: does not hold*" 'printf null >db1/migrate/eta'
shows "two lines where one belongs" "tree db1/migrate/message: is not one line*" 'printf "a\nb\n" >db1/migrate/message'
shows "a stat line that is not numeric" "tree db1/migrate/stat: not a key and a number*" 'echo "job null" >db1/migrate/stat'
shows "health that is no word" "I9 health is 'fine'*" 'echo fine >.control/health'
shows "a listed file that blocks" "*lists a file that blocks*" 'echo null >db1/migrate/wait'
shows "space still reserved" "I7 hdd: reserved is 5*" 'echo 5 >.control/hosts/hdd/reserved'
shows "hosts whose volumes do not add up" "I1 hdd: volumes is*" 'echo 5 >.control/hosts/hdd/volumes'
rm -rf "${MNT:?}"/{*,.[!.]*}
finish
