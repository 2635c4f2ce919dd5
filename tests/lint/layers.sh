#!/bin/sh
# Includes point one way (STYLE.md), and a library is known only where it belongs.
set -eu
cd "$(dirname "$0")/../.."

find copy fs -name '*.[ch]' | sort | xargs awk '
BEGIN {
    # From the bottom up; a folder may include itself and whatever stands before it.
    n = split("copy/base copy/endpoint copy copy/cli fs/catalog fs/view fs/backend fs/host " \
              "fs/live fs/migrate fs/attr fs/mount fs", order)
    for (i = 1; i <= n; i++)
        height[order[i]] = i

    # A header of a library, and the folders whose files may include it.
    allow("^tdb", "fs/catalog")
    allow("^fuse|^cuse", "fs/mount")
    allow("^uuid/", "fs/.*")
    allow("^ini\\.h", "fs")
    allow("^seccomp|^liburing|^libnbd", "copy|copy/endpoint")
    allow("^xxhash", "copy|copy/endpoint|fs/migrate")
}

function allow(header, folders)
{
    where[header] = "^(" folders ")$"
}

function folder(path)
{
    sub("/[^/]*$", "", path)
    return path
}

function found(what)
{
    print FILENAME ":" FNR ": " what
    failed = 1
}

FNR == 1 && !(folder(FILENAME) in height) {
    found("a folder that no layer knows: add it to tests/lint/layers.sh and STYLE.md")
}

/^[ \t]*#[ \t]*include[ \t]*"/ {
    split($0, part, "\"")
    to = folder(part[2])
    if (!(to in height))
        found("\"" part[2] "\" is not written from the root, or of no layer")
    else if (height[to] > height[folder(FILENAME)])
        found(folder(FILENAME) " must not know " to)
    else if (to == "copy/cli" && folder(FILENAME) != to)
        found("copy/cli is a program: nobody else knows it")
}

/^[ \t]*#[ \t]*include[ \t]*</ {
    split($0, part, "[<>]")
    for (header in where)
        if (part[2] ~ header && folder(FILENAME) !~ where[header])
            found("<" part[2] "> has no place in " folder(FILENAME))
}

END {
    exit failed
}'
