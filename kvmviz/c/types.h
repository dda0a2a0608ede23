/* Types that need no declaration: of each, one layout on each ABI whatever the C library. */
typedef int pid_t, key_t, clockid_t, __kernel_pid_t, __kernel_key_t, __kernel_mqd_t,
 __kernel_timer_t, __kernel_clockid_t, __kernel_rwf_t, __kernel_daddr_t;
typedef unsigned int uint, uid_t, gid_t, socklen_t, id_t, __kernel_uid32_t, __kernel_gid32_t,
 __kernel_dev_t, __wsum, __poll_t;
typedef unsigned short u_short, ushort, sa_family_t, __kernel_sa_family_t, __kernel_uid16_t,
 __kernel_gid16_t, __sum16;
typedef long ptrdiff_t, intptr_t, __kernel_long_t, __kernel_off_t, __kernel_old_time_t,
 __kernel_clock_t, __kernel_ssize_t, __kernel_ptrdiff_t, __kernel_time_t, __kernel_suseconds_t;
typedef unsigned long u_long, ulong, __kernel_ulong_t, __kernel_size_t;
typedef long long __kernel_loff_t, __kernel_time64_t, loff_t;
typedef unsigned long long __kernel_uoff_t;
typedef char *__kernel_caddr_t, *__kernel_sighandler_t;
typedef unsigned char u_char, u_int8_t;
typedef __u16 u_int16_t;
typedef __u32 u_int32_t, u_int;
typedef __u64 u_int64_t;
typedef __be32 in_addr_t;
typedef __be16 in_port_t;
typedef __s128 __s128 __attribute__((aligned(16)));
typedef __u128 __u128 __attribute__((aligned(16)));
typedef struct { int val[2]; } __kernel_fsid_t;
struct in_addr { __be32 s_addr; };
struct in6_addr {
 union { __u8 u6_addr8[16]; __be16 u6_addr16[8]; __be32 u6_addr32[4]; } in6_u;
};
struct sockaddr { __u16 sa_family; char sa_data[14]; };
struct __kernel_sockaddr_storage {
 union { struct { __u16 ss_family; char __data[126]; }; void *__align; };
};
struct sockaddr_storage {
 union { struct { __u16 ss_family; char __data[126]; }; void *__align; };
};
struct sockaddr_in {
 __u16 sin_family; __be16 sin_port; struct in_addr sin_addr; unsigned char sin_zero[8];
};
struct sockaddr_in6 {
 __u16 sin6_family; __be16 sin6_port; __be32 sin6_flowinfo; struct in6_addr sin6_addr;
 __u32 sin6_scope_id;
};
struct __kernel_timespec { long long tv_sec; long long tv_nsec; };
struct __kernel_old_timeval { long tv_sec; long tv_usec; };
struct __kernel_old_timespec { long tv_sec; long tv_nsec; };
struct __kernel_sock_timeval { __s64 tv_sec; __s64 tv_usec; };
struct __kernel_timex_timeval { long long tv_sec; long long tv_usec; };
struct iovec { void *iov_base; size_t iov_len; };
