#!/bin/bash
# KILLS times SIGKILL at a random moment while 8 volumes move to and fro between three hosts, with aborts, pauses and
# evacuations, and with old sources that are kept, restored and dropped: no byte is lost, no volume is stuck, no copy is
# left over, every status comes back. SEED makes it the same again, as far as time allows.
. "$(dirname "$0")/../fs/lib.sh"
KILLS=${KILLS:-60}
SEED=${SEED:-$EPOCHSECONDS}
RANDOM=$SEED
# shellcheck disable=SC2034 # they are used by ../fs/lib.sh
KEEP=1 REST=settled
pool ssd tmpfs
pool hdd ext4 1G
pool nas xfs 1G
HOSTS=(ssd hdd nas)
for i in 1 2 3 4; do
    volume "${HOSTS[i % 3]}" "sparse$i" $((i * 48))M sparse
    volume "${HOSTS[i % 3]}" "dense$i" $((i * 16))M dense
done

random_request() {
    local volume=${VOLUMES[RANDOM % ${#VOLUMES[@]}]}
    case $((RANDOM % 32)) in
    0 | 1 | 2) op write "$MNT/$volume/migrate/abort" 1 ;;
    3 | 4) op write "$MNT/$volume/migrate/pause" $((RANDOM % 2)) ;;
    5) op write "$MNT/.control/pause" $((RANDOM % 2)) ;;
    6) op write "$MNT/.control/hosts/${HOSTS[RANDOM % 3]}/evacuate" auto ;;
    7) op write "$MNT/.control/hosts/${HOSTS[RANDOM % 3]}/evacuate" 0 ;;
    8 | 9 | 10) op write "$MNT/$volume/migrate/keep" $((RANDOM % 2 * 3600)) ;;
    11 | 12 | 13) op write "$MNT/$volume/migrate/retained" restore ;;
    14) op write "$MNT/$volume/migrate/retained" drop ;;
    *) op write "$MNT/$volume/migrate/target" "${HOSTS[RANDOM % 3]}" ;;
    esac
}

for_ms() {
    local end=$((${EPOCHREALTIME/./} + $1 * 1000))
    while ((${EPOCHREALTIME/./} < end)); do tick; done
}

one_life() {
    local n=$((RANDOM % 12))
    begin_ferryfs
    # sometimes it dies before it answers
    if ((RANDOM % 5)); then
        holds until_true answers
        op write "$MNT/.control/max_jobs" $((1 + RANDOM % 4)) >/dev/null
        for ((k = 0; k < n; k++)); do random_request >/dev/null; done
    fi
    for_ms $((RANDOM % 150))
    kill_ferryfs
}

# All is well once the jobs that are left have ended
all_well() {
    start_ferryfs
    for name in "${HOSTS[@]}"; do says ok op write "$MNT/.control/hosts/$name/evacuate" 0; done
    for name in "${VOLUMES[@]}"; do result "$name" >/dev/null; done
    until_true settled || wrong "stuck: $(value .control/jobs) $(value .control/hidden)"
    check_world --mount "$MNT"
    stop_ferryfs
}

proves "$KILLS kills at random moments (SEED=$SEED) lose nothing, leave nothing stuck and nothing over"
for ((kill = 1; kill <= KILLS && SENTENCE_OK; kill++)); do
    one_life
    ((kill % 5)) || check_world --dead
    ((kill % 20)) || all_well
    [[ -t 2 || ${PROGRESS-} ]] && printf '\r%d of %d kills, %d jobs ended ' "$kill" "$KILLS" \
        "$(grep -c 'ended: ' "$LOG")" >&2
done
start_ferryfs
for name in "${VOLUMES[@]}"; do result "$name" >/dev/null; done
echo "# $(grep -c 'accepted: ' "$LOG") jobs accepted, $(grep -c 'ended: success' "$LOG") succeeded, $(grep -c 'ended: aborted' "$LOG") aborted, $(grep -c 'ended: error' "$LOG") in error, $(grep -c ': resumed at' "$LOG") resumed"
holds test "$(grep -c 'ended: success' "$LOG")" -gt 0
finish
