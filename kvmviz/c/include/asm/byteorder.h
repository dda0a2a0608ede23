#ifdef __LITTLE_ENDIAN_BITFIELD
#include <linux/byteorder/little_endian.h>
#else
#include <linux/byteorder/big_endian.h>
#endif
