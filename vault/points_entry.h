/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/points_entry.h - the summary of one point, for vault/points.c.
 */
#ifndef CAIRN_VAULT_POINTS_ENTRY_H
#define CAIRN_VAULT_POINTS_ENTRY_H

#include "vault/points.h"

/* Fill in what an opened point says. ERR_NOMEM. */
enum err_code points_entry_fill(struct points_entry *e,
                                const struct keyring *keys,
                                const struct point *p, struct err *err);
void points_entry_fini(struct points_entry *e);

#endif
