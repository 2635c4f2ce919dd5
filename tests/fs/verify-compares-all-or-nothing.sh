#!/bin/bash
# `verify` is `full` or `off`, whatever the destination's filesystem: every byte is compared, or none.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool ram tmpfs
pool four ext4 256M
pool xxl xfs 320M
volume ssd db1 24M sparse
volume ssd db2 24M dense
start_ferryfs

for host in ram four xxl; do
    for name in db1 db2; do
        proves "to $host: off compares nothing of $name"
        says ok op write "$MNT/$name/migrate/verify" off
        migrate "$name" "$host"
        eq "$(number "$name" bytes_verified)" 0
        migrate "$name" ssd
        eq "$(number "$name" bytes_verified)" 0

        proves "to $host: full compares all of $name"
        says ok op write "$MNT/$name/migrate/verify" full
        migrate "$name" "$host"
        eq "$(number "$name" bytes_verified)" "$(<"$MNT/$name/size")"
        migrate "$name" ssd
        eq "$(number "$name" bytes_verified)" "$(<"$MNT/$name/size")"
    done
done
finish
