#include "copy/throttle.h"

#define NS_PER_S UINT64_C(1000000000)

__extension__ typedef __int128 wide;

/* Time that does not make a whole byte stays to be accounted for. */
static void earn(struct throttle *throttle, uint64_t now_ns)
{
    uint64_t rate = throttle->bytes_per_s, most = rate / 10;
    wide earned = (wide)rate * (now_ns - throttle->at_ns) / NS_PER_S;

    if (throttle->balance + earned >= most) {
        throttle->balance = (int64_t)most;
        throttle->at_ns = now_ns;
    } else {
        throttle->balance += (int64_t)earned;
        throttle->at_ns += (uint64_t)((earned * NS_PER_S + rate - 1) / rate);
    }
}

uint64_t throttle_next_ns(struct throttle *throttle, uint64_t bytes_per_s, uint64_t now_ns)
{
    wide wait_ns;

    if (bytes_per_s == THROTTLE_NONE) {
        *throttle = (struct throttle){.bytes_per_s = THROTTLE_NONE};
        return now_ns;
    }
    if (throttle->bytes_per_s == THROTTLE_NONE || throttle->bytes_per_s == 0)
        throttle->at_ns = now_ns;
    else
        earn(throttle, now_ns);
    throttle->bytes_per_s = bytes_per_s;
    if (throttle->balance >= 0)
        return now_ns;
    wait_ns = (-(wide)throttle->balance * NS_PER_S + bytes_per_s - 1) / bytes_per_s;
    if (wait_ns > INT64_MAX)
        wait_ns = INT64_MAX;
    return throttle->at_ns + (uint64_t)wait_ns;
}

void throttle_spend(struct throttle *throttle, uint64_t n_bytes)
{
    if (throttle->bytes_per_s == THROTTLE_NONE)
        return;
    if (__builtin_sub_overflow(throttle->balance, n_bytes, &throttle->balance))
        throttle->balance = INT64_MIN;
}
