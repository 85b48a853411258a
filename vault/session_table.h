/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/session_table.h - 16 random bytes -> a number. One thread at a time.
 *
 * Ids are random or MACs, so their first bytes serve as the hash.
 */
#ifndef CAIRN_VAULT_SESSION_TABLE_H
#define CAIRN_VAULT_SESSION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

struct session_table;

struct session_table *session_table_new(void); /* NULL: out of memory */
void session_table_free(struct session_table *t);

/* False: not there. */
bool session_table_find(const struct session_table *t, const struct id16 *id,
                        uint64_t *value);
/* Put or replace. False: out of memory, nothing changed. */
bool session_table_put(struct session_table *t, const struct id16 *id,
                       uint64_t value);
void session_table_drop(struct session_table *t, const struct id16 *id);
size_t session_table_count(const struct session_table *t);

#endif
