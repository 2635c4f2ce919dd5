#!/bin/bash
# Nothing can be made, moved or removed in the mount, and each attempt says EPERM, as Ansible and others need.
. "$(dirname "$0")/lib.sh"
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 1M
start_ferryfs
V=$MNT/db1
before=$(find "$MNT" | sort)

proves "create, mkdir, mknod, symlink and link say EPERM everywhere"
for folder in "$MNT" "$V" "$V/migrate" "$MNT/.control" "$MNT/.control/hosts" "$MNT/.control/hosts/ssd"; do
    for call in create mkdir mknod; do says "$call EPERM" op $call "$folder/new"; done
    says "symlink EPERM" op symlink /etc/passwd "$folder/new"
    says "link EPERM" op link "$V/status" "$folder/new"
done
proves "unlink, rmdir and rename say EPERM"
for file in "$V/status" "$V/migrate/target" "$MNT/.control/health"; do
    says "unlink EPERM" op unlink "$file"
    says "rename EPERM" op rename "$file" "$V/new"
    says "rename EPERM" op rename "$file" "$V/size"
done
for folder in "$V" "$V/migrate" "$MNT/.control" "$MNT/.control/hosts/hdd"; do
    says "rmdir EPERM" op rmdir "$folder"
    says "rename EPERM" op rename "$folder" "$MNT/new"
done
proves "chmod and chown say EPERM, and again: the answer is not remembered as ENOSYS"
for round in 1 2; do
    for file in "$V/status" "$V/migrate/target" "$V"; do
        says "chmod EPERM" op chmod "$file"
        says "chown EPERM" op chown "$file"
    done
    says "mkdir EPERM" op mkdir "$MNT/new$round"
done
proves "xattrs cannot be set"
like "$(op setxattr "$V/status")" "setxattr @(EPERM|EOPNOTSUPP|ENOTSUP)"
proves "truncate and utimes of a control succeed and mean nothing, of a value they are refused"
says ok op truncate "$V/migrate/target"
says ok op utimes "$V/migrate/target"
like "$(op truncate "$V/status")" "truncate @(EACCES|EPERM)"
proves "nobody learns no more"
says "mkdir EACCES" as_nobody op mkdir "$MNT/new"
says "truncate EACCES" as_nobody op truncate "$V/migrate/target"
proves "names that are not there are ENOENT: hidden copies, the marker, dots in the wrong place"
for name in .ferryfs-pool .control/new db1/new db1/.. nosuch .ferryfs-11111111-1111-1111-1111-111111111111.copy; do
    [[ $name == db1/.. ]] || says "stat ENOENT" op stat "$MNT/$name"
done
proves "the listing is as it was, without the file that blocks"
eq "$(find "$MNT" | sort)" "$before"
eq "$(find "$MNT" -name wait)" ""
holds test -e "$V/migrate/wait"
finish
