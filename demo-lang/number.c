/* number.c: text of numbers. Lua makes it by snprintf with the formats below, and most of the time goes into
** what printf can do besides; so the linker sends liblua's calls here (its option --wrap). The text is
** the same, byte by byte; other formats, and numbers that are very large or small, go on to the C
** library. But the sign of a NaN is the processor's choice (0/0 has one on x86, and none on ARM), so what is to
** repeat has none.
**
** Of a float, 14 digits are exact: m * 2^q * 10^k is a whole number of 128 bits shifted by at most
** 66, which is rounded as printf does it, half to even. */
#include <locale.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

enum { DIGITS = 14, LEAST = -4, ROOM = 32 }; /* of "%.14g", which writes up to 21 characters */

/* Ends before `end`; returns where it begins. */
static char* digits_before(char* end, uint64_t n) {
  do *--end = (char)('0' + n % 10);
  while ((n /= 10) != 0);
  return end;
}

static int integer_text(char* to, long long n) {
  char text[ROOM], *end = text + sizeof text;
  char* at = digits_before(end, n < 0 ? 0 - (uint64_t)n : (uint64_t)n);
  if (n < 0) *--at = '-';
  size_t length = (size_t)(end - at);
  memcpy(to, at, length);
  to[length] = '\0';
  return (int)length;
}

static const uint64_t TENS[] = {1e0, 1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,
                                1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17};
static const double POWERS[] = {1e-4, 1e-3, 1e-2, 1e-1, 1e0,  1e1,  1e2,  1e3,  1e4, 1e5,
                                1e6,  1e7,  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14};

/* The exponent of ten of its first digit, for POWERS[0] <= d < 1e14; or one more, where d is below a power by
** so little that it is rounded up to it. */
static int exponent_of(double d) {
  int i = 0;
  while (d >= POWERS[i + 1]) i++;
  return LEAST + i;
}

/* d * 10^k, rounded to an integer: at most 10^14. */
static uint64_t scaled(double d, int k) {
  uint64_t bits;
  memcpy(&bits, &d, sizeof bits);
  uint64_t m = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
  unsigned shift = 1075 - (unsigned)(bits >> 52);
  wide product = (wide)m * TENS[k], half = (wide)1 << (shift - 1);
  uint64_t n = (uint64_t)(product >> shift);
  wide rest = product & (2 * half - 1);
  return n + (rest > half || (rest == half && n % 2 == 1));
}

/* 14 digits n, the first of which stands for 10^e. */
static int place_point(char* to, uint64_t n, int e) {
  char text[ROOM], *at = to;
  memset(text, '0', sizeof text);
  char* first = digits_before(text + sizeof text, n);
  int length = DIGITS;
  while (first[length - 1] == '0') length--;
  if (e < 0) first += e, length -= e, e = 0;
  if (length <= e) length = e + 1;
  for (int i = 0; i < length; i++) {
    if (i == e + 1) *at++ = '.';
    *at++ = first[i];
  }
  *at = '\0';
  return (int)(at - to);
}

/* -1: not here. */
static int float_text(char* to, double d) {
  bool negative = d < 0;
  if (negative) d = -d;
  if (!(d >= POWERS[0] && d < 99999999999999.0) || *localeconv()->decimal_point != '.') return -1;
  int e = exponent_of(d);
  uint64_t n = scaled(d, DIGITS - 1 - e);
  if (n == TENS[DIGITS]) n /= 10, e++;
  if (negative) *to++ = '-';
  return place_point(to, n, e) + negative;
}

static _Thread_local bool signs_of_nan_hidden;
bool number_hide_signs_of_nan(bool hidden) {
  bool before = signs_of_nan_hidden;
  signs_of_nan_hidden = hidden;
  return before;
}

static int general_text(char* to, double d) {
  if (d == d || !signs_of_nan_hidden) return float_text(to, d);
  memcpy(to, "nan", sizeof "nan");
  return (int)strlen("nan");
}

static int text(char* to, size_t size, const char* format, va_list arguments) {
  va_list again;
  va_copy(again, arguments);
  int length = -1;
  if (size >= ROOM && strcmp(format, "%lld") == 0)
    length = integer_text(to, va_arg(again, long long));
  else if (size >= ROOM && strcmp(format, "%.14g") == 0)
    length = general_text(to, va_arg(again, double));
  va_end(again);
  return length >= 0 ? length : vsnprintf(to, size, format, arguments);
}

bool number_hide_signs_of_nan(bool hidden);
int __wrap_snprintf(char* to, size_t size, const char* format, ...)
    __attribute__((format(printf, 3, 4)));
int __wrap___snprintf_chk(char* to, size_t size, int flag, size_t room, const char* format, ...)
    __attribute__((format(printf, 5, 6)));

int __wrap_snprintf(char* to, size_t size, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  int length = text(to, size, format, arguments);
  va_end(arguments);
  return length;
}

/* What a liblua that was built with checks calls. */
int __wrap___snprintf_chk(char* to, size_t size, int flag, size_t room, const char* format, ...) {
  (void)flag;
  va_list arguments;
  va_start(arguments, format);
  int length = text(to, size < room ? size : room, format, arguments);
  va_end(arguments);
  return length;
}
