/* Unit tokens: what /tokenize and /decode answer: an array with an element for each input. */
#ifndef AKI_SERVER_TOKENS_H
#define AKI_SERVER_TOKENS_H

#include "exchange.h"

route_fn tokens_answer;

#endif
