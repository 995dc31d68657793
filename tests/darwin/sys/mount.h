/* statfs is declared here on macOS. */
#include <sys/statfs.h>
