#define NULL ((void *)0)
typedef __WCHAR_TYPE__ wchar_t;
