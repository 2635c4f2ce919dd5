#!/bin/bash
# The programs with which people wait for files, on the files of the mount.
. "$(dirname "$0")/lib.sh"
. "$HERE/systemd.sh"
needs python3 inotifywait entr incrond jq node
pool ssd tmpfs
pool hdd tmpfs
volume ssd db1 4M dense
start_ferryfs
V=$MNT/db1

# To the other host, and wait for the end in the file that blocks
move() {
    local to=hdd
    ! is db1/host hdd || to=ssd
    put "$to" "$V/migrate/target"
    result db1
}
# COMMAND...: in the background; $watcher is its pid
watch() {
    "$@" &
    watcher=$!
}
# The word is what somebody who was woken by a move reads and passes on. He may take several changes for one, or read too
# soon and miss what comes while he does: the next move gives him time
mkfifo "$WORLD/told"
exec {told}<>"$WORLD/told"
moves_and_is_told() {
    [[ $(move) == success ]] && (read -r -t 1 -u "$told" said && [[ $said == "$1" ]])
}
watches() { grep -q '^inotify wd' "/proc/$watcher/fdinfo/"* 2>/dev/null; }

proves "a shell waits with cat"
eq "$(move)" success

proves "Python's select.poll wakes with each new status, as it does in sysfs"
watch python3 -c '
import select, sys
with open(sys.argv[1]) as status:
    poll = select.poll()
    poll.register(status, select.POLLPRI)
    seen = []
    while seen[-1:] != ["success"]:
        status.seek(0)
        seen.append(status.read().strip())
        if len(seen) == 1:
            print("armed", flush=True)
            assert seen == ["success"]
            seen = [""]
        assert seen[-1] == "success" or poll.poll(20000), seen
print(*seen)
' "$V/migrate/status" >"$WORLD/python"
holds until_true grep -q armed "$WORLD/python"
eq "$(move)" success
wait "$watcher" || wrong "it was not woken"
like "$(tail -n 1 "$WORLD/python")" "*success"

proves "inotifywait"
watch inotifywait -q -t 20 -e modify "$V/status" >/dev/null
holds until_true watches
eq "$(move)" success
wait "$watcher" || wrong "it was not woken"

proves "entr runs its command"
echo "$V/migrate/status" >"$WORLD/entr-list"
entr -n -p sh -c 'cat "$1" >"$2"' - "$V/migrate/status" "$WORLD/told" <"$WORLD/entr-list" &
watcher=$!
holds until_true moves_and_is_told success
kill "$watcher"
wait "$watcher" || true

proves "incron runs its command"
# Its tables and its lock are of this test alone
mkdir "$WORLD/incron" "$WORLD/incron/"{tables,users}
cat >"$WORLD/incron/conf" <<END
system_table_dir = $WORLD/incron/tables
user_table_dir = $WORLD/incron/users
lockfile_dir = $WORLD/incron
END
cat >"$WORLD/told-by-incron" <<END
#!/bin/sh
echo "\$1 \$2" >>$WORLD/incron-said
END
chmod 755 "$WORLD/told-by-incron"
echo "$V/status IN_MODIFY $WORLD/told-by-incron \$@ \$%" >"$WORLD/incron/tables/ferryfs"
watch incrond -n -f "$WORLD/incron/conf"
watches_it() { (($(cat "/proc/$watcher/fdinfo/"* 2>/dev/null | grep -c '^inotify wd') >= 3)); } # and two of its folders
holds until_true watches_it
eq "$(move)" success
holds until_true grep -qs "^$V/status IN_MODIFY" "$WORLD/incron-said"
kill "$watcher"

proves "tail -F and jq tell of what has just happened"
tail -n +1 -F "$MNT/.control/events" 2>/dev/null | jq --unbuffered -r 'select(.event == "success") | .text' >"$WORLD/jq" &
eq "$(move)" success
job=$(number db1 job)
holds until_true grep -q "^volume db1: job $job of uid 0 ended: success: " "$WORLD/jq"
kill %%

proves "a Node program reads, and is told of a change"
watch node -e '
const fs = require("fs"), [status, events] = process.argv.slice(1);
console.log("read", fs.readFileSync(status, "utf8").trim());
fs.watch(status, () => {
    if (fs.readFileSync(status, "utf8") === "success\n") {
        const last = fs.readFileSync(events, "utf8").trim().split("\n").map(JSON.parse).filter(e => e.event === "success").pop();
        console.log("told", last.text);
        process.exit(0);
    }
});
console.log("armed");
' "$V/migrate/status" "$MNT/.control/events" >"$WORLD/node"
holds until_true grep -q armed "$WORLD/node"
eq "$(move)" success
holds until_true ended "$watcher"
kill "$watcher" 2>/dev/null
eq "$(head -n 1 "$WORLD/node")" "read success"
like "$(tail -n 1 "$WORLD/node")" "told volume db1: job * ended: success: *"

proves "a path unit of systemd starts its service"
unit told.path <<<"[Path]
PathModified=$V/status"
unit told.service <<<"[Unit]
StartLimitIntervalSec=0
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'cat $V/status >$WORLD/told'"
boot_machine
systemctl start told.path
holds until_true moves_and_is_told available
systemctl stop told.path
halt_machine
finish
