/* Unit csv: records of comma-separated files as RFC 4180 has them: quoted fields may hold separators, line breaks and doubled quotes. */
#ifndef AKI_CLI_CSV_H
#define AKI_CLI_CSV_H

#include "cli/shell/cli.h"

/* Where a scan stands in a record. Zeroed: at the beginning of one. */
struct csv_scan {
    unsigned char state;
};

/* The LF that ends the record which data[from] belongs to, or size where it is not there yet; *s then goes on from size. */
size_t csv_scan(struct csv_scan *s, const char *data, size_t from, size_t size, char separator);

/* The fields of a record, unquoted. Zeroed is valid, reused, freed by csv_free. */
struct csv_record {
    struct aki__buf data;
    size_t         *ends;                  /* [count] in data */
    size_t          count, capacity;
};

/* record: without its LF. false: *what (static) is wrong at byte *at; *what NULL: no memory. */
bool csv_split(struct csv_record *out, const char *record, size_t size, char separator, size_t *at, const char **what);
const char *csv_field(const struct csv_record *record, size_t i, size_t *size);
void csv_free(struct csv_record *record);

#endif
