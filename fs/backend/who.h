/*
 * Who is in the way, in words for a message. Best effort: what cannot be found out is told in
 * general words. They read /proc and /sys, and may take as long as there are processes.
 */
#pragma once

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

#define WHO_BYTES 96

/* "process 123 (qemu)" */
void who_process(pid_t pid, char out[WHO_BYTES]);

/* Who holds a flock(2) on the file. */
void who_locks(const struct stat *st, char out[WHO_BYTES]);

/* Who can write to the file: a process with such a descriptor, or a loop device.
 * Returns 1 where somebody was found, else 0 and general words. */
int who_writes(const struct stat *st, char out[WHO_BYTES]);
/* The same of who has it open at all. */
int who_opens(const struct stat *st, char out[WHO_BYTES]);
