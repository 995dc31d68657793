/* Unit code_points: sets of code points, for the character classes of regular expressions. They come from our own Unicode tables. */
#ifndef AKI_CODE_POINTS_H
#define AKI_CODE_POINTS_H

#include "base/base.h"
#include "text/unicode.h"

/* Zeroed means empty. ranges: owned by the set, to be freed with aki__free. failed: there was no memory, and the set is
 * incomplete. */
struct aki__code_points { struct aki__unicode_range *ranges; size_t count, capacity; bool failed; };

/* Adds the code points first … last; none if first > last. */
void aki__code_points_add(struct aki__code_points *s, uint32_t first, uint32_t last);
/* Sorts the ranges and merges those that overlap or touch. */
void aki__code_points_sort(struct aki__code_points *s);
/* Adds all code points of `from`, or if negated all that it lacks. Sorts `from`. */
void aki__code_points_join(struct aki__code_points *s, struct aki__code_points *from, bool negated);
/* Adds the code points of these general categories (bits 1 << AKI_LU …), and those with one of these flags (AKI_U_…). */
void aki__code_points_from_table(struct aki__code_points *s, uint32_t categories, uint32_t flags);
/* Adds the code points of a general category or a script. The name is compared without case, blanks, "-" and "_". false: not
 * known. */
bool aki__code_points_from_property(struct aki__code_points *s, const char *name, size_t size);

#endif
