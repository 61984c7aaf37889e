// A clock for tests: shifts the wall clock and the boot-time clock that a program reads. Preloaded
// (LD_PRELOAD); NETMON_TEST_CLOCK names a file of lines `FROM WALL BOOT`. From the real time FROM
// (nanoseconds since 1970) on, the clocks are ahead by WALL and BOOT nanoseconds. Lines may be appended
// while programs run, some time before they apply. The monotonic clock stays unchanged.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define STEPS 1024
#define SECOND 1000000000LL
#define LOOK (SECOND / 20)

static struct { int64_t from, wall, boot; } steps[STEPS];
static atomic_int count;
static atomic_llong looked;
static atomic_flag busy = ATOMIC_FLAG_INIT;
static int (*real_gettime)(clockid_t, struct timespec *);

static int64_t real(clockid_t clock)
{
	struct timespec time = { 0 };

	if (!real_gettime)
		real_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	real_gettime(clock, &time);
	return time.tv_sec * SECOND + time.tv_nsec;
}

static void look(void)
{
	static char text[1 << 16];
	int64_t now = real(CLOCK_MONOTONIC);
	const char *path = getenv("NETMON_TEST_CLOCK");
	char *at = text, *end;
	int file, n = 0;
	ssize_t len;

	if (!path || now - atomic_load(&looked) < LOOK || atomic_flag_test_and_set(&busy))
		return;
	file = open(path, O_RDONLY | O_CLOEXEC);
	len = file < 0 ? 0 : read(file, text, sizeof text - 1);
	if (file >= 0)
		close(file);
	text[len < 0 ? 0 : len] = 0;
	while (n < STEPS) {
		int64_t from = strtoll(at, &end, 10);
		if (end == at)
			break;
		at = end;
		if (n >= atomic_load(&count)) {
			steps[n].from = from;
			steps[n].wall = strtoll(at, &at, 10);
			steps[n].boot = strtoll(at, &at, 10);
			atomic_store(&count, n + 1);
		} else {
			strtoll(at, &at, 10);
			strtoll(at, &at, 10);
		}
		n++;
	}
	atomic_store(&looked, now);
	atomic_flag_clear(&busy);
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
	int64_t shift = 0, now = real(clock);
	int n;

	if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_BOOTTIME) {
		look();
		// Choose the line by the real time of this reading, so that consecutive readings of both clocks
		// agree.
		int64_t moment = real(CLOCK_REALTIME);
		now = clock == CLOCK_REALTIME ? moment : real(clock);
		for (n = 0; n < atomic_load(&count) && steps[n].from <= moment; n++)
			shift = clock == CLOCK_BOOTTIME ? steps[n].boot : steps[n].wall;
	}
	now += shift;
	if (now < 0)
		now = 0;
	time->tv_sec = now / SECOND;
	time->tv_nsec = now % SECOND;
	return 0;
}

int gettimeofday(struct timeval *time, void *zone)
{
	struct timespec now;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &now);
	time->tv_sec = now.tv_sec;
	time->tv_usec = now.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *out)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (out)
		*out = now.tv_sec;
	return now.tv_sec;
}
