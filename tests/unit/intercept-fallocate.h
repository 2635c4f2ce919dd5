/*
 * fallocate(2) that knows some modes not. A test program that includes this defines the C library's
 * function itself, by both of its names, so that everything in the process calls this.
 */
#pragma once

#include <errno.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static struct {
    int refused;      /* modes that are not known: EOPNOTSUPP */
    unsigned n_calls; /* whatever came of them */
} fallocations;

int my_fallocate(int fd, int mode, off_t offset, off_t n) __asm__("fallocate");
int my_fallocate(int fd, int mode, off_t offset, off_t n)
{
    fallocations.n_calls++;
    if (mode & fallocations.refused) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_fallocate, fd, mode, offset, n);
}

int my_fallocate64(int fd, int mode, off_t offset, off_t n) __asm__("fallocate64");
int my_fallocate64(int fd, int mode, off_t offset, off_t n)
{
    return my_fallocate(fd, mode, offset, n);
}
