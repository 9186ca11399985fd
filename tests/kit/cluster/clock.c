/* Loaded before the C library: the time of day of one process is a file's number of seconds ahead of the machine's. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Mapped, so that a running process sees the clock being set. Two threads that come first map it twice, which harms nobody. */
static volatile int64_t *seconds_ahead(void) {
    static volatile int64_t *mapped;
    if (!mapped) {
        const char *path = getenv("FINGERPOST_TEST_CLOCK");
        int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (file < 0)
            return 0;
        void *found = mmap(0, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
        close(file);
        if (found == MAP_FAILED)
            return 0;
        mapped = found;
    }
    return mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = (int)syscall(SYS_clock_gettime, clock, now);
    volatile int64_t *ahead = result == 0 && clock == CLOCK_REALTIME ? seconds_ahead() : 0;
    if (ahead)
        now->tv_sec += *ahead;
    return result;
}
