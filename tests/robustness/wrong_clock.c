/* Preloaded: a wall clock that is CLOCK_SHIFT_S ahead, and as much behind after every jump. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

typedef int (*Clock)(clockid_t, struct timespec *);

static int real(clockid_t id, struct timespec *now) {
    static Clock next;
    if (!next)
        next = (Clock)dlsym(RTLD_NEXT, "clock_gettime");
    return next(id, now);
}

static long shift_s(void) {
    const char *shift = getenv("CLOCK_SHIFT_S"), *jumps = getenv("CLOCK_JUMPS_MS");
    long by = shift ? atol(shift) : 0, every = jumps ? atol(jumps) : 0;
    struct timespec now;
    if (!every)
        return by;
    real(CLOCK_MONOTONIC, &now);
    return (now.tv_sec * 1000 + now.tv_nsec / 1000000) / every % 2 ? by : -by;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    int failed = real(id, now);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
        now->tv_sec += shift_s();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *kept) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (kept)
        *kept = precise.tv_sec;
    return precise.tv_sec;
}
