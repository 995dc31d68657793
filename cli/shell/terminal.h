/* Unit terminal: how wide texts are on a terminal, and bars. */
#ifndef AKI_CLI_TERMINAL_H
#define AKI_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

/* Columns of the terminal behind fd; $COLUMNS, then 80, where it does not say. At least 20. */
size_t terminal_width(int fd);
/* Bytes of text (valid UTF-8) that fit into width columns: never a part of a character, and marks stay with their letter.
 * *used (NULL allowed): the columns they occupy. */
size_t terminal_cut(const char *text, size_t size, size_t width, size_t *used);
/* A bar of width cells filled to share (0 to 1), filled up with blanks or dots; block characters where the locale has UTF-8. */
void terminal_bar(char *out, size_t size, double share, size_t width, bool dots);

#endif
