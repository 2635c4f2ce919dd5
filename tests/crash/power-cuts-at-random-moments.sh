#!/bin/bash
# CUTS times the power goes, of the machine and of the disk that holds catalogue and pools, at a random moment while volumes
# move to and fro: what was not flushed is lost. What a user was told stays true, though: a job that was accepted is there,
# a volume that has moved is where it moved to; no byte is lost, nothing is stuck and nothing is left over.
. "$(dirname "$0")/../fs/lib.sh"
# shellcheck source=tests/power.sh
. "$HERE/../power.sh"
CUTS=${CUTS:-8}
SEED=${SEED:-$EPOCHSECONDS}
RANDOM=$SEED
# shellcheck disable=SC2034 # they are used by ../fs/lib.sh
KEEP=1 REST=settled
new_disk 512M
POOLS=$DISK STATE=$DISK/state
mkdir -m 0755 "$DISK/ssd" "$DISK/hdd"
host ssd
host hdd
volume ssd sparse 48M sparse
volume ssd dense 24M dense
volume hdd small 1M dense
sync -f "$DISK"

for_ms() {
    local end=$((${EPOCHREALTIME/./} + $1 * 1000))
    while ((${EPOCHREALTIME/./} < end)); do tick; done
}
elsewhere() { if is "$1/host" ssd; then echo hdd; else echo ssd; fi; }

declare -A JOB=() PLACE=() # of a volume: the last job that was accepted; where it is known to be

# Requests, until the power goes; what they were told is remembered
one_life() {
    local name host moment=$((${EPOCHREALTIME/./} + RANDOM % 400 * 1000))
    local -A to=()
    while ((${EPOCHREALTIME/./} < moment)); do
        name=${VOLUMES[RANDOM % ${#VOLUMES[@]}]}
        if [[ -n ${to[$name]-} ]]; then
            if is "$name/migrate/status" success; then PLACE[$name]=${to[$name]} && unset "to[$name]"; fi
            ((RANDOM % 8)) || op write "$MNT/$name/migrate/abort" 1
        else
            host=$(elsewhere "$name")
            op write "$MNT/$name/migrate/keep" $((RANDOM % 2 * 3600))
            if op write "$MNT/$name/migrate/target" "$host"; then
                to[$name]=$host JOB[$name]=$(number "$name" job)
                unset "PLACE[$name]"
            fi
        fi
    done >/dev/null
}

lights_out() {
    power_off kill_ferryfs
    power_on
}

proves "such a disk forgets what was not flushed, and nothing else"
record_world
echo unflushed >"$DISK/unflushed"
head -c 1M /dev/urandom >>"$DISK/unflushed"
power_off
power_on
fails test -s "$DISK/unflushed"
rm -f "$DISK/unflushed"
check_world --dead

proves "$CUTS cuts at random moments (SEED=$SEED) lose nothing that anybody was told, leave nothing stuck and nothing over"
start_ferryfs
for ((cut = 1; cut <= CUTS && SENTENCE_OK; cut++)); do
    one_life
    lights_out
    check_world --dead
    start_ferryfs
    for name in "${VOLUMES[@]}"; do
        [[ -z ${JOB[$name]-} ]] || eq "$(number "$name" job)" "${JOB[$name]}" "the job of $name"
        [[ -z ${PLACE[$name]-} ]] || eq "$(value "$name/host")" "${PLACE[$name]}" "the place of $name"
        result "$name" >/dev/null
    done
    until_true settled || wrong "stuck: $(value .control/jobs) $(value .control/hidden)"
    check_world --mount "$MNT"
    [[ -t 2 || ${PROGRESS-} ]] && printf '\r%d of %d cuts ' "$cut" "$CUTS" >&2
done
echo "# $(grep -c 'accepted: ' "$LOG") jobs accepted, $(grep -c 'ended: success' "$LOG") succeeded, $(grep -c 'ended: aborted' "$LOG") aborted, $(grep -c 'ended: error' "$LOG") in error, $(grep -c ': resumed at' "$LOG") resumed"
holds test "$(grep -c 'ended: success' "$LOG")" -gt 0
finish
