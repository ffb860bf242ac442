/* Sets the wall clock of one process: cc -shared -fPIC -o set_clock.so set_clock.c, loaded with LD_PRELOAD.
   The file named by KINEMA_WALL contains the offset in seconds. Clocks that cannot be set do not change. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t ahead(void) {
    const char *path = getenv("KINEMA_WALL");
    char text[32] = {0};
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0) return 0;
    ssize_t got = read(file, text, sizeof text - 1);
    close(file);
    return got > 0 ? atol(text) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    long failed = syscall(SYS_clock_gettime, clock, at);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += ahead();
    return (int)failed;
}

int gettimeofday(struct timeval *at, void *zone) {
    long failed = syscall(SYS_gettimeofday, at, zone);
    if (!failed) at->tv_sec += ahead();
    return (int)failed;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
