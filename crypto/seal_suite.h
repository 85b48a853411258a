/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crypto/seal_suite.h - the algorithms of suite 1, looked up once.
 *
 * Made at start-up, passed to whatever seals, hashes or signs, and read-only
 * from then on: any number of threads may use one at the same time. It holds
 * no secrets.
 */
#ifndef CAIRN_CRYPTO_SEAL_SUITE_H
#define CAIRN_CRYPTO_SEAL_SUITE_H

#include "base/err.h"

struct seal_suite;

/* ERR_NOMEM, or ERR_ARGUMENT naming the algorithm the library lacks. */
enum err_code seal_suite_new(struct seal_suite **out, struct err *err);

/* Whatever was made with it must be gone. */
void seal_suite_free(struct seal_suite *suite);

#endif
