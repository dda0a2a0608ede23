/* The kernel's own words, as its compiler_types.h, stddef.h, bitmap.h and kconfig.h have them. */
#define __user
#define __kernel
#define __force
#define __iomem
#define __rcu
#define __bitwise
#define __bitwise__
#define __nonstring
#define __private
#define __percpu
#define __must_check
#define __read_mostly
#define __BEGIN_DECLS
#define __END_DECLS
#define __counted_by(m)
#define __counted_by_le(m)
#define __counted_by_be(m)
#define __counted_by_ptr(m)
#define __packed __attribute__((__packed__))
#define __aligned(x) __attribute__((__aligned__(x)))
#define __aligned_u64 __u64 __attribute__((aligned(8)))
#define __aligned_s64 __s64 __attribute__((aligned(8)))
#define __aligned_be64 __be64 __attribute__((aligned(8)))
#define __aligned_le64 __le64 __attribute__((aligned(8)))
#define __struct_group_tag(TAG) TAG
#define __struct_group(TAG, NAME, ATTRS, MEMBERS...) \
 union { struct { MEMBERS } ATTRS; struct TAG { MEMBERS } ATTRS NAME; } ATTRS
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) \
 struct { struct { } __empty_ ## NAME; TYPE NAME[]; }
#define DECLARE_FLEX_ARRAY(TYPE, NAME) __DECLARE_FLEX_ARRAY(TYPE, NAME)
#define struct_group(NAME, MEMBERS...) __struct_group(, NAME, , MEMBERS)
#define struct_group_attr(NAME, ATTRS, MEMBERS...) __struct_group(, NAME, ATTRS, MEMBERS)
#define struct_group_tagged(TAG, NAME, MEMBERS...) __struct_group(TAG, NAME, , MEMBERS)
#define BITS_PER_BYTE 8
#define BITS_PER_LONG __BITS_PER_LONG
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define BITS_TO_LONGS(n) DIV_ROUND_UP(n, __BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]
#define __ARG_PLACEHOLDER_1 0,
#define __take_second_arg(ignored, value, ...) value
#define ___is_defined(junk) __take_second_arg(junk 1, 0, 0)
#define __is_defined(x) ___is_defined(__ARG_PLACEHOLDER_ ## x)
#define IS_ENABLED(option) __is_set(option)
#define __is_set(x) __is_defined(x)
