/* Unit embedded: files of this folder that are part of the program (cmake/EmbedFile.cmake turns them into C). */
#ifndef AKI_SERVER_EMBEDDED_H
#define AKI_SERVER_EMBEDDED_H

#include <stddef.h>

extern const unsigned char embedded_docs[], embedded_page[], embedded_openapi[];
extern const size_t embedded_docs_size, embedded_page_size, embedded_openapi_size;

#endif
