#include "copy/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "copy/base/child.h"
#include "copy/base/cleanup.h"

#define NOBODY 65534

#ifdef FERRYFS_FAULTS
#define CHANGES_USER false
#else
#define CHANGES_USER true
#endif

#if defined(FERRYFS_FAULTS) || defined(FERRYFS_SANITIZED)
#define FILTERS_CALLS false
#else
#define FILTERS_CALLS true
#endif

/* Rights over files by the landlock ABI that brought them; a kernel refuses bits it does not know.
 * Debian 12's header ends with the second. */
static const uint64_t landlock_rights[] = {
    [1] = (UINT64_C(1) << 13) - 1, /* everything from EXECUTE to MAKE_SYM */
    [2] = UINT64_C(1) << 13,       /* REFER */
    [3] = UINT64_C(1) << 14,       /* TRUNCATE */
    [4] = 0,                       /* network */
    [5] = UINT64_C(1) << 15,       /* IOCTL_DEV */
};

static int deny_files(void)
{
    struct landlock_ruleset_attr attr = {0};
    OWNED(fd) int rules = -1;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi < 1)
        return errno == ENOSYS || errno == EOPNOTSUPP ? 0 : -errno;
    for (long i = 1; i <= abi && i < (long)ARRAY_N(landlock_rights); i++)
        attr.handled_access_fs |= landlock_rights[i];
    rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
    if (rules < 0 || syscall(SYS_landlock_restrict_self, rules, 0) < 0)
        return -errno;
    return 0;
}

/* In a container 65534 may be no user, or nobody may change: then the rest of the walls must do. */
static bool is_user_namespace_limit(int error)
{
    return error == EINVAL || error == EPERM;
}

static int become_nobody(void)
{
    if (!CHANGES_USER || geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) < 0 && !is_user_namespace_limit(errno))
        return -errno;
    if (setresgid(NOBODY, NOBODY, NOBODY) < 0 && !is_user_namespace_limit(errno))
        return -errno;
    if (setresuid(NOBODY, NOBODY, NOBODY) < 0 && !is_user_namespace_limit(errno))
        return -errno;
    return 0;
}

static const int allowed_calls[] = {
    /* the copy */
    SCMP_SYS(pread64),
    SCMP_SYS(pwrite64),
    SCMP_SYS(lseek),
    SCMP_SYS(_llseek),
    SCMP_SYS(fallocate),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fsync),
    SCMP_SYS(fadvise64),
    SCMP_SYS(fadvise64_64),
    451, /* cachestat(2), which libseccomp 2.5 and Debian 12's headers do not know */
    SCMP_SYS(fstat),
    SCMP_SYS(fstat64),
    SCMP_SYS(io_uring_enter), /* of a ring that only reads and writes (queue_uring.c) */
    SCMP_SYS(close),
    /* the socket, the log, the end of a job */
    SCMP_SYS(recvmsg),
    SCMP_SYS(sendmsg),
    SCMP_SYS(sendto),
    SCMP_SYS(recvfrom),
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(ppoll_time64),
    SCMP_SYS(read),
    SCMP_SYS(write),
    /* threads and time */
    SCMP_SYS(futex),
    SCMP_SYS(futex_time64),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(sigreturn),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sched_getaffinity),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_gettime64),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    /* memory */
    SCMP_SYS(mmap),
    SCMP_SYS(mmap2),
    SCMP_SYS(munmap),
    SCMP_SYS(mprotect),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(brk),
    SCMP_SYS(getrandom),
    SCMP_SYS(prlimit64),
    /* abort(3) */
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    SCMP_SYS(tgkill),
};

/* Nothing good asks for these. */
static const int deadly_calls[] = {
    SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork),  SCMP_SYS(vfork),
    SCMP_SYS(ptrace), SCMP_SYS(kill),     SCMP_SYS(mount), SCMP_SYS(process_vm_writev),
};

static int add_calls(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = seccomp_rule_add(filter, action, calls[i], 0);

        if (r < 0 && r != -EDOM) /* a call that this architecture does not have */
            return r;
    }
    return 0;
}

/* Calls that are allowed for one use. clone3 hides its flags, so libc is told to take clone. */
static int add_narrow_calls(scmp_filter_ctx filter)
{
    int r;

    r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
                         SCMP_A1(SCMP_CMP_EQ, F_GETLEASE));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                             SCMP_A1(SCMP_CMP_EQ, FICLONERANGE));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                             SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                             SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (r == 0)
        r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return r;
}

static int filter_calls(void)
{
    scmp_filter_ctx filter;
    int r;

    if (!FILTERS_CALLS)
        return 0;
    filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!filter)
        return -ENOMEM;
    r = add_calls(filter, SCMP_ACT_ALLOW, allowed_calls, ARRAY_N(allowed_calls));
    if (r == 0)
        r = add_calls(filter, SCMP_ACT_KILL_PROCESS, deadly_calls, ARRAY_N(deadly_calls));
    if (r == 0)
        r = add_narrow_calls(filter);
    if (r == 0)
        r = seccomp_load(filter);
    seccomp_release(filter);
    return r;
}

static int drop_all(pid_t parent)
{
    const struct rlimit no_core = {0, 0};
    int r;

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
        return -errno;
    r = deny_files();
    if (r == 0)
        r = become_nobody();
    if (r < 0)
        return r;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        return -errno;
    r = child_die_with(parent);
    return r < 0 ? r : filter_calls();
}

int sandbox_enter(struct err *e)
{
    /* Until the user changes, the parent's death is ours (child.h): so it is the right one still.
     */
    int r = drop_all(getppid());

    return r < 0 ? err_set(e, -r, "cannot give up privileges: %s", strerror(-r)) : 0;
}
