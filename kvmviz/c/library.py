"""What headers of C's library and Linux define that a layout may need, where nobody gives them.

As glibc and the compilers have them: <endian.h>, <stdint.h>, <stdbool.h>, <stddef.h>,
<limits.h>, and Linux's own <linux/limits.h>. Their types are in :mod:`kvmviz.c.known`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

_ENDIAN = """
#define __LITTLE_ENDIAN 1234
#define __BIG_ENDIAN 4321
#define __PDP_ENDIAN 3412
#define __BYTE_ORDER __BYTE_ORDER__
#define LITTLE_ENDIAN __LITTLE_ENDIAN
#define BIG_ENDIAN __BIG_ENDIAN
#define PDP_ENDIAN __PDP_ENDIAN
#define BYTE_ORDER __BYTE_ORDER
"""
ORDERS = ("LITTLE_ENDIAN", "BIG_ENDIAN", "BYTE_ORDER")
"""Names that mean nothing to a compiler: without the header, all of them are 0, and equal."""
_BOOL = """
#define true 1
#define false 0
#define __bool_true_false_are_defined 1
"""
_LINUX_LIMITS = """
#define NR_OPEN 1024
#define NGROUPS_MAX 65536
#define ARG_MAX 131072
#define LINK_MAX 127
#define MAX_CANON 255
#define MAX_INPUT 255
#define NAME_MAX 255
#define PATH_MAX 4096
#define PIPE_BUF 4096
#define XATTR_NAME_MAX 255
#define XATTR_SIZE_MAX 65536
#define XATTR_LIST_MAX 65536
#define RTSIG_MAX 32
"""
_NOT_GLIBCS = ("ARG_MAX", "LINK_MAX", "NR_OPEN")
"""Of Linux's limits those that glibc's <limits.h> takes back."""
_UNDEF = "#undef {}\n"
_POSIX_TYPES = """
#if defined __i386__ || defined __arm__ || defined __m68k__
typedef unsigned short __kernel_mode_t;
#else
typedef unsigned int __kernel_mode_t;
#endif
typedef long __kernel_suseconds_t;
typedef int __kernel_daddr_t;
typedef struct { int val[2]; } __kernel_fsid_t;
"""


def _limits() -> Iterator[str]:
    names = {"SCHAR": "SCHAR", "SHRT": "SHRT", "INT": "INT", "LONG": "LONG", "LLONG": "LONG_LONG"}
    yield "#define CHAR_BIT __CHAR_BIT__"
    for name, one in names.items():
        yield f"#define {name}_MAX __{one}_MAX__"
        yield f"#define {name}_MIN (-__{one}_MAX__ - 1)"
    yield "#define UCHAR_MAX (__SCHAR_MAX__ * 2 + 1)"
    yield "#define USHRT_MAX (__SHRT_MAX__ * 2 + 1)"
    yield "#define UINT_MAX (__INT_MAX__ * 2U + 1U)"
    yield "#define ULONG_MAX (__LONG_MAX__ * 2UL + 1UL)"
    yield "#define ULLONG_MAX (__LONG_LONG_MAX__ * 2ULL + 1ULL)"
    yield "#ifdef __CHAR_UNSIGNED__"
    yield "#define CHAR_MIN 0\n#define CHAR_MAX UCHAR_MAX"
    yield "#else\n#define CHAR_MIN SCHAR_MIN\n#define CHAR_MAX SCHAR_MAX\n#endif"


def _stdint() -> Iterator[str]:
    names = [f"{kind}{bits}" for kind in ("INT", "INT_LEAST") for bits in (8, 16, 32, 64)]
    for name in (*names, "INTPTR", "INTMAX"):
        yield f"#define {name}_MAX __{name}_MAX__"
        yield f"#define {name}_MIN (-__{name}_MAX__ - 1)"
        yield f"#define U{name}_MAX __U{name}_MAX__"
        if name.startswith(("INT_", "INTM")):
            title = name.lower()
            yield f"typedef __{name}_TYPE__ {title}_t;\ntypedef __U{name}_TYPE__ u{title}_t;"
    yield "#define SIZE_MAX __SIZE_MAX__"
    yield "#define PTRDIFF_MAX __PTRDIFF_MAX__\n#define PTRDIFF_MIN (-__PTRDIFF_MAX__ - 1)"
    yield "typedef __WCHAR_TYPE__ wchar_t;"
    yield "#define WCHAR_MAX __WCHAR_MAX__\n#define WINT_MAX __WINT_MAX__"
    for name in ("INT8", "INT16", "INT32", "INT64", "INTMAX"):
        yield f"#define {name}_C(c) __{name}_C(c)\n#define U{name}_C(c) __U{name}_C(c)"


_STDINT = "\n".join(_stdint())
GIVEN: Mapping[str, str] = {
    "endian.h": _ENDIAN,
    "sys/param.h": _ENDIAN,
    "sys/types.h": _ENDIAN,
    "stdbool.h": _BOOL,
    "stddef.h": "#define NULL ((void *)0)\ntypedef __WCHAR_TYPE__ wchar_t;\n",
    "wchar.h": "typedef __WCHAR_TYPE__ wchar_t;\ntypedef __WINT_TYPE__ wint_t;\n",
    "stdalign.h": "#define alignas _Alignas\n#define alignof _Alignof\n",
    "linux/posix_types.h": _POSIX_TYPES,
    "asm/posix_types.h": _POSIX_TYPES,
    "linux/types.h": _POSIX_TYPES,
    "stdint.h": _STDINT,
    "inttypes.h": _STDINT,
    "limits.h": "\n".join(_limits()) + _LINUX_LIMITS + "".join(map(_UNDEF.format, _NOT_GLIBCS)),
    "linux/limits.h": _LINUX_LIMITS,
}
"""Texts of headers by name."""

PREDEFINED = """
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
"""
"""Macros with arguments that gcc and clang have defined before they read a text."""
