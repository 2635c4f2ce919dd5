/*
 * What of a volume's grains of 4 KiB is data: prints how many are not all zero, and how many are
 * zero and take space all the same, as the file system tells it.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define GRAIN_BYTES 4096

int main(int argc, char **argv)
{
    static const unsigned char zeroes[GRAIN_BYTES];
    uint64_t n_data = 0, n_wasted = 0;
    off_t at = 0;
    int fd;

    if (argc != 2) {
        fprintf(stderr, "usage: grains FILE\n");
        return 2;
    }
    fd = open(argv[1], O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(argv[1]);
        return 1;
    }
    while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
        unsigned char grain[GRAIN_BYTES];
        ssize_t n;

        at -= at % GRAIN_BYTES;
        n = pread(fd, grain, sizeof(grain), at);
        if (n <= 0)
            break;
        if (memcmp(grain, zeroes, (size_t)n) == 0)
            n_wasted++;
        else
            n_data++;
        at += n;
    }
    printf("%ju %ju\n", (uintmax_t)n_data, (uintmax_t)n_wasted);
    return 0;
}
