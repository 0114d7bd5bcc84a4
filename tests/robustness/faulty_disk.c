/*
 * Preloaded, makes the disk of some files fail or dawdle: what is forced to it, written to it or
 * cut off, on those whose paths begin with FAULTY_DISK_FILES, and on their folder. What is to
 * happen is read from the file FAULTY_DISK_CONTROL, which whoever tests changes as it goes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WRITE, SYNC, TRUNCATE, KINDS };

/* As faulty_disk.py lays it out. */
struct control {
    int64_t counts[KINDS];
    int64_t kind;      /* which kind fails; KINDS for none */
    int64_t first;     /* the first that fails, counted from 1 */
    int64_t last;      /* and the last */
    int64_t error;     /* what it fails with; KILLED and TORN end the process */
    int64_t failed;    /* how many did */
    int64_t delay_us;  /* how long each sync takes longer */
};

#define KILLED -1
#define TORN -2

static struct control *control;
static char files[PATH_MAX];

static int is_set_up(void)
{
    if (control)
        return 1;
    const char *path = getenv("FAULTY_DISK_CONTROL"), *prefix = getenv("FAULTY_DISK_FILES");
    if (!path || !prefix)
        return 0;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return 0;
    void *shared = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (shared == MAP_FAILED)
        return 0;
    snprintf(files, sizeof files, "%s", prefix);
    control = shared;
    return 1;
}

static int is_watched(int file)
{
    char link[64], path[PATH_MAX];
    if (!is_set_up())
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    if (!strncmp(path, files, strlen(files)))
        return 1;
    const char *slash = strrchr(files, '/');
    return slash && slash - files == length && !strncmp(path, files, (size_t)length);
}

/* Return what this one fails with, 0 if it does not. */
static int64_t fault(int kind)
{
    int64_t number = __atomic_add_fetch(&control->counts[kind], 1, __ATOMIC_SEQ_CST);
    if (control->kind != kind || number < control->first || number > control->last)
        return 0;
    __atomic_add_fetch(&control->failed, 1, __ATOMIC_SEQ_CST);
    return control->error;
}

static int fails(int64_t error)
{
    if (error < 0)
        kill(getpid(), SIGKILL);
    errno = (int)error;
    return -1;
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

#define WRITES(name, parameters, whole, half) \
    ssize_t name parameters \
    { \
        REAL(name); \
        int64_t error = is_watched(file) ? fault(WRITE) : 0; \
        if (!error) \
            return whole; \
        if (error == TORN && half < 0) \
            errno = EIO; \
        return fails(error); \
    }

WRITES(write, (int file, const void *from, size_t size), real(file, from, size),
       real(file, from, size / 2))
WRITES(pwrite, (int file, const void *from, size_t size, off_t at), real(file, from, size, at),
       real(file, from, size / 2, at))
WRITES(pwrite64, (int file, const void *from, size_t size, off64_t at), real(file, from, size, at),
       real(file, from, size / 2, at))

#define SYNCS(name) \
    int name(int file) \
    { \
        REAL(name); \
        if (!is_watched(file)) \
            return real(file); \
        int64_t error = fault(SYNC), delay_us = control->delay_us; \
        if (error) \
            return fails(error); \
        struct timespec delay = {delay_us / 1000000, delay_us % 1000000 * 1000}; \
        nanosleep(&delay, NULL); \
        return real(file); \
    }

SYNCS(fsync)
SYNCS(fdatasync)

#define TRUNCATES(name, offset) \
    int name(int file, offset size) \
    { \
        REAL(name); \
        int64_t error = is_watched(file) ? fault(TRUNCATE) : 0; \
        return error ? fails(error) : real(file, size); \
    }

TRUNCATES(ftruncate, off_t)
TRUNCATES(ftruncate64, off64_t)
