/*
 * fallocate(2) of everything in the process goes to do_fallocate(), which who includes this defines
 * before. Whatever the size of off_t is called there, it is one of two names.
 */
#pragma once

#include <sys/types.h>

int my_fallocate(int fd, int mode, off_t offset, off_t n) __asm__("fallocate");
int my_fallocate(int fd, int mode, off_t offset, off_t n)
{
    return do_fallocate(fd, mode, offset, n);
}

int my_fallocate64(int fd, int mode, off_t offset, off_t n) __asm__("fallocate64");
int my_fallocate64(int fd, int mode, off_t offset, off_t n)
{
    return do_fallocate(fd, mode, offset, n);
}
