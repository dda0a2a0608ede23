/* In place of a C library's <time.h>. */
struct timespec { long tv_sec; long tv_nsec; };
struct timeval { long tv_sec; long tv_usec; };
struct itimerspec { struct timespec it_interval, it_value; };
struct itimerval { struct timeval it_interval, it_value; };
