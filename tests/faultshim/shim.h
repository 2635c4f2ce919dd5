/*
 * Inside the fault shim: what the interposed calls (calls.c) ask of it (faultshim.c). Any thread.
 */
#pragma once

#include <stdbool.h>

#include "shared.h"

enum action { ACTION_COUNT, ACTION_FAIL, ACTION_SHORT, ACTION_HOLD, ACTION_KILL, ACTION_KILLTREE };

/* The system call itself, past everything interposed: its result, or -1 and errno. */
long raw(long number, long a, long b, long c, long d, long e, long f);
#define RAW(number, a, b, c, d, e, f)                                                              \
    raw(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

/*
 * A call is about to be made on a descriptor, on a name, or on neither: count it, and strike it if
 * its time has come. Returns ACTION_FAIL, with errno set: do not make it; ACTION_SHORT: with half
 * of the bytes; anything else: make it. A kill does not return.
 */
enum action on_fd(enum call call, int fd);
enum action on_name(enum call call, int dir, const char *name);
enum action on_call(enum call call);

/* Does the name lie under `under`? */
bool name_is_under(int dir, const char *name);

/* Now descriptors can still be looked at. */
void about_to_be_sandboxed(void);
