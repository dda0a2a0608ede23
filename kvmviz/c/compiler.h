/* Macros that gcc and clang have defined before they read a text, the same on every ABI. */
#define __STDC__ 1
#define __STDC_HOSTED__ 1
#define __STDC_UTF_16__ 1
#define __STDC_UTF_32__ 1
#define __GNUC_STDC_INLINE__ 1
#define __ELF__ 1
#define linux 1
#define __linux 1
#define __linux__ 1
#define __gnu_linux__ 1
#define unix 1
#define __unix 1
#define __unix__ 1
#define __STDC_VERSION__ 201112L
#define __GNUC__ 12
#define __GNUC_MINOR__ 2
#define __GNUC_PATCHLEVEL__ 0
#define __FINITE_MATH_ONLY__ 0
#define __CHAR_BIT__ 8
#define __ORDER_LITTLE_ENDIAN__ 1234
#define __ORDER_BIG_ENDIAN__ 4321
#define __ORDER_PDP_ENDIAN__ 3412
#define __PTRDIFF_TYPE__ long
#define __INTPTR_TYPE__ long
#define __SIZE_TYPE__ unsigned long
#define __UINTPTR_TYPE__ unsigned long
#define __INT8_TYPE__ signed char
#define __INT_LEAST8_TYPE__ signed char
#define __UINT8_TYPE__ unsigned char
#define __UINT_LEAST8_TYPE__ unsigned char
#define __INT16_TYPE__ signed short
#define __INT_LEAST16_TYPE__ signed short
#define __UINT16_TYPE__ unsigned short
#define __UINT_LEAST16_TYPE__ unsigned short
#define __CHAR16_TYPE__ unsigned short
#define __INT32_TYPE__ signed int
#define __INT_LEAST32_TYPE__ signed int
#define __UINT32_TYPE__ unsigned int
#define __UINT_LEAST32_TYPE__ unsigned int
#define __CHAR32_TYPE__ unsigned int
#define __WINT_TYPE__ unsigned int
#define __INT64_TYPE__ signed long long
#define __INT_LEAST64_TYPE__ signed long long
#define __UINT64_TYPE__ unsigned long long
#define __UINT_LEAST64_TYPE__ unsigned long long
#define __UINTMAX_TYPE__ unsigned long long
#define __INTMAX_TYPE__ long long
#define __SIZEOF_SHORT__ 2
#define __SIZEOF_INT__ 4
#define __SIZEOF_LONG_LONG__ 8
#define __SIZEOF_FLOAT__ 4
#define __SIZEOF_DOUBLE__ 8
#define __SIZEOF_WCHAR_T__ 4
#define __SIZEOF_WINT_T__ 4
#define __SCHAR_MAX__ 127
#define __SHRT_MAX__ 32767
#define __SHRT_WIDTH__ 16
#define __INT_MAX__ 2147483647
#define __INT_WIDTH__ 32
#define __SIG_ATOMIC_MAX__ 2147483647
#define __SIG_ATOMIC_WIDTH__ 32
#define __LONG_LONG_MAX__ 9223372036854775807LL
#define __INTMAX_WIDTH__ 64
#define __WINT_MAX__ 4294967295u
#define __WINT_WIDTH__ 32
#define __WCHAR_WIDTH__ 32
#define __INT8_MAX__ 127
#define __UINT8_MAX__ 255
#define __INT_LEAST8_MAX__ 127
#define __INT_LEAST8_WIDTH__ 8
#define __UINT_LEAST8_MAX__ 255
#define __INT16_MAX__ 32767
#define __UINT16_MAX__ 65535
#define __INT_LEAST16_MAX__ 32767
#define __INT_LEAST16_WIDTH__ 16
#define __UINT_LEAST16_MAX__ 65535
#define __INT32_MAX__ 2147483647
#define __UINT32_MAX__ 4294967295u
#define __INT_LEAST32_MAX__ 2147483647
#define __INT_LEAST32_WIDTH__ 32
#define __UINT_LEAST32_MAX__ 4294967295u
#define __INT_LEAST64_WIDTH__ 64
#define __INTMAX_MAX__ 9223372036854775807LL
#define __UINTMAX_MAX__ 18446744073709551615ULL
#define __INT64_MAX__ 9223372036854775807LL
#define __UINT64_MAX__ 18446744073709551615ULL
#define __INT_LEAST64_MAX__ 9223372036854775807LL
#define __UINT_LEAST64_MAX__ 18446744073709551615ULL
#define __INT8_C(c) c
#define __INT16_C(c) c
#define __INT32_C(c) c
#define __INT64_C(c) c ## LL
#define __INTMAX_C(c) c ## LL
#define __UINT8_C(c) c
#define __UINT16_C(c) c
#define __UINT32_C(c) c ## U
#define __UINT64_C(c) c ## ULL
#define __UINTMAX_C(c) c ## ULL
