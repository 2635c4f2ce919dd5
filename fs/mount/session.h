/*
 * The connection to the kernel: mounting, the INIT handshake, and the threads that serve.
 */
#pragma once

#include "copy/base/err.h"
#include "fs/mount/mount.h"

/* Mount at mount->path as the configuration has it, and answer INIT. 0 or a negative errno; then
 * nothing is mounted. */
int session_open(struct mount *mount, const struct mount_config *config, struct err *e);
/* Start mount->n_threads threads. 0 or a negative errno. */
int session_serve(struct mount *mount);
bool session_is_alive(struct mount *mount); /* mount_is_alive */
/* Stop and join them. */
void session_stop(struct mount *mount);
/* Let go of the connection: whoever still waits for an answer gets ECONNABORTED. */
void session_close(struct mount *mount);
