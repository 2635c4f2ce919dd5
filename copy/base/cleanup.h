/*
 * Ownership that a declaration says aloud: OWNED(fd) int fd = -1;
 *
 * What a variable owns is let go when it leaves its scope, unless take_fd or take_ptr handed it on.
 * errno survives the letting go. Any thread.
 */
#pragma once

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define OWNED(kind) __attribute__((cleanup(owned_##kind)))

/* Close *fd unless it is negative. Not for a descriptor that was written: look at its close(). */
static inline void owned_fd(int *fd)
{
    int saved = errno;

    if (*fd >= 0)
        close(*fd);
    errno = saved;
}

/* Free what a pointer of any type points to. */
static inline void owned_mem(void *pointer_to_pointer)
{
    int saved = errno;

    free(*(void **)pointer_to_pointer);
    errno = saved;
}

/* Hand on a descriptor: returns it and leaves -1 behind. */
static inline int take_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

/* Hand on a pointer: returns it and leaves NULL behind. */
#define take_ptr(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) taken_ = (p);                                                                \
        (p) = NULL;                                                                                \
        taken_;                                                                                    \
    })

#define ARRAY_N(a) (sizeof(a) / sizeof((a)[0]))
