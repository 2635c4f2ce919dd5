/* The command line and the configuration: what they set, and in which words they are refused. */
#include "fs/options.h"

#include <sys/mman.h>
#include <unistd.h>

#include "copy/base/cleanup.h"
#include "copy/base/io.h"
#include "fs/migrate/option.h"
#include "tests/unit/check.h"

#define ARGS_MAX 10
#define A10      "aaaaaaaaaa"
#define A60      A10 A10 A10 A10 A10 A10
#define A180     A60 A60 A60

/* As main does it; options are to be deinited whatever comes of it. */
static int parse(struct options *options, struct err *e, const char *const *args)
{
    char *argv[ARGS_MAX + 2] = {(char[]){"ferryfs"}};
    int argc = 1, r;

    *e = (struct err){0};
    for (; args[argc - 1]; argc++)
        argv[argc] = strdup(args[argc - 1]);
    options_init(options);
    r = options_parse(options, argc, argv, e);
    for (int i = 1; i < argc; i++) /* in whatever order getopt_long left them */
        free(argv[i]);
    return r;
}

/* As -c wants it: "/proc/self/fd/N" of a file without a name, until the fd is closed. */
static int configuration(const char *bytes, size_t n, char path[32])
{
    int fd = memfd_create("configuration", MFD_CLOEXEC);

    REQUIRE(fd >= 0 && io_pwrite(fd, bytes, n, 0) == 0);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

#define ARGS(...)                                                                                  \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const struct {
    const char *args[ARGS_MAX];
    int r;
    const char *says; /* "": nothing; NULL: getopt_long says it */
} lines[] = {
    {ARGS("--host", "a=/x"), 0, ""},
    {ARGS("--host=a=/x", "--host=b=y", "-f", "/mnt"), 0, ""},
    {ARGS("--host", "a=/x=y"), 0, ""},
    {ARGS("--host", A60 "4444=/x"), 0, ""},
    {ARGS("--help"), 0, ""},
    {ARGS("--version", "--list-files"), 0, ""},
    {ARGS("--max-jobs", "1000", "--max-queue", "1", "--grace", "0", "--host", "a=/x"), 0, ""},
    {ARGS("--state", "/s///", "--group", "root", "--host", "a=/x"), 0, ""},

    {ARGS(NULL), -EINVAL, "no host is given: --host NAME=PATH, or -c FILE"},
    {ARGS("--check-config"), -EINVAL, "no host is given: --host NAME=PATH, or -c FILE"},
    {ARGS("--no-such-option"), -EINVAL, NULL},
    {ARGS("--max_jobs", "2"), -EINVAL, NULL},
    {ARGS("--host"), -EINVAL, NULL},
    {ARGS("--help=yes"), -EINVAL, NULL},
    {ARGS("--host", "a"), -EINVAL, "--host takes NAME=PATH, not 'a'"},
    {ARGS("--host", "a="), -EINVAL, "an empty path"},
    {ARGS("--host", "=/x"), -EINVAL, "'' is no host's name: letters, digits and ._- , at most 64"},
    {ARGS("--host", "a b=/x"), -EINVAL,
     "'a b' is no host's name: letters, digits and ._- , at most 64"},
    {ARGS("--host", "../x=/x"), -EINVAL,
     "'../x' is no host's name: letters, digits and ._- , at most 64"},
    {ARGS("--host", A60 "55555=/x"), -EINVAL,
     "'" A60 "55555' is no host's name: letters, digits and ._- , at most 64"},
    {ARGS("--host", "auto=/x"), -EINVAL,
     "no host can be called auto: that word has a meaning of its own"},
    {ARGS("--host", "null=/x"), -EINVAL,
     "no host can be called null: that word has a meaning of its own"},
    {ARGS("--host", "a=/x", "--host", "a=/y"), -EINVAL, "host a is given twice"},
    {ARGS("--set", "a:speed=1M", "--host", "a=/x", "--set=a:drain=1"), 0, ""},
    {ARGS("--set", "a:path=/x", "--set", "a:driver=dir"), 0, ""},
    {ARGS("--host", "a=/x", "--set", "b:speed=1M"), -EBADMSG, "host b has no path"},
    {ARGS("--host", "a=/x", "--set", "a:path=/y"), -EINVAL, "host a has a path already"},
    {ARGS("--host", "a=/x", "--set", "a.speed=1M"), -EINVAL,
     "--set takes HOST:KEY=VALUE, not 'a.speed=1M'"},
    {ARGS("--host", "a=/x", "--set", "a:speed"), -EINVAL,
     "--set takes HOST:KEY=VALUE, not 'a:speed'"},
    {ARGS("--host", "a=/x", "--set", ":speed=1M"), -EINVAL,
     "'' is no host's name: letters, digits and ._- , at most 64"},
    {ARGS("--host", "a=/x", "--set", "a:sped=1M"), -EINVAL,
     "there is no key sped; there are path, driver, max_jobs, speed, drain"},
    {ARGS("--host", "a=/x", "--set", "a:drain=2"), -EINVAL, "drain is 0 or 1"},
    {ARGS("--host", "a=/x", "/mnt", "/mnt"), -EINVAL, "one mount point, not 2"},
    {ARGS("--host", "a=/x", ""), -EINVAL, "an empty path"},
    {ARGS("--host", "a=/x", "--state", ""), -EINVAL, "an empty path"},
    {ARGS("--group", ""), -EINVAL, "there is no group "},
    {ARGS("--group", "no such group"), -EINVAL, "there is no group no such group"},
    {ARGS("--max-jobs", "0"), -EINVAL, "max_jobs is a number from 1 to 1000"},
    {ARGS("--max-jobs", "1001"), -EINVAL, "max_jobs is a number from 1 to 1000"},
    {ARGS("--max-jobs", "-1"), -EINVAL, "max_jobs is a number from 1 to 1000"},
    {ARGS("--max-jobs", "0x2"), -EINVAL, "max_jobs is a number from 1 to 1000"},
    {ARGS("--max-jobs", " 2"), -EINVAL, "max_jobs is a number from 1 to 1000"},
    {ARGS("--max-jobs", "2K"), -EINVAL, "max_jobs is a number from 1 to 1000"},
    {ARGS("--max-jobs", ""), -EINVAL, "max_jobs is a number from 1 to 1000"},
    {ARGS("--max-jobs", "18446744073709551617"), -EINVAL, "max_jobs is a number from 1 to 1000"},
    {ARGS("--grace", "86401"), -EINVAL, "grace is a number from 0 to 86400"},
    {ARGS("-c", "/nosuch/file"), -EBADMSG,
     "/nosuch/file: cannot be read: No such file or directory"},
    {ARGS("-c", "/proc/self"), -EBADMSG, "/proc/self:1: cannot be read: Is a directory"},
    {ARGS("-c", "/dev/zero"), -EBADMSG, "/dev/zero:1: there is a NUL in it"},
    {ARGS("-c", "/dev/null"), -EBADMSG, "the configuration has no [host NAME]"},
};

TEST(a_command_line_is_taken_or_refused_in_words)
{
    REQUIRE(freopen("/dev/null", "w", stderr)); /* what getopt_long says */
    for (size_t i = 0; i < ARRAY_N(lines); i++) {
        struct options options;
        struct err e;

        CHECK_EQ(parse(&options, &e, lines[i].args), lines[i].r);
        CHECK_STR(e.text, lines[i].says ? lines[i].says : "");
        if (check_failures) {
            printf("# %s %s\n", lines[i].args[0] ? lines[i].args[0] : "",
                   lines[i].args[1] ? lines[i].args[1] : "");
            i = ARRAY_N(lines);
        }
        options_deinit(&options);
    }
}

#define H         "[host a]\npath = /x\n"
#define W10       " 1 2 3 4 5 6 7 8 9 0"
#define INI(text) text, sizeof(text) - 1

static const struct {
    const char *text;
    size_t n;
    const char *says; /* after the file's name; "": it is right */
} files[] = {
    {INI(H), ""},
    {INI("\xef\xbb\xbf" H), ""},
    {INI("[host a]\r\npath = /x\r\n"), ""},
    {INI("[host a]\npath:/x"), ""},
    {INI("; a comment\n# another\n\n" H "; " A180 "\n"), ""},
    {INI("[host a] ; first\n\tmax_jobs = 3\n    path = /x ; the path\n"), ""},
    {INI(H "[host b]\npath = /y\n[host a]\nmax_jobs = 3\n"), ""},
    {INI("[host " A60 "]\npath = /x\n"), ""},
    {INI("[host a]\npath = /" A180 A10 "\n"), ""},

    {INI(""), "the configuration has no [host NAME]"},
    {INI("[ferryfs]\nmax_jobs = 2\n"), "the configuration has no [host NAME]"},
    {INI(H "[host b]\nmax_jobs = 2\n"), "host b has no path"},
    {INI("path = /x\n"), ":1: path stands in no [section]"},
    {INI("[]\npath = /x\n"), ":1: there is no section []"},
    {INI("[Host a]\npath = /x\n"), ":1: there is no section [Host a]"},
    {INI("\n[host a\npath = /x\n"), ":2: a section has no ] at its end"},
    {INI("[host ]\n"), ":1: '' is no host's name: letters, digits and ._- , at most 64"},
    {INI("[host auto]\n"), ":1: no host can be called auto: that word has a meaning of its own"},
    {INI("[host " A60 "55555]\n"),
     ":1: '" A60 "55555' is no host's name: letters, digits and ._- , at most 64"},
    {INI("[" A180 "]\n"), ":1: there is no section [" A60 A10 A10 "]"},
    {INI(H "path\n"), ":3: neither a [section] nor key = value"},
    {INI(H "   path = /y\n"), ":3: host a has a path already"},
    {INI(H "[host a]\npath = /y\n"), ":4: host a has a path already"},
    {INI(H "wat = 1\n"), ":3: there is no key wat; there are path, driver, max_jobs, speed, drain"},
    {INI(H "= 1\n"), ":3: there is no key ; there are path, driver, max_jobs, speed, drain"},
    {INI(H A180 " = 1\n"),
     ":3: there is no key " A10 A10 A10 A10 "; there are path, driver, max_jobs, speed, drain"},
    {INI(H "driver = lvm\n"), ":3: there is no driver lvm"},
    {INI(H "max_jobs = two\n"), ":3: max_jobs is a number from 1 to 1000"},
    {INI(H "speed = 0\n"), ":3: speed is bytes a second above 0, as 50M (K, M, G, T are powers of "
                           "1024), or max"},
    {INI(H "drain = yes\n"), ":3: drain is 0 or 1"},
    {INI(H "max_jobs = 2\n 3\n"), ":4: neither a [section] nor key = value"},
    {INI("[host a]\npath = x\n"), ":2: path must begin with /"},
    {INI("[host a]\npath =\n"), ":2: path must begin with /"},
    {INI("[ferryfs]\nstate = x\n"), ":2: state must begin with /"},
    {INI("[ferryfs]\ngroup = no such group\n"), ":2: there is no group no such group"},
    {INI("[ferryfs]\nmax-jobs = 2\n"), ":2: there is no key max-jobs; there are state, group, "
                                       "max_jobs, max_queue, speed, pause, stall, "
                                       "grace, notify, notify_user, notify_timeout"},
    {INI("[ferryfs]\nnotify = tell me\n"),
     ":2: notify begins with the path of a program, from / on"},
    {INI("[ferryfs]\nnotify = /x" W10 W10 W10 " a b\n"), ":2: notify has at most 32 words"},
    {INI("[ferryfs]\nnotify = /x" W10 W10 W10 " a\n" H), ""},
    {INI("[ferryfs]\nnotify_user = no such user\n"), ":2: there is no user no such user"},
    {INI("[ferryfs]\nnotify_timeout = 0\n"), ":2: notify_timeout is a number from 1 to 3600"},
    {INI(H "wat = 1\n[ferryfs]\nmax_jobs = x\n"), /* of two errors the first is told */
     ":3: there is no key wat; there are path, driver, max_jobs, speed, drain"},
    {INI("[host a]\npath = /x\0y\n"), ":2: there is a NUL in it"},
    {INI(H "\0wat = 1\n"), ":3: there is a NUL in it"},
    {INI("[host a]\npath = /" A180 A10 "a\n"), ":2: a line has at most 198 bytes"},
    {INI("[host a]\npath = /" A180 A10 "max_jobs = 3\n"), ":2: a line has at most 198 bytes"},
};

TEST(a_configuration_is_taken_or_refused_with_its_line)
{
    for (size_t i = 0; i < ARRAY_N(files); i++) {
        char path[32], says[300];
        OWNED(fd) int fd = configuration(files[i].text, files[i].n, path);
        const char *const args[] = {"-c", path, NULL};
        struct options options;
        struct err e;

        snprintf(says, sizeof(says), "%s%s", files[i].says[0] == ':' ? path : "", files[i].says);
        CHECK_EQ(parse(&options, &e, args), files[i].says[0] ? -EBADMSG : 0);
        CHECK_STR(e.text, says);
        if (check_failures) {
            printf("# %s\n", files[i].text);
            i = ARRAY_N(files);
        }
        options_deinit(&options);
    }
}

TEST(each_setting_has_its_place_and_the_command_line_wins)
{
    static const char text[] =
        "[ferryfs]\nstate = /s/\ngroup = root\nmax_jobs = 7\nmax_queue = 8\n"
        "grace = 9\nnotify = /bin/tell  me \t all\nnotify_user = root\nnotify_timeout = 4\nspeed = "
        "7M\npause = 1\nstall = 4\n[host a]\npath = /x\nmax_jobs = 3\n"
        "speed = 3K\ndrain = 1\n[host b]\npath=/y\ndriver = dir\n";
    char path[32];
    OWNED(fd) int fd = configuration(text, sizeof(text) - 1, path);
    const char *const args[] = {"--max-jobs=5", "--set", "a:speed=5K", "--host",
                                "b=/z/",        "-c",    path,         "--host=c=/c",
                                "-f",           "/m//",  NULL};
    struct options options;
    struct err e;

    REQUIRE(parse(&options, &e, args) == 0);
    CHECK_EQ(options.action, ACTION_RUN);
    CHECK(options.foreground);
    CHECK_STR(options.mount_point, "/m");
    CHECK_STR(options.state_dir, "/s");
    CHECK_EQ(options.group, 0);
    CHECK(options.service.state_dir == options.state_dir);
    CHECK_EQ(options.service.max_jobs, 5);
    CHECK_EQ(options.service.max_queue, 8);
    CHECK_EQ(options.service.grace_s, 9);
    CHECK_EQ(options.service.speed_bytes_per_s, 7 << 20);
    CHECK_EQ(options.service.pause, 1);
    CHECK_EQ(options.service.stall_s, 4);
    CHECK_STR(options.service.notify.words[0], "/bin/tell");
    CHECK_STR(options.service.notify.words[1], "me");
    CHECK_STR(options.service.notify.words[2], "all");
    CHECK(!options.service.notify.words[3]);
    CHECK_EQ(options.service.notify.uid, 0);
    CHECK_EQ(options.service.notify.timeout_s, 4);
    REQUIRE(options.service.n_hosts == 3 && options.service.hosts == options.hosts);
    CHECK_STR(options.hosts[0].name, "a");
    CHECK_STR(options.hosts[0].path, "/x");
    CHECK_STR(options.hosts[0].driver, "dir");
    CHECK_EQ(options.hosts[0].max_jobs, 3);
    CHECK_EQ(options.hosts[0].speed_bytes_per_s, 5120);
    CHECK(options.hosts[0].drain);
    CHECK_STR(options.hosts[1].name, "b");
    CHECK_STR(options.hosts[1].path, "/z");
    CHECK_EQ(options.hosts[1].max_jobs, max_jobs_option.preset);
    CHECK_EQ(options.hosts[1].speed_bytes_per_s, SPEED_MAX);
    CHECK(!options.hosts[1].drain);
    CHECK_STR(options.hosts[2].name, "c");
    CHECK_STR(options.hosts[2].path, "/c");
    options_deinit(&options);
}

TEST(a_relative_path_is_one_from_here_and_a_long_one_is_refused)
{
    const char *const args[] = {"--host", "a=x", "y", NULL};
    char here[PATH_MAX], wanted[PATH_MAX + 2], far[PATH_MAX + 8];
    const char *const too_far[] = {"--host", far, NULL};
    struct options options;
    struct err e;

    REQUIRE(getcwd(here, sizeof(here)));
    REQUIRE(parse(&options, &e, args) == 0);
    snprintf(wanted, sizeof(wanted), "%s/x", here);
    CHECK_STR(options.hosts[0].path, wanted);
    snprintf(wanted, sizeof(wanted), "%s/y", here);
    CHECK_STR(options.mount_point, wanted);
    options_deinit(&options);
    memset(far, 'p', sizeof(far));
    memcpy(far, "a=/", 3);
    far[sizeof(far) - 1] = '\0';
    CHECK_EQ(parse(&options, &e, too_far), -EINVAL);
    CHECK_STR(e.text, "the path is too long");
    options_deinit(&options);
}

TEST_MAIN
