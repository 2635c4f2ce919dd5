/*
 * Named crash points: in a build with -Dfaults=true, FERRYFS_CRASH=NAME or NAME:N kills the daemon
 * and all its children with SIGKILL at the N-th passage (1 by default) of the point, as a power cut
 * would end them. FERRYFS_CRASH_PID names the daemon, which sets it when it starts. In every other
 * build CRASH_POINT is nothing.
 */
#pragma once

#ifdef FERRYFS_FAULTS
#define CRASH_POINT(name) crash_point(name)
#else
#define CRASH_POINT(name) ((void)0)
#endif

/* Die here if the environment says so. Any thread, any process. */
void crash_point(const char *name);
