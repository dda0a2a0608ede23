typedef __WCHAR_TYPE__ wchar_t;
typedef __WINT_TYPE__ wint_t;
