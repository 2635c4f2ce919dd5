/* What every fuzz target needs: its entry, and the promise whose breach it reports. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define PROMISE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: broken: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Any bytes; returns 0. Called over and over in one process. Source: LLVM's LibFuzzer manual. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
