/* Unit number: numbers to decimal text, fast enough that printing never holds up computing. */
#ifndef AKI_CLI_NUMBER_H
#define AKI_CLI_NUMBER_H

#include <stddef.h>
#include <stdint.h>

enum { NUMBER_SIZE = 32 };                 /* bytes that either function may write to */

/* The least digits that parse back to the same float, always with a point or an exponent ("1.0", "-0.0123", "1.5e-7");
 * "null" for infinity and NaN. Writes no NUL; answers the length. */
size_t number_f32(char *out, float value);
size_t number_int(char *out, int64_t value);
/* A half float's value. */
float number_half(uint16_t half);

#endif
