/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/sim/sim_tls.h - certificates and the TLS policy of hosts.
 */
#ifndef CAIRN_SIM_TLS_H
#define CAIRN_SIM_TLS_H

#include "base/err.h"
#include "tests/sim/sim_pool.h"

/* Write the pool's CA to <dir>/ca.crt and ca.key and set pool->ca. */
enum err_code sim_tls_make_ca(struct sim_pool *pool, const char *dir,
                              struct err *err);

/* A new key and certificate for the host, in <dir>/<host>.crt and .key, signed
 * by the pool's CA or by itself, and used for connections from now on. */
enum err_code sim_tls_make(struct sim_host *h, const char *dir, bool expired,
                           struct err *err);

/* Files of the user's. */
enum err_code sim_tls_load(struct sim_host *h, const char *certificate,
                           const char *key, struct err *err);

#endif
