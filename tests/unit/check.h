/*
 * TEST(what_is_true) { CHECK(...); } in one file, and TEST_MAIN at its end: a program that runs its
 * tests in their order, prints TAP and exits 1 where one failed. An argument runs the tests whose
 * name holds it.
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

static struct test *check_first, **check_last = &check_first;
static unsigned check_failures;

#define TEST(name_)                                                                                \
    static void name_(void);                                                                       \
    __attribute__((constructor)) static void name_##_register(void)                                \
    {                                                                                              \
        static struct test test = {#name_, name_, NULL};                                           \
        *check_last = &test;                                                                       \
        check_last = &test.next;                                                                   \
    }                                                                                              \
    static void name_(void)

/* A failed check is told and counted; the test goes on. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("# %s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                     \
            check_failures++;                                                                      \
        }                                                                                          \
    } while (0)

#define CHECK_EQ(got, wanted)                                                                      \
    do {                                                                                           \
        intmax_t got_ = (intmax_t)(got), wanted_ = (intmax_t)(wanted);                             \
        if (got_ != wanted_) {                                                                     \
            printf("# %s:%d: %s is %" PRIdMAX ", not %" PRIdMAX "\n", __FILE__, __LINE__, #got,    \
                   got_, wanted_);                                                                 \
            check_failures++;                                                                      \
        }                                                                                          \
    } while (0)

#define CHECK_STR(got, wanted)                                                                     \
    do {                                                                                           \
        const char *got_ = (got), *wanted_ = (wanted);                                             \
        if (!got_ || strcmp(got_, wanted_) != 0) {                                                 \
            printf("# %s:%d: %s is \"%s\", not \"%s\"\n", __FILE__, __LINE__, #got,                \
                   got_ ? got_ : "(null)", wanted_);                                               \
            check_failures++;                                                                      \
        }                                                                                          \
    } while (0)

/* For what the rest of the test cannot do without. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("Bail out! %s:%d: not true: %s\n", __FILE__, __LINE__, #condition);             \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static inline int check_main(int argc, char **argv)
{
    unsigned n = 0, n_failed = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct test *test = check_first; test; test = test->next) {
        if (argc > 1 && !strstr(test->name, argv[1]))
            continue;
        check_failures = 0;
        test->run();
        printf("%s %u - %s\n", check_failures ? "not ok" : "ok", ++n, test->name);
        n_failed += check_failures ? 1 : 0;
    }
    printf("1..%u\n", n);
    return n_failed || n == 0 ? 1 : 0;
}

#define TEST_MAIN                                                                                  \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return check_main(argc, argv);                                                             \
    }
