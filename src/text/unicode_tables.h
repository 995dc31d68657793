/* Unit unicode_tables: the generated tables' shapes; use unicode.h. */
#ifndef AKI_UNICODE_TABLES_H
#define AKI_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

struct aki__unicode {
    uint32_t flags;             /* AKI_U_* */
    uint8_t  category;          /* enum aki__category */
    uint8_t  cluster;           /* enum aki__cluster */
    uint8_t  combining;         /* canonical combining class; only the order is the standard's */
};
struct aki__unicode_map { uint16_t lower, nfd, nfkd; };       /* offsets into the pool: a size byte, then UTF-8; 0: itself */
struct aki__unicode_pair { uint32_t first, second, composed; };
struct aki__unicode_range { uint32_t first, last; };
struct aki__unicode_script { const char *name; uint16_t begin, end; };   /* lower case; rows of script_ranges */

/* Two stages of blocks of 64: records[second[first[c / 64] * 64 + c % 64]]. */
extern const struct aki__unicode        aki__unicode_records[];
extern const uint16_t                   aki__unicode_first[];
extern const uint8_t                    aki__unicode_second[];
extern const uint16_t                   aki__unicode_map_first[];
extern const uint16_t                   aki__unicode_map_second[];
extern const struct aki__unicode_map    aki__unicode_maps[];
extern const unsigned char              aki__unicode_pool[];
extern const struct aki__unicode_pair   aki__unicode_pairs[];         /* sorted by first, then second */
extern const size_t                     aki__unicode_pair_count;
extern const struct aki__unicode_range  aki__unicode_script_ranges[];
extern const struct aki__unicode_script aki__unicode_scripts[];
extern const size_t                     aki__unicode_script_count;

#endif
